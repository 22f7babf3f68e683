"""The flags of ``vqa ladder --explore`` and ``--confirm``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.errors import UsageError

if TYPE_CHECKING:
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.pipeline import LadderOutcome
    from vqa_cli.settings import LadderSettings

_OPTIONS = (
    click.option("--explore", is_flag=True, help="Encode only what the recommended ladder needs."),
    click.option(
        "--loss", type=click.FloatRange(min=0, min_open=True), default=0.5, show_default=True,
        help="With --explore: what viewers may be expected to lose, in points of the metric.",
    ),
    click.option(
        "--encodes", type=click.IntRange(2), default=8, show_default=True,
        help="With --explore: the most encodes per source and encoder.",
    ),
    click.option(
        "--confirm/--no-confirm", default=None,
        help="Encode what is recommended between measured CRFs, too [with --explore only].",
    ),
)  # fmt: skip


def explore_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def check_explore(settings: LadderSettings, options: dict[str, Any]) -> None:
    """Refuse what cannot be explored or confirmed before anything is looked at.

    Raises:
        UsageError: with what stands against it.
    """
    from vqa_cli.cli.explore import check_explorable

    if not math.isfinite(options["loss"]):
        raise UsageError(f"--loss is no finite number: {options['loss']}")
    if not options["explore"] and not options["confirm"]:
        return
    wanted = "--explore" if options["explore"] else "--confirm"
    if options["repeat"] > 1:
        raise UsageError(f"--repeat is for a fixed ladder, not for {wanted}")
    for name in ("catalogue", "samples", "segments"):
        if options[name]:
            raise UsageError(f"{wanted} is for whole sources in one run: leave --{name} out")
    if options["explore"]:
        if options["dry_run"]:
            raise UsageError("--dry-run cannot say what --explore will encode: each encode decides the next")
        check_explorable(settings)


def explored(job: LadderJob, options: dict[str, Any]) -> tuple[LadderOutcome, list[str]]:
    """What the recommended ladder needs, and how the search for it ended."""
    from vqa_cli.cli.explore import Exploring, ended_lines, explore_ladder

    confirm = options["confirm"] is not False
    asked = Exploring(options["loss"], options["encodes"], options["crf"], confirm)
    outcome, ended = explore_ladder(job, asked, quiet=options["quiet"])
    return outcome, ended_lines(ended, asked.loss)
