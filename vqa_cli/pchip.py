"""Monotone cubic interpolation of a few points, in plain Python: curves of a ladder need no more, and load nothing for it. Pure.

Source: F. N. Fritsch, J. Butland, "A method for constructing local monotone piecewise cubic interpolants", SIAM J. Sci.
Stat. Comput. 5 (1984); slopes at the ends by C. Moler, "Numerical Computing with MATLAB" (2004), section 3.6, as
``scipy.interpolate.PchipInterpolator`` has them.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence


class Pchip:
    """A smooth curve through points that never overshoots them.

    Args:
        x: strictly rising, two or more, and no two of them so near that a slope between them is infinite.
        y: as many.
    """

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        self._x, self._y = x, y
        self._widths = [b - a for a, b in itertools.pairwise(x)]
        rises = [b - a for a, b in itertools.pairwise(y)]
        self._slopes = _slopes(self._widths, [rise / width for rise, width in zip(rises, self._widths, strict=True)])

    def __call__(self, x: float) -> float:
        """Value at ``x``, which lies within the points."""
        i, t = self._place(x)
        a, b, c, d = self._cubic(i)
        return a + t * (b + t * (c + t * d))

    def integral(self, low: float, high: float) -> float:
        """Area under the curve between two places within the points."""
        return self._area_to(high) - self._area_to(low)

    def _area_to(self, x: float) -> float:
        last, part = self._place(x)
        return sum(self._area(i, 1.0) for i in range(last)) + self._area(last, part)

    def _area(self, i: int, t: float) -> float:
        """Area of the ``i``-th piece up to the share ``t`` of its width."""
        a, b, c, d = self._cubic(i)
        return self._widths[i] * t * (a + t * (b / 2 + t * (c / 3 + t * d / 4)))

    def _place(self, x: float) -> tuple[int, float]:
        """The piece that ``x`` lies in, and where in it from 0 to 1."""
        i = min(max(bisect.bisect_right(self._x, x) - 1, 0), len(self._widths) - 1)
        return i, (x - self._x[i]) / self._widths[i]

    def _cubic(self, i: int) -> tuple[float, float, float, float]:
        """Coefficients of a piece over the share of its width, constant first."""
        rise = self._y[i + 1] - self._y[i]
        start, end = (self._widths[i] * slope for slope in self._slopes[i : i + 2])
        return self._y[i], start, 3 * rise - 2 * start - end, start + end - 2 * rise


def _slopes(widths: Sequence[float], secants: Sequence[float]) -> list[float]:
    if len(secants) == 1:
        return [secants[0], secants[0]]
    inner = [_inner(*widths[i : i + 2], *secants[i : i + 2]) for i in range(len(secants) - 1)]
    return [_end(*widths[:2], *secants[:2]), *inner, _end(widths[-1], widths[-2], secants[-1], secants[-2])]


def _inner(width_a: float, width_b: float, a: float, b: float) -> float:
    """Weighted harmonic mean of both secants; flat where the curve turns."""
    if a * b <= 0:
        return 0.0
    weight_a, weight_b = 2 * width_b + width_a, width_b + 2 * width_a
    return (weight_a + weight_b) / (weight_a / a + weight_b / b)


def _end(width: float, next_width: float, secant: float, next_secant: float) -> float:
    """One-sided parabola, bent as little as keeps the shape."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope
