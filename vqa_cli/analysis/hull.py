"""Upper-left boundary of rate against quality: which rungs are worth their bits. Pure.

The hull of a codec is the envelope of its sizes' curves. A convex hull is another: quality over log rate rises slowly at first,
and a straight line from a very poor rung passes over rates at which nothing is as good.

Convex hull by A. M. Andrew's monotone chain (Information Processing Letters 9, 1979) over (log rate, quality): on a log
axis equal ratios of bitrate count the same, as they do in a ladder. A linear axis gives another hull.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.equalrate import QualityCurve

HULL = "all sizes (hull)"
_STEPS = 200


def convex_hull(points: Sequence[Point]) -> list[Point]:
    """Points on the hull by rising rate and quality; of equal rates the best stays, of equal points the first."""
    best: dict[float, Point] = {}
    for point in points:
        if point.kbps not in best or point.quality > best[point.kbps].quality:
            best[point.kbps] = point
    hull: list[Point] = []
    for point in sorted(best.values(), key=lambda p: p.kbps):
        while hull and point.quality >= hull[-1].quality and len(hull) >= 2 and _below(hull[-2], hull[-1], point):
            hull.pop()
        if not hull or point.quality > hull[-1].quality:
            hull.append(point)
    return hull


def undominated(points: Iterable[Point]) -> list[Point]:
    """Points that none beats, by rising rate and quality: more than the hull has, where that bridges what lies under it."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.kbps, -p.quality)):
        if not front or point.quality > front[-1].quality:
            front.append(point)
    return front


def envelope(points: Sequence[Point]) -> list[Point]:
    """Points that none beats, without those under another size's curve: a straight line over log rate between two rungs."""
    sizes: dict[tuple[str, int], list[Point]] = {}
    for point in sorted(points, key=lambda p: p.kbps):
        sizes.setdefault((point.codec, point.height), []).append(point)
    lines = [(a, b) for members in sizes.values() for a, b in itertools.pairwise(members)]
    return [p for p in undominated(points) if not any(_below(a, p, b) for a, b in lines if a.kbps < p.kbps < b.kbps)]


def rate_at(front: Sequence[Point], quality: float) -> float:
    """The rate at which points that none beats reach a quality: between two on the line over log rate, at the ends theirs."""
    if quality <= front[0].quality:
        return front[0].kbps
    for a, b in itertools.pairwise(front):
        if quality <= b.quality:
            share = (quality - a.quality) / (b.quality - a.quality)
            return float(a.kbps * (b.kbps / a.kbps) ** share)
    return front[-1].kbps


def codec_hulls(points: Iterable[Point]) -> dict[str, list[Point]]:
    """The envelope of all sizes of each codec (encoder and speed), codecs by their first point."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.codec, []).append(point)
    return {codec: envelope(members) for codec, members in groups.items()}


def _below(a: Point, b: Point, c: Point) -> bool:
    """Whether ``b`` lies on or under the line from ``a`` to ``c``."""
    ax, bx, cx = (math.log(p.kbps) for p in (a, b, c))
    return (b.quality - a.quality) * (cx - ax) <= (c.quality - a.quality) * (bx - ax)


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where the hull changes size.

    Attributes:
        lower, higher: heights below and above.
        kbps: where the curves of both sizes meet; without ``interpolated`` they do not meet between the two rungs, and it
            is half-way in log rate.
    """

    lower: int
    higher: int
    kbps: float
    interpolated: bool


def crossovers(hull: Sequence[Point], points: Sequence[Point]) -> list[Crossover]:
    """Changes of size along a hull; ``points`` are all that were measured, of which the sizes' curves consist."""
    pairs = itertools.pairwise(hull)
    return [_crossover(a, b, points) for a, b in pairs if a.height != b.height]


def _crossover(a: Point, b: Point, points: Sequence[Point]) -> Crossover:
    below, above = ([p for p in points if (p.codec, p.height) == (end.codec, end.height)] for end in (a, b))
    met = _meeting(below, above, a.kbps, b.kbps)
    return Crossover(a.height, b.height, met or math.sqrt(a.kbps * b.kbps), met is not None)


def _meeting(below: Sequence[Point], above: Sequence[Point], low: float, high: float) -> float | None:
    """The bitrate from which ``above`` is the better curve, ``None`` where that happens never or more than once."""
    low = max(low, *(min(p.kbps for p in side) for side in (below, above)))
    high = min(high, *(max(p.kbps for p in side) for side in (below, above)))
    if not low < high:
        return None
    one, two = (QualityCurve([(p.kbps, p.quality) for p in side]) for side in (below, above))
    rates = np.geomspace(low, high, _STEPS)[1:-1]
    gains = np.array([(two.at(rate) or 0.0) - (one.at(rate) or 0.0) for rate in rates])
    (turns,) = np.nonzero((gains[:-1] <= 0) & (gains[1:] > 0))
    if len(turns) != 1 or gains[0] > 0:
        return None
    i = int(turns[0])
    share = -gains[i] / (gains[i + 1] - gains[i])
    return float(rates[i] * (rates[i + 1] / rates[i]) ** share)
