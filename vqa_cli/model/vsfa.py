"""VSFA's head: frame features -> GRU -> frame scores.

Source: D. Li, T. Jiang, M. Jiang, "Quality Assessment of In-the-Wild Videos", ACM MM 2019, sec. 3.2, eqs. 3-5.
Parameter names are those of the authors' published state dict, so that it loads unchanged.
"""

from __future__ import annotations

from torch import Tensor, nn

from vqa_cli.model.recurrence import run_gru


class VsfaHead(nn.Module):
    """Linear reduction, GRU, linear regression.

    Args:
        dim: features per frame (4096 for ResNet-50 mean and standard deviation).
        reduced: size after the reduction.
        hidden: size of the GRU's state.
    """

    def __init__(self, dim: int, reduced: int = 128, hidden: int = 32) -> None:
        super().__init__()
        self.dim, self.reduced, self.hidden = dim, reduced, hidden
        self.ann = nn.ModuleDict({"fc0": nn.Linear(dim, reduced)})
        self.rnn = nn.GRU(reduced, hidden, batch_first=True)
        self.q = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Frame scores, and the state from which the next chunk goes on.

        Args:
            features: (batch, frames, dim).
            state: (1, batch, hidden) of the previous chunk, ``None`` at the start of a clip.

        Returns:
            Scores (batch, frames) and state (1, batch, hidden).
        """
        outputs, state = self.rnn(self.ann["fc0"](features), state)
        scores: Tensor = self.q(outputs).squeeze(-1)
        assert state is not None
        return scores, state

    def judge(self, reduced: Tensor, lengths: Tensor) -> Tensor:
        """Frame scores of a padded batch, (batch, frames, reduced) -> (batch, frames).

        The GRU runs forward only, so that padding at the end cannot reach a real frame.
        """
        scores: Tensor = self.q(run_gru(self.rnn, reduced)).squeeze(-1)
        return scores
