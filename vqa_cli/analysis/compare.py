"""BD-rate between curves: codecs of one run, one codec over two runs, or numbers made elsewhere. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vqa_cli.analysis.bdrate import BdResult, Method, RatePoints, bd
from vqa_cli.analysis.curves import Curve, Point, counterpart, curves, refuse_doubled_names, refuse_undecided
from vqa_cli.analysis.hull import HULL, codec_hulls
from vqa_cli.analysis.spread import mean_interval
from vqa_cli.document import Run
from vqa_cli.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class NamedCurve:
    """Points of one source and codec.

    ``encoder`` and ``size`` are empty for numbers made elsewhere, where ``codec`` is all that is known.
    """

    source: str
    codec: str
    points: RatePoints
    encoder: str = ""
    size: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test curve against its anchor."""

    source: str
    anchor: str
    test: str
    result: BdResult


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean of per-source BD-rates with a 95 % t interval over the ``sources`` that have one, of ``compared``.

    ``cpu_ratio`` is the geometric mean of the sources' ratios.
    """

    anchor: str
    test: str
    sources: int
    compared: int
    bd_rate: float | None
    interval: tuple[float, float] | None
    cpu_ratio: float | None = None


def run_curves(run: Run, metric: str, label: str = "") -> list[NamedCurve]:
    """Curves of a run as they are named in comparisons: encoder and size, after the run's label if there is one.

    Raises:
        UsageError: the run did not measure the metric.
        InputError: two sources of one name.
    """
    refuse_doubled_names(run)
    refuse_undecided(metric)
    if metric != "model" and metric not in run.metrics:
        raise UsageError(f"the run did not measure {metric}; it has {', '.join(run.metrics)}")
    found = []
    for source in run.sources:
        mine = curves(source, metric)
        found += [_named(curve, label) for curve in (*mine, *_hulls(mine))]
    return found


def _hulls(found: Sequence[Curve]) -> list[Curve]:
    """The hull over all sizes of each codec that has several."""
    several = [curve for curve in found if sum(other.codec == curve.codec for other in found) > 1]
    hulls = codec_hulls(point for curve in several for point in curve.points)
    return [Curve(found[0].source, codec, HULL, tuple(points)) for codec, points in hulls.items()]


def _named(curve: Curve, label: str) -> NamedCurve:
    name = f"{label}{curve.codec} {curve.size}"
    modes = "/".join(sorted({p.mode for p in curve.points}))
    return NamedCurve(
        curve.source, name, rate_points(curve.points, hull=curve.size == HULL), curve.encoder, curve.size, modes
    )


def rate_points(points: Sequence[Point], *, hull: bool = False) -> RatePoints:
    """What a BD-rate needs of a curve."""
    return RatePoints(
        tuple(p.kbps for p in points), tuple(p.quality for p in points), tuple(p.cpu_s for p in points), hull
    )  # fmt: skip


def with_anchor(found: Sequence[NamedCurve], anchor: str) -> list[NamedCurve]:
    """The same curves with those of ``anchor`` (an encoder, a codec or a whole name) first, to be compared against.

    Raises:
        UsageError: no curve is called that.
    """
    wanted = [c for c in found if anchor in (c.codec, c.encoder) or c.codec == f"{anchor} {c.size}"]
    if not wanted:
        names = ", ".join(dict.fromkeys(curve.codec for curve in found))
        raise UsageError(f"no curve is called {anchor}", hint=f"one of {names}")
    return [*wanted, *(curve for curve in found if curve not in wanted)]


def within(found: Sequence[NamedCurve], metric: str, method: Method) -> list[Comparison]:
    """Every curve against the first of its source that has the same size."""
    comparisons = []
    for source in dict.fromkeys(curve.source for curve in found):
        mine = [curve for curve in found if curve.source == source]
        for test in mine[1:]:
            anchor = next(curve for curve in mine if curve.size == test.size)
            if anchor is not test:
                comparisons.append(compare(anchor, test, metric, method))
    return comparisons


def between(
    baseline: Sequence[NamedCurve], candidate: Sequence[NamedCurve], metric: str, method: Method
) -> list[Comparison]:
    """Curves of two runs that stand for the same thing, source by source.

    Raises:
        InputError: nothing is common to both.
    """
    comparisons = []
    for test in candidate:
        anchor = counterpart(test, [curve for curve in baseline if curve.source == test.source])
        if anchor is not None:
            comparisons.append(compare(anchor, test, metric, method))
    if not comparisons:
        raise InputError("the runs have no source, encoder and size in common")
    return comparisons


def refuse_other_footage(baseline: Run, candidate: Run) -> None:
    """Raise where a source of one name is another file.

    Raises:
        InputError: with the source.
    """
    theirs = {source.source.name: source for source in candidate.sources}
    for source in baseline.sources:
        other = theirs.get(source.source.name)
        if other is not None and other.source.sha256 != source.source.sha256:
            raise InputError(f"the runs cannot be compared: {source.source.name} is not the same file in both")


def compare(anchor: NamedCurve, test: NamedCurve, metric: str, method: Method) -> Comparison:
    """BD-rate of ``test`` against ``anchor`` with its price in encoder time."""
    result = bd(anchor.points, test.points, method=method, metric=metric)
    if anchor.mode != test.mode:
        result = replace(result, notes=(*result.notes, f"rate control differs: {anchor.mode} and {test.mode}"))
    return Comparison(test.source, anchor.codec, test.codec, result)


def summarise(comparisons: Iterable[Comparison]) -> list[Summary]:
    """Per pair of codecs over all sources; those without a BD-rate cannot enter the mean but are counted."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for item in comparisons:
        pairs.setdefault((item.anchor, item.test), []).append(item)
    return [_summary(anchor, test, items) for (anchor, test), items in pairs.items()]


def _summary(anchor: str, test: str, items: Sequence[Comparison]) -> Summary:
    known = [item.result.bd_rate for item in items if item.result.bd_rate is not None]
    mean = sum(known) / len(known) if known else None
    ratio = mean_ratio([item.result.cpu_ratio for item in items])
    return Summary(anchor, test, len(known), len(items), mean, mean_interval(known), ratio)


def mean_ratio(ratios: Iterable[float | None]) -> float | None:
    """Geometric mean of the ratios that are known."""
    logs = [math.log(ratio) for ratio in ratios if ratio is not None]
    return math.exp(sum(logs) / len(logs)) if logs else None
