"""Rungs that another one beats. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqa_cli.analysis.curves import Point


@dataclass(frozen=True, slots=True)
class Wasted:
    """A rung that another one beats: no better, and no cheaper."""

    rung: str
    beaten_by: str
    saves_kbps: float
    loses: float


def wasted_of(every: Sequence[Point]) -> list[Wasted]:
    """Rungs that another one beats, each with the cheapest that does; that one is beaten by none."""
    found = []
    for point in every:
        better = [other for other in every if _beats(other, point)]
        if better:
            best = min(better, key=lambda p: (p.kbps, -p.quality))
            found.append(Wasted(point.rung, best.rung, point.kbps - best.kbps, point.quality - best.quality))
    return found


def _beats(one: Point, other: Point) -> bool:
    """No dearer and at least as good, and one of them truly."""
    as_good = one.quality >= other.quality and one.kbps <= other.kbps
    return as_good and (one.quality, one.kbps) != (other.quality, other.kbps)
