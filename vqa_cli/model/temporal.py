"""Temporal hysteresis pooling, as VSFA's authors' code computes it and as their paper writes it. Pure NumPy.

Source: D. Li, T. Jiang, M. Jiang, "Quality Assessment of In-the-Wild Videos", ACM MM 2019, eqs. 6-10 (memory element
l_t, current element m_t, their mix and the mean over time); after K. Seshadrinathan and A. C. Bovik, ICASSP 2011.

They differ in the windows. The paper's memory is the ``tau`` frames before t (frame t itself only at the start), and its
current element reaches ``tau`` frames beyond t. The code's memory is ``tau`` frames that end with t, and its current
element is ``tau`` frames that begin with t. Published scores were made by the code, so it is the default.

:mod:`vqa_cli.model.pooling` is the same for batches that learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frames = NDArray[np.float64]

TAU_FRAMES = 12
BETA = 0.5
Pooling = Literal["hysteresis", "paper", "mean"]
POOLINGS: tuple[Pooling, ...] = ("hysteresis", "paper", "mean")


def hysteresis(scores: Frames, *, tau: int = TAU_FRAMES, beta: float = BETA) -> Frames:
    """Pooled frame scores q'_t = beta * m_t + (1 - beta) * l_t, shape (frames,) -> same.

    Args:
        scores: frame scores q_t.
        tau: window length in frames, this frame included; longer than the clip is all of the clip.
        beta: weight of the present against the memory of the worst.
    """
    tau = min(tau, len(scores))
    return beta * _softmin_ahead(scores, tau) + (1 - beta) * _least_behind(scores, tau)


def paper_hysteresis(scores: Frames, *, tau: int = TAU_FRAMES, beta: float = BETA) -> Frames:
    """Pooled frame scores with the paper's windows, eqs. 6-9: shape (frames,) -> (frames,).

    Args:
        beta: weight of the present, 1 - gamma in the paper.
    """
    tau = min(tau, len(scores))
    before = _least_behind(scores, tau)[:-1]  # of the frame before each one
    return beta * _softmin_ahead(scores, tau + 1) + (1 - beta) * np.append(scores[:1], before)


def pool_clip(scores: Frames, *, tau: int = TAU_FRAMES, beta: float = BETA, pooling: Pooling = "hysteresis") -> float:
    """Score of one clip from its frame scores, shape (frames,), at least one; eq. 10. ``mean`` leaves tau and beta out."""
    if pooling == "mean":
        return float(scores.mean())
    pool = paper_hysteresis if pooling == "paper" else hysteresis
    return float(pool(scores, tau=tau, beta=beta).mean())


def effective_tau(tau: int, every: int) -> int:
    """Window in sampled frames that spans the same time when only each ``every``-th frame is there."""
    return max(1, round(tau / every))


@dataclass(frozen=True, slots=True)
class TemporalPooling:
    """How frame scores become one number; ``tau`` in frames of the unsampled clip, ``beta`` the weight of the present."""

    tau: int = TAU_FRAMES
    beta: float = BETA
    kind: Pooling = "hysteresis"

    def describe(self, every: int = 1) -> str:
        """Name and parameters as results record them; the window counts the frames that are scored."""
        sampled = f" at 1 in {every}" if every > 1 else ""
        if self.kind == "mean":
            return f"mean{sampled}"
        name = "temporal hysteresis" if self.kind == "hysteresis" else "temporal hysteresis (the paper's windows)"
        return f"{name}, tau {effective_tau(self.tau, every)} frames{sampled}, beta {self.beta:g}"

    def __call__(self, scores: Frames, every: int = 1) -> float:
        """Clip score from the frame scores, shape (frames,), of each ``every``-th frame."""
        return pool_clip(scores, tau=effective_tau(self.tau, every), beta=self.beta, pooling=self.kind)


def _least_behind(q: Frames, window: int) -> Frames:
    """Least of ``window`` frames that end with each, (frames,) -> same."""
    least: Frames = _windows(np.concatenate((np.full(window - 1, np.inf), q)), window).min(axis=1)
    return least


def _softmin_ahead(q: Frames, window: int) -> Frames:
    """Mean of ``window`` frames that begin with each, weighted by exp(-q), (frames,) -> same."""
    # Softmin is shift-invariant: taking the least score out keeps exp() in range for any scale.
    weight, none = np.exp(q.min() - q), np.zeros(window - 1)
    summed = _windows(np.concatenate((weight * q, none)), window).sum(axis=1)
    norm = _windows(np.concatenate((weight, none)), window).sum(axis=1)
    pooled: Frames = summed / np.maximum(norm, np.finfo(np.float64).tiny)
    return pooled


def _windows(values: Frames, window: int) -> Frames:
    return np.lib.stride_tricks.sliding_window_view(values, window)
