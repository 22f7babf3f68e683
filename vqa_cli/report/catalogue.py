"""The page of a catalogue: how bitrate, quality and savings are spread over its titles, with a link to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.analysis.compare import Comparison, run_curves, summarise, within
from vqa_cli.analysis.curves import codec_name, default_metric
from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.report.html import environment, page_script, shell, write_file
from vqa_cli.report.labels import MetricLabel, metric_label
from vqa_cli.report.palette import PAGE, Palette
from vqa_cli.report.scales import Scale, nice, ticks
from vqa_cli.report.svg import BOTTOM_PX, Size, axes, label, tag, whole

if TYPE_CHECKING:
    from markupsafe import Markup

_ROW_PX, _NAME_PX = 26, 230


@dataclass(frozen=True, slots=True)
class Spread:
    """Values over titles: the least, quartiles, the most."""

    count: int
    least: float
    low: float
    middle: float
    high: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        if not values:
            return None
        low, middle, high = (float(q) for q in np.percentile(values, (25, 50, 75)))
        return cls(len(values), min(values), low, middle, high, max(values))


@dataclass(frozen=True, slots=True)
class Group:
    """One setting over all titles."""

    name: str
    kbps: Spread | None
    quality: Spread | None
    failed: int


@dataclass(frozen=True, slots=True)
class Saving:
    """BD-rate of one curve against another over titles, in percent."""

    anchor: str
    test: str
    spread: Spread | None
    mean: float | None
    interval: tuple[float, float] | None
    compared: int


@dataclass(frozen=True, slots=True)
class TitleRow:
    """One title; ``best`` is its best rung's quality at ``kbps``."""

    name: str
    link: str
    status: str
    reason: str
    length_s: float
    best: float | None
    kbps: float | None


@dataclass(frozen=True)
class CataloguePage:
    """Everything that the page shows."""

    name: str
    run: Run
    label: MetricLabel
    groups: tuple[Group, ...]
    savings: tuple[Saving, ...]
    titles: tuple[TitleRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        return {status: sum(t.status == status for t in self.titles) for status in ("ok", "partial", "failed")}


def build_catalogue_page(run: Run, folder: Path, metric: str | None = None) -> CataloguePage:
    """Pure but for a look at which titles have a page of their own.

    Raises:
        UsageError: the catalogue did not measure ``metric``.
    """
    chosen = metric or default_metric(run)
    curves = run_curves(run, chosen)  # refuses what was not measured
    compared = within(curves, chosen, "pchip")
    return CataloguePage(
        folder.resolve().name, run, metric_label(chosen, run.model), tuple(_groups(run, chosen)),
        tuple(_savings(compared)), tuple(_title(source, folder, chosen) for source in run.sources),
    )  # fmt: skip


def write_catalogue_report(run: Run, folder: Path, path: Path, metric: str | None = None) -> None:
    """Render and write, whole or not at all.

    Raises:
        UsageError: as :func:`build_catalogue_page`.
        StorageError: the file cannot be written.
    """
    page = build_catalogue_page(run, folder, metric)
    text = (
        environment()
        .get_template("catalogue.html.j2")
        .render(
            page=page,
            quality_chart=_boxes([(g.name, g.quality) for g in page.groups], page.label.name, PAGE),
            rate_chart=_boxes([(g.name, g.kbps) for g in page.groups], "kb/s", PAGE),
            saving_chart=_boxes([(f"{s.test} / {s.anchor}", s.spread) for s in page.savings], "BD-rate, %", PAGE),
            **shell(page_script("catalogue.js")),
        )
    )
    write_file(path, text.encode("utf-8", errors="replace"))


def _groups(run: Run, metric: str) -> list[Group]:
    found: dict[str, list[RungResult]] = {}
    for rung in (rung for source in run.sources for rung in source.rungs):
        short = min(rung.width, rung.height)
        found.setdefault(f"{codec_name(rung)} {short}p {rung.rate.label}", []).append(rung)
    return [_group(name, rungs, metric) for name, rungs in found.items()]


def _group(name: str, rungs: Sequence[RungResult], metric: str) -> Group:
    qualities = [value for rung in rungs if (value := rung.quality(metric)) is not None]
    rates = [rung.encode.bitrate_kbps for rung in rungs if rung.encode is not None]
    return Group(name, Spread.of(rates), Spread.of(qualities), sum(rung.status != "ok" for rung in rungs))


def _savings(compared: Sequence[Comparison]) -> list[Saving]:
    found = []
    for summary in summarise(compared):
        mine = [c for c in compared if (c.anchor, c.test) == (summary.anchor, summary.test)]
        values = [c.result.bd_rate for c in mine if c.result.bd_rate is not None]
        found.append(
            Saving(summary.anchor, summary.test, Spread.of(values), summary.bd_rate, summary.interval, summary.compared)
        )
    return found


def _title(source: SourceResult, folder: Path, metric: str) -> TitleRow:
    name = source.source.name
    measured = [(value, rung) for rung in source.rungs if (value := rung.quality(metric)) is not None]
    best = max(measured, key=lambda pair: pair[0], default=None)
    page = next((file for file in ("report.html", "run.json") if (folder / name / file).is_file()), "")
    reason = source.reason or next((rung.reason for rung in source.rungs if rung.reason), None) or ""
    return TitleRow(
        name, f"{name}/{page}" if page else "", source.status, reason, source.source.whole_s,
        best[0] if best else None, best[1].encode.bitrate_kbps if best and best[1].encode else None,
    )  # fmt: skip


def _boxes(rows: Sequence[tuple[str, Spread | None]], title: str, palette: Palette) -> Markup:
    """A line from the least to the most of each row, a box over the middle half, and a stroke at the median."""
    from markupsafe import Markup

    known = [(name, spread) for name, spread in rows if spread is not None]
    if not known:
        return Markup("")
    low, high = nice(min(s.least for _, s in known), max(s.most for _, s in known), 6)
    size = Size(760, _ROW_PX * len(known) + BOTTOM_PX + 12)
    x = replace(size.across(low, high), start=_NAME_PX)  # names stand on the left
    frame = axes(size, x, size.up(0, 1), ticks(low, high, 6), (), title, palette)
    drawn = [_box(name, spread, x, 12 + _ROW_PX * (i + 0.5), palette) for i, (name, spread) in enumerate(known)]
    return Markup(whole(size, frame, *drawn))


def _box(name: str, spread: Spread, x: Scale, y: float, palette: Palette) -> str:
    ink = palette.series[0]
    line = tag("path", {"d": f"M{x(spread.least):.1f},{y:.1f}H{x(spread.most):.1f}", "stroke": palette.muted})
    wide = max(1.0, x(spread.high) - x(spread.low))
    box = tag("rect", {"x": x(spread.low), "y": y - 6, "width": wide, "height": 12, "fill": ink, "opacity": "0.55"})
    middle = tag(
        "path", {"d": f"M{x(spread.middle):.1f},{y - 8:.1f}V{y + 8:.1f}", "stroke": ink, "stroke-width": "2.5"}
    )
    words = label(_NAME_PX - 10.0, y + 4, name, palette, text_anchor="end")
    said = f"{name}: median {spread.middle:.4g}, from {spread.least:.4g} to {spread.most:.4g} over {spread.count}"
    return tag("g", {"role": "img", "aria-label": said}, line, box, middle, words)
