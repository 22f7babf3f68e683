"""Which frames of a run are worth a picture: each rung's worst, apart in time and in other scenes, and a typical one. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.analysis.curves import all_metrics, default_metric
from vqa_cli.analysis.pictured import pictured_rungs
from vqa_cli.document import Run, SourceResult
from vqa_cli.metrics import lower_is_better
from vqa_cli.stills import Moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values = Mapping[str, "NDArray[np.float64]"]
_APART_S = 1.0
# A moment stands for another rung's worst frame when that rung is nearly as bad there, as a share of the way to its median.
_NEARLY = 0.1
_NEARLY_LATER = 0.5
# From here on only a rung's very worst frame adds a moment: each costs a picture of every rung.
_MANY = 5
# Of two runs, the rungs that are pictured.
_LOST_RUNGS = 4


@dataclass(frozen=True, slots=True)
class StillsWish:
    """How many worst frames of each rung; of the recommended ladder's and a pair to compare, or ``every`` rung's."""

    count: int = 3
    every: bool = False


@dataclass(frozen=True, slots=True)
class StillsChoice:
    """The rungs that are pictured, and when."""

    metric: str
    rungs: tuple[str, ...]
    moments: tuple[Moment, ...]


def choose_stills(
    run: Run, number: int, frames: Mapping[tuple[int, str], Values], cuts: Sequence[int], wish: StillsWish
) -> StillsChoice:
    """What is to be pictured of a source.

    Args:
        number: the source's place in the run.
        frames: frame values by (source index, rung id).
        cuts: frames that begin a scene, rising.

    Returns:
        No rungs where none has frame values.
    """
    source = run.sources[number]
    if not all_metrics(run):
        return StillsChoice("", (), ())
    metric = default_metric(run)
    wanted = [rung.id for rung in source.rungs] if wish.every else pictured_rungs(run, source, metric)
    values = {name: frames[number, name][metric] for name in wanted if metric in frames.get((number, name), {})}
    if not values:
        return StillsChoice(metric, (), ())
    moments = choose_moments(values, cuts, float(Fraction(source.source.fps)), wish.count)
    return StillsChoice(metric, tuple(values), moments)


def choose_lost(
    source: SourceResult, metric: str, values: tuple[Values, Values], losses: Mapping[str, float], cuts: Sequence[int],
    wish: StillsWish,
) -> StillsChoice:  # fmt: skip
    """What is to be pictured of two runs of a source: the rungs that lost most, where they lose most.

    Args:
        values: of both runs, by rung; rungs that one of them lacks are left out.
        losses: of rungs, at equal bitrate; where there is none, the mean over frames counts.
    """
    one, two = values
    shared = [r.id for r in source.rungs if r.id in one and r.id in two and len(one[r.id]) == len(two[r.id])]
    sign = -1.0 if lower_is_better(metric) else 1.0
    lost = {name: sign * (two[name] - one[name]) for name in shared if name != "source"}
    ranked = sorted(lost, key=lambda name: -losses.get(name, -float(lost[name].mean())))
    wanted = set(ranked if wish.every else ranked[:_LOST_RUNGS])
    kept = {name: lost[name] for name in lost if name in wanted}
    if not kept:
        return StillsChoice(metric, (), ())
    moments = choose_moments(kept, cuts, float(Fraction(source.source.fps)), wish.count)
    return StillsChoice(metric, tuple(kept), moments)


def choose_moments(values: Values, cuts: Sequence[int], fps: float, count: int) -> tuple[Moment, ...]:
    """Moments for all rungs together, so that any rung can be held against any other at the same frame.

    Args:
        values: per rung an array of shape (frames,), all of one length.
        count: worst frames of each rung.
    """
    apart = max(1, round(_APART_S * fps))
    worst = {name: worst_frames(series, cuts, apart, count) for name, series in values.items()}
    found: dict[int, list[str]] = {}
    for rank in range(count):
        for name in sorted(values, key=lambda name: float(values[name].min())):
            if rank < len(worst[name]):
                _file(found, name, worst[name][rank], values[name], cuts, apart, first=rank == 0)
    typical = typical_frame(values)
    found.setdefault(typical, [])
    return tuple(Moment(frame=f, worst_of=tuple(names), typical=f == typical) for f, names in sorted(found.items()))


def _file(
    found: dict[int, list[str]], name: str, frame: int, series: NDArray[np.float64], cuts: Sequence[int], apart: int,
    *, first: bool,
) -> None:  # fmt: skip
    """Let a moment that is there stand for a rung's bad frame, or add one."""
    limit = series[frame] + (_NEARLY if first else _NEARLY_LATER) * (float(np.median(series)) - series[frame])
    alike = [
        m
        for m in found
        if abs(m - frame) <= (apart // 2 if first else apart) and _scene(m, cuts) == _scene(frame, cuts)
    ]
    near = min((m for m in alike if series[m] <= limit), key=lambda m: abs(m - frame), default=None)
    if near is not None:
        if name not in found[near]:
            found[near].append(name)
    elif first or len(found) < _MANY:
        found.setdefault(frame, []).append(name)


def worst_frames(series: NDArray[np.float64], cuts: Sequence[int], apart: int, count: int) -> list[int]:
    """The ``count`` worst frames, worst first, at least ``apart`` frames from each other.

    After the first, another scene that falls below the clip's median goes before more of the same one: three pictures of one
    bad second say less than one each of three.
    """
    order = [int(frame) for frame in np.argsort(series, kind="stable")]
    middle = float(np.median(series))
    taken: list[int] = []
    while len(taken) < count:
        free = [frame for frame in order if all(abs(frame - other) >= apart for other in taken)]
        used = {_scene(frame, cuts) for frame in taken}
        fresh = next((f for f in free if series[f] < middle and _scene(f, cuts) not in used), None)
        chosen = fresh if fresh is not None else next(iter(free), None)
        if chosen is None:
            break
        taken.append(chosen)
    return taken


def typical_frame(values: Values) -> int:
    """The frame at which all rungs together are nearest to their medians, in units of their own spread."""
    away = [np.abs(series - np.median(series)) / (float(series.std()) or 1.0) for series in values.values()]
    return int(np.argmin(np.sum(away, axis=0)))


def _scene(frame: int, cuts: Sequence[int]) -> int:
    return bisect_right(cuts, frame)
