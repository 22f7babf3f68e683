"""The page: one self-contained file that works from disk, without a network."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqa_cli.errors import StorageError
from vqa_cli.report.charts import rate_quality_chart
from vqa_cli.report.view import FrameTables, RunView, SourceView, view_runs
from vqa_cli.resources import template_dir
from vqa_cli.run import Run


def render(runs: Sequence[Run], frames: Sequence[FrameTables]) -> str:
    """The report as HTML text.

    Args:
        runs: one or more run documents; several are overlaid source by source.
        frames: per run, frame values by (source index, rung id); empty where they are not known.
    """
    import vl_convert
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    views = view_runs(runs, frames)
    environment = Environment(
        loader=FileSystemLoader(template_dir()), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"num": _number, "kbps": _kbps, "data": _script_json}
    groups = _groups(views)
    folder = template_dir()
    return environment.get_template("report.html.j2").render(
        views=views,
        groups=groups,
        specs=_specs(groups),
        frames={str(i): _frame_data(sources) for i, (_, sources) in enumerate(groups)},
        style=(folder / "report.css").read_text(encoding="utf-8"),
        script=(folder / "report.js").read_text(encoding="utf-8"),
        vega=vl_convert.javascript_bundle(),
    )


def write_report(runs: Sequence[Run], path: Path, frames: Sequence[FrameTables]) -> None:
    """Render and write whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    text = render(runs, frames)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as err:
        raise StorageError(f"cannot write report: {path}", detail=err.strerror) from err


Group = tuple[str, list[SourceView]]


def _groups(views: Sequence[RunView]) -> list[Group]:
    """Sources by name over all runs: those of one name are drawn into one chart."""
    groups: dict[str, list[SourceView]] = {}
    for view in views:
        for source in view.sources:
            groups.setdefault(source.result.source.name, []).append(source)
    return list(groups.items())


def _specs(groups: Sequence[Group]) -> dict[str, dict[str, Any]]:
    return {
        f"chart-{index}-{metric}": rate_quality_chart(merged(sources), metric, title)
        for index, (_, sources) in enumerate(groups)
        for metric, title in sources[0].metrics
        if any(row["metric"] == metric for row in merged(sources).chart_rows)
    }


def merged(sources: Sequence[SourceView]) -> SourceView:
    """The first run's source with the curves of the others added."""
    from dataclasses import replace

    first = sources[0]
    rows = [row for source in sources for row in source.chart_rows]
    return replace(first, chart_rows=rows, hull_rows=first.hull_rows if len(sources) == 1 else [])


def _frame_data(sources: Sequence[SourceView]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for source in sources:
        for rung, table in source.frames.items():
            tables[f"{source.label} {rung}".strip()] = table
    return {"metrics": dict(sources[0].metrics), "rungs": tables}


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _kbps(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def _script_json(value: Any) -> Any:
    """JSON for a <script> element: nothing in it can end the element or start a comment."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
