"""Carries a task out on one machine: encode, decode once for scorer and metrics, remember, forget the file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vqa_cli.document import EncodeResult, ModelScore, RungResult
from vqa_cli.errors import StorageError, ToolError, VqaError
from vqa_cli.files import file_sha256
from vqa_cli.ladder.prepared import PreparedSources
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask
from vqa_cli.measure.stream import Viewer
from vqa_cli.measure.template import ENCODE, FFMPEG, SOURCE, Argv, fill
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.encode import EncodeJob, run_encode
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.series import make_series
from vqa_cli.store.rungs import FrameValues, Measured, Rungs
from vqa_cli.store.seen import Seen
from vqa_cli.text import as_text
from vqa_cli.values import ClipScore, Scorer

OnShare = Callable[[float], None]
# Share of a rung's work that encoding is taken for in its progress.
_ENCODING = 0.6


@dataclass(frozen=True)
class Site:
    """What one machine has: programs, a loaded model, what is known already, and folders."""

    runner: Runner
    ffmpeg: Ffmpeg
    encode_ffmpeg: Ffmpeg
    scorer: Scorer | None
    rungs: Rungs
    seen: Seen
    scratch: Path
    sources: PreparedSources

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.runner, self.ffmpeg.sha256, self.scorer, self.seen)


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


def execute(task: LadderTask, site: Site, on_share: OnShare) -> Outcome:
    """Carry a task out. What fails for its own reasons is an outcome that says why.

    Raises:
        StorageError: the disk is full or the store cannot be written, which will stop every task after this one too.
        Interrupted: the runner was closed.
    """
    folder = Path(tempfile.mkdtemp(dir=site.scratch))
    try:
        return (
            _score_source(task, site, folder)
            if isinstance(task, SourceTask)
            else _measure(task, site, folder, on_share)
        )
    except StorageError:
        raise
    except VqaError as err:
        reason = f"{err.message}: {err.detail}" if err.detail else err.message
        if isinstance(task, SourceTask):
            return SourceOutcome(task, None, {}, f"the source itself could not be scored: {err.message}")
        return RungOutcome(task, task.blank.model_copy(update={"status": "failed", "reason": reason}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _score_source(task: SourceTask, site: Site, folder: Path) -> SourceOutcome:
    viewer, source = site.viewer, task.source
    clip = viewer.known(task.viewing, task.content)
    if clip is None:
        with site.sources.path(source) as path:
            argv = fill(task.viewing.argv, {FFMPEG: site.ffmpeg.path, SOURCE: path})
            clip = viewer.view(task.viewing, argv, task.content, folder).clip
    assert clip is not None  # there are no such tasks without a scorer
    return SourceOutcome(task, _model_score(clip, task), {"model": clip.frame_scores})


def _measure(task: RungTask, site: Site, folder: Path, on_share: OnShare) -> RungOutcome:
    kept = Path(task.keep) if task.keep else None
    if (known := _known(task, site)) and (kept is None or _holds(kept, known.measured.encode)):
        return _outcome(task, site, known, kept, cached=True)
    output = folder / task.output
    with site.sources.path(task.source) as source:
        encode_argv, argv = command_lines(task, site, source)
        job = EncodeJob(encode_argv, folder, output, task.source.frames, task.source.fps)
        encode = run_encode(site.runner, job, lambda share: on_share(share * _ENCODING))
        _check_coded(output, task)
        viewed = site.viewer.view(task.viewing, argv, encode.sha256, folder)
    fidelity = {name: make_series(values, task.source.fps) for name, values in viewed.fidelity.values.items()}
    found = _Found(Measured(encode=encode, fidelity=fidelity), viewed.clip, viewed.fidelity.values)
    if not viewed.fidelity.faults:
        site.rungs.store(task.key, found.measured, found.values)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(output, kept)
    return _outcome(task, site, found, kept, remarks=viewed.fidelity.remarks)


@dataclass(frozen=True)
class _Found:
    """Everything that is known of a rung: its encode, what was compared, and the model's verdict."""

    measured: Measured
    clip: ClipScore | None
    values: FrameValues


def _known(task: RungTask, site: Site) -> _Found | None:
    """What is remembered of a rung, if that is everything."""
    if (stored := site.rungs.load(task.key)) is None:
        return None
    measured, values = stored
    clip = site.viewer.known(task.viewing, measured.encode.sha256)
    return None if clip is None and site.scorer is not None else _Found(measured, clip, values)


def _holds(kept: Path, encode: EncodeResult) -> bool:
    """Whether this very encode was kept: other settings of another run may have left a file of that name."""
    return kept.is_file() and file_sha256(kept) == encode.sha256


def command_lines(task: RungTask, site: Site, source: Path | str) -> tuple[tuple[Argv, ...], Argv]:
    """The task's command lines with this machine's paths."""
    paths: dict[Path, Path | str] = {FFMPEG: site.encode_ffmpeg.path, SOURCE: source, ENCODE: task.output}
    encode = tuple(fill(argv, paths) for argv in task.encode)
    return encode, fill(task.viewing.argv, {**paths, FFMPEG: site.ffmpeg.path})


def _outcome(
    task: RungTask, site: Site, found: _Found, kept: Path | None, *, cached: bool = False, remarks: tuple[str, ...] = ()
) -> RungOutcome:
    # A prepared source is recorded by its name, not by the temporary folder that it lay in.
    encode_argv, argv = command_lines(task, site, site.sources.recorded(task.source))
    encode, clip, values = found.measured.encode, found.clip, found.values
    done = {
        "status": "ok",
        "reason": None,
        "encode_argv": encode_argv,
        "measure_argv": argv,
        "encode": encode.model_copy(update={"path": as_text(str(kept))}) if kept else encode,
        "score": _model_score(clip, task) if clip else None,
        "fidelity": found.measured.fidelity,
        "warnings": (*task.blank.warnings, *remarks),
    }
    if clip is not None:
        values = {"model": clip.frame_scores, **values}
    return RungOutcome(task, task.blank.model_copy(update=done), values, cached)


def _check_coded(output: Path, task: RungTask) -> None:
    info = probe(output)
    if info.coded != task.size:
        raise ToolError(f"the encoder made {info.coded} instead of {task.size}: {output.name}")


def _model_score(clip: ClipScore, task: LadderTask) -> ModelScore:
    """A clip's verdict for the run document."""
    series = make_series(np.asarray(clip.frame_scores, dtype=np.float64), task.source.fps)
    return ModelScore(score=clip.score, raw=clip.raw, others=clip.others, series=series)
