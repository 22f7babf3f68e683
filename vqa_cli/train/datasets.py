"""Rating databases: the authors' ``*info.mat`` files, and label tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.errors import InputError, first_line
from vqa_cli.media.raw import RawFormat
from vqa_cli.tables import Table, read_table
from vqa_cli.values import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADERLESS = ("path", "duration", "fps", "mos")
_NAME_COLUMNS = ("video", "path", "name")
_SCORE_COLUMNS = ("mos", "MOS", "score", "mos_vid")
# LSVQ's lists leave the suffix out, and a dot may stand within a title.
_VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ogv", ".webm", ".wmv", ".y4m", ".yuv"})
_FLAGS = {"true": "test", "1": "test", "1.0": "test", "false": "train", "0": "train", "0.0": "train"}


@dataclass(frozen=True)
class Dataset:
    """Names and ratings of a database; entry i of each field is one video.

    Attributes:
        names: paths below the folder of videos.
        mos: shape (videos,), on the database's own scale.
        ref_ids: shape (videos,); videos of one reference (or one footage) share it and must share a part of a split.
        permutations: shape (references, experiments), each column an order of the reference ids; ``None`` where the
            database brings none.
        parts: ``train``, ``val`` or ``test`` of each video, where the table says so.
        sha256: of the label file.
        raw: format of the videos where they are headerless files and the database says what is in them.
    """

    name: str
    names: tuple[str, ...]
    mos: NDArray[np.float64]
    ref_ids: NDArray[np.int64]
    permutations: NDArray[np.int64] | None
    parts: tuple[str, ...] | None
    sha256: str
    raw: RawFormat | None = None

    def __len__(self) -> int:
        return len(self.names)


def read_dataset(path: Path) -> Dataset:
    """Read ``*info.mat`` (HDF5), or a CSV with ``video,mos[,ref_id][,split]``, lines of ``path, duration, fps, mos``,
    or a list of LSVQ (``name,mos[,is_test]``, names without their ``.mp4``).

    Raises:
        InputError: unreadable, a column is missing, a rating is not finite, a name is doubled or leaves its folder.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as err:
        raise InputError(f"cannot read dataset: {path}", detail=err.strerror) from err
    fields = _read_mat(path) if path.suffix.lower() == ".mat" else _read_table(path)
    name = path.stem.removesuffix("info")
    return _checked(Dataset(name=name, sha256=digest, **fields), path)


def _checked(data: Dataset, path: Path) -> Dataset:
    if not len(data):
        raise InputError(f"no video in dataset: {path}")
    if not len(data) == len(data.mos) == len(data.ref_ids):
        raise InputError(f"{len(data)} names, {len(data.mos)} ratings and {len(data.ref_ids)} reference ids: {path}")
    if data.permutations is not None and not _orders(data.permutations, data.ref_ids):
        raise InputError(f"the index does not order the reference ids: {path}")
    if not np.isfinite(data.mos).all():
        raise InputError(
            f"a rating is missing or no number: {data.names[int(np.argmin(np.isfinite(data.mos)))]} in {path}"
        )
    if len(set(data.names)) != len(data):
        double = next(name for name in data.names if data.names.count(name) > 1)
        raise InputError(f"a video is listed twice: {double} in {path}")
    for name in data.names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InputError(f"not a path below the folder of videos: {name} in {path}")
    return data


def _orders(permutations: NDArray[np.int64], ref_ids: NDArray[np.int64]) -> bool:
    """Whether each column has each id once: one that counts from another number would move videos between parts unseen."""
    refs = np.unique(ref_ids)
    return len(permutations) == len(refs) and bool((np.sort(permutations, axis=0) == refs[:, None]).all())


def _read_mat(path: Path) -> dict[str, Any]:
    try:
        import h5py
    except ImportError as err:
        raise InputError(f"h5py is needed to read {path}", hint="pip install 'vqa-cli[train]'") from err
    try:
        with h5py.File(path, "r") as file:
            names = tuple("".join(map(chr, file[ref][()].ravel())) for ref in file["video_names"][0])
            mos, refs = np.asarray(file["scores"][0], float), np.asarray(file["ref_ids"][0]).astype(np.int64)
            orders = np.asarray(file["index"]).astype(np.int64)
            raw = _raw_format(file)
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as err:
        raise InputError(f"not an info file of a rating database: {path}", detail=first_line(err)) from err
    return {"names": names, "mos": mos, "ref_ids": refs, "permutations": orders, "parts": None, "raw": raw}


def _raw_format(file: Any) -> RawFormat | None:
    """``YUV420`` and one size for all, as in LIVE-Qualcomm."""
    if "".join(map(chr, np.asarray(file["video_format"]).ravel())) != "YUV420":
        return None
    width, height = (np.asarray(file[side]).ravel() for side in ("width", "height"))
    return RawFormat(Size(int(width[0]), int(height[0]))) if width.size == height.size == 1 else None


def _read_table(path: Path) -> dict[str, Any]:
    table = read_table(path)
    if not set(_NAME_COLUMNS) & set(table.columns) and len(table.header.cells) == len(_HEADERLESS):
        table = table.without_header(_HEADERLESS)
    name_column = _column(table, _NAME_COLUMNS)
    names = table.filled(name_column)
    if name_column == "name":
        names = [name if PurePosixPath(name).suffix.lower() in _VIDEO_SUFFIXES else f"{name}.mp4" for name in names]
    mos = np.array(table.numbers(_column(table, _SCORE_COLUMNS)))
    # Those without a reference would be taken for one footage.
    refs = table.filled("ref_id") if "ref_id" in table.columns else names
    codes = np.unique(np.array(refs, dtype=str), return_inverse=True)[1].astype(np.int64) + 1
    parts = tuple(table.texts("split")) if "split" in table.columns else None
    if name_column == "name" and "is_test" in table.columns:  # LSVQ, which has no validation part
        parts = tuple(_FLAGS.get(flag.lower(), f"is_test {flag or 'empty'}") for flag in table.texts("is_test"))
    for row, part in zip(table.rows, parts or (), strict=False):
        if part not in ("train", "val", "test"):
            raise InputError(f"split is train, val or test, not {part or 'empty'} in line {row.line}: {path}")
    return {"names": tuple(names), "mos": mos, "ref_ids": codes, "permutations": None, "parts": parts}


def _column(table: Table, names: tuple[str, ...]) -> str:
    for name in names:
        if name in table.columns:
            return name
    raise InputError(f"no column {names[0]}: {table.path}", hint="columns are video,mos[,ref_id][,split]")
