"""A folder of entries by content hash: written whole or not at all, and kept below a size.

A key is a hash over everything that can change what the entry holds. Each entry carries checksums of its files, so that one
whose bits have changed is no entry: it is never wrong, only absent.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vqa_cli._version import MEASUREMENT
from vqa_cli.errors import StorageError
from vqa_cli.files import passing_folder

_log = logging.getLogger(__name__)


# Programs that make backups pass such a folder over (bford.info/cachedir); the last line says whose it is.
TAG = "CACHEDIR.TAG"
_MARK = "# Entries of vqa, which may be deleted at any time; `vqa cache clear` does."
_TAG_TEXT = f"Signature: 8a477f597d28d172789f06886806bc55\n{_MARK}\n"
_SUMS = "checksums.json"
_CHUNK = 1 << 20
_SHELF, _KEY, _STAGED = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{64}"), ".new-"


def content_key(*parts: object) -> str:
    """Name of an entry: a hash over ``parts`` (plain data) and the version of what is measured."""
    return hashlib.sha256(json.dumps([MEASUREMENT, *parts]).encode()).hexdigest()


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
        """The folder of an entry that is as it was written, marked as used, or ``None``."""
        if self._folder is None:
            return None
        entry = self._entry(key)
        try:
            if not entry.is_dir():
                return None
            sound = _sums(entry) == json.loads((entry / _SUMS).read_bytes())
        except (OSError, ValueError, RecursionError):
            sound = False
        if not sound:
            self.drop(key)
            return None
        with suppress(OSError):  # a folder of somebody else's can still be read
            os.utime(entry)
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
            self._mark()
            entry.parent.mkdir(parents=True, exist_ok=True)
            with passing_folder(entry.parent, _STAGED) as staged:
                filled = staged / "entry"
                filled.mkdir()
                yield filled
                (filled / _SUMS).write_text(json.dumps(_sums(filled)), encoding="ascii")
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

    def _mark(self) -> None:
        """Tag a new folder as a cache; not one in which somebody keeps other things, which backups would then lack."""
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        if not (self._folder / TAG).exists() and all(_is_shelf(path) for path in self._folder.iterdir()):
            (self._folder / TAG).write_text(_TAG_TEXT, encoding="ascii")

    def _is_own(self) -> bool:
        assert self._folder is not None
        try:
            return _MARK in (self._folder / TAG).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False

    def _shelves(self) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return [path for path in self._folder.iterdir() if _is_shelf(path)]

    def _all(self) -> list[Path]:
        """The folders that are entries by name and place; whatever else lies there is somebody else's."""
        inside = [path for shelf in self._shelves() for path in shelf.iterdir()]
        return [p for p in inside if _KEY.fullmatch(p.name) and p.name.startswith(p.parent.name) and _is_folder(p)]

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
        """Drop every entry, and the folder where nothing else is left in it.

        Raises:
            StorageError: the folder is not the cache's own, or an entry cannot be removed.
        """
        if self._folder is None or not self._folder.exists():
            return
        self.refuse_others()
        try:
            for entry in self._all():
                shutil.rmtree(entry)
            for shelf in self._shelves():
                for staged in shelf.glob(f"{_STAGED}*"):
                    shutil.rmtree(staged)
                _remove_empty(shelf)
            if [path.name for path in self._folder.iterdir()] == [TAG]:
                (self._folder / TAG).unlink()
                self._folder.rmdir()
        except OSError as err:
            raise StorageError(f"cannot clear cache: {self._folder}", detail=err.strerror) from err

    def refuse_others(self) -> None:
        """Nothing is to be deleted from a folder that is not the cache's own, or of which nobody knows.

        Raises:
            StorageError: it is not.
        """
        folder = self._folder
        if folder is None or not folder.exists() or self._is_own():
            return
        if not folder.is_dir() or any(folder.iterdir()):
            raise StorageError(
                f"not a cache of vqa: {folder}", detail=f"it has no {TAG} of vqa", hint="what is in it stays as it is"
            )


def _sums(entry: Path) -> dict[str, int]:
    """CRC-32 of each file of an entry; against bits that flip, not against people."""
    return {path.name: _crc32(path) for path in sorted(entry.iterdir()) if path.name != _SUMS}


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_shelf(path: Path) -> bool:
    """Whether a folder holds entries whose keys begin with its name."""
    return _SHELF.fullmatch(path.name) is not None and _is_folder(path)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something else is in it
        folder.rmdir()


def default_cache_dir() -> Path:
    """The user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("vqa", appauthor=False)


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
