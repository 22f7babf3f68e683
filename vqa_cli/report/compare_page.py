"""The page that holds a candidate against a baseline: one self-contained file, like the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli.analysis.figures import Estimate
from vqa_cli.analysis.gate import Check, Verdict
from vqa_cli.document import Run
from vqa_cli.frametable import RunFrames
from vqa_cli.report import charts
from vqa_cli.report.comparedstills import compared_stills
from vqa_cli.report.comparison import BASELINE, CANDIDATE, compare_runs
from vqa_cli.report.html import RATE_SIZE, environment, page_script, shell, write_file
from vqa_cli.report.labels import MINUS, MetricLabel, tone
from vqa_cli.report.palette import PAGE
from vqa_cli.report.payload import chart_data, rate_data, title_range
from vqa_cli.report.stills import Album
from vqa_cli.report.view import TitleView

if TYPE_CHECKING:
    from markupsafe import Markup


def render_comparison(
    baseline: Run,
    candidate: Run,
    verdict: Verdict,
    metric: str,
    frames: tuple[RunFrames | None, RunFrames | None] = (None, None),
    names: tuple[str, str] = (BASELINE, CANDIDATE),
    album: Album | None = None,
) -> str:
    """The page as HTML text; arguments as for :func:`vqa_cli.report.comparison.compare_runs`, and pictures of both runs."""
    page = compare_runs(baseline, candidate, verdict, metric, frames, names)
    panels = [panel for source in page.sources for panel in source.panels]
    album = album or Album()
    pictures = {source.key: compared_stills(source, page.primary, album, frames) for source in page.sources}
    script = page_script("compare.js")
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            page=page,
            data=[chart_data(panel) for panel in panels],
            drawn={panel.key: _drawn(panel, page.primary.key) for panel in panels},
            show_loss=_show_loss,
            show_within=_show_within,
            show_check=_show_check,
            loss_tone=_loss_tone,
            tone=tone,
            pictures=pictures,
            **shell(script, linked=album.linked),
        )
    )


def write_comparison(
    baseline: Run,
    candidate: Run,
    verdict: Verdict,
    metric: str,
    path: Path,
    frames: tuple[RunFrames | None, RunFrames | None] = (None, None),
    names: tuple[str, str] = (BASELINE, CANDIDATE),
    album: Album | None = None,
) -> None:
    """Render and write, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    text = render_comparison(baseline, candidate, verdict, metric, frames, names, album)
    write_file(path, text.encode("utf-8", errors="replace"))


def _drawn(panel: TitleView, metric: str) -> Markup:
    from markupsafe import Markup

    return Markup(charts.rate_chart(rate_data(panel, metric), title_range(panel), RATE_SIZE, PAGE))


def _show_loss(found: Estimate | None, label: MetricLabel) -> str:
    """At equal bitrate; with a sign of comparison where only a bound is known."""
    if found is None or found.value is None:
        return "–"
    return {"least": "≥ ", "most": "≤ "}.get(found.bound or "", "") + label.show_change(found.value)


def _show_within(found: Estimate | None, show: Callable[[float], str]) -> str:
    """An estimate's interval, where it has one that is none of nothing."""
    if found is None or found.value is None or found.interval is None or found.interval[0] == found.interval[1]:
        return ""
    return f"[{', '.join(map(show, found.interval))}]"


def _loss_tone(found: Estimate | None, label: MetricLabel) -> str:
    """Coloured where it is sure that something was lost or won, and more than nothing is shown."""
    if found is None or found.value is None or label.show_change(found.value) == label.show(0.0):
        return ""
    low, high = found.interval or (found.value, found.value)
    return "bad" if low > 0 else "good" if high < 0 else ""


def _show_check(check: Check) -> str:
    """How much worse, with its interval, in the unit of the figure."""
    if check.value is None:
        return "not measured"
    form = "{:.3g}" if check.unit == "x" else "{:+.3g}"
    low, high = (form.format(edge) for edge in (check.interval or (check.value, check.value)))
    interval = f" [{low}, {high}]" if low != high else ""
    return f"{form.format(check.value)}{check.unit}{interval}".replace("-", MINUS)
