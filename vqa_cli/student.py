"""Quantiles and ranks in plain Python: loading SciPy's takes longer than a whole report. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

_HALVINGS = 60  # of the interval in which the quantile lies: beyond what a float resolves


@cache
def t_quantile(freedom: int) -> float:
    """How far from 0, in both directions, 95 % of Student's t with ``freedom`` >= 1 degrees lie.

    Source: M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4, by bisection over
    the angle.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _within(middle, freedom) > 0.95 else (middle, high)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Probability that \\|t\\| is at most sqrt(freedom) tan(angle)."""
    odd, square = freedom % 2, math.cos(angle) ** 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= square * (k - 1) / k
        total += term
    inner = math.sin(angle) * total
    return 2 / math.pi * (angle + inner) if odd else inner


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Rank correlation of two series of equal length, ties at their mean rank; ``None`` where one of them is constant."""
    a, b = _ranks(one), _ranks(other)
    middle = (len(a) + 1) / 2
    covariance, spread_a, spread_b = (
        sum((x - middle) * (y - middle) for x, y in zip(*pair, strict=True)) for pair in ((a, b), (a, a), (b, b))
    )
    return covariance / math.sqrt(spread_a * spread_b) if spread_a and spread_b else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    first = {value: index for index, value in reversed(list(enumerate(order, 1)))}
    last = {value: index for index, value in enumerate(order, 1)}
    return [(first[value] + last[value]) / 2 for value in values]
