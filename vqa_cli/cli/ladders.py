"""Recommended ladders as text for people: the same in every command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vqa_cli.cli.console import table, window
from vqa_cli.metrics import METRICS
from vqa_cli.text import visible

if TYPE_CHECKING:
    from vqa_cli.analysis.curves import Point
    from vqa_cli.analysis.recommend import Recommendation


def ladder_lines(r: Recommendation) -> list[str]:
    """The ladder and why it is not a better one."""
    rows = [_row(p, r.metric) for p in r.chosen]
    head = f"{visible(r.source)}  {r.codec}"
    if not rows:
        return [f"{head}: no rung is within the limits", *binding_lines(r)]
    lines = [f"{head}\n" + table(["rung", "size", "rate", "kb/s", r.metric], rows, width=window())]
    if not all(p.measured for p in r.chosen):
        lines.append("~ lies between measured CRFs and was not encoded")
    lines.append(f"viewers expect {r.metric} {shown(r.expected, r.metric)} ({r.audience})")
    if r.above_source:
        names = ", ".join(p.rung for p in r.above_source)
        lines.append(f"above the source's own bitrate: {names}")
    return [*lines, *binding_lines(r)]


def binding_lines(r: Recommendation) -> list[str]:
    """Each limit that costs viewers something."""
    return [binding.text(shown(binding.gain, r.metric)) for binding in r.bindings]


def _row(p: Point, metric: str) -> list[str]:
    mark = "" if p.measured else "~"
    return [p.rung, f"{p.height}p", p.setting, f"{mark}{p.kbps:.0f}", mark + shown(p.quality, metric)]


def shown(value: float, metric: str) -> str:
    """A value of a metric as tables have it."""
    return f"{value:.{max(2, METRICS[metric].decimals if metric in METRICS else 2)}f}"
