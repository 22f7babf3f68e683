"""The best ladder of few rungs, exactly, by dynamic programming. Pure.

A viewer plays the best rung that fits their throughput, so a ladder is worth what its rungs add, each to the viewers who
can play it: ``floor + sum of (q[i] - q[i-1]) * share(rate[i])`` with ``q[-1] = floor``. That is a sum over neighbours, and
so is every rule about neighbours: the best ladder of k rungs that ends at a rung follows from the best ones of k - 1.

Source: L. Toni et al., "Optimal selection of adaptive streaming representations", ACM TOMM 11 (2015); Y. Reznik et al.,
"Optimal design of encoding profiles for ABR streaming", Packet Video (2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.curves import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Parts of a budget of CPU time in which encodes are counted, each rounded up.
_PARTS = 500
# Ladders whose worth differs by less are equal; the one of fewer rungs is preferred.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Rules:
    """What neighbouring rungs must keep to.

    Attributes:
        rungs: the most there may be.
        min_step: least gain of quality.
        min_ratio, max_ratio: how far rates may be apart.
        growing: whether sizes only grow with the rate.
        cpu_s: the most CPU time that all encodes together may take.
    """

    rungs: int
    min_step: float = 0.0
    min_ratio: float = 1.0
    max_ratio: float = float("inf")
    growing: bool = True
    cpu_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Worth:
    """What rungs add, over candidates by rising rate; ``-inf`` where a rung may not be.

    Attributes:
        first: what a ladder whose only rung is ``j`` is worth, shape (n,).
        added: what ``j`` adds as the next rung above ``i``, shape (n, n).
    """

    first: NDArray[np.float64]
    added: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Best:
    """Numbers of the candidates that are chosen, by rising rate, and what that ladder is worth."""

    worth: float
    chosen: tuple[int, ...]


def best_ladder(worth: Worth, rungs: int) -> Best | None:
    """The ladder of at most ``rungs`` rungs that is worth most; ``None`` where not even one rung is allowed.

    Of equally good ladders it is one of the fewest rungs.
    """
    total = worth.first
    before: list[NDArray[np.intp]] = []
    best = _ending(total, before)
    while best is not None and len(before) + 1 < rungs:
        longer = total[:, None] + worth.added
        came = longer.argmax(axis=0)
        before.append(came)
        total = longer[came, np.arange(len(came))]
        found = _ending(total, before)
        if found is None:
            break
        best = found if found.worth > best.worth + _EQUAL else best
    return best


def _ending(total: NDArray[np.float64], before: Sequence[NDArray[np.intp]]) -> Best | None:
    """The best ladder of exactly ``len(before) + 1`` rungs."""
    if (top := _top(total)) is None:
        return None
    chosen = [top.chosen[0]]
    for came in reversed(before):
        chosen.append(int(came[chosen[-1]]))
    return Best(top.worth, tuple(reversed(chosen)))


def _top(total: NDArray[np.float64]) -> Best | None:
    """What is worth most, ``None`` where nothing is allowed."""
    if not total.size:
        return None
    place = int(total.argmax())
    worth = float(total[place])
    return None if worth == -math.inf else Best(worth, (place,))


def affordable_ladder(worth: Worth, rungs: int, cpu_s: NDArray[np.float64], budget: float) -> Best | None:
    """The ladder that is worth most of those whose encodes together take no more CPU time than ``budget``.

    Where the best of all does not keep to it, each encode's time is rounded up to 1/500 of the budget: the answer keeps to
    the budget, and a better one that only just fits may be missed.
    """
    best = best_ladder(worth, rungs)
    if best is None or cpu_s[list(best.chosen)].sum() <= budget:
        return best
    parts = np.ceil(cpu_s / budget * _PARTS - _EQUAL).astype(int)
    room = np.arange(_PARTS + 1)[None, :] >= parts[:, None]
    total = np.where(room, worth.first[:, None], -np.inf)
    before: list[NDArray[np.intp]] = []
    best = _within(total, before, parts)
    while best is not None and len(before) + 1 < rungs:
        total = _longer(total, worth.added, parts, before)
        found = _within(total, before, parts)
        if found is None:
            break
        best = found if found.worth > best.worth + _EQUAL else best
    return best


def _longer(
    total: NDArray[np.float64], added: NDArray[np.float64], parts: NDArray[np.int_], before: list[NDArray[np.intp]]
) -> NDArray[np.float64]:
    """One rung more: what the best ladders that end at ``j`` are worth, by the parts of the budget that they may take."""
    longer = np.full_like(total, -np.inf)
    came = np.zeros(total.shape, dtype=np.intp)
    for j, taken in enumerate(parts):
        if taken <= _PARTS:
            through = total[:, : _PARTS + 1 - taken] + added[:, j, None]
            came[j, taken:] = through.argmax(axis=0)
            longer[j, taken:] = through.max(axis=0)
    before.append(came)
    return longer


def _within(total: NDArray[np.float64], before: Sequence[NDArray[np.intp]], parts: NDArray[np.int_]) -> Best | None:
    """The best affordable ladder of exactly ``len(before) + 1`` rungs."""
    if (top := _top(total[:, -1])) is None:
        return None
    chosen, left = [top.chosen[0]], _PARTS
    for came in reversed(before):
        j = chosen[-1]
        chosen.append(int(came[j, left]))
        left -= int(parts[j])
    return Best(top.worth, tuple(reversed(chosen)))


@dataclass(frozen=True, slots=True)
class Gains:
    """What the points of one title add before any rule holds, so that several rules can be tried.

    Attributes:
        first: see :class:`Worth`.
        gains: of quality from one point to another, shape (n, n), and ``added`` what viewers get of it.
        log_rates, heights: of the points, shape (n,).
    """

    first: NDArray[np.float64]
    gains: NDArray[np.float64]
    added: NDArray[np.float64]
    log_rates: NDArray[np.float64]
    heights: NDArray[np.int_]

    def under(self, rules: Rules) -> Worth:
        """What they add where the rules hold."""
        allowed = permitted(self.log_rates, self.heights, rules) & (self.gains > 0)
        allowed &= self.gains >= rules.min_step
        return Worth(self.first, np.where(allowed, self.added, -np.inf))


def gains_of(points: Sequence[Point], audience: Audience, floor: float) -> Gains:
    """What the points of one title add, to an audience whose viewers without a rung see ``floor``.

    Args:
        points: by rising rate.
    """
    quality = np.array([p.quality for p in points])
    shares = np.array([audience.share(p.kbps) for p in points])
    gains = quality[None, :] - quality[:, None]
    log_rates, heights = np.log(np.array([p.kbps for p in points])), np.array([p.height for p in points])
    return Gains(floor + (quality - floor) * shares, gains, gains * shares[None, :], log_rates, heights)


def permitted(log_rates: NDArray[np.float64], heights: NDArray[np.int_], rules: Rules) -> NDArray[np.bool_]:
    """Which candidate may follow on which as far as rates and sizes go, shape (n, n), the lower one first."""
    apart = log_rates[None, :] - log_rates[:, None]
    found: NDArray[np.bool_] = apart > 0
    found &= apart >= math.log(rules.min_ratio) - _EQUAL
    if rules.max_ratio < math.inf:
        found &= apart <= math.log(rules.max_ratio) + _EQUAL
    if rules.growing:
        found &= heights[None, :] >= heights[:, None]
    return found


def expected(points: Sequence[Point], audience: Audience, floor: float) -> float:
    """Mean quality that viewers get of a ladder, each playing the best rung that fits.

    Args:
        points: rungs by rising rate; one that is no better than a cheaper one is never played.
    """
    total, below = floor, floor
    for point in points:
        if point.quality > below:
            total += (point.quality - below) * audience.share(point.kbps)
            below = point.quality
    return total
