"""The page of a history: regressions, trends of every figure, and the runs. One self-contained file, like the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa_cli.history.entries import History
from vqa_cli.history.regressions import Change, Step, fold
from vqa_cli.history.series import Series, scaled
from vqa_cli.history.steps import fit_levels
from vqa_cli.report.html import environment, page_script, shell, write_file
from vqa_cli.report.labels import MINUS


@dataclass(frozen=True, slots=True)
class StepRow:
    """A change as the page tells it; ``page`` is the comparison of the runs on both sides, relative to this page."""

    change: Change
    before: str
    after: str
    label: str
    page: str | None

    @property
    def step(self) -> Step:
        return self.change.largest

    @property
    def amount(self) -> str:
        return f"{self.step.change:+.2f} {self.step.unit}".rstrip().replace("-", MINUS)

    @property
    def word(self) -> str:
        return "regression" if self.step.worse else "improvement" if self.step.worse is False else "change"


def write_history(
    history: History, series: Sequence[Series], steps: Sequence[Step], path: Path, pages: Mapping[tuple[int, int], str]
) -> None:
    """Write the page.

    Args:
        pages: comparison pages by the numbers of their runs, relative to ``path``'s folder.

    Raises:
        StorageError: it cannot be written.
    """
    entries = history.entries
    rows = [
        StepRow(
            change, entries[change.largest.before].short, entries[change.largest.after].short,
            entries[change.largest.after].label, pages.get((change.largest.before, change.largest.after)),
        )
        for change in fold(steps)
    ]  # fmt: skip
    script = page_script("history.js")
    latest = len(entries) - 1
    text = (
        environment()
        .get_template("history.html.j2")
        .render(
            history=history, rows=rows, latest=pages.get((latest - 1, latest)),
            regressions=[row for row in rows if row.step.is_regression],
            others=[row for row in rows if not row.step.is_regression],
            places=list(dict.fromkeys(item.place for item in series)),
            kinds=list(dict.fromkeys(item.kind.name for item in series)),
            data=history_data(history, series, steps), **shell(script),
        )
    )  # fmt: skip
    write_file(path, text.encode("utf-8", errors="replace"))


def history_data(history: History, series: Sequence[Series], steps: Sequence[Step]) -> dict[str, Any]:
    """What the page's script draws from. Pure."""
    return {
        "runs": [
            {"commit": entry.short, "date": entry.date[:10], "label": entry.label, "branch": entry.branch}
            for entry in history.entries
        ],
        "series": [_series_data(item, [step for step in steps if step.series is item]) for item in series],
    }


def _series_data(series: Series, steps: Sequence[Step]) -> dict[str, Any]:
    inner = scaled(series)
    values = inner.values
    levels = fit_levels([v.value for v in values], [v.error for v in values], series.kind.floor)
    shown = series.values if len(values) == len(series.values) else ()
    return {
        "source": series.place.source, "encoder": series.place.encoder, "size": series.place.size,
        "kind": series.kind.name, "unit": series.kind.unit, "worse": series.kind.worse, "begins": series.begins,
        "anchor": series.anchor, "log": series.kind.relative,
        "points": [[v.entry, _short(v.value), *map(_short, v.interval or ())] for v in shown],
        "levels": [[values[level.start].entry, values[level.end - 1].entry, _short(level.value)] for level in levels],
        "steps": [[step.after, step.worse] for step in steps],
    }  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.6g}")
