"""Model files: safetensors whose metadata is the model's card, so that weights and meaning cannot be parted."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vqa_cli.errors import ModelError, StorageError, first_line
from vqa_cli.files import replacing
from vqa_cli.model.card import Card, ModelFile, read_model_file
from vqa_cli.model.store import is_there


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
    file = read_model_file(path)
    return file.card, tensors_of(file), file.sha256


def tensors_of(file: ModelFile) -> dict[str, Tensor]:
    """The weights of a model file.

    Raises:
        ModelError: it is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(file.data)
    except (SafetensorError, ValueError) as err:
        raise ModelError(
            f"not a vqa model file: {file.path}", detail=first_line(err), hint="give a file that `vqa train` wrote"
        ) from err


def below(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The part of a state dict whose names begin with ``prefix``, by what follows it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


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
