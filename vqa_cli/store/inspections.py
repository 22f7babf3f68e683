"""What a whole decode of a file told, by content, so that no file is decoded twice only to be counted."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from vqa_cli.store.kinds import INSPECTIONS


class Inspection(BaseModel):
    """What a whole decode gives.

    ``frames`` is the number decoded; ``prepared`` that after a variable rate was made constant. ``interlaced_from`` is the
    first interlaced frame, ``complaint`` the decoder's first error.
    """

    model_config = ConfigDict(frozen=True)

    frames: int
    prepared: int
    interlaced_from: int | None = None
    complaint: str | None = None


class Inspections:
    """Inspections below a folder; ``None`` as folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._entries = INSPECTIONS.entries(folder)

    def find(self, key: str) -> Inspection | None:
        """What is known, or ``None`` where nothing is or the entry is damaged."""
        if (entry := self._entries.find(key)) is None:
            return None
        try:
            return Inspection.model_validate_json((entry / "inspection.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, ValidationError):
            self._entries.drop(key)
            return None

    def write(self, key: str, found: Inspection) -> None:
        """Remember.

        Raises:
            StorageError: the folder cannot be written.
        """
        with self._entries.write(key) as entry:
            if entry is not None:
                (entry / "inspection.json").write_text(found.model_dump_json(), encoding="utf-8")
