"""Half of what was taught: weights between those before and those after.

Teaching on few ladders mends what it is about and harms the rest; on the line between both weights most of the first is kept and
most of the second avoided.

Source: M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, sec. 3.
"""

from __future__ import annotations

from pathlib import Path

from vqa_cli.errors import ModelError
from vqa_cli.model.card import Card
from vqa_cli.model.checkpoint import load_model, save_model


def blend(before: Path, after: Path, share: float, out: Path) -> Card:
    """Write a model file whose weights are ``share`` of the way from one model file to another of the same shapes.

    Raises:
        ModelError: no model files, or their shapes differ.
    """
    _, old, _ = load_model(before)
    card, new, _ = load_model(after)
    if {name: value.shape for name, value in old.items()} != {name: value.shape for name, value in new.items()}:
        raise ModelError(f"weights of other shapes: {before} and {after}")
    mixed = {
        name: value.float().lerp(new[name].float(), share).to(value.dtype) if value.is_floating_point() else new[name]
        for name, value in old.items()
    }
    record = {**card.training, "blended": share}
    changed = card.model_copy(update={"training": record, "metrics": {}, "interval": None})
    save_model(out, changed, mixed)
    return changed
