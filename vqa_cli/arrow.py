"""Numbers between NumPy and Arrow.

Arrow's own ways there and back would load pandas, which takes 60 MB, or its functions on columns, which take 45.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_arrow(kind: Any, values: NDArray[Any]) -> Any:
    """Numbers as an Arrow array of a type of as many bytes; what is not a number stays as it is."""
    import pyarrow as pa

    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def to_arrow_with_gaps(kind: Any, values: NDArray[Any]) -> Any:
    """The same with null for what is not a number."""
    import pyarrow as pa

    known = pa.py_buffer(np.packbits(~np.isnan(values), bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [known, pa.py_buffer(values)])


def to_numpy(column: Any) -> NDArray[Any]:
    """A column without nulls."""
    return np.from_dlpack(column.combine_chunks())


def to_numpy_with_gaps(column: Any) -> NDArray[np.float64]:
    """A column of float64 with NaN for null."""
    whole = column.combine_chunks()
    known, data = whole.buffers()
    values = np.frombuffer(data, np.float64, len(whole), whole.offset * 8).copy()
    if known is not None:
        there = np.unpackbits(np.frombuffer(known, np.uint8), bitorder="little")
        values[there[whole.offset : whole.offset + len(whole)] == 0] = np.nan
    return values


def words(vocabulary: Sequence[str], places: NDArray[np.int32]) -> Any:
    """Texts, each one of a few."""
    import pyarrow as pa

    data = [word.encode() for word in vocabulary]
    ends = pa.py_buffer(np.cumsum([0, *map(len, data)], dtype=np.int32))
    texts = pa.Array.from_buffers(pa.string(), len(data), [None, ends, pa.py_buffer(b"".join(data))])
    return pa.DictionaryArray.from_arrays(to_arrow(pa.int32(), places), texts)


def words_in(column: Any) -> set[str | None]:
    """The texts in a column that was read as one of a few each; ``None`` is one of them where a text is missing."""
    found: set[str | None] = set()
    for part in column.chunks:
        if part.null_count:
            found.update(part.to_pylist())
        else:
            vocabulary = part.dictionary.to_pylist()
            found.update(vocabulary[place] for place in np.unique(np.from_dlpack(part.indices)))
    return found
