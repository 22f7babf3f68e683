"""Finds the cheapest encode whose quality still reaches a goal, in few encodes: interpolation inside a shrinking bracket. Pure
but for the encodes, which the caller makes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vqa_cli.pchip import Pchip

# Encodes that interpolation may cost beyond bisection, which alone takes log2 of the scale's length.
_SLACK = 2
# What is taken for the fall over a whole scale until two encodes say more: in nats of the odds, or in spans.
_FALL_NATS, _FALL_SPANS = 10.0, 0.75
# Share of the bracket that the second encode keeps off its ends: they are slow (CRF 0 may be lossless) or bad.
_MARGIN = 0.1
_NOTHING = 0.002  # of the span: what analysis calls no inversion either
_SAME = 1e-9  # of the fall: two worths nearer to each other say nothing of what lies beyond them
_LEAST_LOSS, _LEAST_WORTH = 1e-4, 1e-2  # shares of the span; nearer to an end of it all counts as saturated


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached.

    Attributes:
        span: what a large difference of the metric is.
        best: the value of equal pictures, towards which a bounded metric saturates; ``None`` for metrics in dB and models.
    """

    target: float
    span: float = 100.0
    best: float | None = None
    higher_is_better: bool = True

    def reached(self, quality: float) -> bool:
        return quality >= self.target if self.higher_is_better else quality <= self.target

    def gain(self, before: float, after: float) -> float:
        """By how much quality rises, in the metric's unit; 0 where that is too little to speak of."""
        rise = after - before if self.higher_is_better else before - after
        return rise if rise > _NOTHING * self.span else 0.0

    def worth(self, quality: float) -> float:
        """A number that rises with quality, and falls about evenly along a scale of CRFs or of log rates.

        Of a bounded metric that is the logarithm of its odds: VMAF goes from 99.9 to 99.5 in as many CRFs as from 90 to 65.
        """
        if self.best is None:
            return quality if self.higher_is_better else -quality
        lost = max(abs(self.best - quality) / self.span, _LEAST_LOSS)
        return math.log(max(1 - lost, _LEAST_WORTH) / lost)

    def saturated(self, quality: float) -> bool:
        """Whether it is the best value there is, as far as can be told."""
        return self.best is not None and abs(self.best - quality) <= _LEAST_LOSS * self.span

    @property
    def fall(self) -> float:
        """Loss of worth over a whole scale, as a first guess."""
        return _FALL_NATS if self.best is not None else _FALL_SPANS * self.span


@dataclass(frozen=True, slots=True)
class Trial:
    """One encode that was measured; ``point`` is its CRF or its target bitrate in kb/s."""

    point: float
    quality: float
    kbps: float


@dataclass(frozen=True, slots=True)
class Found:
    """The answer.

    Attributes:
        best: the cheapest point that reaches the goal, ``None`` when none does.
        nearest: ``best``, or else the trial nearest to the goal.
        trials: everything that was tried, in order.
        inversions: neighbouring points, the dearer first, of which the cheaper scored better: the curve does not fall there,
            and beyond the first miss a cheaper point that was not tried may reach the goal too.
    """

    best: Trial | None
    nearest: Trial
    trials: tuple[Trial, ...]
    inversions: tuple[tuple[float, float], ...] = ()


def search(
    measure: Callable[[float], Trial], goal: Goal, scale: Sequence[float], first: int | None = None
) -> Iterator[Found]:
    """Yield the state after each encode; the last one is the answer.

    Quality is taken to fall along the scale. The bracket lies between a point that reaches the goal and a later one that does
    not; what is tried next is where the curve through all trials meets the goal, kept so far inside the bracket that no more
    than :func:`most_encodes` are ever made.

    Args:
        measure: encodes at a point and measures it.
        scale: points from best and dearest to cheapest.
        first: place on the scale that is tried first, the middle by default.
    """
    trials: list[Trial] = []
    index: int | None = len(scale) // 2 if first is None else first
    while index is not None:
        trials.append(measure(scale[index]))
        index = next_index(trials, goal, scale)
        yield conclude(trials, goal, scale)


def confirm(measure: Callable[[float], Trial], goal: Goal, scale: Sequence[float], start: float) -> Iterator[Found]:
    """Measure ``start`` and, where it misses, search the better points; yields as :func:`search` does."""
    until = scale.index(start)
    return search(measure, goal, scale[: until + 1], first=until)


def most_encodes(points: int) -> int:
    """Encodes that a search over so many points takes at the worst."""
    return math.ceil(math.log2(points + 1)) + _SLACK


def conclude(trials: Sequence[Trial], goal: Goal, scale: Sequence[float]) -> Found:
    """What is known so far."""
    order = sorted(trials, key=lambda trial: scale.index(trial.point))
    reached = [trial for trial in order if goal.reached(trial.quality)]
    best = reached[-1] if reached else None
    nearest = best or max(trials, key=lambda trial: goal.worth(trial.quality))
    rising = [(a.point, b.point) for a, b in itertools.pairwise(order) if goal.gain(a.quality, b.quality) > 0]
    return Found(best, nearest, tuple(trials), tuple(rising))


def next_index(trials: Sequence[Trial], goal: Goal, scale: Sequence[float]) -> int | None:
    """The place on the scale to try next, ``None`` when the answer is known."""
    tried = {scale.index(trial.point): trial.quality for trial in trials}
    good = max((index for index, quality in tried.items() if goal.reached(quality)), default=-1)
    bad = min((index for index, q in tried.items() if index > good and not goal.reached(q)), default=len(scale))
    if bad - good == 1:
        return None
    guess = _crossing(tried, goal, good, bad, len(scale))
    # Whichever way the next encode turns out, bisection must be able to end the rest within what is left.
    allowed = 1 << (most_encodes(len(scale)) - len(trials) - 1)
    low, high = max(good + 1, bad - allowed), min(bad - 1, good + allowed)
    return min(max(round(guess), low), high)


def _crossing(tried: dict[int, float], goal: Goal, good: int, bad: int, points: int) -> float:
    """Where on the scale the curve meets the goal, by what is known of it; the middle of the bracket where that is nothing."""
    order = sorted(tried)
    worth = [goal.worth(tried[index]) for index in order]
    wanted = goal.worth(goal.target)
    if len(order) == 1:
        guess = order[0] + (worth[0] - wanted) / goal.fall * points
        margin = _MARGIN * (bad - good)
        return min(max(guess, good + margin), bad - margin)
    if good >= 0 and goal.saturated(tried[good]):
        return (good + bad) / 2  # how far from there on it stays so, its value does not say
    if good >= 0 and bad < points:
        if all(a - b > _SAME * goal.fall for a, b in itertools.pairwise(worth)):
            return Pchip(worth[::-1], order[::-1])(wanted)
        left, right = order.index(good), order.index(bad)
    else:  # all on one side: the line through the two nearest to the goal goes on
        left, right = (0, 1) if good < 0 else (len(order) - 2, len(order) - 1)
    if worth[left] - worth[right] <= _SAME * goal.fall:
        return (good + bad) / 2
    slope = (worth[left] - worth[right]) / (order[right] - order[left])
    return order[left] + (worth[left] - wanted) / slope
