"""What lies between measured CRFs, read off the curves of rate and quality over CRF. Pure.

Both curves are PCHIP through the rungs of one codec and size, as monotone as these; nothing is extrapolated.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vqa_cli.analysis.curves import Point
from vqa_cli.pchip import Pchip

_LEAST_POINTS = 3


def between(points: Sequence[Point]) -> list[Point]:
    """A point for every whole CRF between measured ones, where rate and quality fall as CRF rises."""
    groups: dict[tuple[str, int], list[Point]] = defaultdict(list)
    for point in points:
        if point.mode == "crf" and point.crf is not None:
            groups[point.codec, point.height].append(point)
    return [point for group in groups.values() for point in _filled(group)]


def _filled(group: Sequence[Point]) -> Iterator[Point]:
    by_crf = {point.crf or 0.0: point for point in group}
    crfs = sorted(by_crf)
    if len(crfs) < max(_LEAST_POINTS, len(group)):
        return
    line = [by_crf[crf] for crf in crfs]
    if not all(a.kbps > b.kbps for a, b in itertools.pairwise(line)):
        return
    rate, quality, time = (
        Pchip(crfs, [value(point) for point in line])
        for value in (lambda p: math.log(p.kbps), lambda p: p.quality, lambda p: p.cpu_s)
    )
    for a, b in itertools.pairwise(line):
        if a.quality > b.quality:  # where it is not so, nobody knows what lies between
            for crf in _whole(a.crf or 0.0, b.crf or 0.0):
                name = a.rung.removesuffix(f"crf{a.crf:g}") + f"crf{crf}"
                yield replace(
                    a, rung=name, kbps=math.exp(rate(crf)), quality=quality(crf), cpu_s=time(crf), crf=float(crf),
                    setting=f"crf {crf}", measured=False,
                )  # fmt: skip


def _whole(low: float, high: float) -> range:
    """Whole numbers between both, without them."""
    return range(math.floor(low) + 1, math.ceil(high))
