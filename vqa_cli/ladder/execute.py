"""Carries a task out on one machine: encode, decode once for scorer and metrics, remember, forget the file."""

from __future__ import annotations

from pathlib import Path

from vqa_cli.errors import StorageError, VqaError
from vqa_cli.files import passing_folder
from vqa_cli.ladder import steps
from vqa_cli.ladder.outcome import Outcome, RungOutcome, failed
from vqa_cli.ladder.steps import OnShare, Site
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask

# Share of a rung's work that encoding is taken for in its progress.
ENCODING = 0.6


def execute(task: LadderTask, site: Site, on_share: OnShare) -> Outcome:
    """Carry a task out. What fails for its own reasons is an outcome that says why.

    Raises:
        StorageError: the disk is full or the store cannot be written, which will stop every task after this one too.
        Interrupted: the runner was closed.
    """
    try:
        if (known := steps.recall(task, site)) is not None:
            return known
        with passing_folder(site.scratch) as folder:
            if isinstance(task, SourceTask):
                return steps.source_outcome(task, steps.score_source(task, site, folder))
            return _encode_and_measure(task, site, folder, on_share)
    except StorageError:
        raise
    except VqaError as err:
        return failed(task, err)


def _encode_and_measure(task: RungTask, site: Site, folder: Path, on_share: OnShare) -> RungOutcome:
    encoded = steps.encode(task, site, folder, lambda share: on_share(share * ENCODING))
    judged = steps.measure(task, encoded, site)
    if judged.whole:
        site.rungs.store(task.key, judged.measured, judged.values)
    steps.keep(task, encoded.path, encoded.result.sha256, site.attic)
    return steps.rung_outcome(task, judged, site)
