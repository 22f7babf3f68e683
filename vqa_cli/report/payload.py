"""The page's data: what its script draws from, and the same rows for the charts that need no script. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqa_cli.frametable import SOURCE_RUNG, RunFrames
from vqa_cli.report.bdtables import BdCell, BdTable
from vqa_cli.report.charts import RateData, rate_range
from vqa_cli.report.findings import Entry
from vqa_cli.report.frames import (
    Trace,
    parse_fps,
    points_per_trace,
    rung_traces,
    source_traces,
)
from vqa_cli.report.labels import MINUS, show_bytes, show_percent, show_rate, tone
from vqa_cli.report.view import Page, RungView, TitleView

Rows = list[dict[str, Any]]
_QUALITY_DIGITS = 7  # more than any metric has


def title_range(title: TitleView) -> tuple[float, float]:
    """The rates that a title's charts show, the same for all metrics."""
    return rate_range([view.encode.bitrate_kbps for view in title.rungs if view.encode])


def panel_metrics(title: TitleView) -> list[str]:
    """The metrics that the two rate charts start with: what the headline goes by, and the model or another one."""
    keys = [label.key for label in title.metrics]
    first = title.primary.key if keys else ""
    rest = [key for key in ("model", *keys) if key != first and key in keys]
    return [first, *rest[:1]] if keys else []


def rate_data(title: TitleView, metric: str) -> RateData:
    """A rate chart at the overall pooling, as the page's script makes it for any pooling."""
    rows = {row["key"]: row for view in title.rungs if (row := _point(title, view, metric))}
    hulls = [
        {"series": line["series"], "line": [[rows[key]["kbps"], rows[key]["q"]] for key in line["keys"]]}
        for line in _hull_keys(title, metric, "mean")
    ]
    ceiling = [{"q": value["mean"], "text": value["text"], "side": value["side"]} for value in _ceilings(title, metric)]
    planned = _planned(title).get(metric, [])
    return RateData([series.text for series in title.series], list(rows.values()), hulls, ceiling, planned)


def _point(title: TitleView, view: RungView, metric: str) -> dict[str, Any] | None:
    value = view.quality.get(metric, {}).get("mean")
    if view.encode is None or value is None:
        return None
    label = title.label(metric)
    return {
        "key": view.key,
        "kbps": view.encode.bitrate_kbps,
        "q": value,
        "series": view.series,
        "shape": view.shape,
        "curve": f"{view.series} {view.size}",
        "label": view.name,
        "rate": show_rate(view.encode.bitrate_kbps),
        "value": f"{label.name} {label.show(value)}",
        "note": note(view, metric),
        "chosen": view.chosen,
        "inverted": metric in view.inverted,
        "hollow": view.hollow,
    }


def note(view: RungView, metric: str) -> str:
    """What a point's tip says beside its figures."""
    beaten = f"beaten by {view.beaten_by}" if view.beaten_by else ""
    inverted = "costs more and scores less" if metric in view.inverted else ""
    return "; ".join(filter(None, ("in a recommended ladder" if view.chosen else "", beaten, inverted)))


def _hull_keys(title: TitleView, metric: str, pooling: str) -> Rows:
    numbers = {(series.run_key, series.codec): number for number, series in enumerate(title.series)}
    keys = {(view.entry.run_key, view.rung.id): view.key for view in title.rungs}
    return [
        {
            "series": numbers[line.run_key, line.codec],
            "keys": [keys[line.run_key, point.rung] for point in line.points],
        }
        for line in title.findings.hulls.get((metric, pooling), ())
    ]


def _planned(title: TitleView) -> dict[str, Rows]:
    """What is recommended between two rungs, by the metric that it was chosen by: of others nothing is known there."""
    found: dict[str, Rows] = {}
    for ladder in title.findings.ladders:
        rows = [
            {"series": title.number(ladder), "size": f"{point.height}p", "kbps": point.kbps, "q": point.quality}
            for point in ladder.advice.chosen
            if not point.measured
        ]
        found.setdefault(ladder.advice.metric, []).extend(rows)
    return found


def _ceilings(title: TitleView, metric: str) -> Rows:
    """The source's own score, of the model alone: a full-reference metric compares the source with itself.

    Runs that agree share one line; of two that differ the second is labelled at the other end.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, score in title.source_scores if metric == "model" else ():
        pooled = score.series.pooled.model_dump(exclude={"std", "frames", "mean"})
        text = f"{name} {title.label(metric).show(score.score)}"
        side = "right" if len(found) % 2 else "left"
        found[name] = {**pooled, "mean": score.score, "text": text, "name": name, "side": side}
    return list(found.values())


def page_data(page: Page, frames: Mapping[str, RunFrames]) -> list[dict[str, Any]]:
    """Everything that the script needs of each title, fit for JSON.

    Args:
        frames: by run key, frame values by (source index, rung id).
    """
    count = sum(len(view.quality) + 1 for title in page.titles for view in title.rungs)
    limit = points_per_trace(count)
    return [title_data(title, frames, limit) for title in page.titles]


def title_data(title: TitleView, frames: Mapping[str, RunFrames], limit: int) -> dict[str, Any]:
    """The same of one title; ``limit`` is the most points of a line over time."""
    return chart_data(title) | {
        "bd": [bd_data(title, table) for table in title.findings.bd],
        "frames": title.entries[0].source.source.frames,
        "fps": parse_fps(title.entries[0].source.source.fps),
        "more": {view.key: _details(title, view) for view in title.rungs},
        "traces": {view.key: _shown(_rung_traces(view, frames, limit)) for view in title.rungs if view.quality},
        "sources": {entry.run_key: _shown(_source_traces(entry, frames, limit)) for entry in title.entries},
    }


def chart_data(title: TitleView) -> dict[str, Any]:
    """What the rate charts of a title are drawn from."""
    poolings = dict.fromkeys(pooling for _, pooling in title.findings.hulls)
    return {
        "key": title.key,
        "name": title.name,
        "range": title_range(title),
        "metrics": {
            label.key: {"name": label.name, "unit": label.unit, "decimals": label.decimals, "lower": label.lower}
            for label in title.metrics
        },
        "series": [{"run": s.run_key, "codec": s.codec, "text": s.text} for s in title.series],
        "sizes": title.sizes,
        "rungs": {view.key: _rung_data(title, view) for view in title.rungs},
        "hulls": {
            label.key: {pooling: _hull_keys(title, label.key, pooling) for pooling in poolings}
            for label in title.metrics
        },
        "ceilings": _ceilings(title, "model"),
        "planned": _planned(title),
    }


def _rung_data(title: TitleView, view: RungView) -> dict[str, Any]:
    quality = {
        metric: {pooling: _rounded(value) for pooling, value in values.items()}
        for metric, values in view.quality.items()
    }
    return {
        "run": view.entry.run_key,
        "codec": view.codec,
        "size": view.size,
        "series": view.series,
        "shape": view.shape,
        "hollow": view.hollow,
        "label": view.name,
        "kbps": view.encode.bitrate_kbps if view.encode else None,
        "rate": show_rate(view.encode.bitrate_kbps if view.encode else None),
        "chosen": view.chosen,
        "inverted": view.inverted,
        "notes": {label.key: text for label in title.metrics if (text := note(view, label.key))},
        "q": quality,
    }


def bd_data(title: TitleView, table: BdTable) -> dict[str, Any]:
    """A table of BD-rates in words; ``first`` is the one that the page opens with."""
    return {
        "metric": table.metric,
        "basis": table.basis,
        "caption": f"{title.label(table.metric).name}, {table.basis}",
        "names": [name.text for name in table.names],
        "rows": [[_bd_cell(cell) for cell in row] for row in table.rows],
        "first": table is (title.findings.headline_table or title.findings.bd[0]),
    }


def _bd_cell(cell: BdCell | None) -> dict[str, Any]:
    if cell is None:
        return {"text": "·", "tone": "self", "small": [], "notes": []}
    if cell.percent is None:
        return {"text": "none", "tone": "none", "small": cell.notes, "notes": []}
    small = ["[{:+.1f}, {:+.1f}]".format(*cell.interval).replace("-", MINUS)] if cell.interval else []
    small += [f"CPU ×{cell.cpu_ratio:.2g}"] if cell.cpu_ratio else []
    told = tone(cell.percent, cell.interval)
    return {"text": show_percent(cell.percent), "tone": told, "small": small, "notes": cell.notes}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_QUALITY_DIGITS}g}")


def _details(title: TitleView, view: RungView) -> dict[str, Any]:
    """What a row of the table unfolds to."""
    encode = view.encode
    said = [text for text in (view.rung.reason, *view.rung.warnings) if text]
    facts = ""
    if encode:
        facts = (
            f"{show_bytes(encode.file_bytes)} file, {show_bytes(encode.video_bytes)} video, {encode.frames} frames; "
            f"encoded in {encode.wall_s:.2f} s ({encode.cpu_s:.2f} CPU s, {encode.fps:.1f} fps); {view.rung.pix_fmt}; "
            f"sha256 {encode.sha256[:16]}…"
        )
    pooled = {
        label.name: [label.show(value) for value in (p.mean, p.harmonic_mean, p.p10, p.p5, p.p1, p.min, p.std)]
        for label in title.metrics
        if (p := view.pooled.get(label.key)) is not None
    }
    return {"said": said, "beaten": view.beaten_by, "facts": facts, "pooled": pooled, "commands": view.commands}


def _index(entry: Entry) -> int:
    return next(i for i, source in enumerate(entry.run.sources) if source is entry.source)


def _rung_traces(view: RungView, frames: Mapping[str, RunFrames], limit: int) -> dict[str, Trace]:
    table = frames.get(view.entry.run_key, {}).get((_index(view.entry), view.rung.id))
    return rung_traces(table, view.rung, parse_fps(view.entry.source.source.fps), limit)


def _source_traces(entry: Entry, frames: Mapping[str, RunFrames], limit: int) -> dict[str, Trace]:
    table = frames.get(entry.run_key, {}).get((_index(entry), SOURCE_RUNG))
    return source_traces(table, entry.source, parse_fps(entry.source.source.fps), limit)


def _shown(traces: Mapping[str, Trace]) -> dict[str, Any]:
    return {metric: _trace_data(trace) for metric, trace in traces.items()}


def _trace_data(trace: Trace) -> dict[str, Any]:
    known = {"x": trace.x, "y": trace.y, "thinned": trace.thinned, "coarse": trace.coarse}
    return {key: value for key, value in known.items() if value}


def frame_places(data: Mapping[str, Any], metric: str, key: str) -> Sequence[tuple[float, float]]:
    """A rung's line in the frame chart, in seconds and quality, from a title's page data."""
    trace = data["traces"][key].get(metric)
    if not trace:
        return []
    x = trace.get("x") or range(len(trace["y"]))
    return [(frame / data["fps"], q) for frame, q in zip(x, trace["y"], strict=True)]
