"""Which rungs of a run are worth a picture: what is recommended, and a pair at one bitrate. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from vqa_cli.analysis.curves import Point, points
from vqa_cli.analysis.recommend import recommend
from vqa_cli.document import Run, SourceResult

# Farther apart than this share two rungs are not at one bitrate.
MATCHED = 0.1


def pictured_rungs(run: Run, source: SourceResult, metric: str) -> list[str]:
    """Rungs of the ladders that are recommended for a source and a pair to compare, in the run's order.

    For what was not encoded stands the encoded rung of its curve that is nearest in bitrate.
    """
    alone = run.model_copy(update={"sources": (source,)})
    every = [point for _, point in points(source, metric)]
    chosen = {_encoded(point, every) for item in recommend(alone, run.settings.recommend) for point in item.chosen}
    wanted = chosen | set(matched_pair(every, chosen))
    return [rung.id for rung in source.rungs if rung.id in wanted]


def apart(one: float, two: float) -> float:
    """How far two bitrates are from each other, as a natural logarithm."""
    return abs(math.log(one / two))


def matched_pair(every: Sequence[Point], chosen: set[str]) -> tuple[str, ...]:
    """Two rungs at one bitrate, of two codecs, else of two sizes; none where neither differs.

    Of several, those that need the fewest more pictures, then those that differ most in quality.
    """
    pairs = list(combinations(every, 2))
    for differing in ([p for p in pairs if p[0].codec != p[1].codec], [p for p in pairs if p[0].height != p[1].height]):
        if differing:
            return tuple(point.rung for point in min(differing, key=lambda pair: _cost(pair, chosen)))
    return ()


def _cost(pair: tuple[Point, Point], chosen: set[str]) -> tuple[float, int, float]:
    a, b = pair
    return max(apart(a.kbps, b.kbps), MATCHED), len({a.rung, b.rung} - chosen), -abs(a.quality - b.quality)


def _encoded(point: Point, every: Sequence[Point]) -> str:
    """The rung itself, or the one that stands for it."""
    if point.measured:
        return point.rung
    curve = [other for other in every if (other.codec, other.height) == (point.codec, point.height)]
    return min(curve, key=lambda other: apart(other.kbps, point.kbps)).rung
