"""Checkpoints of a training: written after every epoch, atomically."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path

import torch

from vqa_cli.errors import InputError, StorageError, first_line
from vqa_cli.files import replacing
from vqa_cli.train.loop import Fit


def save_fit(fit: Fit, path: Path, task: str) -> None:
    """Write where training stands; ``task`` names data and split.

    Raises:
        StorageError: it cannot be written.
    """
    state = {
        "task": task, "settings": asdict(fit.settings), "epoch": fit.epoch, "head": fit.head.state_dict(),
        "objective": fit.objective.state_dict(), "optimiser": fit.optimiser.state_dict(),
        "best_srocc": fit.best_srocc, "best_epoch": fit.best_epoch, "best_state": fit.best_state,
    }  # fmt: skip
    try:
        with replacing(path) as staged:
            torch.save(state, staged)
    except (OSError, RuntimeError) as err:
        raise StorageError(f"cannot write checkpoint: {path}", detail=first_line(err)) from err


def resume_fit(fit: Fit, path: Path, task: str) -> None:
    """Bring a fresh fit to where the checkpoint stands.

    Raises:
        StorageError: unreadable.
        InputError: it is of other data, another split or other settings.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=next(fit.head.parameters()).device)
        same = state["task"] == task and state["settings"] == asdict(fit.settings)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError) as err:
        raise StorageError(
            f"cannot read checkpoint: {path}", detail=first_line(err), hint="delete it to begin again"
        ) from err
    if not same:
        raise InputError(f"checkpoint of another training: {path}", hint="delete it, or repeat its data and options")
    fit.head.load_state_dict(state["head"])
    fit.objective.load_state_dict(state["objective"])
    fit.optimiser.load_state_dict(state["optimiser"])
    fit.epoch, fit.best_epoch, fit.best_srocc = state["epoch"], state["best_epoch"], state["best_srocc"]
    fit.best_state = state["best_state"]
