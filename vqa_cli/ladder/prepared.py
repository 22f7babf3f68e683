"""Sources as one machine reads them: the file itself, or its prepared copy, made once and dropped when others take its place.

So with references: what encodes are compared with is decoded and scaled once, while there is room for it without compression.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vqa_cli.errors import InputError
from vqa_cli.ladder.task import SourceRef
from vqa_cli.measure.source import PREPARED
from vqa_cli.measure.stream import REFERENCE, Viewing
from vqa_cli.measure.template import FFMPEG, SOURCE, Argv, fill
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.process import Runner

# Copies that stay on disk although nobody reads them; they are lossless, hence large.
_SPARE = 2
# A reference without compression may take so much, and this share of what is free. Larger ones are decoded for each encode.
_MOST_BYTES = 1_000_000_000
_SHARE = 0.125


@dataclass
class _Copy:
    folder: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    made: bool = False


class PreparedSources:
    """Prepared copies below a folder. Safe to use from several threads."""

    def __init__(self, runner: Runner, ffmpeg: Ffmpeg, scratch: Path) -> None:
        self._runner, self._ffmpeg, self._scratch = runner, ffmpeg, scratch
        self._copies: dict[str, _Copy] = {}
        self._lock = threading.Lock()

    @contextmanager
    def path(self, source: SourceRef) -> Iterator[Path]:
        """The file to read in the source's place, there as long as the block lasts.

        Raises:
            InputError: the source is gone or has changed since it was looked at, or changed before the block ended.
            ToolError: preparing it failed.
        """
        if not source.prepare:
            with _unchanged(source) as original:
                yield original
            return
        with self._copy(source, source.prepare, _unchanged(source)) as folder:
            yield folder / PREPARED

    @contextmanager
    def reference(self, source: SourceRef, viewing: Viewing) -> Iterator[Path]:
        """The file to read in the source's place where encodes are compared with it, there as long as the block lasts.

        Raises:
            InputError, ToolError: as :meth:`path`.
        """
        made = self._key(source, viewing.reference) in self._copies
        if viewing.reference and (made or self._has_room(viewing.reference_bytes)):
            with self._copy(source, viewing.reference, self.path(source)) as folder:
                yield folder / REFERENCE
        else:
            with self.path(source) as path:
                yield path

    def _has_room(self, size: int) -> bool:
        return 0 < size <= min(_MOST_BYTES, shutil.disk_usage(self._scratch).free * _SHARE)

    @staticmethod
    def _key(source: SourceRef, argv: Argv) -> str:
        return "\0".join((source.sha256, source.preparation, *argv))

    @contextmanager
    def _copy(self, source: SourceRef, argv: Argv, opened: AbstractContextManager[Path]) -> Iterator[Path]:
        """The folder with what ``argv`` writes of a file, which is opened where that is not there yet."""
        copy = self._enter(self._key(source, argv))
        try:
            with copy.lock:
                if not copy.made:
                    with opened as path:
                        filled = fill(argv, {FFMPEG: self._ffmpeg.path, SOURCE: path})
                        self._runner.run(filled, cwd=copy.folder, on_line=lambda line: line.startswith("frame="))
                    copy.made = True
            yield copy.folder
        finally:
            self._leave(copy)

    def recorded(self, source: SourceRef) -> str:
        """How run documents name what is read."""
        return PREPARED if source.prepare else source.address

    def _enter(self, key: str) -> _Copy:
        with self._lock:
            copy = self._copies.pop(key, None) or _Copy(Path(tempfile.mkdtemp(dir=self._scratch)))
            self._copies[key] = copy  # the last one used stands last
            copy.users += 1
            return copy

    def _leave(self, copy: _Copy) -> None:
        with self._lock:
            copy.users -= 1
            idle = [key for key, other in self._copies.items() if not other.users]
            for key in idle[:-_SPARE]:
                shutil.rmtree(self._copies.pop(key).folder, ignore_errors=True)


@contextmanager
def _unchanged(source: SourceRef) -> Iterator[Path]:
    """The source's own file: what is measured in this block is remembered as that of the file which was looked at."""
    path = Path(source.path)
    before = _state(path)
    if before[0] != source.size_bytes:
        raise _changed(path)
    yield path
    if _state(path) != before:
        raise _changed(path)


def _changed(path: Path) -> InputError:
    return InputError(f"changed while it was read: {path}", hint="wait until it is written, then try again")


def _state(path: Path) -> tuple[int, int]:
    try:
        now = path.stat()
    except OSError as err:
        raise InputError(f"cannot read: {path}", detail=err.strerror) from err
    return now.st_size, now.st_mtime_ns
