"""Runs as a history keeps them: a file each, named by what it holds, in a folder that lives in git.

Files are never changed. Two branches that add runs add different files, so merging them is joining them; the same run added
twice is one file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vqa_cli.document import Run, first_fault
from vqa_cli.errors import StorageError
from vqa_cli.files import replacing

ENTRY_SCHEMA = 1
RUNS = "runs"
_SUFFIX = ".json.gz"


class Entry(BaseModel):
    """One run of the history.

    Attributes:
        commit: of the encoder, or whatever else tells its state.
        date: of the commit, ISO 8601; the order of the history.
        label: one line for people, such as the commit's subject.
        machine: the machine that encoded.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = ENTRY_SCHEMA
    commit: str
    branch: str = ""
    date: str
    label: str = ""
    machine: str = ""
    run: Run

    @property
    def short(self) -> str:
        """The commit as people write it."""
        return self.commit[:10]

    @property
    def order(self) -> tuple[str, str, str]:
        return self.date, self.run.created, self.commit


@dataclass(frozen=True)
class History:
    """The runs of a folder in order, and what could not be read: by file, why."""

    entries: tuple[Entry, ...]
    damaged: dict[str, str]


def add_entry(folder: Path, entry: Entry) -> tuple[Path, bool]:
    """Write a run into a history.

    Returns:
        Its file, and whether it is new.

    Raises:
        StorageError: it cannot be written.
    """
    text = json.dumps(entry.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = folder / RUNS / f"{entry.date[:10]}-{_safe(entry.commit)[:10]}-{digest}{_SUFFIX}"
    if path.exists():
        return path, False
    try:
        with replacing(path) as staged:
            # No time and no name in the header: equal runs are equal files.
            staged.write_bytes(gzip.compress(text.encode(), mtime=0))
    except OSError as err:
        raise StorageError(f"cannot write history: {path}", detail=err.strerror) from err
    return path, True


def _safe(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._" else "_" for char in name)


def read_history(folder: Path) -> History:
    """All runs of a folder. A file that is none is named in ``damaged`` and left where it is.

    Raises:
        StorageError: there is no such folder, or it cannot be listed.
    """
    if not (folder / RUNS).is_dir():
        raise StorageError(f"no history: {folder}", hint="`vqa history add RUN` begins one")
    try:
        paths = sorted((folder / RUNS).iterdir())
    except OSError as err:
        raise StorageError(f"cannot read history: {folder}", detail=err.strerror) from err
    damaged: dict[str, str] = {}
    entries = list(_readable(paths, damaged))
    return History(tuple(sorted(entries, key=lambda entry: entry.order)), damaged)


def _readable(paths: list[Path], damaged: dict[str, str]) -> Iterator[Entry]:
    for path in paths:
        if path.name.startswith("."):  # of git, an editor, or a write that was cut off
            continue
        try:
            yield _read(path)
        except StorageError as err:
            damaged[path.name] = err.message


def _read(path: Path) -> Entry:
    if not path.name.endswith(_SUFFIX):
        raise StorageError("no file of a history")
    try:
        data = json.loads(gzip.decompress(path.read_bytes()))
    except OSError as err:
        raise StorageError(f"cannot be read: {err.strerror or err}") from err
    except (ValueError, EOFError, RecursionError, zlib.error) as err:
        raise StorageError("damaged") from err
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != ENTRY_SCHEMA:
        raise StorageError(f"of schema {version}, not {ENTRY_SCHEMA}")
    try:
        return Entry.model_validate(data)
    except ValueError as err:
        raise StorageError(f"damaged: {first_fault(err)}") from err
