"""Model files: safetensors whose metadata is the model's card, so that weights and meaning cannot be parted."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from vqa_cli.errors import ModelError, StorageError, first_line
from vqa_cli.files import replacing
from vqa_cli.model.store import is_there


class Scale(BaseModel):
    """Raw number to published score, see ``scorer.Calibration``; the rest as in ``types.ScoreScale``.

    ``others`` are further scales as (name, gain, offset).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    minimum: float
    maximum: float
    higher_is_better: bool = True
    description: str
    gain: float = 1.0
    offset: float = 0.0
    knee: float = 0.0
    bound: tuple[float, float] | None = None
    others: tuple[tuple[str, float, float], ...] = ()


class Card(BaseModel):
    """What a model is and how it is rebuilt.

    ``backbone`` is ``"lite"``, ``"resnet50"`` or ``"brisque"``; ``backbone_config`` and ``head_config`` are the constructors'
    arguments, ``head`` a name of ``heads.HEADS``. A file of a ResNet-50 model holds the head alone: its backbone is
    torchvision's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str
    backbone: str
    backbone_config: dict[str, Any] = {}
    head: str = "vsfa"
    head_config: dict[str, Any] = {}
    scale: Scale
    tau: int = Field(default=12, ge=1)
    beta: float = Field(default=0.5, ge=0, le=1)
    preprocessing: str
    training_data: str
    licence: str
    citation: str = ""
    metrics: dict[str, float] = {}
    training: dict[str, Any] = {}

    @property
    def every(self) -> int:
        """The head learnt from each so many-th frame."""
        every = self.training.get("every", 1)
        return every if isinstance(every, int) and every > 0 else 1


def save_model(path: Path, card: Card, tensors: dict[str, Tensor]) -> str:
    """Write a model file atomically; tensors are named ``backbone.…`` and ``head.…``. Gives its sha256.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.torch import save

    data = save({k: v.contiguous() for k, v in tensors.items()}, metadata={"card": card.model_dump_json()})
    try:
        with replacing(path) as staged:
            staged.write_bytes(data)
    except OSError as err:
        raise StorageError(f"cannot write model: {path}", detail=err.strerror) from err
    return hashlib.sha256(data).hexdigest()


def load_model(path: Path) -> tuple[Card, dict[str, Tensor], str]:
    """Read a model file: card, tensors and sha256.

    Raises:
        ModelError: missing, not a safetensors file, or without a valid card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except OSError as err:
        raise ModelError(f"cannot read model: {path}", detail=err.strerror) from err
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        card = Card.model_validate_json(header["__metadata__"]["card"])
    except (SafetensorError, ValueError, KeyError, ValidationError) as err:
        raise ModelError(
            f"not a vqa model file: {path}",
            detail="it has no model card" if isinstance(err, KeyError) else first_line(err),
            hint="give a file that `vqa train` wrote",
        ) from err
    return card, tensors, hashlib.sha256(data).hexdigest()


def below(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The part of a state dict whose names begin with ``prefix``, by what follows it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def network_sha256(card: Card, tensors: dict[str, Tensor]) -> str | None:
    """Identity of the network whose features the model's head takes, as extraction records it."""
    outside: str | None = card.training.get("extractor_sha256")
    return backbone_sha256(card, tensors) if card.backbone == "lite" else outside


def backbone_sha256(card: Card, tensors: dict[str, Tensor]) -> str:
    """What makes the frame features of a model that carries its network: kind, sizes and weights, the head left out."""
    digest = hashlib.sha256(json.dumps([card.backbone, card.backbone_config], sort_keys=True).encode())
    for name in sorted(name for name in tensors if name.startswith("backbone.")):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def require(path: Path) -> None:
    """Raise where there is no such file.

    Raises:
        ModelError: with its name.
    """
    if not is_there(path):
        raise ModelError(f"no such weight file: {path}")


def load_state(path: Path) -> dict[str, Any]:
    """A state dict in PyTorch's own format, without running any code that the file may hold.

    Raises:
        ModelError: missing, unreadable, cut short, another kind of file, or no state dict.
    """
    hint = "is the download complete?"
    require(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:  # its text is advice to developers, and to load the file unsafely
        raise ModelError(f"not a weight file: {path}", detail=f"it starts with {_beginning(path)}", hint=hint) from err
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError) as err:
        # Bytes that happen to be pickle's commands fail in any of these ways.
        raise ModelError(f"not a weight file: {path}", detail=first_line(err), hint=hint) from err
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ModelError(f"not a state dict: {path}")
    return state


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return repr(file.read(20).decode("latin-1"))
