"""The page's data: what its script draws from, and the same rows for the charts that need no script. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqa_cli.report.charts import RateAxes
from vqa_cli.report.findings import Entry
from vqa_cli.report.frames import (
    SOURCE_RUNG,
    Frames,
    Trace,
    parse_fps,
    points_per_trace,
    rung_traces,
    source_traces,
)
from vqa_cli.report.labels import POOLING_LABELS, show_rate
from vqa_cli.report.view import Page, RungView, TitleView

Rows = list[dict[str, Any]]
RunFrames = Mapping[str, Frames]


def rate_axes(title: TitleView) -> RateAxes:
    """Axes of a title's rate charts, the same for all metrics."""
    rates = [view.encode.bitrate_kbps for view in title.rungs if view.encode]
    return RateAxes.around(rates, title.codecs, title.sizes, title.run_keys)


def panel_metrics(title: TitleView) -> list[str]:
    """The metrics that the two rate charts start with: the model, and what the headline goes by."""
    keys = [label.key for label in title.metrics]
    first = "model" if "model" in keys else title.primary.key
    rest = [key for key in (title.primary.key, *keys) if key != first]
    return [first, *rest[:1]] if keys else []


def frame_choice(title: TitleView) -> tuple[RungView | None, RungView | None]:
    """The two rungs whose frames are shown first: the best, and the best chosen one of another curve."""
    measured = [view for view in title.rungs if view.quality]
    if title.best is None:
        return (measured[0] if measured else None), None
    others = [v for v in measured if v.chosen and v is not title.best]
    other = [v for v in others if (v.codec, v.entry.run_key) != (title.best.codec, title.best.entry.run_key)] or others
    return title.best, max(other, key=lambda v: v.quality[title.primary.key]["mean"] or 0.0, default=None)


def rate_data(title: TitleView, metric: str) -> dict[str, Rows]:
    """Rows of a rate chart at the overall pooling, as the page's script makes them for any pooling."""
    rows = {row["key"]: row for view in title.rungs if (row := _point(title, view, metric))}
    ids = {(view.entry.run_key, view.rung.id): view.key for view in title.rungs}
    hull = [rows[ids[spot]] for spot in title.findings.hulls.get(metric, ()) if ids[spot] in rows]
    ceiling = [{"q": value["mean"], "text": value["text"], "side": value["side"]} for value in _ceilings(title, metric)]
    return {"points": list(rows.values()), "hull": hull, "ceiling": ceiling}


def _point(title: TitleView, view: RungView, metric: str) -> dict[str, Any] | None:
    value = view.quality.get(metric, {}).get("mean")
    if view.encode is None or value is None:
        return None
    label = title.label(metric)
    return {
        "key": view.key,
        "kbps": view.encode.bitrate_kbps,
        "q": value,
        "codec": view.codec,
        "size": view.size,
        "run": view.entry.run_key,
        "series": f"{view.entry.run_key} {view.codec} {view.size}",
        "label": view.name,
        "rate": show_rate(view.encode.bitrate_kbps),
        "value": f"{label.name} {label.show(value)}",
        "note": "",
        "chosen": view.chosen,
        "inverted": metric in view.inverted,
    }


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


def page_data(page: Page, frames: RunFrames) -> dict[str, Any]:
    """Everything that the script needs, fit for JSON.

    Args:
        frames: by run key, frame values by (source index, rung id).
    """
    count = sum(len(view.quality) + 1 for title in page.titles for view in title.rungs)
    limit = points_per_trace(count)
    return {
        "poolings": POOLING_LABELS,
        "titles": [_title_data(title, frames, limit) for title in page.titles],
    }


def _title_data(title: TitleView, frames: RunFrames, limit: int) -> dict[str, Any]:
    ids = {(view.entry.run_key, view.rung.id): view.key for view in title.rungs}
    return {
        "key": title.key,
        "name": title.name,
        "metrics": {
            label.key: {"name": label.name, "unit": label.unit, "decimals": label.decimals} for label in title.metrics
        },
        "rungs": {view.key: _rung_data(view) for view in title.rungs if view.quality},
        "hulls": {metric: [ids[spot] for spot in spots] for metric, spots in title.findings.hulls.items()},
        "ceilings": _ceilings(title, "model"),
        "fps": parse_fps(title.entries[0].source.source.fps),
        "traces": {view.key: _shown(_rung_traces(view, frames, limit)) for view in title.rungs if view.quality},
        "sources": {entry.run_key: _shown(_source_traces(entry, frames, limit)) for entry in title.entries},
    }


def _rung_data(view: RungView) -> dict[str, Any]:
    return {
        "run": view.entry.run_key,
        "codec": view.codec,
        "size": view.size,
        "label": view.name,
        "kbps": view.encode.bitrate_kbps if view.encode else None,
        "rate": show_rate(view.encode.bitrate_kbps if view.encode else None),
        "chosen": view.chosen,
        "inverted": view.inverted,
        "note": f"beaten by {view.beaten_by}" if view.beaten_by else "",
        "q": view.quality,
    }


def _index(entry: Entry) -> int:
    return next(i for i, source in enumerate(entry.run.sources) if source is entry.source)


def _rung_traces(view: RungView, frames: RunFrames, limit: int) -> dict[str, Trace]:
    table = frames.get(view.entry.run_key, {}).get((_index(view.entry), view.rung.id))
    return rung_traces(table, view.rung, parse_fps(view.entry.source.source.fps), limit)


def _source_traces(entry: Entry, frames: RunFrames, limit: int) -> dict[str, Trace]:
    table = frames.get(entry.run_key, {}).get((_index(entry), SOURCE_RUNG))
    return source_traces(table, entry.source, parse_fps(entry.source.source.fps), limit)


def _shown(traces: Mapping[str, Trace]) -> dict[str, Any]:
    return {metric: _trace_data(trace) for metric, trace in traces.items()}


def _trace_data(trace: Trace) -> dict[str, Any]:
    known = {"x": trace.x, "y": trace.y, "thinned": trace.thinned, "coarse": trace.coarse}
    return {key: value for key, value in known.items() if value}


def frame_data(data: Mapping[str, Any], metric: str, rungs: Sequence[tuple[str, str]]) -> dict[str, Rows]:
    """Rows of the frame chart from a title's page data.

    Args:
        rungs: (rung key, ``"a"`` or ``"b"``).
    """
    rows = []
    for key, who in rungs:
        trace = data["traces"][key].get(metric)
        if trace:
            x = trace.get("x") or range(len(trace["y"]))
            rows += [{"t": frame / data["fps"], "q": q, "who": who} for frame, q in zip(x, trace["y"], strict=True)]
    return {"frames": rows, "cursor": []}
