"""One rung from plan to numbers: encode it, decode it once for scorer and metrics, forget the file."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vqa_cli.document import EncodeResult, ModelScore, RungResult, RungStatus
from vqa_cli.errors import StorageError, ToolError, VqaError
from vqa_cli.files import file_sha256
from vqa_cli.ladder.plan import PlannedRung
from vqa_cli.ladder.source import ReadySource
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.command import build_encode_argv
from vqa_cli.media.decode import MeasureOrder, build_frames_argv, build_measure_argv, compared_depth
from vqa_cli.media.encode import EncodeJob, run_encode
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import frame_format, open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.pixels import bit_depth
from vqa_cli.media.prefetch import prefetch
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.series import make_series
from vqa_cli.settings import LadderSettings
from vqa_cli.store.content import without_paths
from vqa_cli.store.rungs import Cache, FrameValues, KeyParts, Measured, rung_key
from vqa_cli.store.seen import Seen, Stream
from vqa_cli.values import ClipScore, FrameFormat, PixelWish, Scorer, Size


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
    seen: Seen
    workdir: Path
    keep: Path | None
    encode_ffmpeg: Ffmpeg

    @property
    def order(self) -> MeasureOrder:
        s, pixels = self.settings, self.pixels
        return MeasureOrder(
            self.display, s.metrics, s.downscale, s.upscale, s.threads, layout=pixels.layout, untagged=pixels.matrix
        )

    @property
    def pixels(self) -> FrameFormat:
        wish = self.scorer.identity.pixels if self.scorer else PixelWish()
        return frame_format(self.display, self.source.view.colour, self.source.info.size, wish)

    @property
    def preparation(self) -> str:
        return json.dumps(asdict(self.source.steps))

    @property
    def _programs(self) -> str:
        """Hash of the build that measures, and of the one that encodes where it is another."""
        both = dict.fromkeys((self.ffmpeg.sha256, self.encode_ffmpeg.sha256))
        return "+".join(both)

    def key(self, argv: tuple[tuple[str, ...], ...], library: str, names: dict[str, str]) -> str:
        """Cache key of a measurement made by these command lines."""
        return rung_key(
            KeyParts(
                source=self.source.sha256,
                preparation=self.preparation,
                argv=tuple(without_paths(line, names) for line in argv),
                ffmpeg=self._programs,
                libraries=library,
            )
        )

    def stream(self, view: SourceView, content: str, bit_depth: int = 8, *, compared: bool = True) -> Stream:
        """What the model is shown of a file with this content."""
        argv = build_frames_argv(self.ffmpeg.path, view, self.order)
        names = {str(view.path): "FILE"}
        return Stream(
            content, without_paths(argv, names), self.pixels, self.ffmpeg.sha256, bit_depth, compared=compared
        )


def measure_source(bench: Bench) -> tuple[ModelScore | None, FrameValues]:
    """The source's own score at the display size; ``None`` without a model."""
    if bench.scorer is None:
        return None, {}
    view = bench.source.view
    content = bench.source.sha256 + (bench.preparation if bench.source.steps else "")
    stream = bench.stream(view, content, compared=False)
    clip = bench.seen.find(stream, bench.scorer)
    if clip is None:
        argv = build_frames_argv(bench.ffmpeg.path, view, bench.order)
        what = str(bench.source.info.path)
        with open_frames(bench.runner, argv, bench.pixels, expected=bench.source.frames, what=what) as frames:
            clip = bench.seen.score(stream, bench.scorer, prefetch(frames))
    return model_score(clip, bench), {"model": clip.frame_scores}


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
    if (known := _known(bench, key, coded)) and (kept is None or _holds(kept, known[0].encode)):
        result = _result(rung, bench, status="ok", measured=_at(known[0], kept), score=known[1], lines=lines)
        return result, known[2], True
    view = bench.source.view
    encode = run_encode(
        bench.runner,
        EncodeJob(encode_argv, folder, output, bench.source.frames, view.fps),
        lambda s: on_share(s * 0.6),
    )
    _check_coded(output, rung)
    clip, values = _score_and_compare(bench, measure_argv, folder, coded, encode.sha256)
    fidelity = {name: make_series(series, view.fps) for name, series in values.items()}
    measured = Measured(encode=encode, fidelity=fidelity)
    bench.cache.store(key, measured, values)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(output, kept)
    score, values = _with_score(bench, clip, values)
    result = _result(rung, bench, status="ok", measured=_at(measured, kept), score=score, lines=lines)
    return result, values, False


def _holds(kept: Path, encode: EncodeResult) -> bool:
    """Whether this very encode was kept: other settings of another run may have left a file of that name."""
    return kept.is_file() and file_sha256(kept) == encode.sha256


def _known(bench: Bench, key: str, coded: SourceView) -> tuple[Measured, ModelScore | None, FrameValues] | None:
    """What is remembered of a rung, if that is everything: its encode and the model's verdict on it."""
    if (found := bench.cache.load(key)) is None:
        return None
    measured, values = found
    clip = None
    if bench.scorer is not None:
        stream = bench.stream(coded, measured.encode.sha256, _depth(bench, coded))
        if (clip := bench.seen.find(stream, bench.scorer)) is None:
            return None
    return measured, *_with_score(bench, clip, values)


def _with_score(bench: Bench, clip: ClipScore | None, values: FrameValues) -> tuple[ModelScore | None, FrameValues]:
    if clip is None:
        return None, values
    return model_score(clip, bench), {"model": clip.frame_scores, **values}


def _recorded(bench: Bench, encode: tuple[tuple[str, ...], ...], measure: tuple[str, ...]) -> _Lines:
    """Command lines as they are kept: a prepared source by its name, not by the temporary folder it lay in."""
    if not bench.source.steps:
        return _Lines(encode, measure)
    path = bench.source.view.path
    clean = [tuple(part.replace(f"file:{path}", f"file:{path.name}") for part in argv) for argv in (*encode, measure)]
    return _Lines(tuple(clean[:-1]), clean[-1])


def _score_and_compare(
    bench: Bench, argv: tuple[str, ...], folder: Path, coded: SourceView, content: str
) -> tuple[ClipScore | None, FrameValues]:
    clip: ClipScore | None = None
    expected, depth = bench.source.frames, _depth(bench, coded)
    with open_frames(bench.runner, argv, bench.pixels, expected=expected, what=coded.path.name, cwd=folder) as frames:
        if bench.scorer is None:
            for _ in frames:
                pass
        else:
            clip = bench.seen.score(bench.stream(coded, content, depth), bench.scorer, prefetch(frames))
    return clip, read_logs(folder, bench.settings.metrics, frames=expected, bit_depth=depth).values


def _depth(bench: Bench, coded: SourceView) -> int:
    return compared_depth(coded, bench.source.view)


def _coded_view(bench: Bench, rung: PlannedRung, output: Path) -> SourceView:
    """How the encode will be read; known before it exists, because it is part of the cache key."""
    return SourceView(
        path=output,
        stream_index=0,
        fps=bench.source.view.fps,
        size=rung.order.size,
        colour=bench.source.view.colour,
        full_range=False,
        bit_depth=bit_depth(rung.order.pix_fmt),
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
    if kept is None:
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
    score: ModelScore | None = None,
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
        score=score,
        fidelity=measured.fidelity if measured else {},
        warnings=rung.warnings,
    )


def skipped(rung: PlannedRung, bench: Bench, reason: str) -> RungResult:
    """A rung that was not tried."""
    return _result(rung, bench, status="skipped", reason=reason)
