"""The comparisons of a history's site: a page for each step, made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli._version import __version__
from vqa_cli.cli.console import note
from vqa_cli.errors import InputError
from vqa_cli.files import write_text

if TYPE_CHECKING:
    from vqa_cli.history.entries import Entry, History
    from vqa_cli.history.regressions import Step

# Beside the pages: of each, what it was made from.
_MADE = "made.json"


def write_comparisons(
    history: History, steps: Sequence[Step], site: Path, metric: str | None
) -> dict[tuple[int, int], str]:
    """A page for each step, and for the latest run against the one before; where two cannot be compared, none.

    A page that is there already, of the same runs by this version, is left as it is.
    """
    last = len(history.entries) - 1
    wanted = dict.fromkeys([*((step.before, step.after) for step in steps), *([(last - 1, last)] if last > 0 else [])])
    before, made = _made(site), {}
    pages = {}
    for one, two in wanted:
        first, second = history.entries[one], history.entries[two]
        name = f"compare/{first.short}-{second.short}.html"
        made[name] = _origin(first, second, metric)
        if before.get(name) != made[name] or not (site / name).is_file():
            try:
                write_comparison_of(history, one, two, site / name, metric)
            except InputError as err:
                note(f"not compared: {first.short} and {second.short}: {err.message}")
                del made[name]
                continue
        pages[one, two] = name
    write_text(site / "compare" / _MADE, json.dumps(made, indent=1))
    return pages


def _made(site: Path) -> dict[str, str]:
    """What the pages that are there were made from; nothing where that cannot be read."""
    try:
        found = json.loads((site / "compare" / _MADE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _origin(first: Entry, second: Entry, metric: str | None) -> str:
    """All that a page depends on."""
    digest = hashlib.sha256(repr((__version__, metric)).encode())
    for entry in (first, second):
        digest.update(entry.model_dump_json().encode())
    return digest.hexdigest()


def write_comparison_of(history: History, one: int, two: int, path: Path, metric: str | None) -> None:
    """Write the page that compares two runs of a history."""
    from vqa_cli.analysis.curves import default_metric
    from vqa_cli.analysis.gate import judge
    from vqa_cli.analysis.policy import default_policy
    from vqa_cli.report.compare_page import write_comparison

    first, second = history.entries[one], history.entries[two]
    chosen = metric or default_metric(first.run)
    verdict = judge(first.run, second.run, default_policy(chosen))
    names = tuple(f"{entry.short} {entry.label}".strip() for entry in (first, second))
    write_comparison(first.run, second.run, verdict, chosen, path, names=(names[0], names[1]))
