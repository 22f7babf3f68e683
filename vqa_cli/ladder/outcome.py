"""What became of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

from vqa_cli.document import ModelScore, RungResult
from vqa_cli.errors import VqaError
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask
from vqa_cli.store.rungs import FrameValues


@dataclass(frozen=True)
class SourceOutcome:
    """What became of a :class:`SourceTask`; ``fault`` is why there is no score."""

    task: SourceTask
    score: ModelScore | None
    values: FrameValues
    fault: str | None = None


@dataclass(frozen=True)
class RungOutcome:
    """What became of a :class:`RungTask`.

    Attributes:
        result: the rung's entry in the run document; a failure is one with a reason.
        values: frame values by metric, ``"model"`` for the model's.
        cached: nothing had to be encoded or decoded.
    """

    task: RungTask
    result: RungResult
    values: FrameValues = field(default_factory=dict)
    cached: bool = False


Outcome = SourceOutcome | RungOutcome


def failed(task: LadderTask, err: VqaError) -> Outcome:
    """The outcome of a task that failed for its own reasons."""
    if isinstance(task, SourceTask):
        return SourceOutcome(task, None, {}, f"the source itself could not be scored: {err.message}")
    return RungOutcome(task, task.blank.model_copy(update={"status": "failed", "reason": err.line}))
