"""Files that are whole or not there (written under another name in the same folder, then renamed), their hashes, and
settings that people write."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vqa_cli.errors import StorageError, UsageError

ROOM_HINT = (
    "free some; TMPDIR names another folder for what is temporary; -o writes elsewhere; --cache-dir remembers elsewhere"
)
# Less than this is none: a log is written in blocks.
_ROOM_BYTES = 65_536


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; what is there becomes ``path`` when the block ends well, and is gone when it does not.

    It lies in a folder of its own beside ``path``, so that it has the rights of any new file, and any name fits.

    Raises:
        OSError: as writing does; ``path`` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with passing_folder(path.parent, ".new-") as folder:
        staged = folder / path.name
        yield staged
        os.replace(staged, path)


@contextmanager
def passing_folder(parent: Path, prefix: str = "") -> Iterator[Path]:
    """A new folder that only this user can read, gone when the block ends.

    It has its name before it is made: whenever an interrupt comes, it is known what to remove. Python's own has not.

    Raises:
        OSError: it cannot be made.
    """
    folder = parent / f"{prefix}{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with replacing(path) as staged:
            staged.write_text(text, encoding="utf-8", newline="")
    except OSError as err:
        raise StorageError(f"cannot write: {path}", detail=err.strerror) from err


def file_sha256(path: Path) -> str:
    """Hash a file without reading it into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_room(path: Path) -> None:
    """Make sure that a folder can be written before hours of work go into it.

    Raises:
        StorageError: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial = path / ".vqa-write-test"
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as err:
        raise StorageError(f"cannot write output directory: {path}", detail=err.strerror, hint="-o DIR") from err


def disk_full() -> StorageError:
    """There is no room, with the ways out."""
    return StorageError("no space left on the disk", hint=ROOM_HINT)


def refuse_full(folder: Path) -> None:
    """What a program has written here may have been cut short where there is no room left, though it did not say so.

    Raises:
        StorageError: there is none.
    """
    if shutil.disk_usage(folder).free < _ROOM_BYTES:
        raise disk_full()


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The values of a settings file, also of one that begins with a byte order mark, as editors on Windows write it.

    Args:
        what: the kind of file, for the message.

    Raises:
        UsageError: unreadable or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise UsageError(f"cannot read {what}: {path}", detail=err.strerror) from err
    except RecursionError as err:
        raise UsageError(f"not a TOML file: {path}", detail="nested too deeply") from err
    except ValueError as err:
        raise UsageError(f"not a TOML file: {path}", detail=str(err)) from err
