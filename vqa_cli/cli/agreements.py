"""How agreement figures are printed, for every command that prints some."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vqa_cli.cli.console import emit, table, tell, window
from vqa_cli.text import csv_cell, markdown

if TYPE_CHECKING:
    from vqa_cli.train.correlation import Agreement

# What a narrow window goes without.
_LEAVE = ("rmse_fit", "rmse", "krocc", "srocc 95 %", "plcc")
FORMATS = ("text", "json", "csv", "markdown")
Labels = dict[str, Any]
Row = tuple[Labels, "Agreement"]


def print_agreements(
    rows: Sequence[Row], output_format: str, groups: Sequence[tuple[Labels, Sequence[Row]]] = ()
) -> None:
    """Print what :func:`render` makes."""
    text = render(rows, output_format, groups)
    (tell if output_format == "text" else emit)(text)


def render(rows: Sequence[Row], output_format: str, groups: Sequence[tuple[Labels, Sequence[Row]]] = ()) -> str:
    """A line for each result with its labels, then mean ± standard deviation of each group; NaN is ``nan`` or ``null``.

    A table for other programs (CSV) has the results alone, so that a column can be averaged.
    """
    from vqa_cli.train.correlation import FIGURES, spread

    spreads = [(labels, len(members), spread([row for _, row in members])) for labels, members in groups]
    if output_format == "json":
        summary = [
            {**labels, "results": count}
            | {f"{name}_{kind}": _finite(value) for name, pair in figures.items() for kind, value in zip(("mean", "std"), pair, strict=True)}
            for labels, count, figures in spreads
        ]  # fmt: skip
        document = {"results": [{**labels, **row.document()} for labels, row in rows], "summary": summary}
        return json.dumps(document, indent=1, allow_nan=False)
    headers = [*rows[0][0], "n", *FIGURES, "srocc 95 %", "note"]
    lines = [_line(labels, row) for labels, row in rows]
    if output_format == "csv":
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([headers, *_csv_rows(lines, len(rows[0][0]))])
        return buffer.getvalue().rstrip("\n")
    for labels, count, figures in spreads:
        values = [f"{mean:.4f} ± {deviation:.4f}" for mean, deviation in figures.values()]
        lines.append([*map(_cell, labels.values()), "", *values, "", f"mean ± std of {count}"])
    if output_format == "markdown":
        shown = (headers, ["---"] * len(headers), *(list(map(markdown, line)) for line in lines))
        return "\n".join("| " + " | ".join(line) + " |" for line in shown)
    return table(headers, lines, leave=_LEAVE, width=window())


def _csv_rows(lines: Sequence[list[str]], labels: int) -> list[list[str]]:
    """Labels and the note, at the end, are text; a figure below zero is not."""
    return [[*map(csv_cell, line[:labels]), *line[labels:-1], csv_cell(line[-1])] for line in lines]


def _line(labels: Labels, row: Agreement) -> list[str]:
    from vqa_cli.train.correlation import FIGURES

    figures = [f"{getattr(row, key):.4f}" for key in FIGURES]
    interval = f"{row.srocc_low:.3f}..{row.srocc_high:.3f}"
    return [*map(_cell, labels.values()), str(row.n), *figures, interval, "; ".join((*row.reasons, *row.remarks))]


def _cell(value: object) -> str:
    """A list is shown by its length; its entries are for JSON."""
    return "all" if value is None else str(len(value) if isinstance(value, list) else value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
