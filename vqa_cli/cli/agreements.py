"""How agreement figures are printed, for every command that prints some."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vqa_cli.cli.console import table

if TYPE_CHECKING:
    from vqa_cli.train.correlation import Agreement

FORMATS = ("text", "json", "csv", "markdown")
Labels = dict[str, Any]
Row = tuple[Labels, "Agreement"]


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
        csv.writer(buffer, lineterminator="\n").writerows([headers, *lines])
        return buffer.getvalue().rstrip("\n")
    for labels, count, figures in spreads:
        values = [f"{mean:.4f} ± {deviation:.4f}" for mean, deviation in figures.values()]
        lines.append([*map(_cell, labels.values()), "", *values, "", f"mean ± std of {count}"])
    if output_format == "markdown":
        return "\n".join("| " + " | ".join(line) + " |" for line in (headers, ["---"] * len(headers), *lines))
    return table(headers, lines)


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
