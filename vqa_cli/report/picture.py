"""The rate charts as one SVG or PNG file, for slides and documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vqa_cli.document import Run
from vqa_cli.errors import UsageError
from vqa_cli.report import charts
from vqa_cli.report.html import write_file
from vqa_cli.report.palette import DARK, LIGHT, Palette
from vqa_cli.report.payload import panel_metrics, rate_data, title_range
from vqa_cli.report.svg import FONT, Size, label, tag
from vqa_cli.report.view import TitleView, build_page

Theme = Literal["light", "dark"]
PictureFormat = Literal["svg", "png"]
_CHART = Size(560, 340)
_PAD_PX = 18
_HEAD_PX, _NAME_PX, _LINE_PX = 26, 20, 20
_PNG_SCALE = 2.0


def picture(runs: Sequence[Run], *, metric: str | None = None, theme: Theme = "light") -> str:
    """One row of charts per source as SVG: the headline's metric and the model, or ``metric`` alone.

    Raises:
        UsageError: nothing was measured, or not that metric.
    """
    page = build_page(runs, metric=metric)
    palette = LIGHT if theme == "light" else DARK
    rows = [row for title in page.titles if (row := _row(title, metric, palette)) is not None]
    if not rows:
        raise UsageError("nothing was measured that could be drawn")
    content, top = [], float(_PAD_PX)
    for markup, height in rows:
        content.append(tag("g", {"transform": f"translate({_PAD_PX},{top:g})"}, markup))
        top += height + _PAD_PX
    width = 2 * _PAD_PX + _CHART.width * (1 if metric else 2)
    ground = tag("rect", {"width": "100%", "height": "100%", "fill": palette.ground})
    named = {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT}
    return tag("svg", {**named, "width": width, "height": top, "viewBox": f"0 0 {width} {top:g}"}, ground, *content)


def _row(title: TitleView, metric: str | None, palette: Palette) -> tuple[str, float] | None:
    """A title's name, charts and legend with their height."""
    keys = [key for key in ([metric] if metric else panel_metrics(title)) if any(key in v.quality for v in title.rungs)]
    if not keys:
        return None
    head = label(0.0, 16.0, title.name, palette, font_size=15, font_weight="bold", fill=palette.ink)
    panels = [_panel(title, key, _CHART.width * number, palette) for number, key in enumerate(keys)]
    legend, height = _legend(title, _CHART.width * len(keys), palette)
    below = _HEAD_PX + _NAME_PX + _CHART.height
    return head + "".join(panels) + tag("g", {"transform": f"translate(0,{below})"}, legend), below + height


def _panel(title: TitleView, metric: str, left: float, palette: Palette) -> str:
    of = title.label(metric)
    name = label(0.0, 14.0, f"{of.name}, {of.unit}" if of.unit else of.name, palette, font_size=12, fill=palette.ink)
    chart = charts.rate_chart(rate_data(title, metric), title_range(title), _CHART, palette)
    moved = tag("g", {"transform": f"translate(0,{_NAME_PX})"}, chart)
    return tag("g", {"transform": f"translate({left:g},{_HEAD_PX})"}, name, moved)


def _legend(title: TitleView, width: float, palette: Palette) -> tuple[str, float]:
    """Codecs by their lines, sizes by their shapes, in as many lines of text as they need."""
    items = [(charts.swatch(i, palette), 38.0, series.text) for i, series in enumerate(title.series)]
    items += [(charts.mark(i, palette), 20.0, size) for i, size in enumerate(title.sizes)]
    parts, x, y = [], 0.0, 0.0
    for drawn, indent, text in items:
        wide = indent + charts.text_width(text) + 18
        if x and x + wide > width:
            x, y = 0.0, y + _LINE_PX
        words = label(indent, 11.0, text, palette, fill=palette.ink)
        parts.append(tag("g", {"transform": f"translate({x:g},{y:g})"}, drawn, words))
        x += wide
    return "".join(parts), y + _LINE_PX


def write_picture(
    runs: Sequence[Run], path: Path, form: PictureFormat, *, metric: str | None = None, theme: Theme = "light"
) -> None:
    """Draw and write, whole or not at all.

    Raises:
        UsageError: as :func:`picture`.
        StorageError: the file cannot be written.
    """
    text = picture(runs, metric=metric, theme=theme)
    if form == "svg":
        write_file(path, text.encode())
    else:
        import vl_convert

        write_file(path, vl_convert.svg_to_png(text, scale=_PNG_SCALE))
