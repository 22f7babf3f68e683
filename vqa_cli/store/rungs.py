"""Finished encodes with their full-reference figures, by content, so that nothing is encoded twice, even after a crash.

What the model makes of them is remembered apart (``vqa_cli.store.seen``), so that another model part starts from there.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ValidationError

from vqa_cli.document import EncodeResult, Series
from vqa_cli.store.content import Usage, content_key
from vqa_cli.store.kinds import RUNGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

FrameValues = dict[str, "NDArray[np.float64]"]


class Measured(BaseModel):
    """What the cache keeps of a rung."""

    encode: EncodeResult
    fidelity: dict[str, Series]


@dataclass(frozen=True, slots=True)
class KeyParts:
    """Everything that determines a measurement.

    Attributes:
        source: sha256 of the source file's content, not its name or time.
        preparation: how the source was prepared, as text.
        argv: command lines with paths taken out, hence encoder settings, scaling and metrics.
        ffmpeg: sha256 of the program; holds decoder, encoders and metrics of a static build.
        libraries: encoder versions, which a dynamically linked ffmpeg takes from the system.
    """

    source: str
    preparation: str
    argv: tuple[tuple[str, ...], ...]
    ffmpeg: str
    libraries: str


def rung_key(parts: KeyParts) -> str:
    """Name of the entry."""
    return content_key(*astuple(parts))


class Rungs:
    """Rungs below a folder; ``None`` as folder keeps nothing.

    Args:
        machine: what of this machine decides bits. In a folder that several share, each finds what its like has made.
    """

    def __init__(self, folder: Path | None, *, machine: str = "") -> None:
        self._rungs = RUNGS.entries(folder)
        self._machine = machine

    def load(self, key: str) -> tuple[Measured, FrameValues] | None:
        """An entry, or ``None`` where there is none or it is damaged."""
        if (entry := self._rungs.find(key := content_key(key, self._machine))) is None:
            return None
        try:
            measured = Measured.model_validate_json((entry / "measured.json").read_text(encoding="utf-8"))
            with np.load(entry / "frames.npz") as frames:
                values = {name: frames[name] for name in frames.files}
            if not any(np.isnan(series).any() or not len(series) for series in values.values()):
                return measured, values
        except (OSError, ValueError, TypeError, ValidationError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            pass
        self._rungs.drop(key)  # a miss, to be written again
        return None

    def store(self, key: str, measured: Measured, frames: FrameValues) -> None:
        """Write an entry whole or not at all.

        Raises:
            StorageError: the folder cannot be written.
        """
        with self._rungs.write(content_key(key, self._machine)) as entry:
            if entry is not None:
                (entry / "measured.json").write_text(measured.model_dump_json(), encoding="utf-8")
                np.savez_compressed(entry / "frames.npz", **frames)  # type: ignore[arg-type]

    def usage(self) -> Usage:
        """Number and size of the entries."""
        return self._rungs.usage()
