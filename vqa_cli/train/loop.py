"""Training of a head on cached features: the published loop, resumable after every epoch.

Source: D. Li, T. Jiang, M. Jiang, "Quality Assessment of In-the-Wild Videos", ACM MM 2019, sec. 4.1, and its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from vqa_cli.errors import ModelError
from vqa_cli.media.prefetch import prefetch
from vqa_cli.model.device import FULL_FP32
from vqa_cli.model.heads import Head, batch_scores, make_head
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.temporal import effective_tau
from vqa_cli.train.clips import Clips, Standard, load_batch
from vqa_cli.train.objective import MixedObjective, Objective

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Clips judged at once where nothing is learnt: the GRU's steps are shared, and memory stays small.
_JUDGED_AT_ONCE = 16
# MDTVSFA's code lets the rate fall twice as often as VSFA's, after every twentieth of the epochs.
MIXED_DECAYS = 20


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The paper's defaults.

    Attributes:
        decays: how many times the learning rate falls by a fifth, evenly over the epochs.
        head: a name of ``model.heads.HEADS``.
        tau: window of the pooling in frames of the video; 1 is mean pooling.
        patience: ends training after so many epochs without a better validation SROCC; 0 never does.
        precision: ``fp32``, or ``bf16`` for mixed precision.
    """

    epochs: int = 2000
    learning_rate: float = 1e-5
    decays: int = 10
    batch_size: int = 16
    weight_decay: float = 0.0
    head: str = "vsfa"
    reduced: int = 128
    hidden: int = 32
    tau: int = 12
    beta: float = 0.5
    patience: int = 0
    seed: int = 0
    precision: str = "fp32"
    standardise: bool = False

    @property
    def head_config(self) -> dict[str, Any]:
        sizes = {"reduced": self.reduced, "hidden": self.hidden}
        return {"reduced": self.reduced} if self.head == "frame" else sizes


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the curve. Correlations are means over databases, NaN where one is undefined."""

    epoch: int
    train_loss: float
    val_srocc: float
    val_plcc: float
    learning_rate: float
    best: bool


@dataclass
class Fit:
    """Where training stands; everything that resuming needs.

    Randomness (order of the clips, dropout) is drawn anew for each epoch from seed and epoch alone: these two numbers are the
    whole state of the random generators between epochs.
    """

    head: Head
    objective: Objective
    optimiser: torch.optim.Adam
    settings: TrainSettings
    standard: Standard | None = None
    epoch: int = 0
    best_srocc: float = -math.inf
    best_epoch: int = -1
    best_state: dict[str, Tensor] | None = None


def start_fit(
    dim: int, settings: TrainSettings, objective: Objective, device: torch.device, standard: Standard | None = None
) -> Fit:
    """A fresh head, drawn from ``settings.seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = make_head(settings.head, {"dim": dim, **settings.head_config}).to(device)
    learnt = [*head.parameters(), *objective.to(device).parameters()]
    optimiser = torch.optim.Adam(learnt, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return Fit(head, objective, optimiser, settings, standard)


def run_fit(
    fit: Fit, train: Sequence[Clips], val: Sequence[Clips], every: int, checkpoint: Callable[[Fit], None]
) -> Iterator[Epoch]:
    """Train to the end or until patience is over, on one or several databases; ``checkpoint`` is called after each epoch.

    Raises:
        ModelError: a loss is not finite, or no epoch had a defined validation SROCC.
    """
    settings = fit.settings
    tau = effective_tau(settings.tau, every)
    while fit.epoch < settings.epochs and not _out_of_patience(fit):
        rate = learning_rate(settings, fit.epoch)
        for group in fit.optimiser.param_groups:
            group["lr"] = rate
        loss = train_epoch(fit, train, tau)
        srocc, plcc = _validate(fit, val, tau)
        best = srocc > fit.best_srocc and _may_win(fit)
        if best:
            fit.best_srocc, fit.best_epoch = srocc, fit.epoch
            fit.best_state = _copy_state(fit)
        row = Epoch(fit.epoch, loss, srocc, plcc, rate, best)
        fit.epoch += 1
        checkpoint(fit)
        yield row
    if fit.best_state is None:
        raise ModelError("no epoch has a defined validation SROCC", hint="give more validation clips or epochs")


def learning_rate(settings: TrainSettings, epoch: int) -> float:
    """Times 0.8 after every tenth of the epochs, or as ``decays`` says."""
    return settings.learning_rate * 0.8 ** (epoch // max(1, settings.epochs // settings.decays))


def _copy_state(fit: Fit) -> dict[str, Tensor]:
    """Head and objective, by the names ``head.…`` and ``objective.…``."""
    parts = (("head", fit.head), ("objective", fit.objective))
    return {f"{name}.{k}": v.detach().cpu().clone() for name, part in parts for k, v in part.state_dict().items()}


def load_best(fit: Fit) -> None:
    """Bring head and objective back to the best epoch."""
    assert fit.best_state is not None
    for name, part in (("head.", fit.head), ("objective.", fit.objective)):
        part.load_state_dict({k.removeprefix(name): v for k, v in fit.best_state.items() if k.startswith(name)})


def _may_win(fit: Fit) -> bool:
    """VSFA's code lets no epoch of the first sixth win: an untrained network may rank few clips well by luck. MDTVSFA's lets
    every one.
    """
    last = fit.settings.epochs - 1
    return isinstance(fit.objective, MixedObjective) or fit.epoch > fit.settings.epochs / 6 or fit.epoch == last


def _out_of_patience(fit: Fit) -> bool:
    return bool(fit.settings.patience) and 0 <= fit.best_epoch < fit.epoch - fit.settings.patience


def train_epoch(fit: Fit, parts: Sequence[Clips], tau: int) -> float:
    """One pass over the largest database; smaller ones are gone through again, as in MDTVSFA's code. Gives the mean loss."""
    settings = fit.settings
    order = np.random.default_rng((settings.seed, fit.epoch)).permutation(max(len(part) for part in parts))
    batches = [order[i : i + settings.batch_size] for i in range(0, len(order), settings.batch_size)]
    if isinstance(fit.objective, MixedObjective) and len(batches) > 1 and len(batches[-1]) < settings.batch_size:
        batches.pop()  # its losses compare clips with each other, and a rest may be a single one
    device = next(fit.head.parameters()).device
    fit.head.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), FULL_FP32:
        torch.manual_seed(settings.seed * 1_000_003 + fit.epoch)  # for dropout
        with closing(prefetch((load_step(fit, parts, chosen) for chosen in batches), depth=1)) as loaded:
            losses = [train_step(fit, step, tau) for step in loaded]
    return float(np.mean(losses))


@dataclass(frozen=True)
class Batch:
    """Clips of one database, ready to be judged.

    Attributes:
        packed: features of all clips one after the other, (frames, dim).
        lengths: (clips,) frames of each.
        ratings: (clips,).
    """

    packed: Tensor
    lengths: Tensor
    ratings: Tensor


def load_step(fit: Fit, parts: Sequence[Clips], chosen: NDArray[np.int64]) -> list[Batch]:
    """What one optimisation step sees of each database: the clips with these indices, modulo the database's size."""
    return [_load(fit.head, fit.settings, fit.standard, part, chosen % len(part)) for part in parts]


def _load(
    head: Head, settings: TrainSettings, standard: Standard | None, part: Clips, indices: NDArray[np.int64]
) -> Batch:
    device = next(head.parameters()).device
    mixed = settings.precision == "bf16" and standard is None
    features = [part.features[i] for i in indices]
    packed, lengths = load_batch(features, device, torch.bfloat16 if mixed else torch.float32)
    packed = packed if standard is None else standard.apply(packed)
    return Batch(packed, lengths, part.ratings[torch.from_numpy(indices)].to(device))


def train_step(fit: Fit, step: Sequence[Batch], tau: int) -> float:
    """One optimisation step on a batch of each database. Gives the loss."""
    pooled = [_pooled(fit.head, fit.settings, batch, tau) for batch in step]
    loss: Tensor = fit.objective(pooled, [batch.ratings for batch in step])
    if not torch.isfinite(loss):
        raise ModelError(f"the loss is no number in epoch {fit.epoch}", hint="try a lower --lr")
    fit.optimiser.zero_grad()
    loss.backward()
    fit.optimiser.step()
    return loss.item()


def _pooled(head: Head, settings: TrainSettings, batch: Batch, tau: int) -> Tensor:
    device = batch.packed.device
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        scores = batch_scores(head, batch.packed, batch.lengths)
    return pool_batch(scores.float(), batch.lengths.to(device), tau=tau, beta=settings.beta)


def predict(fit: Fit, part: Clips, tau: int) -> NDArray[np.float64]:
    """Pooled scores before any scale, shape (videos,)."""
    return pooled_scores(fit.head, part, fit.settings, tau, fit.standard)


def pooled_scores(
    head: Head, part: Clips, settings: TrainSettings, tau: int, standard: Standard | None = None
) -> NDArray[np.float64]:
    """Pooled scores of a head that is not learning, before any scale, shape (videos,); in fp32, as in scoring."""
    head.eval()
    settings = replace(settings, precision="fp32")
    rows = np.arange(len(part))
    parts = np.split(rows, range(_JUDGED_AT_ONCE, len(rows), _JUDGED_AT_ONCE))
    ahead = prefetch((_load(head, settings, standard, part, rows) for rows in parts), depth=1)
    with closing(ahead) as loaded, torch.inference_mode(), FULL_FP32:
        scores = [_pooled(head, settings, batch, tau).cpu().double() for batch in loaded]
    result: NDArray[np.float64] = torch.cat(scores).numpy()
    return result


def predict_ratings(fit: Fit, part: Clips, tau: int, index: int = 0) -> NDArray[np.float64]:
    """Scores of ``part`` on the scale of database ``index``, shape (videos,)."""
    pooled = torch.from_numpy(predict(fit, part, tau))  # in float64, which MPS does not have
    ratings: NDArray[np.float64] = fit.objective.to_ratings(pooled, index).numpy()
    return ratings


def _validate(fit: Fit, val: Sequence[Clips], tau: int) -> tuple[float, float]:
    """Rank and linear correlation of predicted ratings with given ones, each the mean over databases."""
    figures = [
        _correlations(predict_ratings(fit, part, tau, index), part.ratings.double().numpy())
        for index, part in enumerate(val)
    ]
    srocc, plcc = np.mean(figures, axis=0)
    return float(srocc), float(plcc)


def _correlations(predicted: NDArray[np.float64], rated: NDArray[np.float64]) -> tuple[float, float]:
    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(rated) == 0:
        return math.nan, math.nan
    return float(stats.spearmanr(predicted, rated).statistic), float(np.corrcoef(predicted, rated)[0, 1])
