"""Per-frame values for the page: reading ``frames.csv``, and thinning long series without losing dips. Pure but for the read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.document import Run, RungResult, Series, SourceResult, run_file
from vqa_cli.errors import StorageError
from vqa_cli.values import StrPath

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Per metric an array of shape (frames,), and that by (source index, rung id); "source" is the source itself.
FrameTable = Mapping[str, "NDArray[np.float64]"]
Frames = Mapping[tuple[int, str], FrameTable]

FRAMES_FILE = "frames.csv"
SOURCE_RUNG = "source"
MAX_POINTS = 2000
_MIN_POINTS = 100
_PAGE_POINTS = 250_000  # about 3 MB of the page
_KEYS = ("source", "rung", "frame")


@dataclass(frozen=True, slots=True)
class Trace:
    """One metric over one clip as it is drawn.

    Attributes:
        x: frame numbers, ``None`` for 0, 1, 2, …
        y: value at each of them, in the metric's unit.
        thinned: the series was longer and only the extremes of each stretch are kept.
        coarse: means over one-second windows, drawn because no frame values were found.
    """

    x: tuple[int, ...] | None
    y: tuple[float, ...]
    thinned: bool = False
    coarse: bool = False


def thin(values: NDArray[np.float64], limit: int = MAX_POINTS) -> Trace:
    """At most ``limit`` points of a series of shape (frames,): first, last, and each stretch's minimum and maximum.

    A dip of one frame survives whatever the length, which plain decimation or averaging would hide.
    """
    if len(values) <= limit:
        return Trace(None, _rounded(values))
    keep = {0, len(values) - 1}
    for part in np.array_split(np.arange(len(values)), max(1, (limit - 2) // 2)):
        keep |= {int(part[values[part].argmin()]), int(part[values[part].argmax()])}
    frames = sorted(keep)
    return Trace(tuple(frames), _rounded(values[frames]), thinned=True)


def points_per_trace(traces: int) -> int:
    """How many points each of ``traces`` series may have, so that a page of many sources stays quick to load."""
    return max(_MIN_POINTS, min(MAX_POINTS, _PAGE_POINTS // max(1, traces)))


def from_segments(series: Series, fps: float) -> Trace:
    """The document's one-second means, each at the middle of its second."""
    x = tuple(round((i + 0.5) * fps) for i in range(len(series.segments)))
    return Trace(x, _rounded(np.asarray(series.segments)), coarse=True)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Five significant digits: finer than any of the metrics is, and half the bytes."""
    return tuple(float(f"{value:.5g}") for value in values)


def read_frames(document: StrPath, run: Run) -> Frames | None:
    """The values in ``frames.csv`` beside a run document or in its folder, ``None`` when there is no such file.

    Raises:
        StorageError: the file is there and cannot be understood.
    """
    path = run_file(document).with_name(FRAMES_FILE)
    if not path.exists():
        return None
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"source": str, "rung": str}, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as err:
        raise StorageError(f"cannot read frame values: {path}", detail=str(err).splitlines()[0]) from err
    return frames_from_table(table, run, str(path))


def frames_from_table(table: pd.DataFrame, run: Run, name: str = FRAMES_FILE) -> Frames:
    """Frame values by (source index, rung id) from rows of source, rung, frame and one column per metric.

    Sources of the same name follow each other in the order of the document; a frame number that does not rise starts
    the next one.

    Raises:
        StorageError: a column is missing or the values are no numbers.
    """
    missing = [key for key in _KEYS if key not in table.columns]
    if missing:
        raise StorageError(f"no column {', '.join(missing)} in frame values: {name}")
    result: dict[tuple[int, str], FrameTable] = {}
    for (source, rung), rows in table.groupby(["source", "rung"], sort=False):
        owners = _owners(run, str(source), str(rung))
        starts = np.flatnonzero(np.diff(rows["frame"].to_numpy(), prepend=np.inf) <= 0)
        for index, part in zip(owners, np.split(np.arange(len(rows)), starts[1:]), strict=False):
            result[index, str(rung)] = _columns(rows.iloc[part], name)
    return result


def _owners(run: Run, source: str, rung: str) -> list[int]:
    """Indices of the sources of that name which have that rung measured."""
    return [i for i, entry in enumerate(run.sources) if entry.source.name == source and _measured(entry, rung)]


def _measured(entry: SourceResult, rung: str) -> bool:
    if rung == SOURCE_RUNG:
        return entry.score is not None
    return any(r.id == rung and r.status == "ok" for r in entry.rungs)


def _columns(rows: pd.DataFrame, name: str) -> FrameTable:
    columns: dict[str, NDArray[np.float64]] = {}
    for column in rows.columns:
        if column in _KEYS:
            continue
        try:
            values = rows[column].to_numpy(dtype=np.float64)
        except ValueError as err:
            raise StorageError(f"not a number in column {column} of frame values: {name}", detail=str(err)) from err
        if np.isfinite(values).all():
            columns[str(column)] = values
    return columns


def rung_traces(frames: FrameTable | None, rung: RungResult, fps: float, limit: int) -> dict[str, Trace]:
    """What can be drawn of a rung: frame values where there are any, else the document's one-second means."""
    model = {"model": rung.score.series} if rung.score else {}
    return _traces(frames or {}, {**model, **rung.fidelity}, fps, limit)


def source_traces(frames: FrameTable | None, entry: SourceResult, fps: float, limit: int) -> dict[str, Trace]:
    """The same of the source itself, which only the model judges."""
    return _traces(frames or {}, {"model": entry.score.series} if entry.score else {}, fps, limit)


def _traces(frames: FrameTable, series: Mapping[str, Series], fps: float, limit: int) -> dict[str, Trace]:
    return {
        metric: thin(frames[metric], limit) if metric in frames else from_segments(known, fps)
        for metric, known in series.items()
        if metric in frames or known.segments
    }


def parse_fps(text: str) -> float:
    """``"30000/1001"`` in frames per second.

    Raises:
        StorageError: the document holds something else.
    """
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError) as err:
        raise StorageError(f"damaged run document: {text!r} is no frame rate") from err
