"""Video files without any header, such as ``.yuv``: what they hold must be told, and their size says how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError, UsageError
from vqa_cli.media.decode import MeasureOrder, build_frames_argv
from vqa_cli.media.graph import SourceView, rate_text
from vqa_cli.values import ColourTags, Size

SUFFIXES = frozenset({".yuv"})
_MEASURED = 64  # pixels: whole groups of any format
_RATE = Fraction(25)  # of no effect: frames are numbered


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Size and ffmpeg's name of the pixel format of a file's frames. Their rate is not needed."""

    size: Size
    pix_fmt: str = "yuv420p"

    def frame_bytes(self) -> int:
        """Bytes of one frame as ffmpeg lays them out, without gaps between rows; see :meth:`layout`."""
        layout = self.layout()
        if layout.is_planar:
            return sum(c.width * c.height * (-(-c.bits // 8)) for c in layout.components)
        # Packed: components share words, which may have unused bits, and pixels that share their chroma a group of words.
        pixels = _MEASURED // int(layout.chroma_width(_MEASURED))
        group_bytes = pixels * int(layout.padded_bits_per_pixel) // 8
        return int(layout.chroma_width(self.size.width)) * group_bytes * self.size.height

    @property
    def bit_depth(self) -> int:
        """Of the deepest component."""
        return max(int(c.bits) for c in self.layout().components)

    def layout(self) -> Any:
        """PyAV's description of a frame.

        Raises:
            UsageError: no such format, or not one of whole bytes in memory; a side that is odd.
        """
        import av

        if self.size.width % 2 or self.size.height % 2:
            raise UsageError(f"raw frames need even sides: {self.size}")
        try:
            layout = av.VideoFormat(self.pix_fmt, self.size.width, self.size.height)
        except ValueError:
            raise UsageError(f"no such pixel format: {self.pix_fmt}", hint="yuv420p is the usual one") from None
        if layout.is_bit_stream or layout.has_palette or not layout.components:
            raise UsageError(f"not a format of raw frames: {self.pix_fmt}")
        return layout


def count_raw_frames(path: Path, layout: RawFormat) -> int:
    """Frames in a file of this format.

    Raises:
        InputError: it is empty or does not end where a frame ends.
    """
    frames, rest = divmod(path.stat().st_size, layout.frame_bytes())
    if rest or not frames:
        raise InputError(
            f"truncated, or of another format: {path} holds {frames} frames of {layout.size} {layout.pix_fmt} "
            f"and {rest} bytes"
        )
    return frames


def build_raw_argv(ffmpeg: Path, path: Path, layout: RawFormat, order: MeasureOrder) -> tuple[str, ...]:
    """Decode a headerless file as :func:`vqa_cli.media.decode.build_frames_argv` decodes any other."""
    view = SourceView(
        path.absolute(),
        0,
        _RATE,
        layout.size,
        ColourTags(),
        full_range=layout.pix_fmt.startswith("yuvj"),
        bit_depth=layout.bit_depth,
    )
    return build_frames_argv(
        ffmpeg, view, order,
        f="rawvideo", video_size=(layout.size.width, layout.size.height), pixel_format=layout.pix_fmt, framerate=rate_text(_RATE),
    )  # fmt: skip
