"""Pictures of what the gate compares: both sides at the frames where the candidate lost most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli.stills import STILLS_FOLDER

if TYPE_CHECKING:
    from vqa_cli.analysis.gate import Verdict
    from vqa_cli.analysis.moments import StillsChoice, StillsWish
    from vqa_cli.document import Run
    from vqa_cli.events import OnEvent
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.pipeline import LadderOutcome

SIDES = ("baseline", "candidate")


@dataclass(frozen=True)
class Measured:
    """One side, and the job that measured it."""

    job: LadderJob
    outcome: LadderOutcome


def folders(save: Path | None, report: Path | None) -> tuple[Path, ...]:
    """Where pictures of both sides go: beside the runs where they are kept, else beside the page; nowhere without one."""
    if save is not None:
        return tuple(save / side / STILLS_FOLDER for side in SIDES)
    return () if report is None else tuple(report.with_name(f"{report.stem}-stills") / side for side in SIDES)


def picture_both(
    sides: Sequence[Measured], verdict: Verdict, metric: str, wish: StillsWish, into: Sequence[Path], on_event: OnEvent
) -> None:
    """Take pictures of both sides at the same frames; encodes are made again and known by their hash.

    Raises:
        StorageError: a folder cannot be written.
    """
    from vqa_cli.ladder.executor import ThisMachine
    from vqa_cli.ladder.job import open_bench
    from vqa_cli.ladder.stills import StillsOrder, take_stills

    choose = _chooser(sides, verdict, metric, wish)
    for side, folder in zip(sides, into, strict=True):
        job, run = replace(side.job, place=ThisMachine()), side.outcome.run
        with open_bench(job) as bench:
            order = StillsOrder(folder, choose)
            take_stills(bench, job.settings, run, side.outcome.frames, order, on_event)


def _chooser(sides: Sequence[Measured], verdict: Verdict, metric: str, wish: StillsWish) -> Any:
    from vqa_cli.analysis.moments import choose_lost

    one, two = (side.outcome for side in sides)

    def choose(run: Run, number: int, _frames: Mapping[Any, Any], cuts: Sequence[int]) -> StillsChoice:
        name = run.sources[number].source.name
        losses = {
            check.subject: check.value for check in verdict.checks
            if check.source == name and check.figure == f"{metric} mean drop" and check.value is not None
        }  # fmt: skip
        tables = tuple(
            {rung: table[metric] for (index, rung), table in side.frames.items() if index == number and metric in table}
            for side in (one, two)
        )
        return choose_lost(run.sources[number], metric, (tables[0], tables[1]), losses, cuts, wish)

    return choose
