"""Raw frames from ffmpeg's pipe as NumPy chunks; the end of the stream is success only when every frame came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError
from vqa_cli.identity import PixelWish
from vqa_cli.media.graph import HD_SHORT_SIDE
from vqa_cli.media.process import Pipe, Runner
from vqa_cli.values import ColourTags, FrameFormat, Matrix, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Large enough that a pipe read costs nothing beside the work on it, small enough to stay in the cache hierarchy.
CHUNK_BYTES = 8 * 1024 * 1024
_ANY_YUV = PixelWish()


class FrameStream:
    """Frames of one decode, shape (n, *format.shape) uint8 per chunk, in order; iterate once."""

    def __init__(self, pipe: Pipe, frame_format: FrameFormat, expected: int | None, what: str) -> None:
        self.format = frame_format
        self.frames = 0
        self.log = ""
        self._pipe = pipe
        self._expected = expected
        self._what = what

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        size = self.format.frame_bytes
        per_chunk = max(1, min(64, CHUNK_BYTES // size))
        while True:
            chunk = np.empty((per_chunk, *self.format.shape), dtype=np.uint8)
            got = self._pipe.read_into(chunk.data.cast("B"))
            whole, rest = divmod(got, size)
            if rest:
                raise InputError(f"decoding stopped inside frame {self.frames + whole}: {self._what}")
            self.frames += whole
            if whole:
                yield chunk[:whole]
            if whole < per_chunk:
                break
        self.log = self._pipe.finish()
        self._reconcile()

    def _reconcile(self) -> None:
        if self._expected is not None and self.frames != self._expected:
            raise InputError(
                f"{self.frames} of {self._expected} frames could be decoded: {self._what}",
                hint="the file is damaged or cut short",
            )


@contextmanager
def open_frames(
    runner: Runner,
    argv: Sequence[str],
    frame_format: FrameFormat,
    *,
    expected: int | None,
    what: str,
    cwd: Path | None = None,
) -> Iterator[FrameStream]:
    """Run a decode whose standard output is raw frames (see ``command.build_frames_argv``).

    Args:
        expected: frames that must come, ``None`` where that cannot be known before.
        what: names the file in errors.

    Raises:
        InputError: fewer or more frames than expected, or a torn one.
        ToolError: ffmpeg failed or fell silent.
    """
    with runner.pipe(argv, cwd=cwd) as pipe:
        yield FrameStream(pipe, frame_format, expected, what)


def frame_format(size: Size, colour: ColourTags, source: Size, wish: PixelWish = _ANY_YUV) -> FrameFormat:
    """Format of frames at ``size``; the matrix comes from the tag, or is assumed as ``wish`` says where there is none.

    All commands deliver yuv420p in limited range, and RGB in full range as it always is.
    """
    matrix = _matrix(colour.matrix, source, wish)
    return FrameFormat(size.width, size.height, matrix, full_range=wish.layout == "rgb24", layout=wish.layout)


def _matrix(tag: str | None, source: Size, wish: PixelWish) -> Matrix:
    if tag is None:
        return "bt709" if wish.untagged == "auto" and source.short_side >= HD_SHORT_SIDE else "bt601"
    if tag.startswith("bt2020"):
        return "bt2020"
    return "bt709" if tag == "bt709" else "bt601"
