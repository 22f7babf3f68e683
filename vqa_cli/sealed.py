"""Parquet files that know their own checksum, so that a damaged one is never given to a reader that could crash on it.

The checksum is a value in the file's footer, computed with zeros in its own place. Pages have checksums of their own in Parquet;
the footer, which says where and what they are, has none.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from vqa_cli.files import replacing

KEY = b"vqa.crc32"
BLANK = b"0" * 8
# As Thrift writes them: the key, then a string of eight bytes.
_MARK = KEY + b"\x18\x08"
_MAGIC, _TAIL, _BLOCK = b"PAR1", 8, 1 << 20


@contextmanager
def sealed_table(path: Path, schema: Any, **options: Any) -> Iterator[Any]:
    """A writer of a table that is there, with its checksum, when the block ends, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    import pyarrow.parquet as pq

    with replacing(path) as staged:
        with pq.ParquetWriter(staged, schema, write_page_checksum=True, store_schema=False, **options) as writer:
            yield writer
            writer.add_key_value_metadata({KEY: BLANK})
        seal(staged)


def seal(path: Path) -> None:
    """Write the checksum into a file whose schema has :data:`KEY` with the value :data:`BLANK`."""
    with path.open("r+b") as file:
        at = _place(file)
        digest = _checksum(file, at)
        file.seek(at)
        file.write(digest)


def check_seal(path: Path) -> None:
    """Make sure that a file is as it was written.

    Raises:
        ValueError: it is not, or was written by another program.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        at = _place(file)
        file.seek(at)
        if file.read(len(BLANK)) != _checksum(file, at):
            raise ValueError("its checksum is another: it is damaged, or was changed")


def _place(file: BinaryIO) -> int:
    """Where the checksum stands."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if len(tail) < _TAIL or tail[4:] != _MAGIC or length > size - _TAIL:
        raise ValueError("no Parquet file, or not all of one")
    begin = file.seek(size - _TAIL - length)
    found = file.read(length).rfind(_MARK)
    if found < 0:
        raise ValueError("it has no checksum of vqa: another program wrote it")
    return begin + found + len(_MARK)


def _checksum(file: BinaryIO, at: int) -> bytes:
    file.seek(0)
    value, left = 0, at
    while left and (block := file.read(min(left, _BLOCK))):
        value, left = zlib.crc32(block, value), left - len(block)
    value = zlib.crc32(BLANK, value)
    file.seek(at + len(BLANK))
    while block := file.read(_BLOCK):
        value = zlib.crc32(block, value)
    return f"{value:08x}".encode()
