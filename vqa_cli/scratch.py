"""Temporary folders that are gone afterwards, also those of processes that were killed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from vqa_cli.errors import StorageError
from vqa_cli.values import StrPath

_PREFIX, _LOCK, _LOCK_BEFORE = "vqa-", ".lock", ".locking"


@contextmanager
def scratch(parent: StrPath | None = None, *, sweep: bool = True) -> Iterator[Path]:
    """A folder for temporary files below ``parent`` (the system's), gone when the block ends, whatever happens.

    What killed processes have left there goes too. A lock that dies with its process tells whose folders are in use.

    Args:
        sweep: ``False`` on a drive that several machines share: locks may hold on one of them alone.

    Raises:
        StorageError: there is no room for temporary files.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True)
    except OSError as err:
        raise StorageError("cannot make a temporary folder", detail=err.strerror, hint="set TMPDIR") from err
    with made as name:
        folder = Path(name)
        with _locked(folder):
            for left in folder.parent.glob(f"{_PREFIX}*/{_LOCK}"):
                if sweep and left.parent != folder:
                    _sweep(left)
            yield folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. It gets its name once it is held, so that nobody finds it free in between."""
    with (folder / _LOCK_BEFORE).open("w") as lock:
        if _lock(lock):
            (folder / _LOCK_BEFORE).rename(folder / _LOCK)
        yield


def _sweep(lock: Path) -> None:
    with suppress(OSError), lock.open("r+") as left:
        if _lock(left):
            shutil.rmtree(lock.parent, ignore_errors=True)


def _lock(file: IO[str]) -> bool:
    """Take the lock, if nobody holds it and there are such locks here."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
