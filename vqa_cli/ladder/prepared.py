"""Sources as one machine reads them: the file itself, or its prepared copy, made once and dropped when others take its place."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vqa_cli.errors import InputError
from vqa_cli.ladder.task import SourceRef
from vqa_cli.measure.source import PREPARED
from vqa_cli.measure.template import FFMPEG, SOURCE, fill
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.process import Runner

# Prepared copies that stay on disk although nobody reads them; they are lossless, hence large.
_SPARE = 2


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
        original = Path(source.path)
        if not source.prepare:
            with _unchanged(source, original):
                yield original
            return
        copy = self._enter(source.sha256 + source.preparation)
        try:
            with copy.lock:
                if not copy.made:
                    argv = fill(source.prepare, {FFMPEG: self._ffmpeg.path, SOURCE: original})
                    with _unchanged(source, original):
                        self._runner.run(argv, cwd=copy.folder, on_line=lambda line: line.startswith("frame="))
                    copy.made = True
            yield copy.folder / PREPARED
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
def _unchanged(source: SourceRef, path: Path) -> Iterator[None]:
    """What is measured in this block is remembered as that of the file which was looked at."""
    before = _state(path)
    if before[0] != source.size_bytes:
        raise _changed(path)
    yield
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
