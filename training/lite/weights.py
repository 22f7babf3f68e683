"""Weights in floating point, which training goes on from; those that ship are made of them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from vqa_cli.errors import ModelError
from vqa_cli.model.card import LITE, Card
from vqa_cli.model.checkpoint import below, load_model
from vqa_cli.model.lite import LiteBackbone

# The last ones.
FLOATING = Path(__file__).with_name("floating.safetensors")


def read_floating(path: Path) -> tuple[Card, LiteBackbone, dict[str, Tensor], str]:
    """A model file in floating point: card, network, tensors of the head, and sha256.

    Raises:
        ModelError: no model file, or one in integers.
    """
    card, tensors, sha256 = load_model(path)
    if card.backbone != LITE:
        raise ModelError(f"no network in floating point: {path}", hint="give one from before `integers`")
    network = LiteBackbone(**card.backbone_config)
    network.load_state_dict({name: value.float() for name, value in below(tensors, "backbone.").items()})
    return card, network, below(tensors, "head."), sha256
