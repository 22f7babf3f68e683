"""The steps by which a task is carried out: recall, encode, measure, remember. One machine takes them all, or each another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqa_cli.document import EncodeResult, ModelScore
from vqa_cli.files import file_sha256
from vqa_cli.ladder.attic import Attic
from vqa_cli.ladder.outcome import Outcome, RungOutcome, SourceOutcome
from vqa_cli.ladder.prepared import PreparedSources
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask
from vqa_cli.measure.stream import Viewer
from vqa_cli.measure.template import ENCODE, FFMPEG, SOURCE, Argv, fill
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.encode import EncodeJob, run_encode
from vqa_cli.media.process import Runner
from vqa_cli.media.quantisers import LOG
from vqa_cli.series import make_series
from vqa_cli.store.rungs import FrameValues, Measured, Rungs
from vqa_cli.store.seen import Seen
from vqa_cli.text import as_text
from vqa_cli.values import ClipScore, Scorer

OnShare = Callable[[float], None]


@dataclass(frozen=True)
class Site:
    """What one machine has: programs, a loaded model, what is known already, and folders.

    ``attic`` takes encodes that pictures will be asked of; ``None`` where there will be none.
    """

    runner: Runner
    ffmpeg: Ffmpeg
    encode_ffmpeg: Ffmpeg
    scorer: Scorer | None
    rungs: Rungs
    seen: Seen
    scratch: Path
    sources: PreparedSources
    attic: Attic | None = None

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.runner, self.ffmpeg.sha256, self.scorer, self.seen)


@dataclass(frozen=True)
class Encoded:
    """A file that an encoder made, and what is known of it."""

    path: Path
    result: EncodeResult


@dataclass(frozen=True)
class Judged:
    """Everything that is known of a rung: its encode, what was compared, and the model's verdict.

    Attributes:
        remarks: what users should hear of the comparison.
        whole: nothing is missing that was asked for.
    """

    measured: Measured
    clip: ClipScore | None
    values: FrameValues
    remarks: tuple[str, ...] = ()
    whole: bool = True


def recall(task: LadderTask, site: Site) -> Outcome | None:
    """What came of the task before, if all of it is remembered, and the encode still lies where it is to be kept."""
    if isinstance(task, SourceTask):
        clip = site.viewer.known(task.viewing, task.content)
        return None if clip is None else source_outcome(task, clip)
    if (stored := site.rungs.load(task.key)) is None:
        return None
    measured, values = stored
    clip = site.viewer.known(task.viewing, measured.encode.sha256)
    if (clip is None and site.scorer is not None) or not _holds(task.keep, measured.encode):
        return None
    return rung_outcome(task, Judged(measured, clip, values), site, cached=True)


def score_source(task: SourceTask, site: Site, folder: Path) -> ClipScore:
    """The model's verdict on the source itself; its logs go into ``folder``. Searches that begin together ask for it once."""
    with site.viewer.alone(task.viewing, task.content):
        if (known := site.viewer.known(task.viewing, task.content)) is not None:
            return known
        with site.sources.reference(task.source, task.viewing) as path:
            argv = fill(task.viewing.argv, {FFMPEG: site.ffmpeg.path, SOURCE: path})
            clip = site.viewer.view(task.viewing, argv, task.content, folder).clip
    assert clip is not None  # there are no such tasks without a scorer
    return clip


def encode(task: RungTask, site: Site, folder: Path, on_share: OnShare) -> Encoded:
    """Encode into ``folder``.

    Raises:
        InputError: the source is gone or has changed.
        ToolError: the encoder failed, or gave something else.
        StorageError: the disk is full.
    """
    with site.sources.path(task.source) as source:
        job = encode_job(task, site, source, folder, quantisers=site.attic is not None)
        result = run_encode(site.runner, job, on_share)
    return Encoded(job.output, result)


def measure(task: RungTask, encoded: Encoded, site: Site) -> Judged:
    """Decode an encode once, for the scorer and the metrics. Logs go beside it."""
    folder = encoded.path.parent
    with site.sources.reference(task.source, task.viewing) as source:
        _, argv = command_lines(task, site, source)
        viewed = site.viewer.view(task.viewing, argv, encoded.result.sha256, folder)
    values = viewed.fidelity.values
    fidelity = {name: make_series(frames, task.source.fps) for name, frames in values.items()}
    measured = Measured(encode=encoded.result, fidelity=fidelity)
    return Judged(measured, viewed.clip, values, viewed.fidelity.remarks, whole=not viewed.fidelity.faults)


def keep(task: RungTask, encoded: Path, sha256: str, attic: Attic | None) -> None:
    """Put the encode where the task wants it, if it does; else into the attic, if there is one."""
    if attic is not None:
        attic.keep_log(encoded.with_name(LOG), sha256)
    if task.keep is not None:
        kept = Path(task.keep)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(encoded, kept)
    elif attic is not None:
        attic.keep(encoded, sha256)


def source_outcome(task: SourceTask, clip: ClipScore) -> SourceOutcome:
    """The outcome of a verdict on the source."""
    return SourceOutcome(task, _model_score(clip, task), {"model": clip.frame_scores})


def rung_outcome(task: RungTask, judged: Judged, site: Site, *, cached: bool = False) -> RungOutcome:
    """The outcome of what is known of a rung, with this site's command lines."""
    # A prepared source is recorded by its name, not by the temporary folder that it lay in.
    encode_argv, argv = command_lines(task, site, site.sources.recorded(task.source))
    result, clip, values = judged.measured.encode, judged.clip, judged.values
    done = {
        "status": "ok",
        "reason": None,
        "encode_argv": encode_argv,
        "measure_argv": argv,
        "encode": result.model_copy(update={"path": as_text(task.keep)}) if task.keep else result,
        "score": _model_score(clip, task) if clip else None,
        "fidelity": judged.measured.fidelity,
        "warnings": (*task.blank.warnings, *judged.remarks),
    }
    if clip is not None:
        values = {"model": clip.frame_scores, **values}
    return RungOutcome(task, task.blank.model_copy(update=done), values, cached)


def command_lines(task: RungTask, site: Site, source: Path | str) -> tuple[tuple[Argv, ...], Argv]:
    """The task's command lines with this machine's paths."""
    paths: dict[Path, Path | str] = {FFMPEG: site.encode_ffmpeg.path, SOURCE: source, ENCODE: task.output}
    encode = tuple(fill(argv, paths) for argv in task.encode)
    return encode, fill(task.viewing.argv, {**paths, FFMPEG: site.ffmpeg.path})


def encode_job(task: RungTask, site: Site, source: Path, folder: Path, *, quantisers: bool) -> EncodeJob:
    """The task's encode of this file into ``folder``, with what must come out of it."""
    argv, _ = command_lines(task, site, source)
    output, ref = folder / task.output, task.source
    return EncodeJob(argv, folder, output, task.size, ref.frames, ref.fps, quantisers=quantisers)


def _holds(keep: str | None, encode: EncodeResult) -> bool:
    """Whether this very encode was kept, if it is to be: other settings of another run may have left a file of that name."""
    return keep is None or (Path(keep).is_file() and file_sha256(Path(keep)) == encode.sha256)


def _model_score(clip: ClipScore, task: LadderTask) -> ModelScore:
    """A clip's verdict for the run document."""
    series = make_series(np.asarray(clip.frame_scores, dtype=np.float64), task.source.fps)
    return ModelScore(score=clip.score, raw=clip.raw, others=clip.others, series=series)
