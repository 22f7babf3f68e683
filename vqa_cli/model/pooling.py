"""Temporal hysteresis pooling of batches, with gradients, for heads that learn; see :mod:`vqa_cli.model.temporal`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vqa_cli.model.temporal import BETA, TAU_FRAMES


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
    pooled = _hysteresis(scores.masked_fill(~real, torch.inf), tau=tau, beta=beta)
    return pooled.masked_fill(~real, 0.0).sum(dim=1) / lengths


def _hysteresis(scores: Tensor, *, tau: int, beta: float) -> Tensor:
    """Pooled frame scores, (batch, frames) -> same; padding is ``+inf``, and without meaning in what comes out."""
    q = scores[:, None]
    tau = min(tau, q.shape[-1])
    return (beta * _softmin_ahead(q, tau) + (1 - beta) * _least_behind(q, tau))[:, 0]


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
