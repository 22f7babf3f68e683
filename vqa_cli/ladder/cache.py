"""Finished rungs by content, so that nothing measured is measured again, even after a crash.

An entry's key is a hash over everything that can move a number; each part is there for a reason (see ``rung_key``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ValidationError

from vqa_cli.errors import StorageError
from vqa_cli.run import EncodeResult, ModelScore, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Raised whenever code changes what is measured.
CODE_SCHEMA = 1
FrameValues = dict[str, "NDArray[np.float64]"]


class Measured(BaseModel):
    """What the cache keeps of a rung (or of a source, which has no encode)."""

    encode: EncodeResult | None
    score: ModelScore | None
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
        model: hash, arithmetic and pooling of the model.
    """

    source: str
    preparation: str
    argv: tuple[tuple[str, ...], ...]
    ffmpeg: str
    libraries: str
    model: str


def rung_key(parts: KeyParts) -> str:
    """Name of the entry."""
    text = json.dumps(
        [CODE_SCHEMA, parts.source, parts.preparation, parts.argv, parts.ffmpeg, parts.libraries, parts.model]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def without_paths(argv: Sequence[str], names: dict[str, str]) -> tuple[str, ...]:
    """``argv`` with real paths replaced by stable names and the program left out."""
    return tuple(names.get(part.removeprefix("file:"), part) for part in argv[1:])


class Cache:
    """Entries in a folder; ``None`` as folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, key: str) -> tuple[Measured, FrameValues] | None:
        """An entry, or ``None`` where there is none or it is damaged."""
        if self._folder is None:
            return None
        entry = self._entry(key)
        try:
            measured = Measured.model_validate_json((entry / "measured.json").read_text(encoding="utf-8"))
            with np.load(entry / "frames.npz") as frames:
                return measured, {name: frames[name] for name in frames.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError, KeyError):
            shutil.rmtree(entry, ignore_errors=True)  # damaged: a miss, to be written again
            return None

    def store(self, key: str, measured: Measured, frames: FrameValues) -> None:
        """Write an entry whole or not at all.

        Raises:
            StorageError: the folder cannot be written.
        """
        if self._folder is None:
            return
        entry = self._entry(key)
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            staged = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".new-"))
            (staged / "measured.json").write_text(measured.model_dump_json(), encoding="utf-8")
            np.savez_compressed(staged / "frames.npz", **frames)  # type: ignore[arg-type]
            try:
                os.replace(staged, entry)
            except OSError:  # another process was first, with the same content
                shutil.rmtree(staged, ignore_errors=True)
        except OSError as err:
            raise StorageError(
                f"cannot write cache: {self._folder}",
                detail=err.strerror,
                hint="--cache-dir DIR or --no-cache",
            ) from err

    def _entry(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / "rungs" / key[:2] / key

    def usage(self) -> tuple[int, int]:
        """Number of entries and their size in bytes."""
        if self._folder is None or not self._folder.exists():
            return 0, 0
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        return sum(path.name == "measured.json" for path in files), sum(path.stat().st_size for path in files)

    def clear(self) -> None:
        """Drop every entry.

        Raises:
            StorageError: it cannot be removed.
        """
        if self._folder is None or not (self._folder / "rungs").exists():
            return
        try:
            shutil.rmtree(self._folder / "rungs")
        except OSError as err:
            raise StorageError(f"cannot clear cache: {self._folder}", detail=err.strerror) from err


def default_cache_dir() -> Path:
    """The user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("vqa", appauthor=False)
