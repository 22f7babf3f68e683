"""What few encodes of a title say of all the others: rate and quality over size and CRF, with their uncertainty. Pure.

Log rate and the log odds of quality are smooth in CRF and log size: a quadratic surface holds them within 3 % of the rate and
about one point of VMAF. Its coefficients differ from title to title, but not by much. So a title's surface is a Gaussian
process: a quadratic whose coefficients lie around those of other titles, and a smooth rest. Each encode narrows it.

Source: C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning" (2006), sections 2.2 and 2.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.analysis.sobol import DIMENSIONS, normal_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Odds of quality are not taken beyond these: an encode at either end says nothing of the slope.
_LEAST_LOSS, _LEAST_WORTH = 0.004, 0.02
# How far the rest of a surface is alike: in tens of CRF, and in octaves of the size.
_ALIKE_CRF, _ALIKE_SIZE = 0.8, 0.6
_NUGGET = 1e-6


@dataclass(frozen=True, slots=True)
class Dial:
    """An encoder's quality scale: the value that is usual, and how much of it is what ten CRFs of x264 are."""

    usual: float
    ten: float


@dataclass(frozen=True, slots=True)
class Setting:
    """A size, by its short side, and a CRF."""

    height: int
    crf: float


@dataclass(frozen=True, slots=True)
class Prior:
    """Coefficients of 1, u, x, u*u, u*x and x*x over titles, and the spread of what they leave.

    ``u`` is the CRF in tens from the usual one, ``x`` the size in octaves below the display.
    """

    means: tuple[float, ...]
    spreads: tuple[float, ...]
    rest: float


# Of four clips by x264, the tuning clips of docs/decide.md; the spreads are a little more than was found there.
# Rates are in bits per pixel of the display.
RATE = Prior((-3.3, -1.06, 1.15, 0.05, 0.05, 0.07), (1.0, 0.16, 0.16, 0.06, 0.06, 0.14), 0.02)
ODDS = Prior((1.95, -1.8, 1.75, -0.03, -0.4, 0.35), (0.6, 0.35, 0.45, 0.15, 0.2, 0.3), 0.07)


@dataclass(frozen=True, slots=True)
class Seen:
    """An encode: its setting, log rate and quality from 0 to 1."""

    setting: Setting
    log_rate: float
    quality: float


@dataclass(frozen=True)
class Surface:
    """A Gaussian over the settings of a grid, in their order."""

    mean: Array
    covariance: Array

    def spread(self) -> Array:
        """Standard deviation at each setting."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    def draws(self, count: int) -> Array:
        """Surfaces as likely as this one, spread evenly over what is uncertain, shape (count, settings).

        They are the same ones on every machine: Sobol points, the first dimensions for what is least certain.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        # So many directions in which it is uncertain are told apart; the rest is too little to matter.
        values, vectors = values[::-1][:DIMENSIONS], vectors[:, ::-1][:, :DIMENSIONS]
        # Eigenvectors have no sign of their own.
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        root = vectors * signs * np.sqrt(np.maximum(values, 0.0))
        found: Array = self.mean + normal_points(count, root.shape[1]) @ root.T
        return found


@dataclass(frozen=True)
class Title:
    """What does not change while a title is explored.

    Attributes:
        grid: settings that may be encoded.
        display: short side at which everything is judged.
        unit: log of the rate in kb/s that is one bit per pixel of the display.
    """

    grid: tuple[Setting, ...]
    dial: Dial
    display: int
    unit: float

    def rates(self, seen: Sequence[Seen]) -> Surface:
        """Log rate in kb/s over the grid."""
        found = self._surface(RATE, [s.setting for s in seen], [s.log_rate - self.unit for s in seen])
        return Surface(found.mean + self.unit, found.covariance)

    def odds(self, seen: Sequence[Seen]) -> Surface:
        """Log odds of quality over the grid; encodes at either end of the scale say nothing."""
        telling = [s for s in seen if _LEAST_WORTH <= s.quality <= 1 - _LEAST_LOSS]
        return self._surface(ODDS, [s.setting for s in telling], [odds_of(s.quality) for s in telling])

    def _surface(self, prior: Prior, settings: Sequence[Setting], values: Sequence[float]) -> Surface:
        there, here = self._features(self.grid), self._features(settings)
        means = np.array(prior.means)
        inner = _covariance(prior, here, here) + _NUGGET * np.eye(len(here))
        across = _covariance(prior, there, here)
        gain = np.linalg.solve(inner, across.T).T if len(here) else np.zeros((len(there), 0))
        mean = there @ means + gain @ (np.array(values) - here @ means)
        covariance = _covariance(prior, there, there) - gain @ across.T
        return Surface(mean, (covariance + covariance.T) / 2)

    def _features(self, settings: Sequence[Setting]) -> Array:
        u = np.array([(s.crf - self.dial.usual) / self.dial.ten for s in settings])
        x = np.array([math.log2(s.height / self.display) for s in settings])
        return np.stack([np.ones_like(u), u, x, u * u, u * x, x * x], axis=1).reshape(len(settings), 6)


def _covariance(prior: Prior, a: Array, b: Array) -> Array:
    apart = ((a[:, None, 1] - b[None, :, 1]) / _ALIKE_CRF) ** 2 + ((a[:, None, 2] - b[None, :, 2]) / _ALIKE_SIZE) ** 2
    found: Array = (a * np.square(prior.spreads)) @ b.T + prior.rest**2 * np.exp(-apart / 2)
    return found


def odds_of(quality: float) -> float:
    """Log odds of a quality from 0 to 1."""
    kept = min(max(quality, _LEAST_WORTH), 1 - _LEAST_LOSS)
    return math.log(kept / (1 - kept))


def quality_of(odds: Array) -> Array:
    """Quality from 0 to 1 of log odds."""
    found: Array = 1 / (1 + np.exp(-odds))
    return found
