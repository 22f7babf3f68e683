"""The rate charts as one SVG or PNG file, for slides and documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vqa_cli.document import Run
from vqa_cli.errors import UsageError
from vqa_cli.report.charts import DARK, LIGHT, rate_chart, with_data
from vqa_cli.report.html import write_file
from vqa_cli.report.payload import panel_metrics, rate_axes, rate_data
from vqa_cli.report.view import TitleView, build_page

Theme = Literal["light", "dark"]
PictureFormat = Literal["svg", "png"]
_SIZE = {"width": 520, "height": 320}
_PNG_SCALE = 2.0


def picture_spec(runs: Sequence[Run], *, metric: str | None = None, theme: Theme = "light") -> dict[str, Any]:
    """One row of charts per source as Vega-Lite: the model and the headline's metric, or ``metric`` alone.

    Raises:
        UsageError: nothing was measured, or not that metric.
    """
    page = build_page(runs, metric=metric)
    palette = LIGHT if theme == "light" else DARK
    rows = [row for title in page.titles if title.measured and (row := _row(title, metric, theme))]
    if not rows:
        raise UsageError("nothing was measured that could be drawn")
    common = {key: rows[0]["hconcat"][0][key] for key in ("$schema", "config")}
    for row in rows:
        row["hconcat"] = [
            {k: v for k, v in chart.items() if k not in (*common, "background")} for chart in row["hconcat"]
        ]
    return {**common, "background": palette.ground, "padding": 16, "vconcat": rows}


def _row(title: TitleView, metric: str | None, theme: Theme) -> dict[str, Any] | None:
    keys = [metric] if metric else panel_metrics(title)
    charts = [_chart(title, key, theme, number) for number, key in enumerate(keys) if _known(title, key)]
    return {"title": title.name, "hconcat": charts} if charts else None


def _known(title: TitleView, metric: str) -> bool:
    return any(metric in view.quality for view in title.rungs)


def _chart(title: TitleView, metric: str, theme: Theme, number: int) -> dict[str, Any]:
    label = title.label(metric)
    name = f"{label.name}, {label.unit}" if label.unit else label.name
    spec = rate_chart(rate_axes(title), LIGHT if theme == "light" else DARK, legend=True, metric=name)
    filled = with_data(spec, rate_data(title, metric), **_SIZE)
    return _apart(filled, f"{title.key}-{number}")


def _apart(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """A chart whose data lie in it, and without the pointer's selection, so that several fit into one picture."""
    data = spec.pop("datasets")
    spec.pop("params", None)
    layers = []
    for layer in spec["layer"]:
        kept = {key: value for key, value in layer.items() if key not in ("params", "name")}
        encoding = {key: value for key, value in kept["encoding"].items() if key not in ("opacity", "tooltip")}
        rows = data[kept["data"]["name"]]
        layers.append(
            {**kept, "encoding": encoding, "data": {"name": f"{name}-{kept['data']['name']}", "values": rows}}
        )
    return {**spec, "layer": layers}


def write_picture(
    runs: Sequence[Run], path: Path, form: PictureFormat, *, metric: str | None = None, theme: Theme = "light"
) -> None:
    """Draw and write, whole or not at all.

    Raises:
        UsageError: as :func:`picture_spec`.
        StorageError: the file cannot be written.
    """
    import vl_convert

    spec = picture_spec(runs, metric=metric, theme=theme)
    if form == "svg":
        write_file(path, vl_convert.vegalite_to_svg(spec).encode("utf-8"))
    else:
        write_file(path, vl_convert.vegalite_to_png(spec, scale=_PNG_SCALE))
