"""Finds a frame in a long file without decoding what lies before it, and proves that it is the one.

Every packet is read (not decoded), so the number of a frame is known by its time. Decoding starts two key frames before it,
so that the pictures which an open GOP or a recovery point leaves unfinished are not among those that are wanted, and frames
are then picked by their exact time. Before anything rests on it, a few frames are decoded from both of these key frames and
must be the same; and the first frame of the file must have the time that the packets give it. Where any of this fails, the file is
decoded from its beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.errors import ToolError
from vqa_cli.media.graph import GLOBAL, Seek, SourceView, compile_argv, open_input, picked
from vqa_cli.media.opening import open_media
from vqa_cli.media.process import Runner
from vqa_cli.media.timing import shown_packets

if TYPE_CHECKING:
    from numpy.typing import NDArray

# They hold a time for each frame, and ffmpeg seeks in them by an index.
_SOUGHT = ("mov,", "matroska,")
# Of which each packet is one frame to be shown. VP8 and old MPEG-4 have others.
_FRAME_BY_FRAME = frozenset(
    ["h264", "hevc", "vp9", "av1", "mpeg2video", "prores", "dnxhd", "ffv1", "mjpeg", "rawvideo", "jpeg2000", "utvideo"]
)
_COMPARED_FRAMES = 8
_SHOWN = re.compile(r"\bn: *\d+ +pts: *(-?\d+) .*?\bchecksum:(\w+)")


@dataclass(frozen=True)
class FrameIndex:
    """When each frame of a stream is shown, in ticks of the container's clock, rising, and which are key frames."""

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    tick_s: Fraction

    def start_us(self, key: int) -> int:
        """The time of a key frame as ffmpeg takes it, in microseconds; not before the frame, or it would be passed over."""
        return ceil(key * self.tick_s * 1_000_000)

    def starts_before(self, frame: int) -> list[int]:
        """Key frames from which decoding reaches this frame, latest first; not the first of the file."""
        keys = self.keys[self.keys <= self.pts[frame]]
        return [int(key) for key in keys[:0:-1]]


def read_index(path: Path, stream_index: int) -> FrameIndex | None:
    """The index of a stream, ``None`` where frames cannot be told by it.

    Raises:
        InputError: the file cannot be read.
    """
    with open_media(path) as container:
        stream = container.streams[stream_index]
        codec = stream.codec_context.name.removeprefix("lib").split("-")[0] if stream.codec_context else ""
        if not container.format.name.startswith(_SOUGHT) or not _is_plain(stream, codec):
            return None
        pts, keys = [], []
        for packet in shown_packets(container, stream):
            if packet.pts is None:
                return None
            pts.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
        tick_s = Fraction(stream.time_base)
    order = np.unique(np.array(pts, dtype=np.int64))
    return FrameIndex(order, np.unique(np.array(keys, dtype=np.int64)), tick_s) if len(order) == len(pts) else None


def _is_plain(stream: Any, codec: str) -> bool:
    return stream.codec.canonical_name in _FRAME_BY_FRAME or codec in _FRAME_BY_FRAME


def trusted_index(runner: Runner, ffmpeg: Path, source: SourceView) -> FrameIndex | None:
    """The index of a source, if ffmpeg gives the first frame the time that the packets give it.

    Raises:
        InputError: the file cannot be read.
        Interrupted: the runner was closed.
    """
    index = read_index(source.path, source.stream_index)
    if index is None or len(index.pts) < 2:
        return None
    first = int(index.pts[0])
    try:
        shown = _shown(runner, ffmpeg, source, Seek(None, first, int(index.pts[1]), 1), [first])
    except ToolError:
        return None
    return index if [pts for pts, _ in shown] == [first] else None


def find_seek(
    runner: Runner, ffmpeg: Path, source: SourceView, index: FrameIndex | None, first: int, end: int
) -> Seek | None:
    """By a trusted index, how to read the frames from number ``first`` up to, not including, ``end``; ``None``: from the beginning.

    Raises:
        Interrupted: the runner was closed.
    """
    steps = source.steps
    by_number = not (steps.deinterlace or steps.constant_rate)  # these make frames of their neighbours
    if index is None or not by_number or not 0 <= first < end <= len(index.pts):
        return None
    starts = index.starts_before(first)
    if len(starts) < 2:  # so near to the beginning that nothing is gained
        return None
    after = int(index.pts[end]) if end < len(index.pts) else None
    late, early = (Seek(index.start_us(key), int(index.pts[first]), after, end - first) for key in starts[:2])
    stop = min(first + _COMPARED_FRAMES, end)
    wanted = [int(pts) for pts in index.pts[first:stop]]
    try:
        shown = [_shown(runner, ffmpeg, source, seek, wanted) for seek in (early, late)]
    except ToolError:
        return None
    return early if shown[0] == shown[1] and [pts for pts, _ in shown[0]] == wanted else None


def _shown(runner: Runner, ffmpeg: Path, source: SourceView, seek: Seek, wanted: list[int]) -> list[tuple[int, str]]:
    """Time and checksum of the frames with these times, decoded as ``seek`` says."""
    part = Seek(seek.start_us, wanted[0], wanted[-1] + 1, len(wanted))
    # What an encoder says of itself in each frame would fill the log.
    stream = picked(open_input(source.path, part)[str(source.stream_index)], part).filter("sidedata", "delete")
    stream = stream.filter("showinfo")
    argv = compile_argv(ffmpeg, stream.output("-", f="null", fps_mode="passthrough"))
    log = runner.run((*argv[:1], *GLOBAL, *argv[1:])).stderr
    return [(int(pts), checksum) for pts, checksum in _SHOWN.findall(log)]
