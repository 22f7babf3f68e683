"""Bjontegaard deltas with the checks that make them mean something. Pure.

Source: G. Bjontegaard, VCEG-M33 (2001); interpolation after JVET-T2020 (PCHIP) and C. Herglotz et al., "Beyond
Bjontegaard", ICIP 2022 (Akima). The integration is the `bjontegaard` package's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vqa_cli.metrics import METRICS

Method = Literal["pchip", "akima", "cubic"]
MIN_POINTS = 4
MIN_OVERLAP = 0.75
_ABSURD_PERCENT = 1000.0


@dataclass(frozen=True, slots=True)
class RatePoints:
    """A curve: kb/s and quality, same length, any order."""

    kbps: tuple[float, ...]
    quality: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BdResult:
    """A Bjontegaard delta.

    Attributes:
        bd_rate: percent; negative means that the test curve needs less rate. ``None`` with a reason.
        bd_quality: mean quality difference in the metric's unit; positive is better.
        overlap: share of the joint quality range that both curves cover, 0..1.
        notes: warnings and the reason of a missing value.
    """

    bd_rate: float | None
    bd_quality: float | None
    overlap: float
    method: Method
    notes: tuple[str, ...] = ()


def bd(
    anchor: RatePoints, test: RatePoints, *, method: Method = "pchip", metric: str = "", quality: bool = True
) -> BdResult:
    """BD-rate and BD-quality of ``test`` against ``anchor``; never a number where none is defined.

    Curves need at least four points whose quality rises with rate. Before that, of points with equal rate the better
    one stays, of points with equal quality the cheaper one, and VMAF points that no longer rise above 99.5 are cut with
    everything past them (AOM CTC, CalcBDRate.py). Nothing is extrapolated: BD-rate needs a common range of quality,
    BD-quality a common range of rate. BD-quality is left out without ``quality``, which takes half the time.
    """
    notes: list[str] = []
    cleaned = []
    for name, curve in (("anchor", anchor), ("test", test)):
        rates, qualities, problem = _clean(curve, metric)
        if problem:
            return BdResult(None, None, 0.0, method, (f"{name}: {problem}",))
        cleaned.append((rates, qualities))
    (rate_a, quality_a), (rate_t, quality_t) = cleaned
    overlap = _overlap(quality_a, quality_t)
    if overlap <= 0:
        return BdResult(None, None, 0.0, method, ("the curves share no quality range",))
    if overlap < MIN_OVERLAP:
        notes.append(f"the curves share only {100 * overlap:.2g}% of their quality range")
    bd_rate = _delta("rate", rate_a, quality_a, rate_t, quality_t, method)
    bd_quality = None
    if quality and _overlap(rate_a, rate_t) > 0:
        bd_quality = _delta("quality", rate_a, quality_a, rate_t, quality_t, method)
    elif quality:
        notes.append("no BD-quality: the curves share no range of rate")
    if bd_rate is not None and abs(bd_rate) > _ABSURD_PERCENT:
        bd_rate = None
        notes.append("a BD-rate beyond 1000 % means nothing")
    return BdResult(bd_rate, bd_quality, overlap, method, tuple(notes))


def _clean(curve: RatePoints, metric: str) -> tuple[list[float], list[float], str | None]:
    pairs = list(zip(curve.kbps, curve.quality, strict=True))
    if any(not math.isfinite(q) or not math.isfinite(r) or r <= 0 for r, q in pairs):
        return [], [], "a rate or quality is no number"
    best: dict[float, float] = {}
    for rate, quality in pairs:
        best[rate] = max(quality, best.get(rate, quality))
    kept: list[tuple[float, float]] = []
    for rate, quality in sorted(best.items()):
        if kept and quality == kept[-1][1]:
            continue
        if kept and quality < kept[-1][1]:
            if _is_saturated(metric, kept[-1][1]):
                break
            return [], [], f"quality does not rise with rate at {rate:.0f} kb/s"
        kept.append((rate, quality))
    if len(kept) < MIN_POINTS:
        return [], [], f"{len(kept)} usable points; at least {MIN_POINTS} are needed"
    return [r for r, _ in kept], [q for _, q in kept], None


def _is_saturated(metric: str, quality: float) -> bool:
    """Whether a metric may fall from here on although the rate rises. Source: AOM CTC's treatment of VMAF."""
    top = METRICS[metric].saturation if metric in METRICS else None
    return top is not None and quality >= top


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    shared = min(max(a), max(b)) - max(min(a), min(b))
    return shared / (max(*a, *b) - min(*a, *b))


def _delta(
    kind: Literal["rate", "quality"],
    rate_a: list[float], quality_a: list[float], rate_t: list[float], quality_t: list[float],
    method: Method,
) -> float | None:  # fmt: skip
    import bjontegaard

    function = bjontegaard.bd_rate if kind == "rate" else bjontegaard.bd_psnr
    value = float(
        function(rate_a, quality_a, rate_t, quality_t, method=method, require_matching_points=False, min_overlap=0)
    )
    return value if math.isfinite(value) else None
