"""How agreement figures are printed, for every command that prints some."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING

from vqa_cli.cli.console import table

if TYPE_CHECKING:
    from vqa_cli.train.correlation import Agreement

FORMATS = ("text", "json", "csv", "markdown")
_FIGURES = ("srocc", "krocc", "plcc", "plcc_fit", "rmse", "rmse_fit")


def render(rows: list[tuple[str, Agreement]], output_format: str) -> str:
    """A line for each named result, and mean ± standard deviation below several; NaN is ``nan`` or ``null``."""
    if output_format == "json":
        return json.dumps([{"name": name, **row.document()} for name, row in rows], indent=1, allow_nan=False)
    headers = ["name", "n", *_FIGURES, "srocc 95 %", "note"]
    lines = [_line(name, row) for name, row in rows]
    if output_format == "csv":
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([headers, *lines])
        return buffer.getvalue().rstrip("\n")
    if len(rows) > 1:
        lines.append(["mean ± std", "", *(_spread([getattr(row, key) for _, row in rows]) for key in _FIGURES), "", ""])
    if output_format == "markdown":
        return "\n".join("| " + " | ".join(line) + " |" for line in (headers, ["---"] * len(headers), *lines))
    return table(headers, lines)


def _line(name: str, row: Agreement) -> list[str]:
    figures = [f"{getattr(row, key):.4f}" for key in _FIGURES]
    return [name, str(row.n), *figures, f"{row.srocc_low:.3f}..{row.srocc_high:.3f}", "; ".join(row.reasons)]


def _spread(values: list[float]) -> str:
    """Over all rows or not at all: a mean without the undefined ones would flatter."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return f"{mean:.4f} ± {deviation:.4f}"
