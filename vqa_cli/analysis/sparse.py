"""How far a BD-rate may be off because its curves have few points. Pure.

Nobody measured what lies between two points. By how much PCHIP leaves the straight line there says how bent the curve is, and so
how far PCHIP itself may be off. A hull over several sizes has fewer points than the sizes together, and misses those where
another size would have been better. The shares below hold on dense grids: see docs/decide.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from vqa_cli.pchip import Pchip

# Standard error of a gap's mean log rate, as a share of the mean distance from the straight line.
_BENT = 0.3
# What remains where curves are straight, of a curve of one size and of a hull.
_ONE_SIZE, _HULL = 0.001, 0.02
_NORMAL_95 = 1.96


def standard_error(
    quality: Sequence[float], log_rates: Sequence[float], low: float, high: float, *, hull: bool
) -> float:
    """Standard error of a curve's mean log rate over a range of quality, gaps between points each for itself.

    Args:
        quality: rising; ``low`` to ``high`` lies within it.
    """
    curve = Pchip(quality, log_rates)
    places = zip(itertools.pairwise(quality), itertools.pairwise(log_rates), strict=True)
    bent = [_distance(curve, ends, rates, low, high) / (high - low) for ends, rates in places]
    return math.hypot(_HULL if hull else _ONE_SIZE, *(_BENT * share for share in bent))


def _distance(curve: Pchip, ends: tuple[float, float], rates: tuple[float, float], low: float, high: float) -> float:
    """Area between the curve and the straight line of a gap, as far as it lies in the range."""
    a, b = max(ends[0], low), min(ends[1], high)
    if a >= b:
        return 0.0
    slope = (rates[1] - rates[0]) / (ends[1] - ends[0])
    straight = (rates[0] + slope * ((a + b) / 2 - ends[0])) * (b - a)
    return curve.integral(a, b) - straight


def interval_95(log_rate: float, errors: tuple[float, float]) -> tuple[float, float]:
    """95 % interval of a BD-rate in percent, from its logarithm and the standard errors of both curves."""
    margin = _NORMAL_95 * math.hypot(*errors)
    return 100 * math.expm1(log_rate - margin), 100 * math.expm1(log_rate + margin)
