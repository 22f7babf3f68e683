"""``vqa bdrate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.console import table
from vqa_cli.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from vqa_cli.analysis.compare import Comparison, NamedCurve


@click.command(name="bdrate")
@click.argument("documents", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN.json… | TABLE.csv")
@click.option("--metric", help="model, vmaf, … [vmaf where it was measured].")
@click.option("--method", type=click.Choice(["pchip", "akima", "cubic"]), default="pchip", show_default=True)
@click.option(
    "--anchor", metavar="NAME", help="Compare with this one, e.g. libx265 or the name of a curve [the first]."
)
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    documents: tuple[Path, ...], metric: str | None, method: Any, anchor: str | None, output_format: str
) -> int:
    """BD-rate and BD-quality: codecs of one run, two runs codec by codec, or a table of numbers.

    A table has the columns source, codec, bitrate (kb/s) and quality. Exit 7 when no BD-rate could be computed.
    """
    from vqa_cli.analysis.compare import summarise

    chosen, found = _compare(documents, metric, method, anchor)
    if output_format == "json":
        click.echo(json.dumps({"metric": chosen, "method": method, "comparisons": [asdict(c) for c in found],
                               "summary": [asdict(s) for s in summarise(found)]}, indent=1))  # fmt: skip
    else:
        click.echo(_text(found, chosen, method))
    return ExitCode.OK if any(c.result.bd_rate is not None for c in found) else ExitCode.INCONCLUSIVE


def _compare(
    documents: tuple[Path, ...], metric: str | None, method: Any, anchor: str | None
) -> tuple[str, list[Comparison]]:
    from vqa_cli.analysis.comparable import refuse_other_judging
    from vqa_cli.analysis.compare import between, refuse_other_footage, run_curves, within
    from vqa_cli.analysis.curves import default_metric
    from vqa_cli.document import read_run

    if documents[0].suffix == ".csv":
        if len(documents) > 1:
            raise UsageError("a table holds all its curves: give one")
        chosen = metric or "quality"
        found = read_table(documents[0])
        return chosen, within(_anchored(found, anchor), chosen, method)
    runs = [read_run(path / "run.json" if path.is_dir() else path) for path in documents]
    chosen = metric or default_metric(runs[0])
    if len(runs) == 1:
        found = run_curves(runs[0], chosen)
        return chosen, within(_anchored(found, anchor), chosen, method)
    if anchor:
        raise UsageError("--anchor chooses within one run or table; of two runs the first is the anchor")
    if len(runs) > 2:
        raise UsageError("compare two runs at a time")
    refuse_other_footage(*runs)
    refuse_other_judging([chosen], *runs)
    return chosen, between(run_curves(runs[0], chosen), run_curves(runs[1], chosen), chosen, method)


def _anchored(found: list[NamedCurve], anchor: str | None) -> list[NamedCurve]:
    """The curves with those of the anchor, if one is named, first."""
    from vqa_cli.analysis.compare import with_anchor
    from vqa_cli.media.encoders import full_name

    known = {name for curve in found for name in (curve.codec, curve.encoder) if name}
    return with_anchor(found, full_name(anchor, known)) if anchor else found


def read_table(path: Path) -> list[NamedCurve]:
    """Curves from a CSV.

    Raises:
        InputError: a column is missing or a cell is no number.
    """
    import csv

    from vqa_cli.analysis.bdrate import RatePoints
    from vqa_cli.analysis.compare import NamedCurve

    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault((row["source"], row["codec"]), []).append(
                    (float(row["bitrate"]), float(row["quality"]))
                )
    except OSError as err:
        raise InputError(f"cannot read: {path}", detail=err.strerror) from err
    except (KeyError, ValueError, TypeError) as err:
        raise InputError(f"not a table of curves: {path}", detail=f"{type(err).__name__}: {err}",
                         hint="columns: source, codec, bitrate (kb/s), quality") from err  # fmt: skip
    return [
        NamedCurve(source, codec, RatePoints(tuple(r for r, _ in points), tuple(q for _, q in points)))
        for (source, codec), points in rows.items()
    ]


def _text(found: list[Comparison], metric: str, method: str) -> str:
    from vqa_cli.analysis.compare import summarise

    rows = [
        [c.source, c.anchor, c.test, _signed(c.result.bd_rate, "%"), _signed(c.result.bd_quality, "", 3),
         f"{c.result.overlap:.0%}", f"x{c.time_ratio:.2f}" if c.time_ratio else "", "; ".join(c.result.notes)]
        for c in found
    ]  # fmt: skip
    head = f"{metric}, {method}; negative BD-rate: the test needs less bitrate for the same quality"
    parts = [head, table(["source", "anchor", "test", "BD-rate", "BD-quality", "overlap", "CPU time", ""], rows)]
    for s in summarise(found):
        if s.sources > 1:
            interval = f" [{s.interval[0]:+.2f}, {s.interval[1]:+.2f}]" if s.interval else ""
            count = f"{s.sources} of {s.compared}" if s.sources < s.compared else f"{s.sources}"
            time = f", CPU time x{s.time_ratio:.2f}" if s.time_ratio else ""
            parts.append(f"mean of {count} sources, {s.test} against {s.anchor}: {s.bd_rate:+.2f}%{interval}{time}")
    return "\n".join(parts)


def _signed(value: float | None, unit: str, digits: int = 2) -> str:
    return "-" if value is None else f"{value:+.{digits}f}{unit}"
