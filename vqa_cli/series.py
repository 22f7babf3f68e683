"""From per-frame values to the statistics that a run document keeps. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.document import Pooled, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pool(values: NDArray[np.float64]) -> Pooled:
    """Statistics of finite frame values, shape (frames,), frames >= 1.

    ``harmonic_mean`` is libvmaf's, N / sum(1 / (s + 1)) - 1, ``None`` where a value is at or below -1; percentiles
    interpolate linearly; ``std`` is that of the population.
    """
    harmonic = len(values) / float(np.sum(1.0 / (values + 1.0))) - 1.0 if values.min() > -1.0 else None
    p1, p5, p10 = (float(p) for p in np.percentile(values, (1, 5, 10)))
    return Pooled(
        mean=float(values.mean()),
        harmonic_mean=harmonic,
        min=float(values.min()),
        p1=p1,
        p5=p5,
        p10=p10,
        std=float(values.std()),
        frames=len(values),
    )


def segment_means(values: NDArray[np.float64], fps: Fraction) -> tuple[float, ...]:
    """Means over consecutive windows of one second; a last one shorter than half a second joins its neighbour."""
    step = max(1, round(fps))
    edges = list(range(0, len(values), step))
    if len(edges) > 1 and len(values) - edges[-1] < step / 2:
        edges.pop()
    return tuple(float(part.mean()) for part in np.split(values, edges[1:]))


def make_series(values: NDArray[np.float64], fps: Fraction) -> Series:
    """Both of the above."""
    return Series(pooled=pool(values), segments=segment_means(values, fps))
