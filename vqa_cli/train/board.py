"""A training's curves for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vqa_cli.errors import StorageError, UsageError
from vqa_cli.train.loop import Epoch


class Board:
    """Writes each epoch's figures into ``folder``; leave it by ``close``.

    A resumed training goes on in the same curves: what an earlier run wrote for its first epoch and later ones is superseded.

    Raises:
        UsageError: the package is not installed.
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as err:
            raise UsageError(
                "--tensorboard needs the package tensorboard", hint="pip install 'vqa-cli[train]'"
            ) from err
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StorageError(f"cannot write curves: {folder}", detail=err.strerror) from err
        self._folder = folder
        self._open: Any = SummaryWriter
        self._writer: Any = None

    def __call__(self, row: Epoch) -> None:
        """Points of one epoch, counted from 1; what is undefined is left out. On disk when this returns."""
        step = row.epoch + 1
        if self._writer is None:
            self._writer = self._open(str(self._folder), purge_step=step)
        figures = {
            "loss/train": row.train_loss, "validation/SROCC": row.val_srocc, "validation/PLCC": row.val_plcc,
            "learning rate": row.learning_rate,
        }  # fmt: skip
        for name, value in figures.items():
            if value == value:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
