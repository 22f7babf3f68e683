"""Ratings against scores as one SVG or PNG: a panel for each result, with the fit that its linear figures stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from vqa_cli.report.html import write_file
from vqa_cli.report.palette import LIGHT
from vqa_cli.report.svg import FONT, TEXT_PX

_COLUMNS = 3
_SIDE_PX = 260
_PNG_SCALE = 2.0


@dataclass(frozen=True)
class Cloud:
    """One panel: ``points`` and ``curve`` are (score, rating); a curve without points is not drawn."""

    title: str
    subtitle: str
    points: Sequence[tuple[float, float]]
    curve: Sequence[tuple[float, float]]


def scatter_spec(clouds: Sequence[Cloud]) -> dict[str, Any]:
    """All panels as Vega-Lite, each with scales of its own."""
    panels = alt.concat(*map(_panel, clouds), columns=_COLUMNS).resolve_scale(x="independent", y="independent")
    spec: dict[str, Any] = panels.to_dict(validate=False)
    return {**spec, "config": _config(), "background": LIGHT.ground, "padding": 16}


def _config() -> dict[str, Any]:
    text = {"labelColor": LIGHT.muted, "titleColor": LIGHT.muted, "titleFontWeight": "normal"}
    lines = {"gridColor": LIGHT.line, "domainColor": LIGHT.line, "tickColor": LIGHT.line}
    return {
        "font": FONT,
        "axis": {**text, **lines, "labelFontSize": TEXT_PX, "titleFontSize": TEXT_PX, "labelFlush": False},
        "title": {"color": LIGHT.ink, "subtitleColor": LIGHT.muted, "anchor": "start", "fontSize": 14},
        "view": {"stroke": None},
    }


def _panel(cloud: Cloud) -> Any:
    x = alt.X("score:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title="score"))
    y = alt.Y("rating:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title="rating"))
    dots = alt.Chart(_data(cloud.points)).mark_circle(size=22, opacity=0.55, color=LIGHT.series[0]).encode(x=x, y=y)
    line = alt.Chart(_data(cloud.curve)).mark_line(color=LIGHT.series[1], strokeWidth=2).encode(x=x, y=y)
    title = alt.TitleParams(cloud.title, subtitle=cloud.subtitle, limit=_SIDE_PX, fontSize=12, subtitleFontSize=11)
    layers = [dots, line] if cloud.curve else [dots]
    return alt.layer(*layers).properties(width=_SIDE_PX, height=_SIDE_PX, title=title)


def _data(points: Sequence[tuple[float, float]]) -> alt.InlineData:
    return alt.InlineData([{"score": score, "rating": rating} for score, rating in points])


def write_scatter(clouds: Sequence[Cloud], path: Path) -> None:
    """Draw and write, whole or not at all; the suffix of ``path`` says which format.

    Raises:
        StorageError: the file cannot be written.
    """
    import vl_convert

    spec = scatter_spec(clouds)
    if path.suffix == ".svg":
        write_file(path, vl_convert.vegalite_to_svg(spec).encode("utf-8"))
    else:
        write_file(path, vl_convert.vegalite_to_png(spec, scale=_PNG_SCALE))
