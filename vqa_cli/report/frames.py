"""Per-frame values for the page: thinning long series without losing dips. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.document import RungResult, Series, SourceResult
from vqa_cli.errors import StorageError
from vqa_cli.frametable import FrameValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_POINTS = 2000
_MIN_POINTS = 100
_PAGE_POINTS = 250_000  # about 3 MB of the page


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


def rung_traces(frames: FrameValues | None, rung: RungResult, fps: float, limit: int) -> dict[str, Trace]:
    """What can be drawn of a rung: frame values where there are any, else the document's one-second means."""
    model = {"model": rung.score.series} if rung.score else {}
    return _traces(frames or {}, {**model, **rung.fidelity}, fps, limit)


def source_traces(frames: FrameValues | None, entry: SourceResult, fps: float, limit: int) -> dict[str, Trace]:
    """The same of the source itself, which only the model judges."""
    return _traces(frames or {}, {"model": entry.score.series} if entry.score else {}, fps, limit)


def _traces(frames: FrameValues, series: Mapping[str, Series], fps: float, limit: int) -> dict[str, Trace]:
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
