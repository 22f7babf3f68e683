"""What comes back from the nodes, remembered in the driver's own store as if it had been measured here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from vqa_cli.cluster.travel import Made, Parcel, Unfit
from vqa_cli.errors import InputError
from vqa_cli.files import replacing
from vqa_cli.ladder import steps
from vqa_cli.ladder.outcome import Outcome, failed
from vqa_cli.ladder.steps import Judged, Site
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask
from vqa_cli.store.rungs import Rungs
from vqa_cli.values import ClipScore


@dataclass(frozen=True)
class Arrivals:
    """The driver's store, and the names that documents give.

    Attributes:
        site: the driver's.
        cache: folder of its store.
    """

    site: Site
    cache: Path | None

    def recall(self, task: LadderTask, simds: Iterable[str]) -> Outcome | None:
        """What is known of a task from this machine, or from any with one of these vector instructions."""
        sites = (self.site, *(self._like(simd) for simd in simds))
        return next((known for site in sites if (known := steps.recall(task, site)) is not None), None)

    def source(self, task: SourceTask, came: ClipScore) -> Outcome:
        """Remember a verdict on a source."""
        clip = _own(came)
        self.site.viewer.remember(task.viewing, task.content, clip)
        return steps.source_outcome(task, clip)

    def rung(self, task: RungTask, came: Judged, made: Made, parcel: Callable[[], Parcel]) -> Outcome:
        """Remember what was measured on a rung.

        Args:
            parcel: gives the encode itself, where it is to be kept.

        Raises:
            StorageError: the store cannot be written.
        """
        values = {name: frames.copy() for name, frames in came.values.items()}
        judged = replace(came, clip=_own(came.clip) if came.clip else None, values=values)
        if judged.whole:
            self._like(made.simd).rungs.store(task.key, judged.measured, judged.values)
        if judged.clip is not None:
            self.site.viewer.remember(task.viewing, judged.measured.encode.sha256, judged.clip)
        if task.keep is not None:
            _keep(Path(task.keep), parcel())
        return steps.rung_outcome(task, judged, self.site)

    def _like(self, simd: str) -> Site:
        return replace(self.site, rungs=Rungs(self.cache, machine=simd))


def nowhere(task: LadderTask, why: Unfit) -> Outcome:
    """The outcome of a task that every node refuses."""
    way_out = "sources must lie on paths that all nodes see"
    return failed(task, InputError(f"no node can work on it, as {why.node.name}: {why.reason}; {way_out}"))


def _keep(path: Path, parcel: Parcel) -> None:
    with replacing(path) as staged:
        if parcel.content is not None:
            parcel.content.tofile(staged)
        elif parcel.path is not None:
            shutil.move(parcel.path, staged)


def _own(clip: ClipScore) -> ClipScore:
    """A copy whose arrays hold nothing of Ray's object store back."""
    return replace(clip, frame_scores=clip.frame_scores.copy(), frame_outputs=clip.frame_outputs.copy())
