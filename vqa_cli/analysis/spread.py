"""How sure a figure is: bootstrap over one-second windows of the clip, and the spread of repeated encodes. Pure.

The windows are drawn with replacement, the same ones for every rung of both sides, so that what is common to both
cancels. Sources: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13 (percentile interval); T.
Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015), section 5.3 (the wider
percentiles that few windows need).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev

import numpy as np
from numpy.typing import NDArray

from vqa_cli.analysis.curves import series
from vqa_cli.document import RungResult
from vqa_cli.student import t_quantile

DRAWS = 400
MIN_WINDOWS = 3
MIN_SOURCES = 3
Interval = tuple[float, float]
RateQuality = tuple[float, float]
Frames = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A rung as other windows of the clip would give it: kb/s and quality, each of shape (draws,)."""

    kbps: NDArray[np.float64]
    quality: NDArray[np.float64]


def picks(windows: int, *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.int64]:
    """Window numbers drawn with replacement, the same ones each time, of shape (draws, windows)."""
    return np.random.default_rng(seed).integers(windows, size=(draws, windows))


def windows_of(rung: RungResult, metric: str) -> int:
    """Number of one-second windows that the document has of a metric."""
    found = series(rung, metric)
    return len(found.segments) if found else 0


def has_rates(rung: RungResult, metric: str) -> bool:
    """Whether the bitrate of every window is known too; older documents lack it."""
    return rung.encode is not None and len(rung.encode.segments_kbps) == windows_of(rung, metric)


def draw(
    rung: RungResult, metric: str, pooling: str, frames: Frames | None, pick: NDArray[np.int64], *, rates: bool
) -> Drawn | None:
    """Draw a rung's windows; ``None`` where this statistic cannot be drawn.

    The mean needs the document alone, a percentile the frame values too. The worst frame has no bootstrap: a draw leaves
    its window out every third time, whatever is measured.

    Args:
        pick: as :func:`picks` gives.
        rates: draw bitrates too; else they stay what they are over the whole clip.
    """
    found, quality = series(rung, metric), rung.quality(metric, pooling)
    if found is None or quality is None or rung.encode is None or len(found.segments) != pick.shape[1]:
        return None
    if pooling == "mean":
        change = _changes_of_mean(np.array(found.segments), pick)
    elif pooling == "p5" and frames is not None and metric in frames:
        change = _changes_of_p5(frames[metric], pick)
    else:
        return None
    shares = np.array(rung.encode.segments_kbps) if rates else np.ones(pick.shape[1])
    kbps = rung.encode.bitrate_kbps * shares[pick].mean(axis=1) / shares.mean()
    # A model's clip score is not the mean of its windows: their change is added to it.
    return Drawn(kbps, quality + change)


def _changes_of_mean(means: NDArray[np.float64], pick: NDArray[np.int64]) -> NDArray[np.float64]:
    changes: NDArray[np.float64] = means[pick].mean(axis=1) - means.mean()
    return changes


def _changes_of_p5(values: NDArray[np.float64], pick: NDArray[np.int64]) -> NDArray[np.float64]:
    count = pick.shape[1]
    step = round(len(values) / count)
    windows = np.split(values, range(step, step * count, step))
    drawn = [np.percentile(np.concatenate([windows[i] for i in row]), 5) for row in pick]
    return np.array(drawn) - np.percentile(values, 5)


def bootstrap_interval(value: float, drawn: Sequence[float], windows: int) -> Interval | None:
    """95 % interval around ``value``; ``None`` where fewer than half of the draws gave the figure."""
    if windows < MIN_WINDOWS or len(drawn) < DRAWS / 2:
        return None
    tail = 100 * NormalDist().cdf(-math.sqrt(windows / (windows - 1)) * t_quantile(windows - 1))
    low, high = np.percentile(drawn, (tail, 100 - tail))
    # Where every draw lies on one side, the figure itself still belongs to its interval.
    return float(min(low, value)), float(max(high, value))


def repeat_margin(values: Sequence[float]) -> float | None:
    """Half of the 95 % t interval of a mean over repeats; ``None`` below two."""
    if len(values) < 2:
        return None
    return t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))


def mean_interval(values: Sequence[float]) -> Interval | None:
    """95 % t interval of a mean over sources; ``None`` below three values, which say next to nothing of their spread.

    The percentile bootstrap is no choice here: over 3 sources it holds the truth 3 times in 4, and cannot leave their range.
    """
    if len(values) < MIN_SOURCES or (margin := repeat_margin(values)) is None:
        return None
    mean = sum(values) / len(values)
    return mean - margin, mean + margin


def widened(value: float, interval: Interval | None, margin: float | None) -> Interval | None:
    """Both uncertainties together; they are independent, so their squares add."""
    if margin is None:
        return interval
    low, high = interval or (value, value)
    return value - math.hypot(value - low, margin), value + math.hypot(high - value, margin)
