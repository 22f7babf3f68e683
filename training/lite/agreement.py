"""How far a score says what VMAF says, where bitrate alone says nothing: at equal rate, between encoders and sizes. Pure.

A *curve* is one encoder at one size on one source. Between rungs, curves are interpolated by PCHIP over the logarithm of rate,
as for BD-rate. Figures are means or rank correlations over *items*; an item belongs to a group of footage, and intervals come
from drawing groups.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from scipy import stats
from scipy.interpolate import PchipInterpolator

from vqa_cli.analysis.bdrate import RatePoints, bd

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
# Two encodes whose VMAF differs by less are not said to differ.
NOTICED = 2.0
# Neighbouring rungs are asked about from here on.
APART = 3.0
RATES = 5
_GRID = 257
_REPEATS = 1000
# Below it, curves of equal height: what interpolation leaves of a tie.
_TIED = 1e-9


@dataclass(frozen=True, slots=True)
class Rung:
    """One encode: rate in kb/s, VMAF (mean over frames) and a score, both 0..100; ``pixels`` a second of the display."""

    source: str
    group: str
    clean: bool
    codec: str
    height: int
    kbps: float
    vmaf: float
    score: float
    pixels: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two curves of a source at one rate, of which VMAF prefers one.

    Attributes:
        codecs, heights: of both curves.
        agrees: 1 where the score prefers the same one, 0 where the other, 0.5 where it ties.
    """

    group: str
    codecs: tuple[str, str]
    heights: tuple[int, int]
    agrees: float

    @property
    def between(self) -> Literal["encoders", "sizes", "both"]:
        """What the two curves differ in."""
        if self.codecs[0] == self.codecs[1]:
            return "sizes"
        return "encoders" if self.heights[0] == self.heights[1] else "both"


@dataclass(frozen=True, slots=True)
class Savings:
    """BD-rate in percent of one encoder against another, by VMAF and by the score; ``None`` where it has none."""

    group: str
    test: str
    by_vmaf: float | None
    by_score: float | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """Rate (log2 of kb/s) above which the larger of two sizes is better, by VMAF and by the score."""

    group: str
    by_vmaf: float | None
    by_score: float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A statistic of items with its 95 % interval; both NaN where there are too few items."""

    value: float
    low: float
    high: float
    items: int


class _Curve:
    """Quality over log2 of rate."""

    def __init__(self, rungs: Sequence[Rung], value: Callable[[Rung], float]) -> None:
        best: dict[float, float] = {}
        for rung in rungs:
            best[rung.kbps] = max(value(rung), best.get(rung.kbps, -math.inf))
        rates = sorted(best)
        self.logs = np.log2(rates)
        self._at = PchipInterpolator(self.logs, [best[rate] for rate in rates]) if len(rates) > 1 else None

    def __call__(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self._at is not None
        values: NDArray[np.float64] = self._at(logs)
        return values

    def common(self, other: _Curve) -> tuple[float, float] | None:
        """Range of log2 of rate that both cover."""
        low, high = max(self.logs[0], other.logs[0]), min(self.logs[-1], other.logs[-1])
        return (float(low), float(high)) if low < high else None


def verdicts(rungs: Sequence[Rung]) -> list[Verdict]:
    """Every two curves of a source at five equal rates of the range that both cover, where VMAF differs noticeably."""
    found = []
    for members in _by(rungs, lambda r: r.source).values():
        curves = _by(members, lambda r: (r.codec, r.height))
        for (name_a, a), (name_b, b) in itertools.combinations(sorted(curves.items()), 2):
            (first, second), (told_a, told_b) = _both(a, b, _vmaf), _both(a, b, _score)
            shared = first.common(second)
            if shared is None:
                continue
            logs = np.linspace(*shared, RATES)
            gaps, told = first(logs) - second(logs), told_a(logs) - told_b(logs)
            codecs, heights = (name_a[0], name_b[0]), (name_a[1], name_b[1])
            for gap, said in zip(gaps, told, strict=True):
                if abs(gap) >= NOTICED:
                    agrees = 0.5 if abs(said) < _TIED else float((said > 0) == (gap > 0))
                    found.append(Verdict(members[0].group, codecs, heights, agrees))
    return found


def savings(rungs: Sequence[Rung], anchor: str) -> list[Savings]:
    """What ``vqa bdrate`` says by either, for every source, size and encoder against the anchor."""
    found = []
    for members in _by(rungs, lambda r: (r.source, r.height)).values():
        curves = _by(members, lambda r: r.codec)
        for test in sorted(curves.keys() - {anchor}):
            if anchor not in curves:
                continue
            by_vmaf, by_score = (
                bd(*(_points(curves[name], value) for name in (anchor, test)), metric=metric, quality=False).bd_rate
                for metric, value in (("vmaf", _vmaf), ("model", _score))
            )
            found.append(Savings(members[0].group, test, by_vmaf, by_score))
    return found


def crossings(rungs: Sequence[Rung]) -> list[Crossing]:
    """For every source, encoder and two sizes: where the larger one begins to pay. Left out where VMAF knows no such rate."""
    found = []
    for members in _by(rungs, lambda r: (r.source, r.codec)).values():
        sizes = _by(members, lambda r: r.height)
        for (_, small), (_, large) in itertools.combinations(sorted(sizes.items()), 2):
            by_vmaf, by_score = (_crossing(small, large, value) for value in (_vmaf, _score))
            if by_vmaf is not None:
                found.append(Crossing(members[0].group, by_vmaf, by_score))
    return found


def _crossing(small: Sequence[Rung], large: Sequence[Rung], value: Callable[[Rung], float]) -> float | None:
    """Highest log2 of rate at which ``large`` rises above ``small``."""
    below, above = _both(small, large, value)
    shared = below.common(above)
    if shared is None:
        return None
    logs = np.linspace(*shared, _GRID)
    gain = above(logs) - below(logs)
    (rises,) = np.nonzero((gain[:-1] <= _TIED) & (gain[1:] > _TIED))
    if not len(rises):
        return None
    at = int(rises[-1])
    share = -gain[at] / (gain[at + 1] - gain[at])
    return float(logs[at] + share * (logs[at + 1] - logs[at]))


def within(rungs: Sequence[Rung]) -> list[tuple[str, float]]:
    """Rank correlation inside each source, with its group."""
    sources = _by(rungs, lambda r: r.source).values()
    return [(own[0].group, _srocc([r.vmaf for r in own], [r.score for r in own])) for own in sources]


def neighbours(rungs: Sequence[Rung]) -> list[tuple[str, float]]:
    """For neighbouring rungs of one curve that VMAF tells apart: 1 where the score's order is wrong or tied."""
    wrong = []
    for own in _by(rungs, lambda r: (r.source, r.codec, r.height)).values():
        for low, high in itertools.pairwise(sorted(own, key=_vmaf)):
            if high.vmaf - low.vmaf >= APART:
                wrong.append((low.group, float(low.score >= high.score)))
    return wrong


def errors(rungs: Sequence[Rung]) -> list[tuple[str, float]]:
    """Distance of score and VMAF for each rung."""
    return [(r.group, abs(r.score - r.vmaf)) for r in rungs]


def mean(items: Sequence[tuple[str, float]]) -> Figure:
    """Mean of items (group, value)."""
    return figure(items, lambda values: float(np.mean(values)))


def median(items: Sequence[tuple[str, float]]) -> Figure:
    """Median of items (group, value)."""
    return figure(items, lambda values: float(np.median(values)))


def correlation(items: Sequence[tuple[str, tuple[float, float]]]) -> Figure:
    """SROCC of items (group, (one, other))."""
    return figure(items, lambda values: _srocc(values[:, 0], values[:, 1]) if len(values) > 2 else math.nan)


def figure(items: Sequence[tuple[str, Any]], statistic: Callable[[NDArray[np.float64]], float]) -> Figure:
    """A statistic over the values of items (group, value), with a 95 % bootstrap interval over groups."""
    if not items:
        return Figure(math.nan, math.nan, math.nan, 0)
    parts = [np.array([value for _, value in own], dtype=float) for own in _by(items, lambda i: i[0]).values()]
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(_REPEATS):
        picks = rng.integers(len(parts), size=len(parts))
        drawn.append(statistic(np.concatenate([parts[pick] for pick in picks])))
    finite = [value for value in drawn if math.isfinite(value)]
    low, high = np.percentile(finite, [2.5, 97.5]) if finite else (math.nan, math.nan)
    return Figure(statistic(np.concatenate(parts)), float(low), float(high), len(items))


def by_bitrate(rungs: Sequence[Rung], *, knows_encoder: bool) -> list[Rung]:
    """The same rungs, scored by their rate alone, or by rate, encoder and size; on the scale of log odds of VMAF.

    A line over log bits a pixel of the display, one for all, or one for each encoder and size. It is fitted for each group on
    the rungs of the others, so that it knows no more of a source than a model does.
    """
    logs = np.array([math.log2(1000 * r.kbps / r.pixels) for r in rungs])
    shapes = _shapes(rungs) if knows_encoder else np.zeros(len(rungs), dtype=int)
    lines = np.zeros((len(rungs), 2 * (int(shapes.max()) + 1)))
    rows = np.arange(len(rungs))
    lines[rows, 2 * shapes], lines[rows, 2 * shapes + 1] = 1.0, logs
    goal = np.array([_log_odds(r.vmaf) for r in rungs])
    groups = np.array([r.group for r in rungs])
    told = np.empty(len(rungs))
    for group in np.unique(groups):
        own = groups == group
        told[own] = lines[own] @ np.linalg.lstsq(lines[~own], goal[~own], rcond=None)[0]
    return [replace(rung, score=float(value)) for rung, value in zip(rungs, told, strict=True)]


def as_vmaf(rungs: Sequence[Rung]) -> list[Rung]:
    """Scores in log odds of VMAF brought to 0..100."""
    return [replace(rung, score=100 / (1 + math.exp(-rung.score))) for rung in rungs]


def _shapes(rungs: Sequence[Rung]) -> NDArray[np.int64]:
    """Number of each rung's encoder and size, the latter as a share of its source's largest to the nearest sixth."""
    largest = {source: max(r.height for r in own) for source, own in _by(rungs, lambda r: r.source).items()}
    names = [(r.codec, round(6 * r.height / largest[r.source])) for r in rungs]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([numbers[name] for name in names])


def _log_odds(vmaf: float) -> float:
    share = min(max(vmaf, 1.0), 99.0) / 100
    return math.log(share / (1 - share))


def _both(a: Sequence[Rung], b: Sequence[Rung], value: Callable[[Rung], float]) -> tuple[_Curve, _Curve]:
    return _Curve(a, value), _Curve(b, value)


def _points(rungs: Sequence[Rung], value: Callable[[Rung], float]) -> RatePoints:
    return RatePoints(tuple(r.kbps for r in rungs), tuple(value(r) for r in rungs))


def _vmaf(rung: Rung) -> float:
    return rung.vmaf


def _score(rung: Rung) -> float:
    return rung.score


def _srocc(one: Sequence[float] | NDArray[np.float64], other: Sequence[float] | NDArray[np.float64]) -> float:
    if min(np.ptp(one), np.ptp(other)) < _TIED:
        return math.nan
    return float(stats.spearmanr(one, other)[0])


def _by(items: Sequence[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
