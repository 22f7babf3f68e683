"""Per-frame values for the page: reading ``frames.csv``, and thinning long series without losing dips. Pure but for the read."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.document import Run, RungResult, Series, SourceResult, run_file
from vqa_cli.errors import StorageError
from vqa_cli.text import csv_cell
from vqa_cli.values import StrPath

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Per metric an array of shape (frames,), and that by (source index, rung id); "source" is the source itself.
FrameTable = Mapping[str, "NDArray[np.float64]"]
Frames = Mapping[tuple[int, str], FrameTable]
Columns = dict[str, "NDArray[np.float64]"]

FRAMES_FILE = "frames.csv"
SOURCE_RUNG = "source"
MAX_POINTS = 2000
_MIN_POINTS = 100
_PAGE_POINTS = 250_000  # about 3 MB of the page
FRAME = "frame"
_KEYS = ("source", "rung", FRAME)


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
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return frames_from_rows(csv.reader(file), run, str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise StorageError(f"cannot read frame values: {path}", detail=str(err)) from err


def frames_from_rows(rows: Iterator[list[str]], run: Run, name: str = FRAMES_FILE) -> Frames:
    """Frame values by (source index, rung id) from a header and rows of source, rung, frame and one column per metric.

    Sources of the same name follow each other in the order of the document; a frame number that does not rise starts
    the next one. A metric that lacks a frame is left out.

    Raises:
        StorageError: a column is missing or the values are no numbers.
    """
    header = next(rows, [])
    missing = [key for key in _KEYS if key not in header]
    if missing:
        raise StorageError(f"no column {', '.join(missing)} in frame values: {name}")
    source, rung = header.index("source"), header.index("rung")
    clips: dict[tuple[str, str], list[Columns]] = defaultdict(list)
    for key, block in groupby(rows, key=lambda row: (row[source], row[rung]) if len(row) == len(header) else None):
        if key is None:
            raise StorageError(f"a line with other columns than the first in frame values: {name}")
        clips[key].append(_columns(header, block, name))
    result: dict[tuple[int, str], FrameTable] = {}
    for (title, rung_id), parts in clips.items():
        for index, table in zip(_owners(run, title, rung_id), _takes(parts), strict=False):
            result[index, rung_id] = table
    return result


def _columns(header: list[str], block: Iterable[list[str]], name: str) -> Columns:
    """Every column of numbers that has one in each row; empty cells are the source's, which the model alone judges."""
    columns: Columns = {}
    for key, cells in zip(header, zip(*block, strict=True), strict=True):
        if key in ("source", "rung") or not all(cells):
            continue
        try:
            columns[key] = np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError as err:
            raise StorageError(f"not a number in column {key} of frame values: {name}", detail=str(err)) from err
    return columns


def _takes(parts: list[Columns]) -> Iterator[FrameTable]:
    """The clips that a rung's rows belong to: each begins where the frame number does not rise."""
    shared = set.intersection(*(set(part) for part in parts))
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0] if key in shared}
    if FRAME not in whole:
        return
    starts = np.flatnonzero(np.diff(whole[FRAME], prepend=np.inf) <= 0)[1:]
    split = {key: np.split(values, starts) for key, values in whole.items() if key != FRAME}
    for index in range(len(starts) + 1):
        yield {key: clips[index] for key, clips in split.items() if np.isfinite(clips[index]).all()}


def _owners(run: Run, source: str, rung: str) -> list[int]:
    """Indices of the sources of that name which have that rung measured."""
    written = [csv_cell(entry.source.name) for entry in run.sources]  # as the table has it
    return [i for i, entry in enumerate(run.sources) if written[i] == source and _measured(entry, rung)]


def _measured(entry: SourceResult, rung: str) -> bool:
    if rung == SOURCE_RUNG:
        return entry.score is not None
    return any(r.id == rung and r.status == "ok" for r in entry.rungs)


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
