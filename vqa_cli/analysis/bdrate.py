"""Bjontegaard deltas with the checks that make them mean something. Pure.

Source: G. Bjontegaard, VCEG-M33 (2001); interpolation after JVET-T2020 (PCHIP) and C. Herglotz et al., "Beyond
Bjontegaard", ICIP 2022 (Akima). Akima and the cubic are the `bjontegaard` package's, which is slow to load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vqa_cli.analysis.sparse import interval_95, standard_error
from vqa_cli.metrics import METRICS
from vqa_cli.pchip import Pchip

Method = Literal["pchip", "akima", "cubic"]
MIN_POINTS = 4
MIN_OVERLAP = 0.75
_ABSURD_PERCENT = 1000.0


@dataclass(frozen=True, slots=True)
class RatePoints:
    """A curve: kb/s and quality, same length, any order; CPU seconds of each encode where they are known.

    ``hull`` says that it is one over several sizes.
    """

    kbps: tuple[float, ...]
    quality: tuple[float, ...]
    cpu_s: tuple[float, ...] = ()
    hull: bool = False


@dataclass(frozen=True, slots=True)
class BdResult:
    """A Bjontegaard delta.

    Attributes:
        bd_rate: percent; negative means that the test curve needs less rate. ``None`` with a reason.
        bd_quality: mean quality difference in the metric's unit; positive is better.
        overlap: share of the joint quality range that both curves cover, 0..1.
        notes: warnings and the reason of a missing value.
        interval: 95 %, of what curves through so few points may be off by; ``None`` where there is no BD-rate or nobody asked.
        cpu_ratio: what the test curve costs in encoder time, see :func:`bd`; ``None`` where the times are not known.
    """

    bd_rate: float | None
    bd_quality: float | None
    overlap: float
    method: Method
    notes: tuple[str, ...] = ()
    cpu_ratio: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _Cleaned:
    """A curve whose quality rises with rate, without what contradicts that."""

    kbps: list[float]
    quality: list[float]
    cpu_s: list[float]


def bd(
    anchor: RatePoints, test: RatePoints, *, method: Method = "pchip", metric: str = "", quality: bool = True
) -> BdResult:
    """BD-rate and BD-quality of ``test`` against ``anchor``; never a number where none is defined.

    Curves need at least four points whose quality rises with rate. Before that, of points with equal rate the better
    one stays, of points with equal quality the cheaper one, and VMAF points that no longer rise above 99.5 are cut with
    everything past them (AOM CTC, CalcBDRate.py). Nothing is extrapolated: BD-rate needs a common range of quality,
    BD-quality a common range of rate. BD-quality and the interval are left out without ``quality``: they take half the time.

    The CPU ratio is the price of a BD-rate: the ratio of encoder CPU seconds for the same footage **at equal quality**,
    as exp(mean difference of log CPU seconds) over the same points and the same common range of quality, by PCHIP. It is
    the only ratio of encoder times between two curves that vqa shows, and undefined where BD-rate is.
    """
    cleaned = []
    for name, curve in (("anchor", anchor), ("test", test)):
        found = _clean(curve, metric)
        if isinstance(found, str):
            return BdResult(None, None, 0.0, method, (f"{name}: {found}",))
        cleaned.append(found)
    one, two = cleaned
    overlap = _overlap(one.quality, two.quality)
    if overlap <= 0:
        return BdResult(None, None, 0.0, method, ("the curves share no quality range",))
    notes = [f"the curves share only {100 * overlap:.2g}% of their quality range"] if overlap < MIN_OVERLAP else []
    log_rate = _mean_difference(one.quality, _logs(one.kbps), two.quality, _logs(two.kbps), method)
    bd_rate = 100 * math.expm1(log_rate) if log_rate < _ABSURD_PERCENT else math.inf
    bd_quality = None
    if quality and _overlap(one.kbps, two.kbps) > 0:
        bd_quality = _mean_difference(_logs(one.kbps), one.quality, _logs(two.kbps), two.quality, method)
    elif quality:
        notes.append("no BD-quality: the curves share no range of rate")
    sane = abs(bd_rate) <= _ABSURD_PERCENT
    if not sane:
        notes.append("a BD-rate beyond 1000 % means nothing")
    interval = _interval(log_rate, (one, anchor.hull), (two, test.hull)) if sane and quality else None
    return BdResult(
        bd_rate if sane else None, bd_quality, overlap, method, tuple(notes), _cpu_ratio(one, two), interval
    )


def _interval(log_rate: float, anchor: tuple[_Cleaned, bool], test: tuple[_Cleaned, bool]) -> tuple[float, float]:
    low = max(anchor[0].quality[0], test[0].quality[0])
    high = min(anchor[0].quality[-1], test[0].quality[-1])
    one, two = (standard_error(c.quality, _logs(c.kbps), low, high, hull=hull) for c, hull in (anchor, test))
    return interval_95(log_rate, (one, two))


def _clean(curve: RatePoints, metric: str) -> _Cleaned | str:
    """The points that count, or why there is no curve."""
    times = curve.cpu_s or (0.0,) * len(curve.kbps)
    points = list(zip(curve.kbps, curve.quality, times, strict=True))
    if any(not math.isfinite(q) or not math.isfinite(r) or r <= 0 for r, q, _ in points):
        return "a rate or quality is no number"
    best: dict[float, tuple[float, float]] = {}
    for rate, quality, cpu_s in points:
        best[rate] = max((quality, -cpu_s), best.get(rate, (quality, -cpu_s)))
    kept: list[tuple[float, float, float]] = []
    for rate, (quality, negative) in sorted(best.items()):
        if kept and quality == kept[-1][1]:
            continue
        if kept and quality < kept[-1][1]:
            if _is_saturated(metric, kept[-1][1]):
                break
            return f"quality does not rise with rate at {rate:.0f} kb/s"
        kept.append((rate, quality, -negative))
    if len(kept) < MIN_POINTS:
        return f"{len(kept)} usable points; at least {MIN_POINTS} are needed"
    rates, qualities, seconds = zip(*kept, strict=True)
    return _Cleaned(list(rates), list(qualities), list(seconds))


def _cpu_ratio(anchor: _Cleaned, test: _Cleaned) -> float | None:
    if min(*anchor.cpu_s, *test.cpu_s) <= 0:
        return None
    return math.exp(_mean_difference(anchor.quality, _logs(anchor.cpu_s), test.quality, _logs(test.cpu_s), "pchip"))


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def _is_saturated(metric: str, quality: float) -> bool:
    """Whether a metric may fall from here on although the rate rises. Source: AOM CTC's treatment of VMAF."""
    top = METRICS[metric].saturation if metric in METRICS else None
    return top is not None and quality >= top


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    shared = min(max(a), max(b)) - max(min(a), min(b))
    return shared / (max(*a, *b) - min(*a, *b))


def _mean_difference(
    x_a: Sequence[float], y_a: Sequence[float], x_t: Sequence[float], y_t: Sequence[float], method: Method
) -> float:
    """Mean of test minus anchor over the range that both cover; ``x`` rises."""
    low, high = max(x_a[0], x_t[0]), min(x_a[-1], x_t[-1])
    anchor, test = (_curve(x, y, method).integral(low, high) for x, y in ((x_a, y_a), (x_t, y_t)))
    return (test - anchor) / (high - low)


def _curve(x: Sequence[float], y: Sequence[float], method: Method) -> Pchip | _Foreign:
    return Pchip(x, y) if method == "pchip" else _Foreign(x, y, method)


class _Foreign:
    """A curve of the `bjontegaard` package."""

    def __init__(self, x: Sequence[float], y: Sequence[float], method: Method) -> None:
        import numpy as np
        from bjontegaard.interpolation import interpolate

        self._curve = interpolate(np.asarray(x), np.asarray(y), method)

    def integral(self, low: float, high: float) -> float:
        """Area under the curve."""
        return float(self._curve.integrate(low, high))
