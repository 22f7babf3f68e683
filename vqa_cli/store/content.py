"""A folder of entries by content hash: written whole or not at all, and kept below a size.

A key is a hash over everything that can change what the entry holds, so that an entry is never wrong, only absent.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.errors import StorageError

_log = logging.getLogger(__name__)

# Raised whenever code changes what is measured.
CODE_SCHEMA = 4


def content_key(*parts: object) -> str:
    """Name of an entry: a hash over ``parts`` (plain data) and the code's schema."""
    return hashlib.sha256(json.dumps([CODE_SCHEMA, *parts]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a folder of entries holds."""

    entries: int
    size_bytes: int


class Entries:
    """Entries below ``folder``, each a folder of its own; with ``None`` nothing is kept.

    Args:
        limit_bytes: beyond this the entries that were not used for longest go; ``None`` for no limit.
    """

    def __init__(self, folder: Path | None, *, limit_bytes: int | None = None) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def find(self, key: str) -> Path | None:
        """The entry's folder, marked as used, or ``None``."""
        if self._folder is None:
            return None
        entry = self._entry(key)
        try:
            os.utime(entry)
        except OSError:
            return entry if entry.is_dir() else None  # a folder of somebody else's can still be read
        return entry

    def drop(self, key: str) -> None:
        """Forget a damaged entry, so that it is made again; a warning names it."""
        _log.warning("warning: damaged cache entry, made again: %s", self._entry(key))
        shutil.rmtree(self._entry(key), ignore_errors=True)

    @contextmanager
    def write(self, key: str) -> Iterator[Path | None]:
        """A folder to fill (``None`` where nothing is kept); it becomes the entry when the block ends well.

        Raises:
            StorageError: the folder cannot be written.
        """
        if self._folder is None:
            yield None
            return
        entry = self._entry(key)
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".new-") as staged:
                filled = Path(staged, "entry")
                filled.mkdir()
                yield filled
                self._place(filled, entry)
        except OSError as err:
            raise StorageError(
                f"cannot write cache: {self._folder}", detail=err.strerror, hint="--cache-dir DIR or --no-cache"
            ) from err
        self._prune()

    def _place(self, filled: Path, entry: Path) -> None:
        try:
            os.replace(filled, entry)
        except OSError:
            if not entry.is_dir():  # otherwise another process was first, with the same content
                raise

    def _entry(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / key

    def _all(self) -> list[Path]:
        return [] if self._folder is None else [path for path in self._folder.glob("??/*") if path.name[0] != "."]

    def usage(self) -> Usage:
        """Number and size of the entries."""
        entries = self._all()
        return Usage(len(entries), sum(_size(entry) for entry in entries))

    def _prune(self) -> None:
        if self._limit_bytes is None:
            return
        entries = sorted(((_used(entry), _size(entry), entry) for entry in self._all()), reverse=True)
        kept = 0
        for _, size, entry in entries:
            kept += size
            if kept > self._limit_bytes:
                shutil.rmtree(entry, ignore_errors=True)

    def clear(self) -> None:
        """Drop every entry.

        Raises:
            StorageError: it cannot be removed.
        """
        if self._folder is None or not self._folder.exists():
            return
        try:
            shutil.rmtree(self._folder)
        except OSError as err:
            raise StorageError(f"cannot clear cache: {self._folder}", detail=err.strerror) from err


def default_cache_dir() -> Path:
    """The user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("vqa", appauthor=False)


def without_paths(argv: tuple[str, ...], names: dict[str, str]) -> tuple[str, ...]:
    """``argv`` with real paths replaced by stable names and the program left out."""
    return tuple(names.get(part.removeprefix("file:"), part) for part in argv[1:])


def _used(entry: Path) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:  # another process has just dropped it
        return 0.0


def _size(entry: Path) -> int:
    try:
        return sum(path.stat().st_size for path in entry.iterdir())
    except OSError:
        return 0
