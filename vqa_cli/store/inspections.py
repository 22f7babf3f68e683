"""What a whole decode of a file told, by content, so that no file is decoded twice only to be counted."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vqa_cli.store.kinds import INSPECTIONS
from vqa_cli.store.records import Records


class Inspection(BaseModel):
    """What a whole decode gives.

    ``frames`` is the number decoded; ``prepared`` that after a variable rate was made constant. ``interlaced_from`` is the
    first interlaced frame, ``complaint`` the decoder's first sign of damage, ``damage`` what is wrong with pictures.
    """

    model_config = ConfigDict(frozen=True)

    frames: int
    prepared: int
    interlaced_from: int | None = None
    complaint: str | None = None
    damage: str | None = None


class Inspections(Records[Inspection]):
    """Inspections below a folder; ``None`` as folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__(INSPECTIONS, Inspection, folder)
