"""One decode of a file, alone or beside its reference: what the scorer is shown, and what is compared on the way.

A :class:`Viewing` is a value: it says everything that decides a number. :func:`view` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli.errors import InputError
from vqa_cli.identity import PixelWish
from vqa_cli.measure.template import ENCODE, FFMPEG, SOURCE, Argv
from vqa_cli.media.changes import refuse_logged_change
from vqa_cli.media.counting import MADE_UP, damaged, first_complaint, made_up
from vqa_cli.media.decode import (
    MeasureOrder,
    build_frames_argv,
    build_measure_argv,
    build_reference_argv,
    compared_depth,
)
from vqa_cli.media.fidelity import Fidelity, read_logs
from vqa_cli.media.frames import FrameStream, frame_format, open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.prefetch import prefetch
from vqa_cli.media.probe import check_unchanged
from vqa_cli.media.process import Runner
from vqa_cli.store.seen import Seen, Stream
from vqa_cli.values import ClipScore, FrameFormat, MediaInfo, Scorer, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# The reference as it is compared, in a folder of its own.
REFERENCE = "reference.mkv"


@dataclass(frozen=True, slots=True)
class Viewing:
    """A decode to be made.

    Attributes:
        argv: template of the command; a file alone is ``SOURCE``, beside its reference (``SOURCE``) it is ``ENCODE``.
        alone: template of the command that shows the model the same frames without a reference: what scores are kept by.
        pixels: layout of the frames that come out.
        bit_depth: at which files are compared.
        metrics: what is compared; empty without a reference.
        every: each how many frames come out.
        frames: how many must come out, ``None`` where that cannot be known before.
        reference: template of the command that writes the reference as it is compared to :data:`REFERENCE`; empty where it
            must be read as it is.
    """

    argv: Argv
    alone: Argv
    pixels: FrameFormat
    bit_depth: int = 8
    metrics: tuple[str, ...] = ()
    every: int = 1
    frames: int | None = None
    reference: Argv = ()

    @property
    def reference_bytes(self) -> int:
        """How large that file will be, about."""
        return (self.frames or 0) * self.every * self.pixels.width * self.pixels.height * 3 // 2

    def stream(self, content: str, ffmpeg: str) -> Stream:
        """What the model is shown of a file with this content, decoded by the program with this hash."""
        compared = bool(self.metrics)
        return Stream(content, self.alone, self.pixels, ffmpeg, self.bit_depth, self.every, compared)


def plan_viewing(source: SourceView, order: MeasureOrder, wish: PixelWish, frames: int | None) -> Viewing:
    """The viewing of a file alone."""
    order, pixels = _in_pixels(source, order, wish, source.size)
    order, source = replace(order, metrics=()), replace(source, path=SOURCE)
    argv = build_frames_argv(FFMPEG, source, order)
    # Frames are known by their number, however they were found.
    alone = build_frames_argv(FFMPEG, replace(source, seek=None), order) if source.seek else argv
    return Viewing(argv, alone, pixels, every=order.every, frames=frames)


def plan_comparison(
    encode: SourceView, reference: SourceView, order: MeasureOrder, wish: PixelWish, frames: int | None
) -> Viewing:
    """The viewing of a file beside its reference."""
    encode, reference = replace(encode, path=ENCODE), replace(reference, path=SOURCE)
    order, pixels = _in_pixels(encode, order, wish, reference.size)
    return Viewing(
        build_measure_argv(FFMPEG, encode, reference, order),
        build_frames_argv(FFMPEG, replace(encode, seek=None), replace(order, metrics=())),
        pixels,
        compared_depth(encode, reference),
        order.metrics,
        order.every,
        frames,
        build_reference_argv(FFMPEG, encode, reference, order, REFERENCE),
    )


def _in_pixels(
    view: SourceView, order: MeasureOrder, wish: PixelWish, original: Size
) -> tuple[MeasureOrder, FrameFormat]:
    """The order with the layout that the model wants, and the frames that it gives."""
    pixels = frame_format(order.display, view.colour, original, wish)
    return replace(order, layout=pixels.layout, untagged=pixels.matrix), pixels


@dataclass(frozen=True)
class Viewed:
    """What came of a decode; ``clip`` is ``None`` without a scorer, ``complaint`` the decoder's first error."""

    clip: ClipScore | None
    fidelity: Fidelity
    complaint: str | None = None


@dataclass(frozen=True)
class Viewer:
    """What carrying out a viewing needs of a machine; ``on_share`` hears the share of the frames that the model saw."""

    runner: Runner
    ffmpeg_sha256: str
    scorer: Scorer | None
    seen: Seen
    on_share: Callable[[float], None] | None = None

    def known(self, viewing: Viewing, content: str) -> ClipScore | None:
        """The model's verdict on a file with this content, where nothing need be decoded for it."""
        return self.seen.find(viewing.stream(content, self.ffmpeg_sha256), self.scorer) if self.scorer else None

    def alone(self, viewing: Viewing, content: str) -> AbstractContextManager[None]:
        """Whoever else wants the verdict on this content waits until this one is done, and then finds it."""
        assert self.scorer is not None
        return self.seen.alone(viewing.stream(content, self.ffmpeg_sha256), self.scorer)

    def remember(self, viewing: Viewing, content: str, clip: ClipScore) -> None:
        """Keep a verdict on a file with this content that was reached on another machine.

        Raises:
            StorageError: it cannot be written.
        """
        self.seen.remember(viewing.stream(content, self.ffmpeg_sha256), clip)

    def view(self, viewing: Viewing, argv: Argv, content: str, workdir: Path, info: MediaInfo | None = None) -> Viewed:
        """Decode once for scorer and metrics.

        Args:
            argv: the viewing's command with paths filled in.
            workdir: a folder of its own, where the metrics' logs go.
            info: of a file that somebody gave, and that may change while it is read; ``None`` for our own encodes.

        Raises:
            InputError: fewer or more frames than expected, or none; another picture in mid-file; the file has changed.
            ToolError: ffmpeg failed or fell silent.
            ModelError: the score is no number.
            StorageError: what was seen cannot be written.
        """
        clip: ClipScore | None = None
        pixels, wanted = viewing.pixels, viewing.frames
        what = str(info.path) if info else "the encode"
        with open_frames(self.runner, argv, pixels, expected=wanted, what=what, cwd=workdir) as frames:
            if self.scorer is None:
                for _ in frames:
                    pass
            else:
                stream = viewing.stream(content, self.ffmpeg_sha256)
                clip = self.seen.score(stream, self.scorer, prefetch(self._told(_whole(frames, what, info), wanted)))
        read = read_logs(workdir, viewing.metrics, frames=frames.frames * viewing.every, bit_depth=viewing.bit_depth)
        return Viewed(clip, read, first_complaint(frames.log))

    def _told(self, chunks: Iterator[NDArray[np.uint8]], wanted: int | None) -> Iterator[NDArray[np.uint8]]:
        seen = 0
        for chunk in chunks:
            yield chunk
            seen += len(chunk)
            if self.on_share is not None and wanted:
                self.on_share(min(1.0, seen / wanted))


def _whole(frames: FrameStream, what: str, info: MediaInfo | None) -> Iterator[NDArray[np.uint8]]:
    """The frames; where they turn out to be wrong, an error at the end, so that nothing of them is remembered."""
    yield from frames
    if not frames.frames:
        raise InputError(f"no frame in the part asked for: {what}")
    if info is not None:
        refuse_logged_change(info, frames.log)
        check_unchanged(info)
        if made_up(frames.log):
            raise damaged(info.path, MADE_UP, first_complaint(frames.log))
