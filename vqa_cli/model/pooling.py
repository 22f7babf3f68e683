"""Temporal hysteresis pooling, as VSFA's authors' code computes it and as their paper writes it.

Source: D. Li, T. Jiang, M. Jiang, "Quality Assessment of In-the-Wild Videos", ACM MM 2019, eqs. 6-10 (memory element
l_t, current element m_t, their mix and the mean over time); after K. Seshadrinathan and A. C. Bovik, ICASSP 2011.

They differ in the windows. The paper's memory is the ``tau`` frames before t (frame t itself only at the start), and its
current element reaches ``tau`` frames beyond t. The code's memory is ``tau`` frames that end with t, and its current
element is ``tau`` frames that begin with t. Published scores were made by the code, so it is the default.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

TAU_FRAMES = 12
BETA = 0.5
Pooling = Literal["hysteresis", "paper", "mean"]
POOLINGS: tuple[Pooling, ...] = ("hysteresis", "paper", "mean")


def hysteresis(scores: Tensor, *, tau: int = TAU_FRAMES, beta: float = BETA) -> Tensor:
    """Pooled frame scores q'_t = beta * m_t + (1 - beta) * l_t.

    Args:
        scores: frame scores q_t, shape (frames,) or (batch, frames); padding at the end must be ``+inf``.
        tau: window length in frames, this frame included; longer than the clip is all of the clip.
        beta: weight of the present against the memory of the worst.

    Returns:
        Same shape; where the input is padding the value is meaningless.
    """
    q = scores[None, None] if scores.ndim == 1 else scores[:, None]
    tau = min(tau, q.shape[-1])
    return (beta * _softmin_ahead(q, tau) + (1 - beta) * _least_behind(q, tau)).reshape(scores.shape)


def paper_hysteresis(scores: Tensor, *, tau: int = TAU_FRAMES, beta: float = BETA) -> Tensor:
    """Pooled frame scores with the paper's windows, eqs. 6-9: shape (frames,) -> (frames,).

    Args:
        beta: weight of the present, 1 - gamma in the paper.
    """
    q = scores[None, None]
    tau = min(tau, len(scores))
    before = _least_behind(q, tau)[..., :-1]  # of the frame before each one
    memory = torch.cat((q[..., :1], before), dim=-1)
    return (beta * _softmin_ahead(q, tau + 1) + (1 - beta) * memory).reshape(scores.shape)


def _least_behind(q: Tensor, window: int) -> Tensor:
    """Least of ``window`` frames that end with each, (batch, 1, frames) -> same."""
    return -F.max_pool1d(F.pad(-q, (window - 1, 0), value=-torch.inf), window, stride=1)


def _softmin_ahead(q: Tensor, window: int) -> Tensor:
    """Mean of ``window`` frames that begin with each, weighted by exp(-q), (batch, 1, frames) -> same."""
    real = torch.isfinite(q)
    finite = torch.where(real, q, torch.zeros_like(q))
    # Softmin is shift-invariant: taking each clip's least score out keeps exp() in range for any scale.
    low = torch.where(real, q, torch.full_like(q, torch.inf)).amin(dim=-1, keepdim=True).detach()
    weight = torch.where(real, torch.exp(low - finite), torch.zeros_like(q))
    ahead = (0, window - 1)
    summed = F.avg_pool1d(F.pad(finite * weight, ahead), window, stride=1)
    norm = F.avg_pool1d(F.pad(weight, ahead), window, stride=1)
    return summed / norm.clamp_min(torch.finfo(q.dtype).tiny)


def pool_clip(scores: Tensor, *, tau: int = TAU_FRAMES, beta: float = BETA, pooling: Pooling = "hysteresis") -> Tensor:
    """Score of one clip from its frame scores, shape (frames,) -> (); eq. 10. ``mean`` leaves tau and beta out."""
    if pooling == "mean":
        return scores.mean()
    pool = paper_hysteresis if pooling == "paper" else hysteresis
    return pool(scores, tau=tau, beta=beta).mean()


def pool_batch(scores: Tensor, lengths: Tensor, *, tau: int = TAU_FRAMES, beta: float = BETA) -> Tensor:
    """Clip scores of a padded batch; differentiable.

    Args:
        scores: (batch, frames), anything beyond ``lengths``.
        lengths: (batch,) frames of each clip, at least 1.

    Returns:
        Shape (batch,).
    """
    steps = torch.arange(scores.shape[1], device=scores.device)
    real = steps[None] < lengths[:, None]
    pooled = hysteresis(scores.masked_fill(~real, torch.inf), tau=tau, beta=beta)
    return pooled.masked_fill(~real, 0.0).sum(dim=1) / lengths


def effective_tau(tau: int, every: int) -> int:
    """Window in sampled frames that spans the same time when only each ``every``-th frame is there."""
    return max(1, round(tau / every))
