"""Frame features on disk: one safetensors file a video, with where they came from in its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vqa_cli._version import MEASUREMENT
from vqa_cli.errors import InputError, StorageError, first_line
from vqa_cli.files import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Provenance(BaseModel):
    """How features were made. What ``key`` covers must be equal for features to be used together.

    ``extractor`` is the name or file under which the network was asked for: it says where to find it again, while
    ``extractor_sha256`` says what it is. One network may come in many models' files, with a head each. ``raw`` is what a
    headerless file was said to hold. ``measurement`` is that of :mod:`vqa_cli._version`, 0 where it was not recorded, and
    ``video_sha256`` says which video it is, whatever it is called.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    extractor: str
    extractor_sha256: str
    precision: str
    preprocessing: str
    every: int
    video: str
    video_bytes: int
    width: int
    height: int
    raw: str | None = None
    measurement: int = 0
    video_sha256: str = ""

    @property
    def raw_format(self) -> str | None:
        """The pixel format that a headerless file was read in."""
        return self.raw.split()[-1] if self.raw else None

    @property
    def key(self) -> tuple[str, str, str, int, int]:
        return self.extractor_sha256, self.precision, self.preprocessing, self.every, self.measurement


def features_path(folder: Path, video: str) -> Path:
    """Where the features of a dataset's ``video`` lie; its suffix stays, so that a.mp4 and a.mkv do not meet."""
    return folder / f"{video}.safetensors"


def write_features(path: Path, features: NDArray[np.float16], origin: Provenance) -> None:
    """Write features of shape (frames, dim) atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save

    data = save({"features": np.ascontiguousarray(features)}, metadata={"provenance": origin.model_dump_json()})
    try:
        with replacing(path) as staged:
            staged.write_bytes(data)
    except OSError as err:
        raise StorageError(f"cannot write features: {path}", detail=err.strerror) from err


def read_provenance(path: Path) -> Provenance:
    """Where the features of a file came from, without reading them.

    Raises:
        InputError: missing or not a feature file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise InputError(f"no features: {path}", hint="`vqa extract` makes them")
    try:
        with safe_open(path, framework="np") as file:
            return Provenance.model_validate_json(file.metadata()["provenance"])
    except (SafetensorError, OSError, KeyError, TypeError, ValidationError) as err:
        raise InputError(f"not a feature file: {path}", detail=first_line(err)) from err


def common_provenance(folder: Path, names: tuple[str, ...]) -> Provenance:
    """How all features of ``names`` were made.

    Raises:
        InputError: a video has none, they were not all made in the same way, or by another version of vqa's arithmetic.
    """
    first = read_provenance(features_path(folder, names[0]))
    if first.measurement != MEASUREMENT:
        raise InputError(
            f"features made by another version of vqa's arithmetic: {folder}",
            detail=f"{names[0]} by version {first.measurement}, this is version {MEASUREMENT}",
            hint="`vqa extract` makes them again",
        )
    raw = {first.raw_format: names[0]} if first.raw_format else {}
    for name in names[1:]:
        other = read_provenance(features_path(folder, name))
        if other.key != first.key:
            raise InputError(f"features made in different ways: {names[0]} and {name} in {folder}")
        if other.raw_format:
            raw.setdefault(other.raw_format, name)
    if len(raw) > 1:
        (one, a), (two, b) = list(raw.items())[:2]
        raise InputError(f"headerless videos read in different ways: {a} as {one}, {b} as {two} in {folder}")
    return first


def open_features(path: Path) -> NDArray[np.float16]:
    """Features of one video, shape (frames, dim), memory-mapped: nothing is read before it is used.

    Writing to the array changes this process's copy alone. Mapped by torch, because a map of NumPy's or Python's keeps
    its file open: a database has more videos than many systems let a process open (1024 on most).

    Raises:
        InputError: missing or not a feature file.
    """
    import torch

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(length))["features"]
        if entry["dtype"] != "F16" or len(entry["shape"]) != 2:
            raise ValueError(f"{entry['dtype']} of shape {entry['shape']}")
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        mapped = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
        features: NDArray[np.float16] = mapped[start:end].view(np.float16).reshape(entry["shape"])
        return features
    except FileNotFoundError as err:
        raise InputError(f"no features: {path}", hint="`vqa extract` makes them") from err
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as err:
        raise InputError(f"not a feature file: {path}", detail=first_line(err)) from err
