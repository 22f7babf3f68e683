"""Upper-left boundary of rate against quality: which rungs are worth their bits. Pure.

Upper hull by A. M. Andrew's monotone chain (Information Processing Letters 9, 1979) over (log rate, quality): on a log
axis equal ratios of bitrate count the same, as they do in a ladder. A linear axis gives another hull.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from vqa_cli.analysis.curves import Point


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


def _below(a: Point, b: Point, c: Point) -> bool:
    """Whether ``b`` lies on or under the line from ``a`` to ``c``."""
    ax, bx, cx = (math.log(p.kbps) for p in (a, b, c))
    return (b.quality - a.quality) * (cx - ax) <= (c.quality - a.quality) * (bx - ax)


def crossovers(hull: Sequence[Point]) -> list[tuple[int, int, float]]:
    """Where the hull changes size: (height below, height above, bitrate in kb/s half-way in log rate)."""
    pairs = itertools.pairwise(hull)
    return [(a.height, b.height, math.sqrt(a.kbps * b.kbps)) for a, b in pairs if a.height != b.height]
