"""What the frame view opens with: two rungs at one bitrate, at their worst moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vqa_cli.analysis.pictured import MATCHED, apart
from vqa_cli.frametable import RunFrames
from vqa_cli.report.view import RungView, TitleView

# Bitrates this near to each other, as a natural logarithm, are called the same.
_SAME = 0.05


@dataclass(frozen=True, slots=True)
class Opening:
    """Two rungs, where there are any, and a frame."""

    first: RungView | None
    second: RungView | None
    frame: int


def open_frames_on(
    title: TitleView, frames: Mapping[str, RunFrames], kept: Sequence[int] = (), keys: Sequence[str] | None = None
) -> Opening:
    """The opening of a title.

    Args:
        frames: frame values by (source index, rung id), by run key.
        kept: the frames of which there are pictures.
        keys: the rungs of which there are.
    """
    pair = _pair(title, keys) or _pair(title, None)
    measured = [view for view in title.rungs if view.quality]
    first, second = pair or (title.best or next(iter(measured), None), None)
    return Opening(first, second, _worst(title, (first, second), frames, kept))


def _pair(title: TitleView, keys: Sequence[str] | None) -> tuple[RungView, RungView] | None:
    """Two rungs at nearly one bitrate: of two codecs or runs, else of two sizes; the better one first.

    Of several that are matched well, those that differ most in quality.

    Args:
        keys: rungs to choose from, where not all will do.
    """
    metric = title.primary.key
    rungs = [v for v in title.rungs if v.encode and metric in v.quality and (keys is None or v.key in keys)]
    for differ in (_other_series, _other_size):
        pairs = [(a, b) for i, a in enumerate(rungs) for b in rungs[i + 1 :] if differ(a, b)]
        if pairs:
            best = min(map(_mismatch, pairs))
            close = [pair for pair in pairs if _mismatch(pair) <= (best[0], max(best[1], _SAME))]
            a, b = max(close, key=lambda pair: _gap(pair, metric))
            first, second = sorted((a, b), key=lambda view: -(view.quality[metric]["mean"] or 0.0))
            return first, second
    return None


def _other_series(a: RungView, b: RungView) -> bool:
    return a.series != b.series


def _other_size(a: RungView, b: RungView) -> bool:
    return a.size != b.size


def _gap(pair: tuple[RungView, RungView], metric: str) -> float:
    a, b = (view.quality[metric]["mean"] or 0.0 for view in pair)
    return abs(a - b)


def _mismatch(pair: tuple[RungView, RungView]) -> tuple[bool, float]:
    """Recommended rungs before others, where they are at one bitrate; then how far the bitrates are from each other."""
    a, b = pair
    assert a.encode
    assert b.encode
    away = apart(a.encode.bitrate_kbps, b.encode.bitrate_kbps)
    return not (a.chosen and b.chosen and away < MATCHED), away


def _worst(
    title: TitleView, shown: Sequence[RungView | None], frames: Mapping[str, RunFrames], kept: Sequence[int]
) -> int:
    """The frame at which the worse of the shown rungs is at its worst, among ``kept`` where there are any."""
    series = [values for view in shown if view and (values := _values(title, view, frames)) is not None]
    if not series:
        return kept[0] if kept else 0
    lowest = np.min([values[: min(map(len, series))] for values in series], axis=0)
    places = [frame for frame in kept if frame < len(lowest)] or range(len(lowest))
    return int(min(places, key=lambda frame: lowest[frame]))


def _values(title: TitleView, view: RungView, frames: Mapping[str, RunFrames]) -> Any:
    number = next(i for i, source in enumerate(view.entry.run.sources) if source is view.entry.source)
    return frames.get(view.entry.run_key, {}).get((number, view.rung.id), {}).get(title.primary.key)
