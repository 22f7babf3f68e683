"""What the page shows, computed from run documents: plain values, ready to print. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.analysis.curves import all_metrics, codec_name, curves, default_metric, inversions, points
from vqa_cli.analysis.hull import convex_hull
from vqa_cli.analysis.recommend import Recommendation, recommend
from vqa_cli.run import Run, RungResult, SourceResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

FrameTables = Mapping[tuple[int, str], Mapping[str, "NDArray[np.float64]"]]
_UNITS = {"vmaf": "VMAF", "vmaf_neg": "VMAF NEG", "psnr": "PSNR luma, dB", "ssim": "SSIM luma", "xpsnr": "XPSNR luma, dB"}
# More points than a screen has columns show nothing more; minima and maxima are kept, since dips are what is looked for.
_MOST_POINTS = 1200


@dataclass(frozen=True)
class RungRow:
    """One line of the table of rungs."""

    rung: RungResult
    metrics: list[tuple[str, float | None]]
    on_hull: bool
    recommended: bool
    commands: list[str]


@dataclass(frozen=True)
class BdRow:
    """BD-rate of one codec against the first one at one size."""

    size: str
    anchor: str
    test: str
    metric: str
    bd_rate: float | None
    bd_quality: float | None
    notes: str
    time_ratio: float | None


@dataclass(frozen=True)
class SourceView:
    """Everything about one source.

    ``chart_rows`` hold one dict per rung and metric; ``frames`` one list of [frame, value] per rung and metric.
    """

    result: SourceResult
    label: str
    metrics: list[tuple[str, str]]
    chart_rows: list[dict[str, Any]]
    hull_rows: list[dict[str, Any]]
    ceilings: dict[str, float]
    rungs: list[RungRow]
    recommendations: list[Recommendation]
    bd: list[BdRow]
    warnings: list[str]
    frames: dict[str, dict[str, list[list[float]]]]


@dataclass(frozen=True)
class RunView:
    """One run document on the page."""

    run: Run
    label: str
    sources: list[SourceView]


def view_runs(runs: Sequence[Run], frames: Sequence[FrameTables]) -> list[RunView]:
    """One view per run; with several runs, curves carry the run's label so that they can be told apart."""
    labels = _labels(runs)
    return [
        RunView(run, label, [_view_source(run, index, table, label if len(runs) > 1 else "") for index in range(len(run.sources))])
        for run, table, label in zip(runs, frames, labels, strict=True)
    ]


def _labels(runs: Sequence[Run]) -> list[str]:
    names = [run.settings.name for run in runs]
    return [f"{name} {index + 1}" if names.count(name) > 1 else name for index, name in enumerate(names)]


def metric_title(run: Run, metric: str) -> str:
    """Axis title with unit."""
    if metric == "model" and run.model is not None:
        return f"{run.model.name}, {run.model.scale.name}"
    return _UNITS[metric]


def _view_source(run: Run, index: int, tables: FrameTables, label: str) -> SourceView:
    source = run.sources[index]
    metric = default_metric(run)
    found = recommend(run, run.settings.recommend, metric) if source.rungs else []
    mine = [r for r in found if r.source == source.source.name]
    chosen = {point.rung for r in mine for point in r.chosen}
    hulls = {m: convex_hull([p for _, p in points(source, m)]) for m in all_metrics(run)}
    on_hull = {point.rung for point in hulls[metric]}
    return SourceView(
        result=source,
        label=label,
        metrics=[(m, metric_title(run, m)) for m in all_metrics(run)],
        chart_rows=[row for m in all_metrics(run) for row in _chart_rows(source, m, label)],
        hull_rows=[{"metric": m, "kbps": p.kbps, "quality": p.quality} for m, hull in hulls.items() for p in hull],
        ceilings={"model": source.score.score} if source.score else {},
        rungs=[_row(run, rung, on_hull, chosen) for rung in source.rungs],
        recommendations=mine,
        bd=_bd_rows(run, source),
        warnings=_warnings(run, source),
        frames=_frames(index, tables, all_metrics(run)),
    )


def _chart_rows(source: SourceResult, metric: str, label: str) -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "rung": point.rung,
            "codec": f"{label} {codec_name(rung)}".strip(),
            "size": f"{point.height}p",
            "kbps": round(point.kbps, 2),
            "quality": round(point.quality, 5),
            "rate": rung.rate.label,
            "run": label,
        }
        for rung, point in points(source, metric)
    ]


def _row(run: Run, rung: RungResult, on_hull: set[str], chosen: set[str]) -> RungRow:
    return RungRow(
        rung=rung,
        metrics=[(metric, rung.quality(metric)) for metric in run.metrics],
        on_hull=rung.id in on_hull,
        recommended=rung.id in chosen,
        commands=[shlex.join(argv) for argv in (*rung.encode_argv, rung.measure_argv) if argv],
    )


def _bd_rows(run: Run, source: SourceResult) -> list[BdRow]:
    """Every codec against the run's first, at each size both have."""
    rows = []
    for metric in all_metrics(run):
        by_size: dict[str, list[tuple[str, RatePoints, float]]] = {}
        for curve in curves(source, metric):
            rates = RatePoints(tuple(p.kbps for p in curve.points), tuple(p.quality for p in curve.points))
            seconds = sum(p.encode_s for p in curve.points)
            by_size.setdefault(curve.size, []).append((curve.codec, rates, seconds / len(curve.points)))
        for size, members in by_size.items():
            anchor, *others = members
            for codec, rates, seconds in others:
                result = bd(anchor[1], rates, metric=metric)
                ratio = seconds / anchor[2] if anchor[2] else None
                rows.append(
                    BdRow(size, anchor[0], codec, metric, result.bd_rate, result.bd_quality, "; ".join(result.notes), ratio)
                )
    return rows


def _warnings(run: Run, source: SourceResult) -> list[str]:
    texts = [*source.source.preparation, *source.source.notes, *source.warnings]
    if source.reason:
        texts.append(source.reason)
    for metric in all_metrics(run):
        texts += [
            f"metric inversion, {metric_title(run, item.metric)}: {item.higher} costs more than {item.lower} "
            f"and scores {item.drop:.3g} less"
            for item in inversions(run, metric)
            if item.source == source.source.name
        ]
    for rung in source.rungs:
        texts += [f"{rung.id}: {text}" for text in rung.warnings]
        if rung.reason:
            texts.append(f"{rung.id} {rung.status}: {rung.reason}")
    return texts


def _frames(index: int, tables: FrameTables, metrics: Sequence[str]) -> dict[str, dict[str, list[list[float]]]]:
    return {
        rung: {metric: thin_series(values) for metric, values in table.items() if metric in metrics}
        for (source, rung), table in tables.items()
        if source == index
    }


def thin_series(values: NDArray[np.float64], most: int = _MOST_POINTS) -> list[list[float]]:
    """[frame, value] pairs; of long series the least and greatest value of each stretch."""
    if len(values) <= most:
        return [[i, round(float(v), 4)] for i, v in enumerate(values)]
    picks: set[int] = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), most // 2):
        part = values[stretch]
        picks |= {int(stretch[part.argmin()]), int(stretch[part.argmax()])}
    return [[i, round(float(values[i]), 4)] for i in sorted(picks)]
