"""Where a series of figures steps from one level to another. Pure.

A piecewise-constant fit: levels are weighted medians, and each further level must take more off the absolute deviations than
it costs (a Potts functional, solved exactly by dynamic programming). Weights come from the interval of each point.

Source of the idea: airspeed velocity, ``asv/step_detect.py`` (Pauli Virtanen, BSD licence), after F. Friedrich et al.,
"Complexity Penalized M-Estimation", JCGS 17 (2008). There the price of a level is found by an information criterion from the
series itself, which calls a handful of equal values followed by one other a step of their own. Here the noise is measured first,
from neighbouring differences, and the price of a level is set in its units: what noise gains by chance in a series this long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# What a further level costs, in units of noise, for each unit of log length. Chosen on the histories of
# benchmarks/history.py: docs/history.md has the figures.
_PRICE = 2.75
_LEAST_LENGTH = 20
# Of the neighbouring differences the largest are steps and outliers, not noise.
_TRIMMED = 0.1
# The mean of the rest is that much too small, for Gaussian noise.
_TRIM_CORRECTION = 1.25
# Weights beyond this would let one confident point outvote all others.
_MOST_WEIGHT = 4.0
_LONGEST = 400
# Fewer values do not show their own noise.
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Level:
    """Points from ``start`` up to, not including, ``end`` share one level."""

    start: int
    end: int
    value: float


def fit_levels(values: Sequence[float], errors: Sequence[float | None], floor: float) -> list[Level]:
    """The levels of a series, in order; one where nothing steps.

    Args:
        errors: half-width of each value's interval, ``None`` where there is none.
        floor: differences smaller than this mean nothing, in the unit of the values.

    Returns:
        Of more than 400 points, the levels of the last 400; of fewer than 5, one.
    """
    skipped = max(0, len(values) - _LONGEST)
    y = np.asarray(values[skipped:], dtype=np.float64)
    if not y.size:
        return []
    if len(y) < _FEWEST:
        return [Level(0, len(y), weighted_median(y, weights_of(errors)))]
    weights = weights_of(errors[skipped:]) / max(floor, noise_of(y))
    price = _PRICE * math.log(max(len(y), _LEAST_LENGTH))
    edges = _partition(y, weights, price)
    return [Level(skipped + a, skipped + b, weighted_median(y[a:b], weights[a:b])) for a, b in pairwise(edges)]


def noise_of(y: NDArray[np.float64]) -> float:
    """Standard deviation of what neighbours differ by without a step, as if it were Gaussian."""
    away = np.sort(np.abs(np.diff(y)))
    kept = away[: len(away) - max(1, math.ceil(len(away) * _TRIMMED))]
    return float(kept.mean()) * math.sqrt(math.pi) / 2 * _TRIM_CORRECTION if kept.size else 0.0


def weights_of(errors: Sequence[float | None]) -> NDArray[np.float64]:
    """How much each point counts: by the width of its interval against the usual one; 1 where that is not known."""
    known = [error for error in errors if error is not None and error > 0]
    usual = float(np.median(known)) if known else 1.0
    found = [usual / error if error else 1.0 for error in errors]
    return np.clip(np.array(found, dtype=np.float64), 1 / _MOST_WEIGHT, _MOST_WEIGHT)


def weighted_median(y: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value that least weighted absolute deviation is from; between two that are as good, their mean."""
    order = np.argsort(y, kind="stable")
    total = np.cumsum(weights[order])
    middle = total[-1] / 2
    low = int(np.searchsorted(total, middle * (1 - 1e-12)))
    high = int(np.searchsorted(total, middle * (1 + 1e-12)))
    return float(y[order[low]] + y[order[min(high, len(y) - 1)]]) / 2


def _partition(y: NDArray[np.float64], weights: NDArray[np.float64], price: float) -> list[int]:
    """Edges of the cheapest partition: Bellman's recursion over where the last level begins."""
    count = len(y)
    costs = _Costs(y, weights)
    best = np.full(count + 1, np.inf)
    best[0] = -price
    begins = [0] * (count + 1)
    for end in range(1, count + 1):
        total = best[:end] + price + costs.up_to(end)
        begins[end] = int(np.argmin(total))
        best[end] = total[begins[end]]
    edges = [count]
    while edges[-1]:
        edges.append(begins[edges[-1]])
    return edges[::-1]


class _Costs:
    """Least weighted absolute deviation of every stretch of a series, by sums over ranks and places."""

    def __init__(self, y: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        count = len(y)
        order = np.argsort(y, kind="stable")
        placed = np.zeros((count, count + 1))
        placed[np.arange(count), order + 1] = weights[order]
        self._sorted = y[order]
        # Of the points before a place (columns) up to a rank (rows): weight, and weight times value.
        self._weight = np.cumsum(np.cumsum(placed, axis=1), axis=0)
        self._moment = np.cumsum(np.cumsum(placed * self._sorted[:, None], axis=1), axis=0)

    def up_to(self, end: int) -> NDArray[np.float64]:
        """Cost of the stretches from each start before ``end`` to it, shape (end,)."""
        weight = self._weight[:, end, None] - self._weight[:, :end]
        moment = self._moment[:, end, None] - self._moment[:, :end]
        rank = np.argmax(weight >= weight[-1] / 2 * (1 - 1e-12), axis=0)
        starts = np.arange(end)
        below, low = weight[rank, starts], moment[rank, starts]
        middle = self._sorted[rank]
        cost: NDArray[np.float64] = middle * (2 * below - weight[-1]) + moment[-1] - 2 * low
        return np.maximum(cost, 0.0)
