"""Whether the 95 % intervals of BD-rates between curves of few points hold what dense curves give.

    python benchmarks/coverage.py CLIPS.txt --data FOLDER [--codec libx264] [--against libx265]

Reads the dense grids that benchmarks/decide.py encoded. Every two clips of one kind are compared, as two codecs would be, by
curves of four to six CRFs of the grid: at each size, and by the hull over all sizes. With `--against` each clip is compared
with itself by that codec. The same range of quality is then compared by all points of the grid, of hulls by what lies
between them too. `explored` is the hull of the encodes that `--explore` made.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from decide import Grid, read_clips

from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.analysis.compare import rate_points
from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.explore import explore
from vqa_cli.analysis.hull import envelope
from vqa_cli.pchip import Pchip

CRFS = (
    (20, 26, 30, 36),
    (18, 24, 30, 36),
    (22, 28, 34, 40),
    (16, 24, 32, 40),
    (20, 24, 28, 32, 36),
    (18, 22, 26, 30, 34, 38),
)


@dataclass(frozen=True)
class Pair:
    """A BD-rate of few points in percent with its interval, and that of dense curves over the same range of quality."""

    few: float
    interval: tuple[float, float]
    dense: float

    @property
    def held(self) -> bool:
        return self.interval[0] <= self.dense <= self.interval[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--against", metavar="CODEC", help="compare each clip with itself by this codec")
    args = parser.parse_args()
    grids = [grid for clip in read_clips(args.clips) if (grid := Grid.read(clip, args.data, args.codec))]
    others = {g.clip: other for g in grids if args.against and (other := Grid.read(g.clip, args.data, args.against))}
    print(f"{'':22} {'pairs':>6} {'held':>6} {'width':>7} {'error':>7} {'worst':>7}")
    for kind in dict.fromkeys(grid.clip.kind for grid in grids):
        mine = [grid for grid in grids if grid.clip.kind == kind]
        both = [(grid, others[grid.clip]) for grid in mine if grid.clip in others]
        pairs = both if args.against else list(itertools.combinations(mine, 2))
        for name, compare in (("one size", by_size), ("hull", by_hull), ("explored", by_explored)):
            report(f"{kind} {name}", list(compare(pairs)))


Grids = Sequence[tuple[Grid, Grid]]


def by_size(grids: Grids) -> Iterator[Pair]:
    for (one, two), crfs, size in itertools.product(grids, CRFS, range(3)):
        sides = [[p for p in grid.dense if p.height == grid.heights[size]] for grid in (one, two)]
        yield from compared([[p for p in side if p.crf in crfs] for side in sides], sides, hull=False)


def by_hull(grids: Grids) -> Iterator[Pair]:
    for (one, two), crfs in itertools.product(grids, CRFS):
        yield from of_hulls(one, two, lambda grid, crfs=crfs: [p for p in grid.dense if p.crf in crfs])  # type: ignore[misc]


def by_explored(grids: Grids) -> Iterator[Pair]:
    every = {id(grid): grid for grid in itertools.chain(*grids)}
    made = {key: list(explore(grid.measure, grid.aim))[-1].measured for key, grid in every.items()}
    for one, two in grids:
        yield from of_hulls(one, two, lambda grid: made[id(grid)])


def of_hulls(one: Grid, two: Grid, few: Callable[[Grid], Sequence[Point]]) -> Iterator[Pair]:
    dense = [envelope(g.whole().dense) for g in (one, two)]
    return compared([envelope(few(g)) for g in (one, two)], dense, hull=True)


def compared(few: Sequence[Sequence[Point]], dense: Sequence[Sequence[Point]], *, hull: bool) -> Iterator[Pair]:
    """The pair, where there is a BD-rate of few points that is no warning by itself."""
    anchor, test = (rate_points(points, hull=hull) for points in few)
    found = bd(anchor, test, metric="vmaf")
    if (
        found.bd_rate is None
        or found.interval is None
        or found.notes
        or max(map(max, (anchor.quality, test.quality))) > 99.5
    ):
        return
    low = max(min(c.quality) for c in (anchor, test))
    high = min(max(c.quality) for c in (anchor, test))
    cut = bd(*(clipped(rate_points(points), low, high) for points in dense), metric="vmaf")
    if cut.bd_rate is not None:
        yield Pair(found.bd_rate, found.interval, cut.bd_rate)


def clipped(curve: RatePoints, low: float, high: float) -> RatePoints:
    """The part of a dense curve that lies in a range of quality, ends read off the curve."""
    points = sorted(zip(curve.quality, curve.kbps, strict=True))
    at = Pchip([q for q, _ in points], [math.log(r) for _, r in points])
    inner = [(q, r) for q, r in points if low < q < high]
    both = [(low, math.exp(at(low))), *inner, (high, math.exp(at(high)))]
    return RatePoints(tuple(r for _, r in both), tuple(q for q, _ in both))


def report(name: str, pairs: Sequence[Pair]) -> None:
    if not pairs:
        print(f"{name:22} {0:6}")
        return
    errors = [abs(p.few - p.dense) for p in pairs]
    width = statistics.mean(p.interval[1] - p.interval[0] for p in pairs)
    held = sum(p.held for p in pairs) / len(pairs)
    print(f"{name:22} {len(pairs):6} {held:6.3f} {width:6.2f}% {statistics.mean(errors):6.2f}% {max(errors):6.2f}%")


if __name__ == "__main__":
    main()
