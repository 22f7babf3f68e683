"""Points that fill a space evenly, in plain Python: loading SciPy's takes as long as two encodes. Pure.

Source: S. Joe, F. Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30 (2008);
their table "new-joe-kuo-6.21201". Points follow one another by I. Antonov and V. Saleev's Gray code.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_BITS = 30
# Of each dimension after the first: the polynomial's inner coefficients as bits, and the first direction numbers.
_TABLE = (
    (0, (1,)), (1, (1, 3)), (1, (1, 3, 1)), (2, (1, 1, 1)), (1, (1, 1, 3, 3)), (4, (1, 3, 5, 13)), (2, (1, 1, 5, 5, 17)),
    (4, (1, 1, 5, 5, 5)), (7, (1, 1, 7, 11, 19)), (11, (1, 1, 5, 1, 1)), (13, (1, 1, 1, 3, 11)),
)  # fmt: skip
DIMENSIONS = 1 + len(_TABLE)


@cache
def normal_points(count: int, dimensions: int) -> NDArray[np.float64]:
    """Points of a standard Gaussian that lie evenly, shape (count, dimensions), read only; the same ones on every machine.

    Args:
        count: a power of two, or they are not even.
        dimensions: at most :data:`DIMENSIONS`.
    """
    quantile = NormalDist().inv_cdf
    # Shifted by half a step: the first point of all is zero, which has no quantile.
    points = np.array([[quantile((x + 0.5 / count) % 1.0) for x in row] for row in sobol(count, dimensions)])
    points.setflags(write=False)
    return points


def sobol(count: int, dimensions: int) -> list[list[float]]:
    """The first points of the sequence, from the origin on: (count, dimensions), each in [0, 1)."""
    directions = [_directions(dimension) for dimension in range(dimensions)]
    point, points = [0] * dimensions, []
    for number in range(count):
        points.append([x / (1 << _BITS) for x in point])
        flipped = (~number & (number + 1)).bit_length() - 1
        point = [x ^ numbers[flipped] for x, numbers in zip(point, directions, strict=True)]
    return points


def _directions(dimension: int) -> list[int]:
    """Direction numbers, as whole parts of 2 ** -_BITS."""
    if dimension == 0:
        return [1 << (_BITS - 1 - k) for k in range(_BITS)]
    inner, numbers = _TABLE[dimension - 1][0], list(_TABLE[dimension - 1][1])
    degree = len(numbers)
    for k in range(degree, _BITS):
        found = numbers[k - degree] ^ numbers[k - degree] << degree
        for back in range(1, degree):
            if inner >> (degree - 1 - back) & 1:
                found ^= numbers[k - back] << back
        numbers.append(found)
    return [m << (_BITS - 1 - k) for k, m in enumerate(numbers)]
