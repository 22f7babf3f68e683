"""``vqa gate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import click

from vqa_cli.cli.console import note, table
from vqa_cli.errors import ExitCode

if TYPE_CHECKING:
    from vqa_cli.analysis.gate import Check, Verdict

_CODES = {"pass": ExitCode.OK, "fail": ExitCode.BELOW_BAR, "inconclusive": ExitCode.INCONCLUSIVE}


@click.command(name="gate")
@click.argument("baseline", type=click.Path(path_type=Path), metavar="BASELINE.json")
@click.argument("candidate", type=click.Path(path_type=Path), metavar="CANDIDATE.json")
@click.option(
    "--policy", type=click.Path(path_type=Path), metavar="FILE.toml", help="Limits [1 % BD-rate and 1 % of the range]."
)
@click.option("--metric", help="Without a policy: check this metric [vmaf where it was measured].")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "junit", "markdown", "github"]),
    default="table",
    show_default=True,
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write there instead of to standard output.")
def command(
    baseline: Path, candidate: Path, policy: Path | None, metric: str | None, output_format: str, output: Path | None
) -> int:
    """CI verdict on two run documents: exit 0 pass, 1 fail, 7 inconclusive."""
    from vqa_cli.analysis.curves import default_metric
    from vqa_cli.analysis.gate import judge
    from vqa_cli.analysis.policy import default_policy, read_policy
    from vqa_cli.ladder.output import write_text
    from vqa_cli.run import read_run

    runs = [read_run(path / "run.json" if path.is_dir() else path) for path in (baseline, candidate)]
    rules = read_policy(policy) if policy else default_policy(metric or default_metric(runs[0]))
    verdict = judge(runs[0], runs[1], rules)
    text = _FORMATS[output_format](verdict)
    if output is None:
        click.echo(text)
    else:
        write_text(output, text + "\n")
        note(f"{verdict.outcome.upper()}: {output}")
    return _CODES[verdict.outcome]


def _value(check: Check) -> str:
    if check.value is None:
        return "not measured"
    interval = f" [{check.interval[0]:+.3g}, {check.interval[1]:+.3g}]" if check.interval else ""
    return f"{check.value:+.3g}{check.unit}{interval}"


def _line(text: str) -> str:
    """One line without control characters: an encoder's last words may hold anything."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _rows(verdict: Verdict) -> list[list[str]]:
    return [
        [c.outcome.upper(), c.source, c.subject, c.figure, _value(c), f"{c.limit:g}{c.unit}", _line(c.note)]
        for c in verdict.checks
    ]


_HEADERS = ["", "source", "what", "figure", "worse by", "limit", "note"]


def _table(verdict: Verdict) -> str:
    return f"{table(_HEADERS, _rows(verdict))}\n{verdict.outcome.upper()}: {_counts(verdict)}"


def _counts(verdict: Verdict) -> str:
    outcomes = [check.outcome for check in verdict.checks]
    return ", ".join(f"{outcomes.count(name)} {name}" for name in ("pass", "fail", "inconclusive") if name in outcomes)


def _json(verdict: Verdict) -> str:
    return json.dumps(asdict(verdict), indent=1)


def _junit(verdict: Verdict) -> str:
    failed = sum(check.outcome == "fail" for check in verdict.checks)
    errors = sum(check.outcome == "inconclusive" for check in verdict.checks)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             f'<testsuite name="vqa gate" tests="{len(verdict.checks)}" failures="{failed}" errors="{errors}">']  # fmt: skip
    for check in verdict.checks:
        text = f"{_value(check)}, limit {check.limit:g}{check.unit} {_line(check.note)}".strip()
        lines.append(
            f"<testcase classname={quoteattr(check.source)} name={quoteattr(f'{check.subject}: {check.figure}')}>"
        )
        if check.outcome == "fail":
            lines.append(f"<failure message={quoteattr(text)}>{escape(text)}</failure>")
        elif check.outcome == "inconclusive":
            # Not "skipped", which readers of JUnit count as fine.
            lines.append(f"<error message={quoteattr(text)}/>")
        lines.append("</testcase>")
    return "\n".join([*lines, "</testsuite>"])


def _markdown(verdict: Verdict) -> str:
    lines = [
        f"### vqa gate: {verdict.outcome} ({_counts(verdict)})",
        "",
        "| " + " | ".join(_HEADERS) + " |",
        "|" + " --- |" * len(_HEADERS),
    ]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _rows(verdict)]
    return "\n".join(lines)


def _github(verdict: Verdict) -> str:
    levels = {"fail": "error", "inconclusive": "warning"}
    lines = []
    for c in verdict.checks:
        if c.outcome in levels:
            said = f"{c.source} {c.subject}: {c.figure} {_value(c)}, limit {c.limit:g}{c.unit} {c.note}"
            # A workflow command ends at a line break and reads % as an escape.
            lines.append(f"::{levels[c.outcome]} title=vqa gate::{_line(said).replace('%', '%25')}")
    return "\n".join([*lines, f"vqa gate: {verdict.outcome} ({_counts(verdict)})"])


_FORMATS: dict[str, Callable[[Verdict], str]] = {
    "table": _table, "json": _json, "junit": _junit, "markdown": _markdown, "github": _github,
}  # fmt: skip
