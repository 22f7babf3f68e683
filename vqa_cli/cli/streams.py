"""Standard streams that end no command: what cannot be written is lost, and remembered as lost.

A measurement of an hour must not die of a full log, of a terminal that was closed, or of a letter that a code page lacks.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# The reader has gone (`vqa score … | head -1`) and wants no more.
_UNWANTED = (errno.EPIPE, errno.ECONNRESET)


class _Sink(io.RawIOBase):
    """Takes everything; after the first failure nothing more reaches ``target``."""

    def __init__(self, target: io.RawIOBase) -> None:
        super().__init__()
        self._target = target
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._target.isatty()

    def fileno(self) -> int:
        return self._target.fileno()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data``: there may be no buffer above that would come back with the rest."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        while rest.nbytes and self.lost is None:
            try:
                written = self._target.write(rest)
                if written is None:  # somebody else has made it non-blocking
                    select.select([], [self.fileno()], [])
                rest = rest[written or 0 :]
            except OSError as err:
                self.lost = err
        return size


@dataclass(frozen=True)
class Streams:
    """The two outputs as they were opened."""

    out: _Sink | None
    err: _Sink | None

    @property
    def lost(self) -> OSError | None:
        """Why results did not reach standard output; ``None`` where they did or nobody wanted them."""
        sys.stdout.flush()
        lost = self.out.lost if self.out else None
        return None if lost is None or lost.errno in _UNWANTED else lost


def open_streams() -> Streams:
    """Make the standard streams of this process safe to use.

    One that was closed (``>&-``) is the null device from now on: its number would else go to the next file that is
    opened, and text would end in there. Letters that an output's encoding lacks become question marks.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _fill(number)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    sys.stdout, out = _tolerant(sys.stdout, sys.__stdout__, errors="replace")
    sys.stderr, err = _tolerant(sys.stderr, sys.__stderr__, errors="backslashreplace")
    return Streams(out, err)


def _fill(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)


def _tolerant(stream: TextIO | None, original: TextIO | None, *, errors: str) -> tuple[TextIO, _Sink | None]:
    """The same stream over a sink. One that a test or a host program has put there is left alone."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8"), None
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # under `python -u` there is no buffer between
    if stream is not original or not isinstance(raw, io.RawIOBase):
        return stream, None
    stream.flush()
    sink = _Sink(raw)
    unbuffered = getattr(stream, "write_through", False)
    made = io.TextIOWrapper(
        cast(BinaryIO, sink if unbuffered else io.BufferedWriter(sink)),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=bool(stream.line_buffering),
        write_through=unbuffered,
    )
    return made, sink
