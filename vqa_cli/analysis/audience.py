"""Who watches: the throughputs that viewers have, as shares. Pure."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Audience(Protocol):
    """A distribution of throughput."""

    def share(self, kbps: float) -> float:
        """Share of viewers whose throughput is at least ``kbps``, 0 to 1."""
        ...

    @property
    def text(self) -> str:
        """The distribution in a few words."""
        ...


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Every ratio of rates between ``low`` and ``high`` is as likely as any other of its size."""

    low: float
    high: float

    def share(self, kbps: float) -> float:
        if kbps <= self.low:
            return 1.0
        if kbps >= self.high:
            return 0.0
        return math.log(self.high / kbps) / math.log(self.high / self.low)

    @property
    def text(self) -> str:
        return f"throughput log-uniform from {self.low:.0f} to {self.high:.0f} kb/s"


@dataclass(frozen=True, slots=True)
class Measured:
    """Throughputs in kb/s, rising, and beside each the share of viewers who have it or more."""

    kbps: tuple[float, ...]
    shares: tuple[float, ...]
    name: str

    def share(self, kbps: float) -> float:
        at = bisect.bisect_left(self.kbps, kbps)
        return self.shares[at] if at < len(self.shares) else 0.0

    @property
    def text(self) -> str:
        return f"throughput of {self.name}: {self.kbps[0]:.0f} to {self.kbps[-1]:.0f} kb/s"


def measured(pairs: Iterable[tuple[float, float]], name: str) -> Measured:
    """An audience from (kb/s, share) in any order; shares need not add up to 1, only to something.

    Raises:
        ValueError: no share is above zero.
    """
    weights: dict[float, float] = {}
    for kbps, share in pairs:
        weights[kbps] = weights.get(kbps, 0.0) + share
    rates = sorted(rate for rate, weight in weights.items() if weight > 0)
    if not rates:
        raise ValueError("no share is above zero")
    total = math.fsum(weights[rate] for rate in rates)
    summed = list(itertools.accumulate(weights[rate] for rate in reversed(rates)))
    return Measured(tuple(rates), tuple(min(part / total, 1.0) for part in reversed(summed)), name)
