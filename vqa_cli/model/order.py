"""How a scorer that is loaded here is loaded again on another machine: by the same weights, or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from vqa_cli.errors import ModelError

if TYPE_CHECKING:
    from vqa_cli.model.scorer import StreamingScorer
    from vqa_cli.model.temporal import Pooling


@dataclass(frozen=True, slots=True)
class ScorerOrder:
    """What :func:`vqa_cli.model.load.load_scorer` was told, and what came of it.

    Attributes:
        model: a registered name, or the absolute path of a file.
        sha256: hash over all weights in use.
        precision: the arithmetic in use. What ``"auto"`` means is decided once, not by each machine for itself.
        device: as wished, since machines differ in what they have.
    """

    model: str
    sha256: str
    precision: str
    device: str
    batch_size: int | Literal["auto"]
    backbone_weights: str | None
    head_weights: str | None
    tau: int | None
    beta: float | None
    pooling: Pooling
    model_dir: str | None
    color: Literal["auto", "reference"]

    def load(self, threads: int) -> StreamingScorer:
        """The same scorer in this process, by so many threads.

        Raises:
            ModelError: weights are missing, damaged, or others than they were where the order was made.
            UsageError: a device or an arithmetic that this machine does not have.
        """
        import torch

        from vqa_cli.model.load import load_scorer

        torch.set_num_threads(threads)
        told = asdict(self)
        wanted = told.pop("sha256")
        scorer = load_scorer(told.pop("model"), **told)
        if (found := scorer.identity.sha256) != wanted:
            raise ModelError(f"other weights of {self.model}: sha256 {found[:16]}…, not {wanted[:16]}…")
        return scorer
