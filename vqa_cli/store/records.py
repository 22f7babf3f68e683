"""Entries that each hold one value, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from vqa_cli.store.kinds import Kind

T = TypeVar("T", bound=BaseModel)


class Records(Generic[T]):
    """Values of one type below a cache folder; ``None`` as folder keeps nothing."""

    def __init__(self, kind: Kind, of: type[T], folder: Path | None) -> None:
        self._entries = kind.entries(folder)
        self._of, self._file = of, f"{of.__name__.lower()}.json"

    def find(self, key: str) -> T | None:
        """What is known, or ``None`` where nothing is or the entry is damaged."""
        if (entry := self._entries.find(key)) is None:
            return None
        try:
            return self._of.model_validate_json((entry / self._file).read_text(encoding="utf-8"))
        except (OSError, ValueError, ValidationError):
            self._entries.drop(key)
            return None

    def write(self, key: str, value: T) -> None:
        """Remember.

        Raises:
            StorageError: the folder cannot be written.
        """
        with self._entries.write(key) as entry:
            if entry is not None:
                (entry / self._file).write_text(value.model_dump_json(), encoding="utf-8")
