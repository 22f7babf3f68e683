"""Changes boxes of an MP4 file: what encoders of other houses write and ffmpeg's muxer does not. ``moov`` must come last."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_TO_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def clap(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """A clean aperture, its middle so many pixels off that of the picture."""
    return struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, right, 1, down, 1)


def dolby(profile: int, compatibility: int) -> bytes:
    """A Dolby Vision record with RPU and base layer."""
    kind, level = b"dvcC" if profile < 8 else b"dvvC", 1
    flags = profile << 9 | level << 3 | 0b101
    return struct.pack(">I4sBBHB19x", 32, kind, 1, 0, flags, compatibility << 4)


def add_to_entry(path: Path, box: bytes) -> Path:
    """Put a box into the first track's sample entry."""
    data = bytearray(path.read_bytes())
    parents = list(_descend(data, 0, len(data), _TO_ENTRY))
    entry = parents[-1] + 16
    end = entry + _size(data, entry)
    for parent in (*parents, entry):
        _resize(data, parent, len(box))
    data[end:end] = box
    path.write_bytes(data)
    return path


def set_edit(path: Path, start: int, duration: int) -> Path:
    """Show only a part: ``start`` in ticks of the track, ``duration`` in ticks of the movie (1000 a second)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    data[at : at + 8] = struct.pack(">Ii", duration, start)
    path.write_bytes(data)
    return path


def refer_to(path: Path, other: str) -> Path:
    """Say that the frames of the first track lie in another file."""
    data = bytearray(path.read_bytes())
    parents = list(_descend(data, 0, len(data), (*_TO_ENTRY[:4], b"dinf", b"dref")))
    entry = data.index(b"url ", parents[-1]) - 4
    name = other.encode() + b"\0"
    for parent in (*parents, entry):
        _resize(data, parent, len(name))
    data[entry + 11] = 0
    data[entry + 12 : entry + 12] = name
    path.write_bytes(data)
    return path


def put_metadata_first(path: Path) -> Path:
    """Move ``udta`` before the tracks, so that its cover picture becomes the first stream."""
    data = path.read_bytes()
    moov = next(at for at, kind in _boxes(data, 0, len(data)) if kind == b"moov")
    inner = [data[at : at + _size(data, at)] for at, _ in _boxes(data, moov + 8, moov + _size(data, moov))]
    inner.sort(key=lambda box: {b"mvhd": 0, b"udta": 1}.get(box[4:8], 2))
    path.write_bytes(data[: moov + 8] + b"".join(inner))
    return path


def _boxes(data: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start < end:
        yield start, bytes(data[start + 4 : start + 8])
        start += _size(data, start)


def _descend(data: bytearray, start: int, end: int, path: tuple[bytes, ...]) -> Iterator[int]:
    at = next(at for at, kind in _boxes(data, start, end) if kind == path[0])
    yield at
    if path[1:]:
        yield from _descend(data, at + 8, at + _size(data, at), path[1:])


def _size(data: bytes | bytearray, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])


def _resize(data: bytearray, at: int, more: int) -> None:
    struct.pack_into(">I", data, at, _size(data, at) + more)
