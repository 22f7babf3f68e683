"""BD-rate between curves: codecs of one run, one codec over two runs, or numbers made elsewhere. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vqa_cli.analysis.bdrate import BdResult, Method, RatePoints, bd
from vqa_cli.analysis.curves import Curve, counterpart, curves, refuse_doubled_names
from vqa_cli.analysis.hull import convex_hull
from vqa_cli.analysis.spread import mean_interval
from vqa_cli.document import Run
from vqa_cli.errors import InputError, UsageError

HULL = "all sizes (hull)"


@dataclass(frozen=True, slots=True)
class NamedCurve:
    """Points of one source and codec, with the mean encode time of a rung in CPU s where it is known.

    ``encoder`` and ``size`` are empty for numbers made elsewhere, where ``codec`` is all that is known.
    """

    source: str
    codec: str
    points: RatePoints
    cpu_s: float | None = None
    encoder: str = ""
    size: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test curve against its anchor; ``time_ratio`` compares CPU seconds."""

    source: str
    anchor: str
    test: str
    result: BdResult
    time_ratio: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean of per-source BD-rates with a 95 % t interval over the ``sources`` that have one, of ``compared``.

    ``time_ratio`` is the geometric mean of the sources' ratios.
    """

    anchor: str
    test: str
    sources: int
    compared: int
    bd_rate: float | None
    interval: tuple[float, float] | None
    time_ratio: float | None = None


def run_curves(run: Run, metric: str, label: str = "") -> list[NamedCurve]:
    """Curves of a run as they are named in comparisons: encoder and size, after the run's label if there is one.

    Raises:
        UsageError: the run did not measure the metric.
        InputError: two sources of one name.
    """
    refuse_doubled_names(run)
    if metric != "model" and metric not in run.metrics:
        raise UsageError(f"the run did not measure {metric}; it has {', '.join(run.metrics)}")
    found = []
    for source in run.sources:
        mine = curves(source, metric)
        found += [_named(curve, label) for curve in (*mine, *_hulls(mine))]
    return found


def _hulls(found: Sequence[Curve]) -> list[Curve]:
    """The hull over all sizes of each codec that has several."""
    hulls = []
    for codec in dict.fromkeys(curve.codec for curve in found):
        sizes = [curve for curve in found if curve.codec == codec]
        if len(sizes) > 1:
            hull = convex_hull([point for curve in sizes for point in curve.points])
            hulls.append(Curve(sizes[0].source, codec, HULL, tuple(hull)))
    return hulls


def _named(curve: Curve, label: str) -> NamedCurve:
    points = RatePoints(tuple(p.kbps for p in curve.points), tuple(p.quality for p in curve.points))
    seconds = sum(p.cpu_s for p in curve.points) / len(curve.points)
    name = f"{label}{curve.codec} {curve.size}"
    modes = "/".join(sorted({p.mode for p in curve.points}))
    return NamedCurve(curve.source, name, points, seconds, curve.encoder, curve.size, modes)


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
    """BD-rate of ``test`` against ``anchor`` with the change of encode time."""
    ratio = test.cpu_s / anchor.cpu_s if test.cpu_s and anchor.cpu_s else None
    result = bd(anchor.points, test.points, method=method, metric=metric)
    if anchor.mode != test.mode:
        result = replace(result, notes=(*result.notes, f"rate control differs: {anchor.mode} and {test.mode}"))
    return Comparison(test.source, anchor.codec, test.codec, result, ratio)


def summarise(comparisons: Iterable[Comparison]) -> list[Summary]:
    """Per pair of codecs over all sources; those without a BD-rate cannot enter the mean but are counted."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for item in comparisons:
        pairs.setdefault((item.anchor, item.test), []).append(item)
    return [_summary(anchor, test, items) for (anchor, test), items in pairs.items()]


def _summary(anchor: str, test: str, items: Sequence[Comparison]) -> Summary:
    known = [item.result.bd_rate for item in items if item.result.bd_rate is not None]
    mean = sum(known) / len(known) if known else None
    ratios = [item.time_ratio for item in items if item.time_ratio is not None]
    time = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
    return Summary(anchor, test, len(known), len(items), mean, mean_interval(known), time)
