"""The charts as SVG, for readers without scripts, for paper, notebooks and files; ``templates/chart.js`` draws the same. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from vqa_cli.report.palette import Palette, colour, dash, shape
from vqa_cli.report.scales import Scale, nice, rate_ticks, ticks
from vqa_cli.report.svg import LEFT_PX, RIGHT_PX, Size, axes, label, path, plot, tag, whole

Rows = Sequence[Mapping[str, Any]]
_RATE_TITLE = "video bitrate, kb/s (log scale)"
_MARGIN = 1.125
# The rung in question, the one it is held against, and the source.
_TRACE_LOOKS = {"a": ("ink", 1.6), "b": ("rival", 1.6), "source": ("muted", 1.0)}


@dataclass(frozen=True, slots=True)
class RateData:
    """Quality against bitrate of one title by one metric.

    Attributes:
        names: what to call the series, in the order of their colours and dashes.
        points: key, kbps, q, series, shape, curve (what a line joins), label, rate, value, chosen, inverted, hollow.
        hulls: series and its ``line`` of [kbps, q].
        ceiling: q, text and side (``left`` or ``right``) of what cannot be exceeded.
        planned: series, kbps and q of what is recommended between two rungs and was not encoded.
    """

    names: Sequence[str]
    points: Rows
    hulls: Rows
    ceiling: Rows
    planned: Rows


def rate_range(rates: Sequence[float]) -> tuple[float, float]:
    """The horizontal axis of a title's charts, in kb/s, with a margin of an eighth."""
    low, high = (min(rates), max(rates)) if rates else (100.0, 1000.0)
    return low / _MARGIN, high * _MARGIN


def rate_chart(data: RateData, rates: tuple[float, float], size: Size, palette: Palette) -> str:
    """Lines by codec and size through all rungs, over the hull of each codec."""
    values = [row["q"] for row in (*data.points, *data.ceiling)] or [0.0, 1.0]
    low, high = nice(min(values), max(values), 6)
    across = size.across(*rates)
    x, y = Scale(across.low, across.high, across.start, across.end, math.log), size.up(low, high)
    series = [_series(name, i, data, (x, y), palette) for i, name in enumerate(data.names)]
    hulls = [_hull(row, (x, y), palette) for row in data.hulls]
    return whole(
        size,
        axes(size, x, y, rate_ticks(*rates), ticks(low, high, 6), _RATE_TITLE, palette),
        plot(
            size,
            tag("g", {"class": "hulls", "aria-hidden": "true"}, *hulls),
            tag("g", {"class": "ceiling", "aria-hidden": "true"}, *_ceiling(data.ceiling, size, y, palette)),
            *series,
        ),
    )


def _hull(row: Mapping[str, Any], scales: tuple[Scale, Scale], palette: Palette) -> str:
    x, y = scales
    look = {"fill": "none", "stroke": colour(palette, row["series"]), "stroke-width": 9, "stroke-opacity": "0.2"}
    line = path([(x(kbps), y(q)) for kbps, q in row["line"]])
    return tag("path", {"d": line, **look, "stroke-linejoin": "round", "stroke-linecap": "round"})


def _ceiling(rows: Rows, size: Size, y: Scale, palette: Palette) -> list[str]:
    marks = []
    for row in rows:
        line = path([(LEFT_PX, y(row["q"])), (size.width - RIGHT_PX, y(row["q"]))])
        marks.append(
            tag("path", {"d": line, "stroke": palette.muted, "stroke-width": "1.25", "stroke-dasharray": "3 3"})
        )
        left = row["side"] == "left"
        at, anchor = (LEFT_PX + 5.0, "start") if left else (size.width - RIGHT_PX - 5.0, "end")
        marks.append(label(at, y(row["q"]) - 4, row["text"], palette, text_anchor=anchor))
    return marks


def _series(name: str, number: int, data: RateData, scales: tuple[Scale, Scale], palette: Palette) -> str:
    """One codec: its lines, the rings around what is to be noticed, its points."""
    x, y = scales
    rows = [row for row in data.points if row["series"] == number]
    ink = colour(palette, number)
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault(row["curve"], []).append((x(row["kbps"]), y(row["q"])))
    look = {"fill": "none", "stroke": ink, "stroke-width": "1.8", "stroke-dasharray": dash(number) or None}
    lines = [tag("path", {"d": path(sorted(places)), **look, "aria-hidden": "true"}) for places in curves.values()]
    rings = [ring for row in rows for ring in _rings(row, x(row["kbps"]), y(row["q"]), palette)]
    rings += [_ring(x(row["kbps"]), y(row["q"]), palette, "3 3") for row in data.planned if row["series"] == number]
    points = [_point(row, x(row["kbps"]), y(row["q"]), ink, palette) for row in rows]
    return tag("g", {"role": "group", "aria-label": name}, *lines, *rings, *points) if rows else ""


def _rings(row: Mapping[str, Any], x: float, y: float, palette: Palette) -> list[str]:
    found = [_ring(x, y, palette)] if row["chosen"] else []
    if row["inverted"]:
        found.append(tag("path", {"d": "M0,-11L11,0L0,11L-11,0Z", "stroke": palette.warn, **_at(x, y)}))
    return found


def _ring(x: float, y: float, palette: Palette, dashes: str | None = None) -> str:
    return tag("circle", {"r": 8.5, "stroke": palette.ink, "stroke-dasharray": dashes, **_at(x, y)})


def _at(x: float, y: float) -> dict[str, object]:
    return {"transform": f"translate({x:.1f},{y:.1f})", "fill": "none", "stroke-width": "1.5", "aria-hidden": "true"}


def _point(row: Mapping[str, Any], x: float, y: float, ink: str, palette: Palette) -> str:
    fill, edge = (palette.ground, ink) if row["hollow"] else (ink, palette.ground)
    look = {"d": shape(row["shape"]), "fill": fill, "stroke": edge, "stroke-width": "1.8" if row["hollow"] else "1"}
    name = ", ".join(filter(None, (row["label"], row["rate"], row["value"], row["note"])))
    named = {"class": "pt", "data-key": row["key"], "role": "img", "aria-label": name}
    return tag("path", {**named, **look, "transform": f"translate({x:.1f},{y:.1f})"})


def frame_chart(
    rows: Sequence[tuple[str, Sequence[tuple[float, float]]]], span_s: float, size: Size, palette: Palette
) -> str:
    """Quality over time; ``rows`` are (``a``, ``b`` or ``source``, places of seconds and quality)."""
    values = [q for _, places in rows for _, q in places] or [0.0, 1.0]
    low, high = nice(min(values), max(values), 5)
    x, y = size.across(0.0, span_s or 1.0), size.up(low, high)
    lines = [_trace(who, [(x(t), y(q)) for t, q in places], palette) for who, places in rows if places]
    frame = axes(size, x, y, ticks(0.0, span_s or 1.0, 8), ticks(low, high, 5), "time, s", palette)
    return whole(size, frame, plot(size, tag("g", {"aria-hidden": "true"}, *lines)))


def _trace(who: str, places: Sequence[tuple[float, float]], palette: Palette) -> str:
    name, width = _TRACE_LOOKS[who]
    look = {"fill": "none", "stroke": getattr(palette, name), "stroke-width": f"{width:g}", "stroke-linejoin": "round"}
    return tag("path", {"d": path(places), **look})


def swatch(series: int, palette: Palette) -> str:
    """A short piece of a codec's line, for legends."""
    look = {"stroke": colour(palette, series), "stroke-width": "2.5", "stroke-dasharray": dash(series) or None}
    line = tag("path", {"d": "M1,5H31", "fill": "none", **look})
    return tag(
        "svg", {"class": "swatch", "viewBox": "0 0 32 10", "width": 32, "height": 10, "aria-hidden": "true"}, line
    )


def mark(size: int, palette: Palette, *, hollow: bool = False) -> str:
    """A size's shape, for legends."""
    look = {
        "fill": "none" if hollow else palette.muted,
        "stroke": palette.muted,
        "stroke-width": "1.6" if hollow else "0",
    }
    drawn = tag("path", {"d": shape(size), **look})
    return tag(
        "svg", {"class": "shape", "viewBox": "-7 -7 14 14", "width": 14, "height": 14, "aria-hidden": "true"}, drawn
    )


def text_width(words: str) -> float:
    """About how wide small text comes out, in px."""
    return 6.1 * len(escape(words, quote=False))
