"""Steps of a history's series that are for the worse or the better, and which of them the latest run brought up. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from vqa_cli.history.series import Series, scaled
from vqa_cli.history.steps import fit_levels

# How many runs a step may take to be seen: a later run of the same series cannot make it "new" again.
_SAME_SPOT = 2


@dataclass(frozen=True, slots=True)
class Step:
    """A change of level.

    Attributes:
        before, after: numbers of the last run before it and of the first after it.
        change: of the level, in the kind's unit; in percent for shares.
        worse: whether it is for the worse; ``None`` where neither direction is.
        new: the latest run of the series brought it up.
    """

    series: Series
    before: int
    after: int
    change: float
    worse: bool | None
    new: bool = False

    @property
    def unit(self) -> str:
        return "%" if self.series.kind.relative else self.series.kind.unit

    @property
    def is_regression(self) -> bool:
        return self.worse is True


@dataclass(frozen=True, slots=True)
class Change:
    """Steps of one figure between the same two runs, over all curves that have one; the largest first."""

    steps: tuple[Step, ...]

    @property
    def largest(self) -> Step:
        return self.steps[0]

    @property
    def new(self) -> bool:
        return any(step.new for step in self.steps)

    @property
    def where(self) -> str:
        """The curve with the largest step, and how many others have one."""
        others = len(self.steps) - 1
        return self.largest.series.place.name + (f" and {others} more" if others else "")


def fold(steps: Sequence[Step]) -> list[Change]:
    """One change for what one commit did to many curves; those for the worse apart from those for the better."""
    groups: dict[tuple[object, ...], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.series.kind.name, step.before, step.after, step.worse, step.new), []).append(step)
    return [Change(tuple(sorted(alike, key=lambda step: -_size(step)))) for alike in groups.values()]


def find_steps(found: Sequence[Series]) -> list[Step]:
    """The steps of all series that matter, the largest in terms of their limits first."""
    latest = max((value.entry for series in found for value in series.values), default=0)
    steps = [step for series in found for step in _of(series, latest)]
    return sorted(steps, key=lambda step: (not step.new, -_size(step)))


def _size(step: Step) -> float:
    least = step.series.kind.least * (100 if step.series.kind.relative else 1)
    return abs(step.change) / least


def _of(series: Series, latest: int) -> Iterator[Step]:
    """A series that has ended, because runs are measured otherwise now, brings nothing new."""
    now = list(_steps(series))
    if not now:
        return
    ended = series.values[-1].entry != latest
    earlier = now if ended else list(_steps(replace(series, values=series.values[:-1])))
    numbers = [value.entry for value in series.values]
    for step in now:
        place = numbers.index(step.after)
        known = any(
            abs(numbers.index(other.after) - place) <= _SAME_SPOT and (other.change > 0) == (step.change > 0)
            for other in earlier
        )
        yield replace(step, new=not known)


def _steps(series: Series) -> Iterator[Step]:
    kind, values = series.kind, scaled(series).values
    levels = fit_levels([v.value for v in values], [v.error for v in values], kind.floor)
    for one, two in pairwise(levels):
        change = two.value - one.value
        if abs(change) >= kind.least:
            worse = None if not kind.worse else (change > 0) == (kind.worse == "more")
            shown = 100 * math.expm1(change) if kind.relative else change
            yield Step(series, values[two.start - 1].entry, values[two.start].entry, shown, worse)
