"""One source in work: gives its tasks out, takes their outcomes in, and is a result when all are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli.document import EncodeResult, ModelScore, RungResult, SourceInfo, SourceResult
from vqa_cli.errors import InputError, StorageError, ToolError, VqaError
from vqa_cli.events import EncodeProgress, Event, Note, Planned, RungDone, SourceScored
from vqa_cli.files import file_sha256
from vqa_cli.frametable import SOURCE_RUNG
from vqa_cli.ladder.forecast import Forecast
from vqa_cli.ladder.joining import Weights, join_rungs, join_scores, join_values
from vqa_cli.ladder.outcome import Outcome, RungOutcome, SourceOutcome
from vqa_cli.ladder.plan import LadderPlan
from vqa_cli.ladder.steps import Site
from vqa_cli.ladder.task import PIECES, Conditions, LadderTask, plan_tasks, skipped_rungs, source_ref
from vqa_cli.measure.source import Source
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.concat import join_files
from vqa_cli.metrics import models_for
from vqa_cli.text import as_text

if TYPE_CHECKING:
    from vqa_cli.store.rungs import FrameValues


@dataclass(frozen=True)
class Title:
    """What is known of a source before its rungs are encoded.

    Attributes:
        number, name: its place in the run, and what the run calls it.
        pieces: what is encoded: the source itself, or parts of it.
    """

    number: int
    name: str
    source: Source
    plan: LadderPlan
    pieces: tuple[Source, ...]

    def tasks(self, on: Conditions) -> Iterator[LadderTask]:
        """The tasks of one piece after the other, so that few prepared copies lie on disk at a time."""
        for number, piece in enumerate(self.pieces):
            ref = source_ref(piece, self.number, self.name, number)
            yield from plan_tasks(piece, ref, self.plan, on.for_piece(number) if len(self.pieces) > 1 else on)

    def planned(self, on: Conditions, sources: int) -> Planned:
        """What is told of it: the cost of each rung that will be tried."""
        judged = self.plan.display.width * self.plan.display.height
        frames = sum(piece.frames for piece in self.pieces)
        work = {
            rung.id: float(frames * (rung.order.size.width * rung.order.size.height + judged))
            for rung in self.plan.rungs if rung.order.encoder.name not in on.reasons
        }  # fmt: skip
        return Planned(self.name, work, sources)

    @property
    def weights(self) -> Weights:
        frames = tuple(piece.frames for piece in self.pieces)
        return Weights(frames, tuple(piece.weight or piece.frames for piece in self.pieces))

    @property
    def caveats(self) -> Iterator[str]:
        """What a reader of the figures must know of the frames that they are of."""
        whole_s, frames = self.source.info.duration_s, sum(piece.frames for piece in self.pieces)
        measured_s = float(frames / self.source.info.fps)
        if self.weights.sampled:
            yield (
                f"measured on {len(self.pieces)} samples, {measured_s:.0f} of {whole_s:.0f} s: bitrates, means and scores are "
                "estimates; percentiles and extremes are those of the frames that were measured"
            )
        elif len(self.pieces) > 1:
            yield f"encoded in {len(self.pieces)} segments: an encoder begins anew at each"
        elif span := self.source.steps.span:
            yield f"measured from {float(span[0] / self.source.info.fps):.2f} s on, {measured_s:.2f} of {whole_s:.2f} s"

    def document(self, ffmpeg: Ffmpeg) -> SourceInfo:
        """The source for the run document, with what was measured of it."""
        if len(self.pieces) == 1:
            return self.pieces[0].document(ffmpeg).model_copy(update={"name": self.name})
        parts = [piece.document(ffmpeg) for piece in self.pieces]
        update = {
            "name": self.name,
            "frames": sum(part.frames for part in parts),
            "duration_s": sum(part.duration_s for part in parts),
            "measured": tuple(span for part in parts for span in part.measured),
        }
        return self.source.document(ffmpeg).model_copy(update=update)


@dataclass
class InWork:
    """A title and what came of it so far."""

    title: Title
    conditions: Conditions
    left: int = 0
    rungs: dict[str, RungResult] = field(default_factory=dict)
    score: ModelScore | None = None
    fault: str | None = None
    frames: dict[str, FrameValues] = field(default_factory=dict)
    forecast: Forecast | None = None
    _waiting: dict[str, dict[int, Outcome]] = field(default_factory=dict)

    def begin(self) -> list[LadderTask]:
        """All of its tasks."""
        self.rungs |= {rung.id: rung for rung in skipped_rungs(self.title.plan, self.conditions)}
        tasks = list(self.title.tasks(self.conditions))
        self.left = len(tasks)
        return tasks

    def progress(self, rung: str, share: float) -> EncodeProgress:
        """How far a rung is when one of its pieces is so far."""
        pieces, done = len(self.title.pieces), len(self._waiting.get(rung, ()))
        if self.forecast is not None:
            self.forecast.shares[rung] = (done + share) / pieces
        return EncodeProgress(self.title.name, rung, (done + share) / pieces)

    def take(self, outcome: Outcome) -> Iterator[Event]:
        """File an outcome; what is to be told of it."""
        self.left -= 1
        key = SOURCE_RUNG if isinstance(outcome, SourceOutcome) else outcome.result.id
        pieces = self._waiting.setdefault(key, {})
        pieces[outcome.task.source.piece] = outcome
        if len(pieces) < len(self.title.pieces):
            return
        parts = [pieces[number] for number in sorted(pieces)]
        del self._waiting[key]
        if isinstance(outcome, SourceOutcome):
            yield self._take_source([part for part in parts if isinstance(part, SourceOutcome)])
        else:
            done = self._take_rung([part for part in parts if isinstance(part, RungOutcome)])
            yield done
            if self.forecast is not None and (text := self.forecast.told(done)):
                yield Note(f"{self.title.name}: {text}", warning=True)

    def _take_source(self, parts: list[SourceOutcome]) -> Event:
        self.fault = next((part.fault for part in parts if part.fault), None)
        if self.fault:
            return Note(f"{self.title.name}: {self.fault}", warning=True)
        values = self.frames[SOURCE_RUNG] = join_values([part.values for part in parts])
        scores = [part.score for part in parts if part.score is not None]
        self.score = scores[0] if len(parts) == 1 else join_scores(scores, self.title.weights, values["model"])
        return SourceScored(self.title.name, self.score.score)

    def _take_rung(self, parts: list[RungOutcome]) -> RungDone:
        values = join_values([part.values for part in parts])
        results = [part.result for part in parts]
        result = results[0] if len(parts) == 1 else join_rungs(results, self.title.weights, values)
        self.rungs[result.id] = result
        if result.status == "ok" and values:
            self.frames[result.id] = values
        return _done(self.title.name, result, cached=all(part.cached for part in parts))

    def result(self, ffmpeg: Ffmpeg) -> SourceResult:
        """Its entry in the run document."""
        plan = self.title.plan
        rungs = [self.rungs[rung.id] for rung in plan.rungs]
        good = [rung for rung in rungs if rung.status == "ok"]
        failed = [rung for rung in rungs if rung.status == "failed"]
        reasons = [f"{len(failed)} of {len(rungs)} rungs failed"] if failed else []
        if self.fault:
            reasons.append(self.fault)
        return SourceResult(
            source=self.title.document(ffmpeg),
            display_width=plan.display.width,
            display_height=plan.display.height,
            metric_models=models_for(
                self.conditions.settings.metrics, plan.display.short_side, float(self.title.source.view.fps)
            ),
            status="ok" if not reasons else "partial" if good else "failed",
            reason="; ".join(reasons) or None,
            score=self.score,
            rungs=tuple(_with_delta(rung, self.score) for rung in rungs),
            warnings=(*plan.warnings, *self.title.caveats),
        )

    def join_kept(self, site: Site) -> None:
        """Make one file of the kept encodes of the pieces, for each rung.

        Raises:
            StorageError: the folder cannot be written.
            Interrupted: the runner was closed.
        """
        if self.conditions.keep is None or len(self.title.pieces) < 2:
            return
        folder = Path(self.conditions.keep)
        for rung in self.rungs.values():
            if rung.encode is not None:
                self.rungs[rung.id] = self._joined(rung, rung.encode, folder, site)
        shutil.rmtree(folder / PIECES, ignore_errors=True)

    def _joined(self, rung: RungResult, encode: EncodeResult, folder: Path, site: Site) -> RungResult:
        whole = folder / f"{rung.id}.mp4"
        parts = [folder / PIECES / f"{number:05d}" / whole.name for number in range(len(self.title.pieces))]
        try:
            join_files(site.runner, site.encode_ffmpeg.path, parts, whole, encode.frames)
        except (ToolError, InputError) as err:
            return rung.model_copy(update={"warnings": (*rung.warnings, f"not kept: {err.message}")})
        except OSError as err:
            raise StorageError(f"cannot write: {whole}", detail=err.strerror) from err
        kept = {"path": as_text(str(whole)), "sha256": file_sha256(whole), "file_bytes": whole.stat().st_size}
        return rung.model_copy(update={"encode": encode.model_copy(update=kept)})

    def ordered_frames(self) -> dict[str, FrameValues]:
        """Frame values as the rungs stand in the document, whatever the order was in which they came."""
        order = (SOURCE_RUNG, *(rung.id for rung in self.title.plan.rungs))
        return {key: self.frames[key] for key in order if key in self.frames}


def failed_source(path: str, name: str, err: VqaError) -> SourceResult:
    """The entry of a source that could not be begun."""
    empty = SourceInfo(
        path=path, name=name, sha256="", container="", codec="", width=0, height=0, fps="0/1",
        frames=0, duration_s=0.0, pix_fmt="", matrix=None, primaries=None, transfer=None, range=None, size_bytes=0,
        video_bitrate_kbps=0.0,
    )  # fmt: skip
    return SourceResult(source=empty, display_width=0, display_height=0, status="failed", reason=err.message)


def _with_delta(rung: RungResult, source: ModelScore | None) -> RungResult:
    if rung.score is None or source is None:
        return rung
    delta = rung.score.score - source.score
    return rung.model_copy(update={"score": rung.score.model_copy(update={"delta_to_source": delta})})


def _done(name: str, result: RungResult, *, cached: bool) -> RungDone:
    kbps = result.encode.bitrate_kbps if result.encode else None
    points = result.score.score if result.score else None
    decides = min(result.fidelity, key=lambda metric: metric != "vmaf", default=None)
    quality = (decides, result.fidelity[decides].pooled.mean) if decides else None
    return RungDone(name, result.id, kbps, points, result.reason, cached, quality)
