"""Reads of an MP4 file what libavformat keeps to itself: how long an edit list is, and whether frames lie in other files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# No more of a header is read; larger ones are those of whole films with every sample listed.
_MOST_BYTES = 256 * 1024 * 1024
_NORMAL_SPEED = 0x10000
_BARE_ENTRY = 12  # bytes of a reference without a name


@dataclass(frozen=True, slots=True)
class Track:
    """What is said of one track.

    Attributes:
        edited_s: length of what its edit list shows, in s; ``None`` where there is no such list, or one that changes the speed.
        elsewhere: its frames lie in another file.
    """

    edited_s: float | None = None
    elsewhere: bool = False


def read_track(path: Path, number: int) -> Track:
    """The track of this number; boxes that make no sense say nothing.

    Source: ISO/IEC 14496-12, 8.6.6 (``elst``), 8.2.2 (``mvhd``) and 8.7.2 (``dref``).
    """
    with path.open("rb") as file:
        moov = _movie(file)
    try:
        (mvhd,) = _inside(moov, "mvhd")
        for trak in _inside(moov, "trak"):
            if _number(next(_inside(trak, "tkhd"))) == number:
                return Track(
                    _edited_s(trak, _timescale(mvhd)), any(map(_elsewhere, _inside(trak, "mdia/minf/dinf/dref")))
                )
    except (StopIteration, struct.error, ValueError, ZeroDivisionError):
        pass  # not ours to mend
    return Track()


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


def _inside(box: bytes, path: str) -> Iterator[bytes]:
    """Contents of the boxes that lie in another's contents under this path: ``edts/elst``."""
    wanted, _, rest = path.partition("/")
    at = 0
    while at + 8 <= len(box):
        size, kind = struct.unpack_from(">I4s", box, at)
        if size < 8:
            return
        if kind == wanted.encode():
            contents = box[at + 8 : at + size]
            yield from _inside(contents, rest) if rest else (contents,)
        at += size


def _timescale(mvhd: bytes) -> int:
    return int(struct.unpack_from(">I", mvhd, 20 if mvhd[:1] == b"\1" else 12)[0])


def _number(tkhd: bytes) -> int:
    return int(struct.unpack_from(">I", tkhd, 20 if tkhd[:1] == b"\1" else 12)[0])


def _elsewhere(dref: bytes) -> bool:
    """Whether an entry names a file: it has no flag that says "this one", and a name."""
    (size, flags) = struct.unpack_from(">I4xI", dref, 8)
    return size > _BARE_ENTRY and not flags & 1


def _edited_s(trak: bytes, per_second: int) -> float | None:
    """Sum of the edits that show something."""
    elst = next(_inside(trak, "edts/elst"), None)
    if elst is None:
        return None
    layout = ">QqI" if elst[:1] == b"\1" else ">IiI"
    size, (count,) = struct.calcsize(layout), struct.unpack_from(">I", elst, 4)
    edits = [struct.unpack_from(layout, elst, 8 + index * size) for index in range(min(count, len(elst) // size))]
    if any(rate != _NORMAL_SPEED for _, _, rate in edits):
        return None
    return float(sum(duration for duration, start, _ in edits if start >= 0) / per_second)
