"""How a gate's verdict is written: for people, for pull requests, for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from vqa_cli.cli.console import table
from vqa_cli.text import annotation, markdown, markdown_name, visible, xml

if TYPE_CHECKING:
    from vqa_cli.analysis.gate import Check, Verdict

HEADERS = ["", "source", "what", "figure", "worse by", "limit", "note"]
_LEAVE = ("note", "limit")
_LEGEND = "Worse by: candidate against baseline [95 % interval]; drops of quality are at equal bitrate."


def as_table(verdict: Verdict, width: int | None = None) -> str:
    """For people, in ``width`` columns of a terminal."""
    rows = table(HEADERS, _rows(_digest(verdict)), leave=_LEAVE, width=width)
    parts = [_LEGEND, "", rows, *(f"note: {_line(n)}" for n in verdict.notes)]
    return "\n".join([*parts, f"{verdict.outcome.upper()}: {counts(verdict)}"])


def as_json(verdict: Verdict) -> str:
    return json.dumps(asdict(verdict), indent=1, allow_nan=False)


def as_junit(verdict: Verdict) -> str:
    checks = _digest(verdict)
    counted = [check for check in checks if check.allowed is None]
    failed = sum(check.outcome == "fail" for check in counted)
    errors = sum(check.outcome == "inconclusive" for check in counted)
    skipped = len(checks) - len(counted)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             f'<testsuite name="vqa gate" tests="{len(checks)}" failures="{failed}" errors="{errors}" '
             f'skipped="{skipped}">']  # fmt: skip
    for check in checks:
        lines.append(
            f"<testcase classname={quoteattr(xml(check.source))} name={quoteattr(xml(f'{check.subject}: {check.figure}'))}>"
        )
        lines += [_junit_outcome(check), "</testcase>"]
    return "\n".join([*(line for line in lines if line), "</testsuite>"])


def _junit_outcome(check: Check) -> str:
    text = xml(f"{_value(check)}, limit {check.limit:g}{check.unit} {_note(check)}".strip())
    if check.allowed is not None:
        return f"<skipped message={quoteattr(text)}/>"
    if check.outcome == "fail":
        return f"<failure message={quoteattr(text)}>{escape(text)}</failure>"
    # Not "skipped", which readers of JUnit count as fine.
    return f"<error message={quoteattr(text)}/>" if check.outcome == "inconclusive" else ""


def as_markdown(verdict: Verdict) -> str:
    """What needs a reader first; what passed folded away."""
    checks = _digest(verdict)
    open_ = [check for check in checks if check.outcome != "pass"]
    passed = [check for check in checks if check.outcome == "pass"]
    lines = [f"### vqa gate: {verdict.outcome.upper()} ({counts(verdict)})"]
    if open_:
        lines += ["", *_markdown_table(open_)]
    lines += ["", _LEGEND, *(f"- {markdown(_line(n))}" for n in verdict.notes)]
    if passed:
        lines += [
            "",
            f"<details><summary>{len(passed)} passed</summary>",
            "",
            *_markdown_table(passed),
            "",
            "</details>",
        ]
    return "\n".join(lines)


def _markdown_table(checks: list[Check]) -> list[str]:
    names = [HEADERS.index(name) for name in ("source", "what")]
    cells = [
        [markdown_name(cell) if index in names else markdown(cell) for index, cell in enumerate(row)]
        for row in _rows(checks)
    ]
    return ["| " + " | ".join(row) + " |" for row in (HEADERS, ["---"] * len(HEADERS), *cells)]


def as_github(verdict: Verdict) -> str:
    levels = {"fail": "error", "inconclusive": "warning"}
    lines = []
    for c in _digest(verdict):
        if c.outcome in levels:
            level = "notice" if c.allowed is not None else levels[c.outcome]
            said = f"{c.source} {c.subject}: {c.figure} {_value(c)}, limit {c.limit:g}{c.unit} {_note(c)}"
            lines.append(_annotation(level, said))
    lines += [_annotation("notice", text) for text in verdict.notes]
    return "\n".join([*lines, f"vqa gate: {verdict.outcome} ({counts(verdict)})"])


def _annotation(level: str, text: str) -> str:
    return f"::{level} title=vqa gate::{annotation(_line(text))}"


def counts(verdict: Verdict) -> str:
    """``4 pass, 1 fail``."""
    outcomes = [_word(check).lower() for check in verdict.checks]
    names = ("pass", "fail", "inconclusive", "allowed")
    return ", ".join(f"{outcomes.count(name)} {name}" for name in names if name in outcomes)


def _digest(verdict: Verdict) -> list[Check]:
    from vqa_cli.analysis.digest import digest

    return digest(verdict.checks)


def _rows(checks: list[Check]) -> list[list[str]]:
    return [
        [_word(c), c.source, c.subject, c.figure, _value(c), f"{c.limit:g}{c.unit}", _note(c)]
        for c in checks
    ]  # fmt: skip


def _word(check: Check) -> str:
    return (check.outcome if check.allowed is None else "allowed").upper()


def _note(check: Check) -> str:
    return _line("; ".join(filter(None, (check.note, check.allowed and f"allowed: {check.allowed}"))))


def _value(check: Check) -> str:
    if check.value is None:
        return "not measured"
    show = "{:.3g}" if check.unit == "x" else "{:+.3g}"
    low, high = check.interval or (check.value, check.value)
    # An interval narrower than it can be shown says nothing.
    interval = f" [{show.format(low)}, {show.format(high)}]" if show.format(low) != show.format(high) else ""
    return f"{show.format(check.value) if abs(check.value) > 1e-9 else '0'}{check.unit}{interval}"


def _line(text: str) -> str:
    """One line: an encoder's last words may be several."""
    return visible(" ".join(text.split()))


FORMATS: dict[str, Callable[[Verdict], str]] = {
    "table": as_table, "json": as_json, "junit": as_junit, "markdown": as_markdown, "github": as_github,
}  # fmt: skip
