"""Finds the cheapest encode whose quality still reaches a target, in few encodes: interpolation inside a shrinking bracket."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MAX_TRIES = 12


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
        best: the cheapest point that reaches the target, ``None`` when even the best does not.
        nearest: the trial nearest below the target otherwise.
        trials: everything that was tried, in order.
        settled: no cheaper point of the scale is left to try.
    """

    best: Trial | None
    nearest: Trial
    trials: tuple[Trial, ...]
    settled: bool


def crf_scale(low: float, high: float, step: float) -> list[float]:
    """CRFs from ``low`` (best) to ``high`` in steps."""
    return [round(low + index * step, 6) for index in range(int((high - low) / step + 1e-9) + 1)]


def bitrate_scale(low_kbps: float, high_kbps: float, percent: float) -> list[float]:
    """Bitrates from ``high_kbps`` down to ``low_kbps``, each ``percent`` below the one before."""
    count = int(math.log(high_kbps / low_kbps) / -math.log(1 - percent / 100) + 1e-9) + 1
    return [round(high_kbps * (1 - percent / 100) ** index, 1) for index in range(count)]


def search(measure: Callable[[float], Trial], target: float, scale: Sequence[float]) -> Iterator[Found]:
    """Yield the state after each encode; the last one is the answer.

    Quality is taken to fall along the scale. The bracket holds a point that reaches the target and a later one that does
    not; the next one tried is where the curve through all trials meets the target, kept inside the bracket.

    Args:
        measure: encodes at a point and measures it.
        scale: points from best and dearest to cheapest.
    """
    trials: list[Trial] = []
    index: int | None = len(scale) // 2
    while index is not None and len(trials) < MAX_TRIES:
        trials.append(measure(scale[index]))
        index = next_index(trials, target, scale)
        yield conclude(trials, target, scale, settled=index is None)


def confirm(measure: Callable[[float], Trial], target: float, scale: Sequence[float], start: float) -> Iterator[Found]:
    """Measure ``start``, and then better points one by one until the target is reached; yields as :func:`search` does."""
    trials: list[Trial] = []
    for point in reversed(scale[: scale.index(start) + 1]):
        trials.append(measure(point))
        reached = trials[-1].quality >= target
        yield conclude(trials, target, scale, settled=reached)
        if reached or len(trials) == MAX_TRIES:
            return


def conclude(trials: Sequence[Trial], target: float, scale: Sequence[float], *, settled: bool) -> Found:
    """What is known so far."""
    reached = [trial for trial in trials if trial.quality >= target]
    best = max(reached, key=lambda trial: scale.index(trial.point), default=None)
    nearest = max(trials, key=lambda trial: trial.quality) if best is None else best
    return Found(best, nearest, tuple(trials), settled)


def next_index(trials: Sequence[Trial], target: float, scale: Sequence[float]) -> int | None:
    """The place on the scale to try next, ``None`` when the answer is known."""
    tried = {scale.index(trial.point): trial.quality for trial in trials}
    good = max((index for index, quality in tried.items() if quality >= target), default=None)
    bad = min(
        (index for index, quality in tried.items() if quality < target and (good is None or index > good)), default=None
    )
    if good is None:
        return 0 if bad != 0 else None
    if bad is None:
        last = len(scale) - 1
        return last if good < last else None
    if bad - good <= 1:
        return None
    return min(max(round(_crossing(tried, target, good, bad)), good + 1), bad - 1)


def _crossing(tried: dict[int, float], target: float, good: int, bad: int) -> float:
    """Where quality meets the target: on a curve through all trials where they fall throughout, else on a straight line."""
    order = sorted(tried)
    qualities = [tried[index] for index in order]
    if len(order) > 2 and all(a > b for a, b in itertools.pairwise(qualities)):
        from scipy.interpolate import PchipInterpolator

        return float(PchipInterpolator(qualities[::-1], order[::-1])(target))
    return good + (tried[good] - target) / (tried[good] - tried[bad]) * (bad - good)
