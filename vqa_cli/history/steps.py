"""Where a series of figures steps from one level to another. Pure.

A piecewise-constant fit with Huber's loss: squares near a level, so that few runs show a step, and deviations beyond, so that
one outlier is none. Each further level must take off more than it costs (a Potts functional). Weights come from the interval of
each point.

Source of the idea: airspeed velocity, ``asv/step_detect.py`` (Pauli Virtanen, BSD licence), after F. Friedrich et al.,
"Complexity Penalized M-Estimation", JCGS 17 (2008). There the loss is the absolute deviation, and the price of a level is found
by an information criterion from the series itself, which calls a handful of equal values followed by one other a step of their
own. Here the noise is measured first, from neighbouring differences, and the price is set in its units. Robust losses for
change points: P. Fearnhead and G. Rigaill, "Changepoint Detection in the Presence of Outliers", JASA 114 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

# What a further level costs, in squares of the noise, for each unit of log length. A series that is hardly longer than this does
# not show its noise well, so there it costs more. A level of a single run costs twice: it may be an outlier. docs/history.md says
# how these were chosen.
_PRICE = 2.2
_SHORT = 20
# Deviations beyond this many units of noise count linearly.
_KNEE = 2.0
# Of the neighbouring differences the largest are steps and outliers, not noise.
_TRIMMED = 0.05
# Weights beyond this would let one confident point outvote all others.
_MOST_WEIGHT = 4.0
# Levels are tried this far apart, in units of noise.
_GRID = 0.1
_LONGEST = 400
# Fewer values do not show their own noise.
_FEWEST = 5
# Of the fit of a level; it needs about ten.
_ROUNDS = 40


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
    noise = max(floor, noise_of(y))
    weights = weights_of(errors[skipped:])
    edges = _partition(y / noise, weights, price_of(len(y))) if len(y) >= _FEWEST else [0, len(y)]
    return [Level(skipped + a, skipped + b, huber_location(y[a:b], weights[a:b] / noise)) for a, b in pairwise(edges)]


def price_of(count: int) -> float:
    """What each further level of a series this long costs."""
    return _PRICE * math.log(max(count, _SHORT)) * (1 + (_SHORT / count) ** 2)


def noise_of(y: NDArray[np.float64]) -> float:
    """Standard deviation of what neighbours differ by without a step, as if it were Gaussian."""
    away = np.sort(np.abs(np.diff(y)))
    kept = away[: len(away) - max(1, math.ceil(len(away) * _TRIMMED))]
    if not kept.size:
        return 0.0
    share, gauss = kept.size / away.size, NormalDist()
    expected = 2 * (gauss.pdf(0) - gauss.pdf(gauss.inv_cdf((1 + share) / 2))) / share
    return float(kept.mean()) / expected / math.sqrt(2)


def huber_loss(deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the square up to the knee, and on along the tangent."""
    near = np.minimum(np.abs(deviations), _KNEE)
    loss: NDArray[np.float64] = near * (np.abs(deviations) - near / 2)
    return loss


def huber_location(y: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value that least Huber's loss is from: weighted means, far points at less each time. Weights are one over noise."""
    level = float(np.median(y))
    for _ in range(_ROUNDS):
        away = np.maximum(weights * np.abs(y - level), _KNEE)
        level = float(np.average(y, weights=weights**2 / away))
    return level


def weights_of(errors: Sequence[float | None]) -> NDArray[np.float64]:
    """How much each point counts: by the width of its interval against the usual one; 1 where that is not known."""
    known = [error for error in errors if error is not None and error > 0]
    usual = float(np.median(known)) if known else 1.0
    found = [usual / error if error else 1.0 for error in errors]
    return np.clip(np.array(found, dtype=np.float64), 1 / _MOST_WEIGHT, _MOST_WEIGHT)


def _partition(z: NDArray[np.float64], weights: NDArray[np.float64], price: float) -> list[int]:
    """Edges of the cheapest partition: Viterbi's recursion over the levels that a run may have. ``z`` is in units of noise."""
    levels = _levels(z)
    # Cheapest way to each level, where it has one run so far and where it has more; and where that began.
    one = more = np.full(len(levels), np.inf)
    begun = np.zeros(len(levels), dtype=np.intp)
    total, begins = -price, [0]
    for place, (value, weight) in enumerate(zip(z, weights, strict=True)):
        loss = huber_loss(weight * (value - levels))
        begun[one < more] = place - 1
        more = np.minimum(one, more) + loss
        one = total + price + loss
        lasting = int(np.argmin(more))
        single = float(one.min()) + price
        total = min(single, float(more[lasting]))
        begins.append(place if single < more[lasting] else int(begun[lasting]))
    edges = [len(z)]
    while edges[-1]:
        edges.append(begins[edges[-1]])
    return edges[::-1]


def _levels(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """All levels worth trying. Beyond the knee of every point the loss has no minimum."""
    reach = round(_KNEE * _MOST_WEIGHT / _GRID)
    near = np.unique(np.round(z / _GRID))
    steps = np.unique(near[:, None] + np.arange(-reach, reach + 1))
    levels: NDArray[np.float64] = steps[(steps >= near[0]) & (steps <= near[-1])] * _GRID
    return levels
