"""Scoring one file, from Python or for ``vqa score``."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.document import Series
from vqa_cli.errors import InputError, ToolError
from vqa_cli.files import file_sha256
from vqa_cli.media.binaries import Ffmpeg, find_ffmpeg
from vqa_cli.media.changes import refuse_logged_change
from vqa_cli.media.colour import HDR_TRANSFERS
from vqa_cli.media.decode import MeasureOrder, build_count_argv, build_frames_argv, build_measure_argv, compared_depth
from vqa_cli.media.delivery import probe_source
from vqa_cli.media.encode import count_frames
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import FrameStream, frame_format, open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.prefetch import prefetch
from vqa_cli.media.probe import check_unchanged, packet_rates
from vqa_cli.media.process import Runner
from vqa_cli.series import make_series
from vqa_cli.store.content import without_paths
from vqa_cli.store.seen import Seen, Stream
from vqa_cli.values import ClipScore, FrameFormat, MediaInfo, Scorer, Size, StrPath, optional_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """How to score.

    Attributes:
        every: each how many frames; the temporal window shrinks with it. ``None`` is what the model was trained on: every
            frame, but for heads of one's own; with a reference it is always every frame.
        start_s, duration_s: part of the clip by its own time, or the reference's where there is one; all of it by default.
        reference: a file with the same frames, to measure ``metrics`` against.
        at: short side, or (width, height), of the picture that is judged; ``None`` is the reference's size where there is
            one, so that a small encode is judged as it is shown, else the file's own.
    """

    every: int | None = None
    start_s: float | None = None
    duration_s: float | None = None
    reference: StrPath | None = None
    metrics: tuple[str, ...] = ()
    at: int | tuple[int, int] | None = None


@dataclass(frozen=True)
class FileScore:
    """The verdict on one file."""

    score: ClipScore
    fidelity: dict[str, Series]
    values: dict[str, NDArray[np.float64]]
    size: Size
    frames: int
    fps: Fraction

    def document(self, *, per_frame: bool = False) -> dict[str, Any]:
        """As plain data, for JSON."""
        model = self.score.model
        scale = model.scale
        frames = make_series(self.values["model"], self.fps)
        return {
            "score": self.score.score,
            "raw": self.score.raw,
            **({"others": self.score.others} if self.score.others else {}),
            "frame_scores": frames.pooled.model_dump(),
            "fidelity": {name: series.pooled.model_dump() for name, series in self.fidelity.items()},
            "frames": self.frames,
            "width": self.size.width,
            "height": self.size.height,
            "model": {
                "name": model.name, "sha256": model.sha256,
                "files": {file.part: {"name": file.name, "sha256": file.sha256} for file in model.files},
                "precision": model.precision, "device": model.device, "verified": model.verified, "pooling": model.pooling,
                "preprocessing": model.preprocessing, "training_data": model.training_data, "licence": model.licence,
                "scale": scale.name, "scale_description": scale.description, "minimum": scale.minimum,
                "maximum": scale.maximum, "higher_is_better": scale.higher_is_better,
            },
            **({"per_frame": {k: [round(float(x), 6) for x in v] for k, v in self.values.items()}} if per_frame else {}),
        }  # fmt: skip


def score_file(
    path: StrPath,
    request: ScoreRequest | None = None,
    *,
    scorer: Scorer | None = None,
    runner: Runner | None = None,
    ffmpeg: Ffmpeg | None = None,
    cache: StrPath | None = None,
) -> FileScore:
    """Score a video. Without ``scorer``, ``runner`` and ``ffmpeg`` the bundled model and the embedded ffmpeg are used.

    Args:
        cache: folder where frame scores and features are remembered by content; a file that was seen already is then
            not decoded for another temporal pooling or head. With a reference everything is decoded all the same.

    Raises:
        InputError: unreadable, damaged, HDR, or its frames do not match the reference's.
        ToolError: ffmpeg failed or cannot measure a metric.
        ModelError: the score is no number.
    """
    if scorer is None:
        from vqa_cli.model.load import load_scorer

        scorer = load_scorer()
    if runner is None:
        with Runner() as own:
            return score_file(path, request, scorer=scorer, runner=own, ffmpeg=ffmpeg, cache=cache)
    request, ffmpeg = request or ScoreRequest(), ffmpeg or find_ffmpeg(runner)
    info, reference = _probed(runner, ffmpeg, Path(path)), read_reference(request, runner, ffmpeg)
    size = _judged_size(reference or info, request)
    every = request.every or (1 if reference else scorer.identity.every)
    seen = Seen(optional_path(cache))
    pixels = frame_format(size, SourceView.of(info).colour, info.size, scorer.identity.pixels)
    order = _order(request, every, pixels, _part(reference or info, request))
    stream = _stream(ffmpeg, info, order, pixels, hashed=cache is not None)
    if reference is None and (clip := seen.find(stream, scorer)):
        values = {"model": np.asarray(clip.frame_scores, dtype=np.float64)}
        return FileScore(clip, {}, values, size, len(clip.frame_scores), info.fps / every)
    with tempfile.TemporaryDirectory(prefix="vqa-") as folder:
        workdir = Path(folder)
        argv, depth = _command(ffmpeg, info, reference, order, runner)
        stream = replace(stream, bit_depth=depth, compared=reference is not None)
        with open_frames(runner, argv, pixels, expected=None, what=str(path), cwd=workdir) as frames:
            clip = seen.score(stream, scorer, prefetch(_complete(info, request, every, frames)))
        values = {"model": np.asarray(clip.frame_scores, dtype=np.float64)}
        values |= read_logs(workdir, request.metrics, frames=frames.frames, bit_depth=depth).values
    fps = info.fps / every
    fidelity = {name: make_series(series, fps) for name, series in values.items() if name != "model"}
    return FileScore(clip, fidelity, values, size, frames.frames, fps)


def read_reference(request: ScoreRequest, runner: Runner, ffmpeg: Ffmpeg) -> MediaInfo | None:
    """The reference, if there is one. What is wrong with it is wrong for every file that is compared with it.

    Raises:
        InputError: it cannot be read, or is HDR.
        ToolError: ffmpeg cannot measure a metric.
    """
    if request.reference is None:
        return None
    missing = [name for name in request.metrics if name not in ffmpeg.metrics]
    if missing:
        raise ToolError(f"this ffmpeg cannot measure {', '.join(missing)}: {ffmpeg.path}", hint="leave --ffmpeg out")
    return _probed(runner, ffmpeg, Path(request.reference))


def _probed(runner: Runner, ffmpeg: Ffmpeg, path: Path) -> MediaInfo:
    info = probe_source(runner, ffmpeg, path)
    if info.colour.transfer in HDR_TRANSFERS:
        raise InputError(
            f"HDR video ({info.colour.transfer}): {path}",
            hint="no model or VMAF here is trained on HDR; `vqa ladder --tonemap` judges an approximate SDR version",
        )
    return info


def _judged_size(info: MediaInfo, request: ScoreRequest) -> Size:
    if isinstance(request.at, tuple):
        return Size(*request.at)
    return info.size.with_short_side(request.at or info.size.short_side // 2 * 2)


def _stream(ffmpeg: Ffmpeg, info: MediaInfo, order: MeasureOrder, pixels: FrameFormat, *, hashed: bool) -> Stream:
    """What the model is shown; the file's hash is only taken where something is remembered by it."""
    view = SourceView.of(info)
    argv = without_paths(build_frames_argv(ffmpeg.path, view, order), {str(view.path): "FILE"})
    content = file_sha256(info.path) if hashed else ""
    return Stream(content, argv, pixels, ffmpeg.sha256, every=order.every)


def _order(request: ScoreRequest, every: int, pixels: FrameFormat, part: tuple[int, int | None]) -> MeasureOrder:
    return MeasureOrder(
        Size(pixels.width, pixels.height), request.metrics, every=every, first=part[0], end=part[1],
        layout=pixels.layout, untagged=pixels.matrix,
    )  # fmt: skip


def _part(clock: MediaInfo, request: ScoreRequest) -> tuple[int, int | None]:
    """Numbers of the first frame wanted and of the first one after it that is not; time runs as in ``clock``."""
    if request.start_s is None and request.duration_s is None:
        return 0, None
    start = Fraction(str(request.start_s or 0))
    end = None if request.duration_s is None else start + Fraction(str(request.duration_s))
    if not clock.vfr:
        return ceil(start * clock.fps), None if end is None else ceil(end * clock.fps)
    times = [time for time, _ in packet_rates(clock.path)[0]]
    first, last = (None if t is None else bisect_left(times, times[0] + float(t)) for t in (start, end))
    return first or 0, last


def _complete(info: MediaInfo, request: ScoreRequest, every: int, frames: FrameStream) -> Iterator[NDArray[np.uint8]]:
    """The frames; where they turn out not to be all, an error at the end, so that nothing of them is remembered."""
    yield from frames
    _check_complete(info, request, every, frames)


def _command(
    ffmpeg: Ffmpeg,
    info: MediaInfo,
    reference: MediaInfo | None,
    order: MeasureOrder,
    runner: Runner,
) -> tuple[tuple[str, ...], int]:
    view = SourceView.of(info)
    if reference is None:
        return build_frames_argv(ffmpeg.path, view, order), 8
    theirs, ours = (
        count_frames(runner, build_count_argv(ffmpeg.path, SourceView.of(i)), i)[0] for i in (reference, info)
    )
    if theirs != ours:
        raise InputError(
            f"frames do not match: {info.path} has {ours}, reference {reference.path} has {theirs}",
            hint="frames are compared by number; cut both to the same ones",
        )
    depth = compared_depth(view, SourceView.of(reference))
    return build_measure_argv(ffmpeg.path, view, SourceView.of(reference), order), depth


def _check_complete(info: MediaInfo, request: ScoreRequest, every: int, frames: FrameStream) -> None:
    """A decoder that complains and gives fewer frames than there are packets has met damage."""
    refuse_logged_change(info, frames.log)
    check_unchanged(info)
    if request.start_s is not None or request.duration_s is not None:
        if not frames.frames:
            raise InputError(f"nothing to score in the part asked for: {info.path} lasts {info.duration_s:.2f} s")
        return
    complaints = [line for line in frames.log.splitlines() if "[error]" in line]
    if frames.frames < -(-info.frames // every) and complaints:
        raise InputError(
            f"damaged: {frames.frames} of {info.frames} frames could be decoded: {info.path}",
            detail=complaints[0],
        )
