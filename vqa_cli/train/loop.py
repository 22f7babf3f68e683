"""Training of a VSFA head on cached features: the published loop, resumable after every epoch.

Source: D. Li, T. Jiang, M. Jiang, "Quality Assessment of In-the-Wild Videos", ACM MM 2019, sec. 4.1, and its code.
"""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vqa_cli.errors import InputError, ModelError, StorageError, first_line
from vqa_cli.model.pooling import effective_tau, pool_batch
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.train.features import features_path, read_features


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The paper's defaults. ``tau`` is in frames of the video; 1 is mean pooling.

    ``patience`` ends training after so many epochs without a better validation SROCC, 0 never does.
    """

    epochs: int = 2000
    learning_rate: float = 1e-5
    batch_size: int = 16
    weight_decay: float = 0.0
    reduced: int = 128
    hidden: int = 32
    tau: int = 12
    beta: float = 0.5
    patience: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Clips:
    """Videos of one part: feature files, and labels divided by the database's largest rating, shape (videos,)."""

    paths: tuple[Path, ...]
    labels: Tensor

    @classmethod
    def of(cls, folder: Path, names: Sequence[str], labels: Sequence[float]) -> Clips:
        return cls(tuple(features_path(folder, n) for n in names), torch.tensor(labels, dtype=torch.float32))


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the curve. ``val_srocc`` is NaN where it is undefined."""

    epoch: int
    train_loss: float
    val_srocc: float
    best: bool


@dataclass
class Fit:
    """Where training stands; everything that resuming needs."""

    head: VsfaHead
    optimiser: torch.optim.Adam
    settings: TrainSettings
    epoch: int = 0
    best_srocc: float = -math.inf
    best_epoch: int = -1
    best_state: dict[str, Tensor] | None = None


def start_fit(dim: int, settings: TrainSettings, device: torch.device) -> Fit:
    """A fresh head, drawn from ``settings.seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = VsfaHead(dim, settings.reduced, settings.hidden).to(device)
    optimiser = torch.optim.Adam(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return Fit(head, optimiser, settings)


def run_fit(fit: Fit, train: Clips, val: Clips, every: int, checkpoint: Callable[[Fit], None]) -> Iterator[Epoch]:
    """Train to the end or until patience is over; ``checkpoint`` is called after each epoch.

    Raises:
        ModelError: a loss is not finite, or no epoch had a defined validation SROCC.
    """
    settings = fit.settings
    tau = effective_tau(settings.tau, every)
    while fit.epoch < settings.epochs and not _out_of_patience(fit):
        for group in fit.optimiser.param_groups:
            group["lr"] = learning_rate(settings, fit.epoch)
        loss = train_epoch(fit, train, tau)
        srocc = _srocc(predict(fit.head, val.paths, tau=tau, beta=settings.beta), val.labels.numpy())
        best = srocc > fit.best_srocc and _warm(settings, fit.epoch)
        if best:
            fit.best_srocc, fit.best_epoch = srocc, fit.epoch
            fit.best_state = {k: v.detach().cpu().clone() for k, v in fit.head.state_dict().items()}
        row = Epoch(fit.epoch, loss, srocc, best)
        fit.epoch += 1
        checkpoint(fit)
        yield row
    if fit.best_state is None:
        raise ModelError("no epoch has a defined validation SROCC", hint="give more validation clips or epochs")


def learning_rate(settings: TrainSettings, epoch: int) -> float:
    """Times 0.8 after every tenth of the epochs."""
    return settings.learning_rate * 0.8 ** (epoch // max(1, settings.epochs // 10))


def _warm(settings: TrainSettings, epoch: int) -> bool:
    """The authors let no epoch of the first sixth win: an untrained network may rank few clips well by luck."""
    return epoch > settings.epochs / 6 or epoch == settings.epochs - 1


def _out_of_patience(fit: Fit) -> bool:
    return bool(fit.settings.patience) and 0 <= fit.best_epoch < fit.epoch - fit.settings.patience


def train_epoch(fit: Fit, clips: Clips, tau: int) -> float:
    """One pass in an order that depends on seed and epoch alone, so that a resumed run sees the same batches."""
    order = np.random.default_rng((fit.settings.seed, fit.epoch)).permutation(len(clips.paths))
    size = fit.settings.batch_size
    fit.head.train()
    losses = [train_step(fit, clips, order[i : i + size], tau) for i in range(0, len(order), size)]
    return float(np.mean(losses))


def train_step(fit: Fit, clips: Clips, chosen: np.ndarray[Any, Any], tau: int) -> float:
    """One optimisation step on the clips with these indices: L1 loss of pooled scores. Gives the loss."""
    device = next(fit.head.parameters()).device
    features, lengths = load_batch([clips.paths[i] for i in chosen], device)
    labels = clips.labels[torch.from_numpy(chosen)].to(device)
    fit.optimiser.zero_grad()
    scores, _ = fit.head(features)
    loss = nn.functional.l1_loss(pool_batch(scores, lengths, tau=tau, beta=fit.settings.beta), labels)
    if not torch.isfinite(loss):
        raise ModelError(f"the loss is no number in epoch {fit.epoch}", hint="try a lower --lr")
    loss.backward()
    fit.optimiser.step()
    return loss.item()


def load_batch(paths: Sequence[Path], device: torch.device) -> tuple[Tensor, Tensor]:
    """Features padded at the end, (batch, frames, dim), and (batch,) lengths.

    The GRU runs forward only, so that padding cannot reach a real frame; the pooling masks it.
    """
    clips = [torch.from_numpy(read_features(path)) for path in paths]
    lengths = torch.tensor([len(clip) for clip in clips])
    return pad_sequence(clips, batch_first=True).to(device).float(), lengths.to(device)


def predict(head: VsfaHead, paths: Sequence[Path], *, tau: int, beta: float) -> np.ndarray[Any, Any]:
    """Raw clip scores, shape (videos,) float64."""
    device = next(head.parameters()).device
    head.eval()
    scores: list[Tensor] = []
    with torch.inference_mode():
        for path in paths:
            features, lengths = load_batch([path], device)
            scores.append(pool_batch(head(features)[0].double(), lengths, tau=tau, beta=beta).cpu())
    return torch.cat(scores).numpy()


def _srocc(predicted: np.ndarray[Any, Any], rated: np.ndarray[Any, Any]) -> float:
    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(rated) == 0:
        return math.nan
    return float(stats.spearmanr(predicted, rated).statistic)


def save_fit(fit: Fit, path: Path, task: str) -> None:
    """Write a checkpoint atomically; ``task`` names data and split.

    Raises:
        StorageError: it cannot be written.
    """
    state = {
        "task": task, "settings": asdict(fit.settings), "epoch": fit.epoch, "head": fit.head.state_dict(),
        "optimiser": fit.optimiser.state_dict(), "best_srocc": fit.best_srocc, "best_epoch": fit.best_epoch,
        "best_state": fit.best_state,
    }  # fmt: skip
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, partial)
        os.replace(partial, path)
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
    fit.optimiser.load_state_dict(state["optimiser"])
    fit.epoch, fit.best_epoch, fit.best_srocc = state["epoch"], state["best_epoch"], state["best_srocc"]
    fit.best_state = state["best_state"]
