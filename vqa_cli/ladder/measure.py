"""One rung from plan to numbers: encode it, decode it once for scorer and metrics, forget the file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vqa_cli.errors import StorageError, ToolError, VqaError
from vqa_cli.ladder.cache import Cache, FrameValues, KeyParts, Measured, rung_key, without_paths
from vqa_cli.ladder.plan import PlannedRung
from vqa_cli.ladder.source import ReadySource
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.command import build_encode_argv
from vqa_cli.media.decode import MeasureOrder, build_frames_argv, build_measure_argv
from vqa_cli.media.encode import EncodeJob, run_encode
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import frame_format, open_frames, prefetch
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.run import EncodeResult, ModelScore, RungResult, RungStatus
from vqa_cli.series import make_series
from vqa_cli.settings import LadderSettings
from vqa_cli.types import ClipScore, Scorer, Size


@dataclass(frozen=True, slots=True)
class _Lines:
    """Command lines of one rung."""

    encode: tuple[tuple[str, ...], ...]
    measure: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """What every measurement of one source uses."""

    runner: Runner
    ffmpeg: Ffmpeg
    libraries: dict[str, str]
    scorer: Scorer | None
    settings: LadderSettings
    source: ReadySource
    display: Size
    cache: Cache
    workdir: Path
    keep: Path | None
    encode_ffmpeg: Ffmpeg

    @property
    def order(self) -> MeasureOrder:
        s = self.settings
        return MeasureOrder(self.display, s.metrics, s.downscale, s.upscale, s.threads)

    @property
    def _programs(self) -> str:
        """Hash of the build that measures, and of the one that encodes where it is another."""
        both = dict.fromkeys((self.ffmpeg.sha256, self.encode_ffmpeg.sha256))
        return "+".join(both)

    def key(self, argv: tuple[tuple[str, ...], ...], library: str, names: dict[str, str]) -> str:
        """Cache key of a measurement made by these command lines."""
        model = self.scorer.identity if self.scorer else None
        what = [model.sha256, model.precision, model.pooling, model.preprocessing] if model else []
        return rung_key(
            KeyParts(
                source=self.source.sha256,
                preparation=json.dumps(asdict(self.source.steps)),
                argv=tuple(without_paths(line, names) for line in argv),
                ffmpeg=self._programs,
                libraries=library,
                model=json.dumps(what),
            )
        )


def measure_source(bench: Bench) -> tuple[ModelScore | None, FrameValues]:
    """The source's own score at the display size; ``None`` without a model."""
    if bench.scorer is None:
        return None, {}
    argv = build_frames_argv(bench.ffmpeg.path, bench.source.view, bench.order)
    names = {str(bench.source.view.path): "SOURCE"}
    key = bench.key((argv,), "", names)
    if found := bench.cache.load(key):
        return found[0].score, found[1]
    pixels = frame_format(bench.display, bench.source.view.colour, bench.source.info.size)
    what = str(bench.source.info.path)
    with open_frames(bench.runner, argv, pixels, expected=bench.source.frames, what=what) as frames:
        clip = bench.scorer.score(prefetch(frames), pixels)
    score = model_score(clip, bench)
    values = {"model": clip.frame_scores}
    bench.cache.store(key, Measured(encode=None, score=score, fidelity={}), values)
    return score, values


def measure_rung(
    bench: Bench, rung: PlannedRung, on_share: Callable[[float], None]
) -> tuple[RungResult, FrameValues, bool]:
    """Encode and measure one rung; a failure is a result with a reason. The flag says "from the cache".

    Raises:
        StorageError: the disk is full or the cache cannot be written.
        Interrupted: the runner was closed.
    """
    folder = Path(tempfile.mkdtemp(dir=bench.workdir, prefix=f"{rung.id}-"))
    try:
        return _measure(bench, rung, folder, on_share)
    except StorageError:
        raise  # a full disk will stop every rung after this one too
    except VqaError as err:
        reason = f"{err.message}: {err.detail}" if err.detail else err.message
        return _result(rung, bench, status="failed", reason=reason), {}, False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(
    bench: Bench, rung: PlannedRung, folder: Path, on_share: Callable[[float], None]
) -> tuple[RungResult, FrameValues, bool]:
    output = folder / f"{rung.id}.mp4"
    # Named relative to the working folder, so that the recorded command lines are the same in every run.
    encode_argv = build_encode_argv(bench.encode_ffmpeg.path, bench.source.view, rung.order, output.name)
    coded = _coded_view(bench, rung, Path(output.name))
    measure_argv = build_measure_argv(bench.ffmpeg.path, coded, bench.source.view, bench.order)
    names = {output.name: "ENCODE", str(bench.source.view.path): "SOURCE"}
    library = bench.libraries[rung.order.encoder.name]
    key = bench.key((*encode_argv, measure_argv), library, names)
    lines = _recorded(bench, encode_argv, measure_argv)
    kept = bench.keep / output.name if bench.keep else None
    found = bench.cache.load(key)
    if found and (kept is None or kept.exists()):
        result = _result(rung, bench, status="ok", measured=_at(found[0], kept), lines=lines)
        return result, found[1], True
    view = bench.source.view
    encode = run_encode(
        bench.runner,
        EncodeJob(encode_argv, folder, output, bench.source.frames, view.fps),
        lambda s: on_share(s * 0.6),
    )
    _check_coded(output, rung)
    score, values = _score_and_compare(bench, measure_argv, folder, coded, output.name)
    fps = view.fps
    fidelity = {name: make_series(series, fps) for name, series in values.items() if name != "model"}
    measured = Measured(encode=encode, score=score, fidelity=fidelity)
    bench.cache.store(key, measured, values)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(output, kept)
    return _result(rung, bench, status="ok", measured=_at(measured, kept), lines=lines), values, False


def _recorded(bench: Bench, encode: tuple[tuple[str, ...], ...], measure: tuple[str, ...]) -> _Lines:
    """Command lines as they are kept: a prepared source by its name, not by the temporary folder it lay in."""
    if not bench.source.steps:
        return _Lines(encode, measure)
    path = bench.source.view.path
    clean = [tuple(part.replace(f"file:{path}", f"file:{path.name}") for part in argv) for argv in (*encode, measure)]
    return _Lines(tuple(clean[:-1]), clean[-1])


def _score_and_compare(
    bench: Bench, argv: tuple[str, ...], folder: Path, coded: SourceView, name: str
) -> tuple[ModelScore | None, FrameValues]:
    pixels = frame_format(bench.display, bench.source.view.colour, bench.source.info.size)
    values: FrameValues = {}
    score: ModelScore | None = None
    frames_expected = bench.source.frames
    with open_frames(bench.runner, argv, pixels, expected=frames_expected, what=name, cwd=folder) as frames:
        if bench.scorer is None:
            for _ in frames:
                pass
        else:
            clip = bench.scorer.score(prefetch(frames), pixels)
            score = model_score(clip, bench)
            values["model"] = clip.frame_scores
    depth = 10 if max(coded.bit_depth, bench.source.view.bit_depth) > 8 else 8
    values |= read_logs(folder, bench.settings.metrics, frames=frames_expected, bit_depth=depth)
    return score, values


def _coded_view(bench: Bench, rung: PlannedRung, output: Path) -> SourceView:
    """How the encode will be read; known before it exists, because it is part of the cache key."""
    return SourceView(
        path=output,
        stream_index=0,
        fps=bench.source.view.fps,
        size=rung.order.size,
        colour=bench.source.view.colour,
        full_range=False,
        bit_depth=10 if "10" in rung.order.pix_fmt else 8,
    )


def _check_coded(output: Path, rung: PlannedRung) -> None:
    info = probe(output)
    if info.coded != rung.order.size:
        raise ToolError(f"the encoder made {info.coded} instead of {rung.order.size}: {output.name}")


def model_score(clip: ClipScore, bench: Bench) -> ModelScore:
    """A clip's verdict for the run document."""
    values = np.asarray(clip.frame_scores, dtype=np.float64)
    return ModelScore(
        score=clip.score, raw=clip.raw, others=clip.others, series=make_series(values, bench.source.view.fps)
    )


def _at(measured: Measured, kept: Path | None) -> Measured:
    if kept is None or measured.encode is None:
        return measured
    encode = EncodeResult(**{**measured.encode.model_dump(), "path": str(kept)})
    return measured.model_copy(update={"encode": encode})


def _result(
    rung: PlannedRung,
    bench: Bench,
    *,
    status: RungStatus,
    reason: str | None = None,
    measured: Measured | None = None,
    lines: _Lines | None = None,
) -> RungResult:
    order = rung.order
    return RungResult(
        id=rung.id,
        encoder=order.encoder.name,
        encoder_preset=order.speed or order.encoder.default_speed or None,
        width=order.size.width,
        height=order.size.height,
        pix_fmt=order.pix_fmt,
        rate=order.rate,
        status=status,
        reason=reason,
        encode_argv=lines.encode if lines else (),
        measure_argv=lines.measure if lines else (),
        encode=measured.encode if measured else None,
        score=measured.score if measured else None,
        fidelity=measured.fidelity if measured else {},
        warnings=rung.warnings,
    )


def skipped(rung: PlannedRung, bench: Bench, reason: str) -> RungResult:
    """A rung that was not tried."""
    return _result(rung, bench, status="skipped", reason=reason)
