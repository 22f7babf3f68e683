"""What a bisection has measured so far, as a file: stopped, it goes on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vqa_cli.errors import StorageError, UsageError
from vqa_cli.files import write_text

STATE_FILE = "bisect.json"


class Tried(BaseModel):
    """One revision: values in percent against the good end, a hash over its encodes for each, and what follows from them."""

    model_config = ConfigDict(frozen=True)

    values: tuple[float, ...] = ()
    files: tuple[str, ...] = ()
    verdict: Literal["good", "bad", "skip"] | None = None
    reason: str = ""


class BisectState(BaseModel):
    """The file. ``question`` is everything that must be equal for its answers to count."""

    model_config = ConfigDict(extra="ignore")

    question: str
    revisions: tuple[str, ...]
    tried: dict[str, Tried] = {}


def load_state(folder: Path, fresh: BisectState) -> BisectState:
    """What an earlier call of the same question left, or a new beginning.

    Raises:
        UsageError: the folder holds the answers to another question.
        StorageError: it cannot be read.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return fresh
    try:
        known = BisectState.model_validate(json.loads(path.read_bytes()))
    except OSError as err:
        raise StorageError(f"cannot read: {path}", detail=err.strerror) from err
    except (ValueError, ValidationError, RecursionError) as err:
        raise StorageError(f"damaged: {path}", hint="remove it to begin anew") from err
    if (known.question, known.revisions) != (fresh.question, fresh.revisions):
        raise UsageError(f"holds another bisection: {folder}", hint="-o DIR names a folder for this one")
    return known


def save_state(folder: Path, state: BisectState) -> None:
    """Write it whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(folder / STATE_FILE, state.model_dump_json(indent=1))
