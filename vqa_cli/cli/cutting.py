"""Flags that say which frames of each source are measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.errors import UsageError

if TYPE_CHECKING:
    from vqa_cli.ladder.pieces import Cutting
    from vqa_cli.settings import LadderSettings

_LEAST_SEGMENT_S = 2.0


def _segments(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | str | None:
    if text is None or text == "auto":
        return text
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _LEAST_SEGMENT_S <= seconds < math.inf:
        raise click.BadParameter(f"{text} is neither auto nor a length of {_LEAST_SEGMENT_S:g} s or more.")
    return seconds


_OPTIONS = (
    click.option("--start", type=click.FloatRange(min=0), metavar="SECONDS", help="Measure each source from here on."),
    click.option(
        "--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Measure this much of it."
    ),
    click.option(
        "--samples", type=click.IntRange(1), metavar="N",
        help="Measure that many samples of a long source, which stand for all of it.",
    ),
    click.option(
        "--sample-s", type=click.FloatRange(min=0.5), default=4.0, show_default=True, metavar="SECONDS",
        help="Length of a sample.",
    ),
    click.option(
        "--segments", callback=_segments, metavar="SECONDS|auto",
        help="Encode and measure a long source in pieces, side by side. With --crf.",
    ),
)  # fmt: skip


def cutting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_cutting(options: dict[str, Any], settings: LadderSettings) -> Cutting:
    """What the flags say.

    Raises:
        UsageError: flags that contradict each other or the settings.
    """
    from vqa_cli.ladder.pieces import Cutting, refuse_bitrates
    from vqa_cli.measure.part import Part

    part = Part(options["start"], options["duration"])
    given = [flag for flag in ("samples", "segments") if options[flag] is not None]
    if len(given) > 1 or (given and part):
        raise UsageError(
            "--samples, --segments and --start with --duration are three ways to measure a source: name one of them"
        )
    for flag in given:
        refuse_bitrates(settings, f"--{flag}")
    if options["samples"] and options["keep_encodes"]:
        raise UsageError("--samples leaves no encode of the whole to keep", hint="leave --keep-encodes out")
    return Cutting(part, options["samples"], options["sample_s"], options["segments"])
