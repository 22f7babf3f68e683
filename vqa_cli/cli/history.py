"""``vqa history``."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command, Group
from vqa_cli.cli.console import emit_json, note, say, table, tell, window
from vqa_cli.cli.historysite import write_comparison_of, write_comparisons
from vqa_cli.cli.options import LISTING_FORMAT_OPTION
from vqa_cli.errors import ExitCode, InputError, ToolError, UsageError
from vqa_cli.text import plural

if TYPE_CHECKING:
    from vqa_cli.cli.listing import CommitTold, StepsTold, StepTold
    from vqa_cli.history.entries import Entry, History
    from vqa_cli.history.regressions import Change, Step
    from vqa_cli.history.series import Series

F = TypeVar("F", bound=Callable[..., Any])
_FOLDER = "vqa-history"


def _where(function: F) -> F:
    return click.option(
        "--history", "folder", type=click.Path(path_type=Path, file_okay=False), default=_FOLDER, show_default=True,
        metavar="DIR", help="The history's folder; keep it in git.",
    )(function)  # fmt: skip


def _by(function: F) -> F:
    function = click.option("--metric", help="What BD-rates go by [vmaf where it was measured].")(function)
    return click.option("--anchor", metavar="COMMIT", help="What BD-rates are against [the first run of a series].")(
        function
    )


@click.group(name="history", cls=Group)
def command() -> None:
    """The history of an encoder: runs over its commits, trends, steps and regressions."""


@command.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN", shell_complete=suggest.runs)
@_where
@click.option("--commit", help="What was measured [HEAD of the git repository that this is].")
@click.option("--branch", help="Its branch [the one that is checked out].")
@click.option("--date", metavar="ISO8601", help="Its date, the order of the history [that of the commit].")
@click.option("--label", help="A line for people [the commit's subject].")
@click.option("--machine", help="Which machine encoded [this one's name].")
def add(run: Path, folder: Path, commit: str | None, **given: str | None) -> int:
    """Add RUN (a run.json or its folder) to a history. The same run added twice is there once."""
    from vqa_cli.document import read_run
    from vqa_cli.history.entries import Entry, add_entry

    document = read_run(run)
    if not any(rung.status == "ok" for source in document.sources for rung in source.rungs):
        raise InputError(f"nothing was measured: {run}")
    known = _git_facts() if commit is None else {"commit": commit, "date": document.created}
    facts = known | {key: value for key, value in given.items() if value is not None}
    facts.setdefault("machine", platform.node())
    _check_date(facts["date"])
    path, new = add_entry(folder, Entry.model_validate({"run": document, **facts}))
    note(f"{'added' if new else 'there already'}: {path}")
    return ExitCode.OK


def _check_date(text: str) -> None:
    from datetime import datetime

    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"not a date: {text}", hint="2026-03-04 or 2026-03-04T10:11:12+00:00") from None


def _git_facts() -> dict[str, str]:
    """Commit, date, subject and branch of the repository that the command runs in."""
    from vqa_cli.media.process import Runner

    with Runner() as runner:
        try:
            told = runner.run(["git", "log", "-1", "--format=%H%n%cI%n%s"]).stdout.splitlines()
            branch = runner.run(["git", "rev-parse", "--abbrev-ref", "HEAD"]).stdout.strip()
        except ToolError as err:
            raise UsageError("no commit: this is no git repository", hint="--commit NAME --date ISO8601") from err
    return {"commit": told[0], "date": told[1], "label": told[2] if len(told) > 2 else "", "branch": branch}


@command.command(cls=Command)
@_where
@_by
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The site's folder [DIR/site].",
)
def html(folder: Path, metric: str | None, anchor: str | None, output: Path | None) -> int:
    """Write the history as a static site: trends, regressions, runs, and the comparisons at each step."""
    from vqa_cli.report.history_page import write_history

    history, series, steps = _load(folder, metric, anchor)
    site = output or folder / "site"
    write_history(history, series, steps, site / "index.html", write_comparisons(history, steps, site, metric))
    say(site / "index.html")
    return ExitCode.PARTIAL if history.damaged else ExitCode.OK


@command.command(cls=Command)
@_where
@_by
@click.option("--all", "everything", is_flag=True, help="Improvements and other changes too.")
@LISTING_FORMAT_OPTION
def regressions(folder: Path, metric: str | None, anchor: str | None, everything: bool, output_format: str) -> int:
    """List the regressions. Exit 1 where the latest run brought up a new one."""
    history, _, steps = _load(folder, metric, anchor)
    shown = [step for step in steps if everything or step.is_regression]
    told = _told(history, steps, shown)
    if output_format == "json":
        emit_json(told)
    elif shown:
        _print(shown, history.entries)
    note(f"{plural(told['runs'], 'run')}, {plural(told['regressions'], 'regression')}, {told['new']} new")
    return ExitCode.BELOW_BAR if told["new"] else ExitCode.PARTIAL if history.damaged else ExitCode.OK


def _print(shown: Sequence[Step], entries: Sequence[Entry]) -> None:
    from vqa_cli.history.regressions import fold

    headers = ["", "where", "figure", "change", "before", "after", "commit"]
    rows = [_row(change, entries) for change in fold(shown)]
    tell(table(headers, rows, leave=("commit",), width=window()))


def _told(history: History, steps: Sequence[Step], shown: Sequence[Step]) -> StepsTold:
    return {
        "runs": len(history.entries),
        "regressions": sum(step.is_regression for step in steps),
        "new": sum(step.new and step.is_regression for step in steps),
        "damaged": dict(history.damaged),
        "steps": [_step(step, history.entries) for step in shown],
    }


def _step(step: Step, entries: Sequence[Entry]) -> StepTold:
    place = step.series.place
    return {
        "source": place.source, "encoder": place.encoder, "size": place.size, "figure": step.series.kind.name,
        "change": step.change, "unit": step.unit, "worse": step.worse, "new": step.new,
        "before": _commit(entries[step.before]), "after": _commit(entries[step.after]),
    }  # fmt: skip


def _commit(entry: Entry) -> CommitTold:
    return {"commit": entry.commit, "date": entry.date, "label": entry.label}


@command.command(cls=Command)
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@_where
@click.option("--metric", help="What curves go by [vmaf where it was measured].")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE.html",
    required=True,
    help="Where to write.",
)
def compare(before: str, after: str, folder: Path, metric: str | None, output: Path) -> int:
    """Hold one run of a history against another, by their commits."""
    history = _read(folder)
    one, two = _find(history, before), _find(history, after)
    write_comparison_of(history, one, two, output, metric)
    say(output)
    return ExitCode.OK


def _row(found: Change, entries: Sequence[Entry]) -> list[str]:
    step = found.largest
    word = (
        "FAIL"
        if step.new and step.is_regression
        else "worse"
        if step.worse
        else "better"
        if step.worse is False
        else ""
    )
    amount = f"{step.change:+.2f} {step.unit}".rstrip()
    after = entries[step.after]
    return [word, found.where, step.series.kind.name, amount, entries[step.before].short, after.short, after.label]


def _read(folder: Path) -> History:
    from vqa_cli.history.entries import read_history

    history = read_history(folder)
    for name, why in history.damaged.items():
        note(f"warning: left out: {name}: {why}")
    return history


def _load(folder: Path, metric: str | None, anchor: str | None) -> tuple[History, list[Series], list[Step]]:
    from vqa_cli.analysis.curves import all_metrics
    from vqa_cli.history.regressions import find_steps
    from vqa_cli.history.series import make_series

    history = _read(folder)
    if metric is not None and not all(metric in all_metrics(entry.run) for entry in history.entries):
        raise UsageError(f"not every run measured {metric}")
    if anchor is not None:
        _find(history, anchor)
    series = make_series(history.entries, metric, anchor)
    return history, series, find_steps(series)


def _find(history: History, commit: str) -> int:
    found = [number for number, entry in enumerate(history.entries) if commit and entry.commit.startswith(commit)]
    if not found:
        raise UsageError(f"no run of this commit: {commit}", hint="`vqa history html` lists them")
    return found[-1]
