"""Whether a file is whole: what its header promises, against what is there."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError
from vqa_cli.media.boxes import read_track
from vqa_cli.media.timing import Packets, nominal_rate

# What is lost at the end before a file counts as truncated: players and muxers disagree by a few frames.
_SHORTFALL_S = 0.5
# Has neither index nor length, and nothing that follows the last frame.
_BARE = "yuv4mpegpipe"
# Those that put frames together from pieces, as broadcasts that were switched on and off in mid-frame.
_PIECEMEAL = frozenset({"mpegts", "mpeg"})
_MATROSKA = "matroska,webm"
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def check_whole(path: Path, container: Any, stream: Any, packets: Packets) -> None:
    """Refuse what ends too early.

    Raises:
        InputError: it does.
    """
    _check_frames(path, container.format.name, stream, packets)
    _check_end(path, container.format.name, packets)
    if container.format.name.startswith("mov"):
        _check_track(path, stream, packets)
    if container.duration is None or len(packets.sizes) < 2:
        return
    # Matroska's clock runs from 0, also where the first frame is later.
    start_s = 0 if container.format.name == _MATROSKA else (container.start_time or 0) / 1e6
    promised_s, reached_s = container.duration / 1e6, packets.end_s - start_s
    if promised_s - reached_s > max(_SHORTFALL_S, 0.02 * promised_s) and not math.isinf(promised_s):
        raise InputError(f"truncated: {path} promises {promised_s:.2f} s and ends after {reached_s:.2f} s")


def _check_frames(path: Path, kind: str, stream: Any, packets: Packets) -> None:
    # MP4 counts what is stored; its index holds what the edit list leaves of that.
    promised = len(stream.index_entries) if kind.startswith("mov") else stream.frames
    left_out = _skipped(packets, promised, nominal_rate(stream)) if kind == "avi" else 0
    if packets.read + left_out < promised:
        raise InputError(f"truncated: {path} holds {packets.read} of {promised} frames")


def _check_track(path: Path, stream: Any, packets: Packets) -> None:
    """ffmpeg goes silently by what is stored in this file where an edit list shows more, or the frames lie in another."""
    track = read_track(path, stream.id)
    if track.elsewhere:
        raise InputError(
            f"not a video but a reference movie, which names other files: {path}", hint="export it as one file"
        )
    if len(packets.pts) < 2 or not (promised_s := track.edited_s):
        return
    span = float((max(packets.pts) - min(packets.pts)) * stream.time_base)
    shown_s = span * len(packets.pts) / (len(packets.pts) - 1)
    if promised_s - shown_s > max(_SHORTFALL_S, 0.02 * promised_s):
        raise InputError(f"truncated: {path} shows {promised_s:.2f} s by its edit list and holds {shown_s:.2f} s")


def _check_end(path: Path, kind: str, packets: Packets) -> None:
    size = path.stat().st_size
    loose = kind == _BARE and packets.end_byte not in (None, size)
    if loose or (packets.torn and kind not in _PIECEMEAL):
        raise InputError(f"truncated: {path} ends inside frame {packets.read - packets.torn}")
    if kind == _MATROSKA and (end := _segment_end(path)) and end > size:
        raise InputError(f"truncated: {path} holds {size} of {end} bytes")


def _segment_end(path: Path) -> int | None:
    """Where a Matroska file ends by its own word; ``None`` where it was written as it came and does not know."""
    with path.open("rb") as file:
        for expected in (_EBML, _SEGMENT):
            if file.read(4) != expected or not (first := file.read(1)) or not first[0]:
                return None
            more = 8 - first[0].bit_length()
            size = int.from_bytes(first + file.read(more)) & ((1 << 7 * (more + 1)) - 1)
            if expected == _EBML:
                file.seek(size, 1)
        unknown = size == (1 << 7 * (more + 1)) - 1
        return None if unknown else file.tell() + size


def _skipped(packets: Packets, promised: int, fps: Fraction) -> int:
    """Frames that an AVI leaves out on purpose, by empty chunks that show the frame before once more.

    Its header counts them and its clock ticks for them, but they are no packets. Those at the very end cannot be told from
    a loss; where others were left out before, a few of them are believed.
    """
    if not packets.pts:
        return 0
    inside = max(packets.pts) + 1 - packets.read
    at_end = promised - packets.read - inside
    return promised - packets.read if 0 < at_end <= _SHORTFALL_S * fps and inside > 0 else inside
