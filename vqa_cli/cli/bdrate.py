"""``vqa bdrate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, note, table, tell, window
from vqa_cli.cli.options import format_option
from vqa_cli.errors import ExitCode, InputError, UsageError
from vqa_cli.tables import is_table

if TYPE_CHECKING:
    from vqa_cli.analysis.bdrate import BdResult
    from vqa_cli.analysis.compare import Comparison, NamedCurve


_HEADERS = ["source", "anchor", "test", "BD-rate", "BD-quality", "overlap", "CPU time", ""]


@click.command(name="bdrate", cls=Command)
@click.argument(
    "documents",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN.json… | CATALOGUE | TABLE.csv",
    shell_complete=suggest.runs,
)
@click.option("--metric", help="model, vmaf, … [vmaf where it was measured].")
@click.option(
    "--method", type=click.Choice(["pchip", "akima", "cubic"]), default="pchip", show_default=True,
    help="Curve through the points.",
)  # fmt: skip
@click.option(
    "--anchor", metavar="NAME", help="Compare with this one, e.g. libx265 or the name of a curve [the first]."
)
@format_option("table", "json")
def command(
    documents: tuple[Path, ...], metric: str | None, method: Any, anchor: str | None, output_format: str
) -> int:
    """BD-rate and BD-quality: codecs of one run, two runs codec by codec, or a table of numbers.

    A table has the columns source, codec, bitrate (kb/s) and quality. Exit 7 when no BD-rate could be computed.
    """
    from vqa_cli.analysis.compare import summarise

    chosen, found, remarks = _compare(documents, metric, method, anchor)
    if output_format == "json":
        emit(json.dumps({"metric": chosen, "method": method, "comparisons": [asdict(c) for c in found],
                               "summary": [asdict(s) for s in summarise(found)], "remarks": remarks}, indent=1))  # fmt: skip
    else:
        tell("\n".join([_text(found, chosen, method), *remarks]))
    if not found:
        note("nothing to compare: there is one curve for each source; a second codec or a second run makes two")
    return ExitCode.OK if any(c.result.bd_rate is not None for c in found) else ExitCode.INCONCLUSIVE


def _compare(
    documents: tuple[Path, ...], metric: str | None, method: Any, anchor: str | None
) -> tuple[str, list[Comparison], list[str]]:
    """The metric, what was compared, and what a reader must know of it."""
    from vqa_cli.analysis.comparable import making_remarks, refuse_other_judging
    from vqa_cli.analysis.compare import between, refuse_other_footage, run_curves, within
    from vqa_cli.analysis.curves import default_metric
    from vqa_cli.catalogue import read_document

    if any(map(is_table, documents)):
        if len(documents) > 1:
            raise UsageError("a table holds all its curves: give one")
        chosen = metric or "quality"
        found = read_curves(documents[0])
        return chosen, within(_anchored(found, anchor), chosen, method), []
    runs = [read_document(path) for path in documents]
    chosen = metric or default_metric(runs[0])
    if len(runs) == 1:
        found = run_curves(runs[0], chosen)
        return chosen, within(_anchored(found, anchor), chosen, method), []
    if anchor:
        raise UsageError("--anchor chooses within one run or table; of two runs the first is the anchor")
    if len(runs) > 2:
        raise UsageError("compare two runs at a time")
    refuse_other_footage(*runs)
    refuse_other_judging([chosen], *runs)
    pairs = between(run_curves(runs[0], chosen), run_curves(runs[1], chosen), chosen, method)
    return chosen, pairs, list(making_remarks(*runs))


def _anchored(found: list[NamedCurve], anchor: str | None) -> list[NamedCurve]:
    """The curves with those of the anchor, if one is named, first."""
    from vqa_cli.analysis.compare import with_anchor
    from vqa_cli.media.encoders import full_name

    known = {name for curve in found for name in (curve.codec, curve.encoder) if name}
    return with_anchor(found, full_name(anchor, known)) if anchor else found


def read_curves(path: Path) -> list[NamedCurve]:
    """The curves of a table with the columns source, codec, bitrate (kb/s) and quality.

    Raises:
        InputError: see :func:`vqa_cli.tables.read_table`; a cell is empty or no number, or a bitrate is not above zero.
    """
    from vqa_cli.analysis.bdrate import RatePoints
    from vqa_cli.analysis.compare import NamedCurve
    from vqa_cli.tables import read_table

    table = read_table(path)
    if not table.rows:
        raise InputError(f"no row in table: {path}")
    names = zip(table.filled("source"), table.filled("codec"), strict=True)
    rates, qualities = table.numbers("bitrate"), table.numbers("quality")
    if min(rates) <= 0:
        line = next(row.line for row, rate in zip(table.rows, rates, strict=True) if rate <= 0)
        raise InputError(f"no bitrate above 0 in line {line}: {path}")
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, rate, quality in zip(names, rates, qualities, strict=True):
        curves.setdefault(name, []).append((rate, quality))
    return [
        NamedCurve(source, codec, RatePoints(tuple(r for r, _ in points), tuple(q for _, q in points)))
        for (source, codec), points in curves.items()
    ]


def _text(found: list[Comparison], metric: str, method: str) -> str:
    from vqa_cli.analysis.compare import summarise

    rows = [
        [c.source, c.anchor, c.test, _rate(c.result), _signed(c.result.bd_quality, "", 3),
         f"{c.result.overlap:.0%}", f"x{c.result.cpu_ratio:.2f}" if c.result.cpu_ratio else "", "; ".join(c.result.notes)]
        for c in found
    ]  # fmt: skip
    head = f"{metric}, {method}; negative BD-rate: the test needs less bitrate for the same quality"
    parts = [head, table(_HEADERS, rows, leave=("CPU time", "overlap", "BD-quality"), width=window())]
    for s in summarise(found):
        if s.sources > 1:
            interval = f" [{s.interval[0]:+.2f}, {s.interval[1]:+.2f}]" if s.interval else ""
            count = f"{s.sources} of {s.compared}" if s.sources < s.compared else f"{s.sources}"
            time = f", CPU time x{s.cpu_ratio:.2f}" if s.cpu_ratio else ""
            parts.append(f"mean of {count} sources, {s.test} against {s.anchor}: {s.bd_rate:+.2f}%{interval}{time}")
    return "\n".join(parts)


def _rate(result: BdResult) -> str:
    ends = f" [{result.interval[0]:+.2f}, {result.interval[1]:+.2f}]" if result.interval else ""
    return _signed(result.bd_rate, "%") + ends


def _signed(value: float | None, unit: str, digits: int = 2) -> str:
    return "-" if value is None else f"{value:+.{digits}f}{unit}"
