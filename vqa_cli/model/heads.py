"""Heads beside VSFA's own, and what every head has in common: scores of a padded batch, and scores of a stream."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vqa_cli.errors import ModelError, first_line, misfit
from vqa_cli.model.card import Card
from vqa_cli.model.checkpoint import below
from vqa_cli.model.device import FULL_FP32
from vqa_cli.model.vsfa import VsfaHead

WINDOW_FRAMES = 512


class FrameHead(nn.Module):
    """VSFA without its GRU: each frame is judged on its own. The ablation of sec. 4.3 of the paper.

    Args:
        dim: features per frame.
        reduced: size after the reduction.
    """

    def __init__(self, dim: int, reduced: int = 128) -> None:
        super().__init__()
        self.ann = nn.ModuleDict({"fc0": nn.Linear(dim, reduced)})
        self.q = nn.Linear(reduced, 1)

    def judge(self, reduced: Tensor, lengths: Tensor) -> Tensor:
        """See :func:`batch_scores`; (batch, frames, reduced) -> (batch, frames)."""
        scores: Tensor = self.q(reduced).squeeze(-1)
        return scores


class TransformerHead(nn.Module):
    """A transformer encoder in place of the GRU, with sinusoidal positions and masked padding.

    Every frame sees all frames of its window, before and after. Clips of up to ``WINDOW_FRAMES`` frames are one window;
    longer ones are cut into such windows, in training as in scoring, so that memory stays bounded and no position occurs
    that training cannot have seen.

    Source of layers and positions: A. Vaswani et al., "Attention Is All You Need", 2017, sec. 3; normalisation before
    each layer.

    Args:
        dim: features per frame.
        reduced: size after the reduction and of the model, a multiple of ``heads``.
        hidden: a quarter of the size of the feed-forward layers.
    """

    def __init__(
        self, dim: int, reduced: int = 128, hidden: int = 32, layers: int = 2, heads: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.ann = nn.ModuleDict({"fc0": nn.Linear(dim, reduced)})
        layer = nn.TransformerEncoderLayer(
            reduced, heads, 4 * hidden, dropout, batch_first=True, norm_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(reduced), enable_nested_tensor=False)
        self.q = nn.Linear(reduced, 1)
        self.register_buffer("positions", sinusoids(WINDOW_FRAMES, reduced), persistent=False)

    def judge(self, reduced: Tensor, lengths: Tensor) -> Tensor:
        """See :func:`batch_scores`; (batch, frames, reduced) -> (batch, frames)."""
        batch, frames, size = reduced.shape
        window = min(frames, WINDOW_FRAMES)
        count = -(-frames // window)
        cut = nn.functional.pad(reduced, (0, 0, 0, count * window - frames)).reshape(batch * count, window, size)
        steps = torch.arange(count * window, device=reduced.device)
        padding = (steps[None] >= lengths.to(reduced.device)[:, None]).reshape(batch * count, window)
        # A window of padding alone would have nothing to attend to and give NaN; its scores are dropped anyway.
        padding = padding & ~padding.all(dim=1, keepdim=True)
        positions = self.get_buffer("positions")[:window]
        encoded = self.encoder(cut + positions, src_key_padding_mask=padding)
        scores: Tensor = self.q(encoded).reshape(batch, count * window)
        return scores[:, :frames]


Head = VsfaHead | FrameHead | TransformerHead
HEADS: dict[str, Any] = {"vsfa": VsfaHead, "frame": FrameHead, "transformer": TransformerHead}


def make_head(kind: str, config: dict[str, Any]) -> Head:
    """A head by the names that a model's card uses.

    Raises:
        ModelError: no such head, or it does not take this configuration.
    """
    try:
        head: Head = HEADS[kind](**config)
    except KeyError:
        raise ModelError(f"no such head: {kind}", hint=f"one of {', '.join(HEADS)}") from None
    except (TypeError, ValueError, RuntimeError, AssertionError) as err:
        raise ModelError(f"a head {kind} cannot have these sizes: {config}", detail=first_line(err)) from err
    return head


def load_head(card: Card, tensors: dict[str, Tensor], path: Path) -> Head:
    """The trained head of a model's file.

    Args:
        card, tensors: what :func:`vqa_cli.model.checkpoint.load_model` gave for ``path``.

    Raises:
        ModelError: no such head, or weights that do not fit it.
    """
    head = make_head(card.head, card.head_config)
    try:
        head.load_state_dict(below(tensors, "head."))
    except RuntimeError as err:
        raise ModelError(f"weights do not fit their card: {path}", detail=misfit(err)) from err
    return head


def sinusoids(length: int, size: int) -> Tensor:
    """Positional encoding (length, size): sines in the even columns, cosines in the odd ones."""
    rates = torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
    angles = torch.arange(length)[:, None] * rates[None]
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :size]


def batch_scores(head: Head, packed: Tensor, lengths: Tensor) -> Tensor:
    """Frame scores of several clips; differentiable. What lies beyond a clip's end never reaches its frames.

    Args:
        packed: (frames of all clips one after the other, dim); the costly reduction sees no padding.
        lengths: (batch,) frames of each clip, at least 1.

    Returns:
        (batch, longest); meaningless beyond each clip's length.
    """
    reduced = pad_sequence(head.ann["fc0"](packed).split(lengths.tolist()), batch_first=True)
    scores: Tensor = head.judge(reduced, lengths)
    return scores


class HeadStream:
    """Frame scores of one clip that comes in chunks; their concatenation does not depend on where it is cut."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._state: Tensor | None = None
        self._waiting: Tensor | None = None

    def push(self, features: Tensor) -> Tensor:
        """Scores that are certain after these (frames, dim) features: (n,), possibly none yet."""
        with torch.inference_mode(), FULL_FP32:
            if isinstance(self._head, VsfaHead):
                batch: Tensor
                batch, self._state = self._head(features[None], self._state)
                return batch[0]
            reduced: Tensor = self._head.ann["fc0"](features)
            if isinstance(self._head, FrameHead):
                return self._judge(reduced)
            self._waiting = reduced if self._waiting is None else torch.cat((self._waiting, reduced))
            whole = len(self._waiting) // WINDOW_FRAMES * WINDOW_FRAMES
            ready, self._waiting = self._waiting[:whole], self._waiting[whole:]
            return self._judge(ready)

    def end(self) -> Tensor:
        """Scores of the frames that still waited for their window."""
        rest, self._waiting = self._waiting, None
        with torch.inference_mode(), FULL_FP32:
            return torch.empty(0) if rest is None else self._judge(rest)

    def _judge(self, reduced: Tensor) -> Tensor:
        if not len(reduced):
            return reduced.new_empty(0)
        length = torch.tensor([len(reduced)], device=reduced.device)
        scores: Tensor = self._head.judge(reduced[None], length)
        return scores[0]
