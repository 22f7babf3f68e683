"""How well predictions agree with ratings: rank and linear correlation, after VQEG's logistic too, with intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, stats

from vqa_cli.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LEAST_FOR_FIT = 5  # four parameters and one degree of freedom


@dataclass(frozen=True, slots=True)
class Agreement:
    """Figures over ``n`` clips. What is undefined is NaN, and ``reasons`` says why; ``remarks`` say what speaks against them.

    ``srocc_low`` and ``srocc_high`` bound the 95 % interval of ``srocc``. ``plcc`` and ``rmse`` compare predictions as
    they are, ``plcc_fit`` and ``rmse_fit`` after the logistic fit.
    """

    n: int
    srocc: float
    srocc_low: float
    srocc_high: float
    krocc: float
    plcc: float
    rmse: float
    plcc_fit: float
    rmse_fit: float
    reasons: tuple[str, ...] = field(default=(), kw_only=True)
    remarks: tuple[str, ...] = field(default=(), kw_only=True)

    def document(self) -> dict[str, Any]:
        """As plain data for JSON: NaN becomes ``None``."""
        values = asdict(self)
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}

    @classmethod
    def recalled(cls, figures: Mapping[str, float]) -> Agreement:
        """From numbers that were kept of :meth:`document`, which lack what was undefined, and why it was."""
        names = [each.name for each in fields(cls) if each.name not in ("n", "reasons", "remarks")]
        reasons = ("undefined when it was measured",) if any(name not in figures for name in names) else ()
        return cls(int(figures["n"]), *(figures.get(name, math.nan) for name in names), reasons=reasons)


FIGURES = ("srocc", "krocc", "plcc", "plcc_fit", "rmse", "rmse_fit")


def spread(results: Sequence[Agreement]) -> dict[str, tuple[float, float]]:
    """Mean and sample standard deviation of each of :data:`FIGURES`, over all results or not at all.

    One undefined figure leaves its mean undefined: a mean without it would flatter.
    """
    columns = {name: np.array([getattr(result, name) for result in results]) for name in FIGURES}
    return {
        name: (float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else math.nan)
        for name, values in columns.items()
    }


def agreement(predicted: ArrayLike, rated: ArrayLike) -> Agreement:
    """Compare predictions with ratings, both of shape (clips,).

    Ties get mean ranks (Spearman) and tau-b (Kendall), as in SciPy.

    Raises:
        InputError: lengths differ, no value at all, or a value that is not finite.
    """
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(rated, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise InputError(f"cannot correlate: {x.shape} predictions with {y.shape} ratings")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("cannot correlate: a value is not finite")
    rmse = float(np.sqrt(np.mean((x - y) ** 2)))
    reason = _undefined(x, y)
    if reason:
        nan = math.nan
        return Agreement(x.size, nan, nan, nan, nan, nan, rmse, nan, nan, reasons=(reason,))
    srocc = float(stats.spearmanr(x, y).statistic)
    low, high = srocc_interval(srocc, x.size)
    krocc, plcc = float(stats.kendalltau(x, y).statistic), float(stats.pearsonr(x, y).statistic)
    try:
        fitted = logistic_fit(x, y)
    except ValueError as err:
        return Agreement(x.size, srocc, low, high, krocc, plcc, rmse, math.nan, math.nan, reasons=(str(err),))
    fit_rmse = float(np.sqrt(np.mean((fitted - y) ** 2)))
    return Agreement(x.size, srocc, low, high, krocc, plcc, rmse, float(stats.pearsonr(fitted, y).statistic), fit_rmse)


def _undefined(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    if x.size < 2:
        return "one clip has no correlation"
    if np.ptp(x) == 0:
        return "all predictions are equal"
    return "all ratings are equal" if np.ptp(y) == 0 else ""


def srocc_interval(srocc: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of Spearman's coefficient by Fisher's z with the standard error sqrt((1 + r^2 / 2) / (n - 3)).

    NaN below four clips. Source: D. G. Bonett, T. A. Wright, Psychometrika 65, 2000, eq. 3.
    """
    if n < 4:
        return math.nan, math.nan
    if abs(srocc) >= 1:
        return srocc, srocc
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt((1 + srocc**2 / 2) / (n - 3))
    return math.tanh(math.atanh(srocc) - reach), math.tanh(math.atanh(srocc) + reach)


def logistic_fit(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Predictions ``x`` brought to the scale of ratings ``y`` by VQEG's four-parameter logistic, least squares.

    The fit is read at ``x`` itself, or at the predictions ``at``; shape (clips,), or that of ``at``.

    Source: VQEG, "Final report … validation of objective models of video quality assessment", 2000:
    b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|)).

    Raises:
        ValueError: fewer than five clips, or the fit does not converge.
    """
    if x.size < _LEAST_FOR_FIT:
        raise ValueError(f"the logistic fit needs {_LEAST_FOR_FIT} clips")
    # Standardised, so that one starting point serves every scale.
    z = (x - x.mean()) / x.std()
    rising = np.corrcoef(z, y)[0, 1] >= 0
    start = (y.max(), y.min(), 0.0, 1.0) if rising else (y.min(), y.max(), 0.0, 1.0)
    try:
        with warnings.catch_warnings():
            # The covariance is not used; a perfectly straight cloud leaves it undetermined.
            warnings.simplefilter("ignore", optimize.OptimizeWarning)
            best, _ = optimize.curve_fit(_logistic, z, y, p0=start, maxfev=20000)
    except RuntimeError as err:
        raise ValueError("the logistic fit does not converge") from err
    fitted: NDArray[np.float64] = _logistic(z, *best)
    if not np.isfinite(fitted).all() or np.ptp(fitted) == 0:
        raise ValueError("the logistic fit is flat")
    return fitted if at is None else _logistic((at - x.mean()) / x.std(), *best)


def _logistic(x: NDArray[np.float64], b1: float, b2: float, b3: float, b4: float) -> NDArray[np.float64]:
    width = max(abs(b4), 1e-9)
    exponent = np.clip((b3 - x) / width, -500, 500)
    result: NDArray[np.float64] = b2 + (b1 - b2) / (1 + np.exp(exponent))
    return result
