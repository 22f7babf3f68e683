"""Packets of an encode's frames on disk: bytes, kind and quantiser of each, which explain a dip of its frame values.

They lie beside the pictures, a table for each pictured rung, so that nobody holds those of all rungs of a film at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.arrow import to_arrow, to_arrow_with_gaps, to_numpy, to_numpy_with_gaps, words
from vqa_cli.errors import StorageError
from vqa_cli.sealed import check_seal, sealed_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = "KPB"
_BYTES, _KIND, _QUANTISER = _COLUMNS = ("bytes", "kind", "quantiser")


@dataclass(frozen=True, slots=True, eq=False)
class FramePackets:
    """Of each frame of an encode, in order of presentation.

    Attributes:
        bytes: size of its packet; shape (frames,).
        kinds: ``K`` for a key frame, ``B`` for one that was decoded after a later one, else ``P``; a letter for each frame.
        quantisers: on the encoder's own scale, NaN where it is not known; shape (frames,). ``None`` where none is.
    """

    bytes: NDArray[np.int32]
    kinds: str
    quantisers: NDArray[np.float64] | None


def write_packets(path: Path, packets: FramePackets) -> None:
    """Write the table whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    import pyarrow as pa

    places = np.array([KINDS.index(kind) for kind in packets.kinds], np.int32)
    quantisers = np.full(len(places), np.nan) if packets.quantisers is None else packets.quantisers
    columns = [
        to_arrow(pa.int32(), np.ascontiguousarray(packets.bytes, np.int32)),
        words(KINDS, places),
        to_arrow_with_gaps(pa.float64(), quantisers),
    ]
    try:
        with sealed_table(path, pa.schema(list(zip(_COLUMNS, (c.type for c in columns), strict=True)))) as writer:
            writer.write_table(pa.Table.from_arrays(columns, _COLUMNS))
    except OSError as err:
        raise StorageError(f"cannot write: {path}", detail=err.strerror or str(err)) from err


def read_packets(path: Path) -> FramePackets:
    """What :func:`write_packets` wrote.

    Raises:
        StorageError: it cannot be read, or is no such table.
    """
    import pyarrow.parquet as pq

    try:
        check_seal(path)
        file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=[_KIND])
        table = file.read(list(_COLUMNS))
        kind = table[_KIND].combine_chunks()
        letters = np.array([ord(word) for word in kind.dictionary.to_pylist()], np.uint8)
        kinds = letters[np.from_dlpack(kind.indices)].tobytes().decode("ascii")
        return FramePackets(to_numpy(table[_BYTES]), kinds, _quantisers(table[_QUANTISER]))
    except (OSError, ValueError, TypeError, RuntimeError, LookupError, MemoryError) as err:
        raise StorageError(f"cannot read packets: {path}", detail=str(err).split("\n", 1)[0] or None) from err


def _quantisers(column: Any) -> NDArray[np.float64] | None:
    return None if column.null_count == len(column) else to_numpy_with_gaps(column)
