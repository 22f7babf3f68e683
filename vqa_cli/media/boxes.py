"""Reads of an MP4 file what libavformat keeps to itself: how long the edit lists of its tracks are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# No more of a header is read; larger ones are those of whole films with every sample listed.
_MOST_BYTES = 256 * 1024 * 1024


def edited_seconds(path: Path, track: int) -> float | None:
    """Length of what a track's edit list shows, in s; ``None`` where there is no such list, or one that changes the speed.

    Source: ISO/IEC 14496-12, 8.6.6 (``elst``) and 8.2.2 (``mvhd``).
    """
    with path.open("rb") as file:
        moov = _movie(file)
    try:
        per_second = _timescale(next(_inside(moov, b"mvhd")))
        for trak in _inside(moov, b"trak"):
            if _track_id(next(_inside(trak, b"tkhd"))) == track:
                edits = [box for edts in _inside(trak, b"edts") for box in _inside(edts, b"elst")]
                return _shown(edits[0]) / per_second if edits else None
    except (StopIteration, struct.error, ValueError, ZeroDivisionError):
        pass  # no file of ours to mend
    return None


def _movie(file: BinaryIO) -> bytes:
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if size == 1:
            size = int.from_bytes(file.read(8)) - 8
        if kind == b"moov":
            return file.read(min(max(size - 8, 0), _MOST_BYTES))
        if size < 8:
            break
        file.seek(size - 8, 1)
    return b""


def _inside(box: bytes, wanted: bytes) -> Iterator[bytes]:
    """Contents of the boxes of one kind that lie directly in another's contents."""
    at = 0
    while at + 8 <= len(box):
        size, kind = struct.unpack_from(">I4s", box, at)
        if size < 8:
            return
        if kind == wanted:
            yield box[at + 8 : at + size]
        at += size


def _timescale(mvhd: bytes) -> int:
    return int(struct.unpack_from(">I", mvhd, 20 if mvhd[:1] == b"\1" else 12)[0])


def _track_id(tkhd: bytes) -> int:
    return int(struct.unpack_from(">I", tkhd, 20 if tkhd[:1] == b"\1" else 12)[0])


def _shown(elst: bytes) -> int:
    """Sum of the edits that show something, in the movie's ticks.

    Raises:
        ValueError: one plays at another speed.
    """
    layout = ">QqI" if elst[:1] == b"\1" else ">IiI"
    (count,) = struct.unpack_from(">I", elst, 4)
    size = struct.calcsize(layout)
    edits = [struct.unpack_from(layout, elst, 8 + index * size) for index in range(min(count, len(elst) // size))]
    if any(rate != 0x10000 for _, _, rate in edits):
        raise ValueError
    return sum(duration for duration, start, _ in edits if start >= 0)
