"""Rounding the kernels of a layer so that what it gives moves least, on the inputs that it is shown. Pure.

Source: E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", ICLR 2023, algorithm 1: columns are rounded one after another, and those that are left take back the error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

# Added to the covariance, as a share of the mean of its diagonal: what hardly varies is not to carry the errors of the rest.
_DAMPING = 0.1
# How firmly kernels are held where they were, as a share of the variance of each column.
_HELD = 0.1
_FLOOR = 1e-6


@dataclass
class Moments:
    """Sums over what a layer is shown and what it should give, in double precision.

    Args:
        shown: columns of its inputs.
        given: channels that it gives.
    """

    shown: int
    given: int
    count: int = 0
    _sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Rows of inputs (n, shown) and of what should come of them (n, given)."""
        x, y = x.double(), y.double()
        parts = {"x": x.sum(0), "y": y.sum(0), "xx": x.T @ x, "xy": x.T @ y}
        self._sums = {name: part + self._sums.get(name, 0.0) for name, part in parts.items()}
        self.count += len(x)

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        """Of inputs (shown,) and of what should come of them (given,)."""
        return self._sums["x"] / self.count, self._sums["y"] / self.count

    @property
    def covariances(self) -> tuple[Tensor, Tensor]:
        """Of inputs (shown, shown), and of inputs with what should come of them (shown, given)."""
        x, y = self.means
        return self._sums["xx"] / self.count - torch.outer(x, x), self._sums["xy"] / self.count - torch.outer(x, y)


def round_kernel(kernel: Tensor, moments: Moments, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Integers, the worth of one of them in each row, and the bias.

    Args:
        kernel: (given, shown), in floating point.
        most: magnitude of the largest integer.

    Returns:
        (given, shown), (given,) and (given,), double precision: ``worth * (integers @ x) + bias`` is about what should come of x.
    """
    covariance, crossed = moments.covariances
    exact = _refit(kernel.double(), covariance, crossed)
    worth = exact.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / most
    integers = _round(exact / worth[:, None], covariance, most)
    shown, wanted = moments.means
    return integers, worth, wanted - worth * (integers @ shown)


def _refit(kernel: Tensor, covariance: Tensor, crossed: Tensor) -> Tensor:
    """The kernel that gives what it should on inputs which are rounded already; it stays where inputs say little."""
    spread = torch.diag(covariance)
    held = torch.diag(_HELD * spread + _FLOOR * spread.mean())
    moved: Tensor = torch.linalg.solve(covariance + held, crossed - covariance @ kernel.T)
    return kernel + moved.T


def _round(kernel: Tensor, covariance: Tensor, most: int) -> Tensor:
    order = torch.argsort(torch.diag(covariance), descending=True, stable=True)
    damped = covariance[order][:, order] + _DAMPING * torch.diag(covariance).mean() * torch.eye(len(order)).double()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    upper = torch.linalg.cholesky(inverse, upper=True)
    left, found = kernel[:, order].clone(), torch.zeros_like(kernel)
    for column in range(len(order)):
        rounded = left[:, column].round().clamp(-most, most)
        error = (left[:, column] - rounded) / upper[column, column]
        left[:, column + 1 :] -= torch.outer(error, upper[column, column + 1 :])
        found[:, order[column]] = rounded
    return found
