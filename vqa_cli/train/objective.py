"""What training minimises: the paper's L1 on one database, or MDTVSFA's three losses over several.

Sources: D. Li, T. Jiang, M. Jiang, ACM MM 2019, sec. 3.3; the same, "Unified Quality Assessment of In-the-Wild Videos with
Mixed Datasets Training", IJCV 2021, sec. 3.3 (relative, mapped and aligned quality) and 3.4 (losses), and their code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SLOPE, _SHIFT = 2 * math.sqrt(3), -math.sqrt(3)


class L1Objective(nn.Module):
    """Mean absolute error on ratings divided by the database's largest."""

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, pooled: Sequence[Tensor], ratings: Sequence[Tensor]) -> Tensor:
        """One database: pooled scores (batch,) and ratings (batch,) on the database's scale -> ()."""
        return F.l1_loss(pooled[0], ratings[0] / self.largest)

    def to_ratings(self, pooled: Tensor, index: int = 0) -> Tensor:
        return pooled * self.largest


class MixedObjective(nn.Module):
    """Monotonicity, linearity and error over databases whose scales differ.

    A pooled score becomes relative (sigmoid), mapped (a four-parameter logistic common to all) and aligned (a line for each
    database, from its least rating to its largest at the start).

    Args:
        lows, spans: least rating and range of each database.
    """

    def __init__(self, lows: Sequence[float], spans: Sequence[float]) -> None:
        super().__init__()
        self.spans = tuple(spans)
        self.inner = nn.Parameter(torch.tensor([_SLOPE, _SHIFT]))
        self.lines = nn.Parameter(torch.tensor(list(zip(spans, lows, strict=True))))

    def forward(self, pooled: Sequence[Tensor], ratings: Sequence[Tensor]) -> Tensor:
        """For each database pooled scores (batch,) and ratings (batch,) on its own scale, batch >= 2 -> ()."""
        losses = []
        for index, (scores, rated) in enumerate(zip(pooled, ratings, strict=True)):
            relative = torch.sigmoid(scores)
            mapped = self.mapped(relative)
            error = F.l1_loss(self._aligned(mapped, index), rated) / self.spans[index]
            losses.append(monotonicity_loss(relative, rated) + linearity_loss(mapped, rated) + error)
        return combine(torch.stack(losses))

    def mapped(self, relative: Tensor) -> Tensor:
        """Relative quality, 0..1, through the logistic that all databases share."""
        return torch.sigmoid(self.inner[0] * relative + self.inner[1])

    def _aligned(self, mapped: Tensor, index: int) -> Tensor:
        return self.lines[index, 0] * mapped + self.lines[index, 1]

    def to_ratings(self, pooled: Tensor, index: int = 0) -> Tensor:
        """Pooled scores on the scale of database ``index``, where and in the precision that they are; nothing is learnt."""
        # By way of the CPU, because MPS has no float64 to copy to one.
        inner, line = self.inner.detach().cpu().to(pooled), self.lines[index].detach().cpu().to(pooled)
        return line[0] * torch.sigmoid(inner[0] * torch.sigmoid(pooled) + inner[1]) + line[1]


Objective = L1Objective | MixedObjective


def monotonicity_loss(predicted: Tensor, rated: Tensor) -> Tensor:
    """Mean over ordered pairs of how far a pair is predicted in the wrong order; (batch,) each, batch >= 2."""
    wrong = (predicted[:, None] - predicted[None]) * torch.sign(rated[None] - rated[:, None])
    return F.relu(wrong).sum() / (len(rated) * (len(rated) - 1))


def linearity_loss(predicted: Tensor, rated: Tensor) -> Tensor:
    """(1 - Pearson's correlation) / 2; (batch,) each."""
    return (1 - F.cosine_similarity(predicted - predicted.mean(), rated - rated.mean(), dim=0)) / 2


def combine(losses: Tensor) -> Tensor:
    """Mean over databases weighted by the softmax of the losses, so that the hardest one counts most; (databases,) -> ()."""
    return (torch.softmax(losses, dim=0) * losses).sum()
