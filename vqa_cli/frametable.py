"""Frame values of a run on disk, ``frames.parquet``: source, rung, frame and one column per metric, written once.

Each clip (a rung of a source, or the source itself) is a row group of its own, so that a reader takes one clip at a time:
of a long film nobody needs all of them at once. Numbers are read as they were written, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.arrow import to_arrow, to_numpy, words, words_in
from vqa_cli.errors import StorageError
from vqa_cli.sealed import check_seal, sealed_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Per metric an array of shape (frames,), and that by (index of the source in the run, rung).
FrameValues = Mapping[str, "NDArray[np.float64]"]
RunFrames = Mapping[tuple[int, str], FrameValues]

FRAMES_FILE = "frames.parquet"
SOURCE_RUNG = "source"  # stands for a rung where the source itself was judged
_SOURCE, _RUNG, _FRAME = _KEYS = ("source", "rung", "frame")
_MIXED = "a row group holds more than one clip, or another than it says"


def write_frames(path: Path, names: Sequence[str], metrics: Sequence[str], frames: RunFrames) -> None:
    """Write the table whole or not at all.

    Args:
        names: of the run's sources, by index; distinct.
        metrics: the columns after the first three; a clip without one of them has nulls there.

    Raises:
        StorageError: it cannot be written.
    """
    import pyarrow as pa

    try:
        schema = _schema(metrics)
        with sealed_table(path, schema) as writer:
            for (index, rung), values in frames.items():
                table = pa.Table.from_arrays(_clip(names[index], rung, metrics, values), schema=schema)
                writer.write_table(table, row_group_size=max(1, len(table)))
    except OSError as err:
        raise StorageError(f"cannot write: {path}", detail=err.strerror or str(err)) from err


def read_frames(path: Path, names: Sequence[str]) -> RunFrames | None:
    """The values in a table, ``None`` when there is no such file. Clips of sources without a name here are left out.

    A clip is read when it is asked for; that of a table which is damaged raises :class:`StorageError` then.

    Args:
        names: of the run's sources, by index.

    Raises:
        StorageError: the file is no such table.
    """
    return StoredFrames(path, names) if path.exists() else None


def length_of(values: FrameValues) -> int:
    """Frames of a clip."""
    return max((len(series) for series in values.values()), default=0)


class StoredFrames(Mapping[tuple[int, str], FrameValues]):
    """Clips in a file. Only the one that is asked for is in memory."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path, self._names = path, names
        self._file = _opened(path)
        self._groups = _clips(path, self._file, names)
        self._metrics = [name for name in self._file.schema_arrow.names if name not in _KEYS]

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self._groups)

    def __getitem__(self, key: tuple[int, str]) -> FrameValues:
        group = self._groups[key]
        with _reading(self._path):
            table = self._file.read_row_group(group)
            owners = [words_in(table[name]) for name in (_SOURCE, _RUNG)]
        if owners != [{self._names[key[0]]}, {key[1]}]:
            raise _damaged(self._path, _MIXED)
        if not np.array_equal(to_numpy(table[_FRAME]), np.arange(len(table))):
            raise _damaged(self._path, f"frames of {key[1]} are not numbered from 0 on")
        columns = {name: to_numpy(table[name]) for name in self._metrics if not table[name].null_count}
        # Of a metric that lacks a frame nothing can be told.
        return {name: values for name, values in columns.items() if np.isfinite(values).all()}


def _schema(metrics: Sequence[str]) -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    keys = [(_SOURCE, text), (_RUNG, text), (_FRAME, pa.int32())]
    return pa.schema([*keys, *((name, pa.float64()) for name in metrics)])


def _clip(source: str, rung: str, metrics: Sequence[str], values: FrameValues) -> list[Any]:
    import pyarrow as pa

    length = length_of(values)
    frames = to_arrow(pa.int32(), np.arange(length, dtype=np.int32))
    columns = [
        to_arrow(pa.float64(), np.ascontiguousarray(values[name], np.float64))
        if name in values
        else pa.nulls(length, pa.float64())
        for name in metrics
    ]
    everywhere = np.zeros(length, np.int32)
    return [words([source], everywhere), words([rung], everywhere), frames, *columns]


def _opened(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(path):
        check_seal(path)
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    missing = [key for key in _KEYS if key not in schema.names]
    if missing:
        raise StorageError(f"no column {', '.join(missing)} in frame values: {path}")
    texts = all(pa.types.is_string(schema.field(key).type) for key in (_SOURCE, _RUNG))
    numbers = [field for field in schema if field.name not in _KEYS and not pa.types.is_float64(field.type)]
    if not texts or not pa.types.is_int32(schema.field(_FRAME).type) or numbers:
        raise _damaged(path, f"columns of other types: {', '.join(f'{f.name} {f.type}' for f in schema)}")
    with _reading(path):
        return pq.ParquetFile(
            path, metadata=file.metadata, page_checksum_verification=True, read_dictionary=[_SOURCE, _RUNG]
        )


def _clips(path: Path, file: Any, names: Sequence[str]) -> dict[tuple[int, str], int]:
    """The row group of each clip, by (index of the source, rung)."""
    indices = {name: index for index, name in enumerate(names)}
    if len(indices) < len(names):
        raise StorageError(f"two sources of one name: whose values are those in {path}?")
    found: dict[tuple[int, str], int] = {}
    for number in range(file.metadata.num_row_groups):
        if not file.metadata.row_group(number).num_rows:
            continue
        with _reading(path):
            source, rung = (_only_value(path, file, number, key) for key in (_SOURCE, _RUNG))
        if source in indices:
            found[indices[source], rung] = number
    return found


def _only_value(path: Path, file: Any, group: int, key: str) -> str:
    """What stands in a column in each row of a group; long names have no statistics, and are looked up."""
    known = file.metadata.row_group(group).column(file.schema_arrow.names.index(key)).statistics
    if known is not None and known.has_min_max and not known.null_count:
        values = {known.min, known.max}
    else:
        values = words_in(file.read_row_group(group, columns=[key])[key])
    if len(values) != 1 or None in values:
        raise _damaged(path, _MIXED)
    return str(values.pop())


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever Arrow says of a file that was damaged is one error."""
    try:
        yield
    except (OSError, ValueError, TypeError, RuntimeError, LookupError, MemoryError) as err:
        raise _damaged(path, str(err)) from err


def _damaged(path: Path, detail: str) -> StorageError:
    return StorageError(f"cannot read frame values: {path}", detail=detail.split("\n", 1)[0] or None)
