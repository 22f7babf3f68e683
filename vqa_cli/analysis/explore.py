"""Finds a title's ladder in as few encodes as the decision needs. Pure but for the encodes, which the caller makes.

After each encode the surface of rate and quality is known a little better. On surfaces that are as likely as any, the best
ladder is found, where a rung that was encoded costs nothing and any other a little. What these ladders have most often is
encoded next. That ends when little is still expected to be lost, or when the budget is spent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.ladders import Choice
from vqa_cli.analysis.limits import Limits, Scale, default_audience
from vqa_cli.analysis.surface import Seen, Setting, Title, quality_of

if TYPE_CHECKING:
    from vqa_cli.analysis.surface import Array

# What one more encode must gain viewers, as a share of the scale, before its rung is preferred to one that was encoded.
_PRICE = 0.003
# How far a CRF speaks for others, in tens of it.
_NEAR = 0.4
_DRAWS = 64
# Rate and quality are uncertain each for itself, so draws of the one meet those of the other in another order.
_PAIRS = [29 * j % _DRAWS for j in range(_DRAWS)]


@dataclass(frozen=True)
class Aim:
    """What is to be decided.

    Attributes:
        limits, audience, scale: see :class:`vqa_cli.analysis.ladders.Choice`; without an audience it is the title's own.
        loss: expected loss that is small enough, in the metric's unit.
        encodes: the most that may be made.
    """

    title: Title
    limits: Limits
    scale: Scale
    duration_s: float
    audience: Audience | None
    loss: float
    encodes: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a ladder is expected to lose, and how often settings that were not encoded would be in the best one."""

    loss: float
    wanted: Counter[Setting]


@dataclass(frozen=True, slots=True)
class State:
    """What is known after some encodes.

    Attributes:
        measured: encodes in the order in which they were made.
        rungs: the best ladder of them.
        loss: what viewers are expected to lose by it, against the best ladder of the whole grid.
        following: what to encode next; ``None`` at the end.
        why: why it ends there.
    """

    measured: tuple[Point, ...]
    rungs: tuple[Point, ...]
    loss: float
    following: Setting | None
    why: str = ""


def explore(measure: Callable[[Setting], Point], aim: Aim) -> Iterator[State]:
    """Yield the state after each encode; the last one is the answer.

    Args:
        measure: encodes and measures at a setting of the grid.
    """
    measured: list[Point] = []
    following = conclude(measured, aim).following
    while following is not None:
        measured.append(measure(following))
        state = conclude(measured, aim)
        following = state.following
        yield state


def conclude(measured: Sequence[Point], aim: Aim) -> State:
    """What is known, and what to encode next."""
    view = _View(aim, measured)
    known = view.ladder([*measured])
    outlook = view.outlook(known)
    why = _end(aim, len(measured), outlook)
    following = None if why else _following(aim.title, outlook.wanted)
    return State(tuple(measured), tuple(known), outlook.loss, following, why)


def _end(aim: Aim, encodes: int, outlook: Outlook) -> str:
    """Why it ends here, empty where it goes on."""
    if outlook.loss <= aim.loss:
        return "a better ladder would gain little"
    if encodes >= aim.encodes:
        return f"the budget of {aim.encodes} encodes is spent"
    return "" if outlook.wanted else "nothing better is left to encode"


def _following(title: Title, wanted: Counter[Setting]) -> Setting:
    """The setting that is most likely to stay in the ladder; of equal ones the cheapest.

    A CRF speaks for its neighbours too: where the best ladder has it, theirs is nearly as good.
    """

    def likely(setting: Setting) -> float:
        near = [(abs(s.crf - setting.crf) / title.dial.ten, n) for s, n in wanted.items() if s.height == setting.height]
        return math.fsum(n * max(0.0, 1 - apart / _NEAR) for apart, n in near)

    return max(wanted, key=lambda s: (likely(s), -s.height, s.crf))


def untried(grid: Sequence[Setting], encoded: Sequence[Point]) -> int | None:
    """The largest size that was encoded, where the grid has a larger one: what is known of that comes from other titles."""
    most = max(p.height for p in encoded)
    return most if most < max(s.height for s in grid) else None


def _setting(point: Point) -> Setting:
    return Setting(point.height, point.crf or 0.0)


class _View:
    """The surfaces after some encodes."""

    def __init__(self, aim: Aim, measured: Sequence[Point]) -> None:
        self._aim, self._title = aim, aim.title
        self._measured = {_setting(p): p for p in measured}
        span = aim.scale.span
        seen = [Seen(s, math.log(p.kbps), (p.quality - aim.scale.floor) / span) for s, p in self._measured.items()]
        self._rates, self._odds = self._title.rates(seen), self._title.odds(seen)
        # Of the grid, in its order: what was measured, or else what a rung is called.
        self._known = [
            (setting, self._measured.get(setting), f"{setting.height}p_crf{setting.crf:g}", f"crf {setting.crf:g}")
            for setting in self._title.grid
        ]
        self._audience = aim.audience or default_audience(self.points(), aim.scale)

    def points(self) -> list[Point]:
        """The whole grid as far as it is known: encodes as measured, the rest as expected."""
        return self._points(self._rates.mean, self._odds.mean)

    def _points(self, log_rates: Array, odds: Array) -> list[Point]:
        scale = self._aim.scale
        qualities = scale.floor + scale.span * quality_of(odds)
        return [
            known or Point(
                name, rate, quality, setting.height, "", 0.0, crf=setting.crf, setting=label, measured=False
            )
            for (setting, known, name, label), rate, quality in zip(
                self._known, map(math.exp, log_rates.tolist()), qualities.tolist(), strict=True
            )
        ]  # fmt: skip

    def ladder(self, points: Sequence[Point]) -> list[Point]:
        """The best ladder of these points."""
        return self._choice(points, self._audience).solved(0.0)

    def _choice(self, points: Sequence[Point], audience: Audience) -> Choice:
        aim = self._aim
        return Choice(points, audience, aim.scale, aim.limits, aim.duration_s, {})

    def outlook(self, rungs: Sequence[Point]) -> Outlook:
        """What the ladder loses over surfaces that are as likely as any, against the best ladder on each."""
        losses: list[float] = []
        wanted: Counter[Setting] = Counter()
        for log_rates, odds in zip(self._rates.draws(_DRAWS), self._odds.draws(_DRAWS)[_PAIRS], strict=True):
            points = self._points(log_rates, odds)
            choice = self._choice(points, self._aim.audience or default_audience(points, self._aim.scale))
            best = choice.solved(0.0)
            losses.append(choice.value(best) - choice.value(rungs))
            wanted.update(_setting(p) for p in choice.solved(_PRICE) if not p.measured)
        return Outlook(max(0.0, math.fsum(losses) / len(losses)), wanted)
