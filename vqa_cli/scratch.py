"""Temporary folders that are gone afterwards, also those of processes that were killed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from vqa_cli.errors import StorageError
from vqa_cli.files import passing_folder
from vqa_cli.values import StrPath

_PREFIX, _LOCK, _LOCK_BEFORE = "vqa-", ".lock", ".locking"


@contextmanager
def scratch(parent: StrPath | None = None, *, alone: bool = True) -> Iterator[Path]:
    """A folder for temporary files below ``parent`` (the system's), gone when the block ends, whatever happens.

    What killed processes have left there goes too. A lock that dies with its process tells whose folders are in use.

    Args:
        alone: ``False`` on a drive that several machines share: nothing is swept, as locks may hold on one of them alone.

    Raises:
        StorageError: there is no room for temporary files.
    """
    with ExitStack() as stack:
        try:
            where = Path(parent or tempfile.gettempdir()).absolute()
            folder = stack.enter_context(passing_folder(where, _PREFIX))
        except OSError as err:
            what = "cannot make a temporary folder" if alone else f"cannot write the shared folder {parent}"
            hint = "set TMPDIR" if alone else "name one that all machines see"
            raise StorageError(what, detail=err.strerror, hint=hint) from err
        stack.enter_context(_locked(folder))
        for left in folder.parent.glob(f"{_PREFIX}*/{_LOCK}"):
            if alone and left.parent != folder:
                sweep(left)
        yield folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. It gets its name once it is held, so that nobody finds it free in between."""
    with (folder / _LOCK_BEFORE).open("w") as lock:
        if _lock(lock):
            (folder / _LOCK_BEFORE).rename(folder / _LOCK)
        yield


def sweep(lock: Path) -> None:
    """Remove the folder of a lock that no living process holds."""
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
