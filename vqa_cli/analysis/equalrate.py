"""Quality lost at equal bitrate: what a change costs the viewer when it may not cost the network. Pure.

At an equal CRF a faster preset often scores *better*, because it spends more bits; the difference at a rung means
something only once both sides cost the same. So one side's quality is read off its own curve, by PCHIP over log rate, at
the other's achieved bitrate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vqa_cli.pchip import Pchip

RateQuality = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drop:
    """Baseline minus candidate in the metric's unit, at ``kbps``; positive is worse."""

    value: float
    kbps: float


class QualityCurve:
    """Quality by PCHIP over log rate between measured points; of equal rates the better one counts.

    Args:
        points: (kb/s, quality), any order.
    """

    def __init__(self, points: Sequence[RateQuality]) -> None:
        best: dict[float, float] = {}
        for rate, quality in points:
            best[rate] = max(quality, best.get(rate, quality))
        self._points = sorted(best.items())

    def at(self, kbps: float) -> float | None:
        """Quality at a bitrate, ``None`` outside the measured range and on a curve of one point."""
        points = self._points
        if len(points) < 2 or not points[0][0] <= kbps <= points[-1][0]:
            return None
        return self._curve(math.log(kbps))

    @cached_property
    def _curve(self) -> Pchip:
        rates, quality = zip(*self._points, strict=True)
        return Pchip([math.log(rate) for rate in rates], quality)


def drop_at_equal_rate(
    base: RateQuality, test: RateQuality, base_curve: QualityCurve, test_curve: QualityCurve
) -> Drop | None:
    """What the candidate loses at a rung's bitrate, or at its own where its curve does not reach the baseline's.

    Args:
        base, test: (kb/s, quality) of the rung on either side.
        base_curve, test_curve: the curves that they lie on.

    Returns:
        ``None`` where neither curve covers the other's bitrate: nothing is extrapolated.
    """
    if base[0] == test[0]:
        return Drop(base[1] - test[1], base[0])
    there = test_curve.at(base[0])
    if there is not None:
        return Drop(base[1] - there, base[0])
    here = base_curve.at(test[0])
    return None if here is None else Drop(here - test[1], test[0])
