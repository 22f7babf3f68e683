"""Teaches the head of a model what bitrate cannot say: which of two encodes at equal rate is better, and by how much.

The backbone stays as it is, so that scoring costs what it did; its features of whole ladders are computed once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.lite.agreement import NOTICED, RATES
from training.lite.judging import features_path, judge
from training.lite.ladders import Ladder, read_ladders
from vqa_cli.errors import InputError
from vqa_cli.model.checkpoint import below, load_model, save_model
from vqa_cli.model.load import load_scorer
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.vsfa import VsfaHead

_SHORTEST = 12


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Hyper-parameters; all of them end up in the model's card.

    Weights of the loss: ``gap`` of differences at equal rate, ``rank`` of their sign, ``centred`` of VMAF about its mean in a
    source, ``level`` of VMAF itself on clean sources, ``stay`` of the distance from the weights that are tuned.
    """

    seed: int = 1
    steps: int = 300
    ladders_per_step: int = 4
    learning_rate: float = 3e-3
    gap: float = 1.0
    rank: float = 0.3
    rank_slope: float = 12.0
    centred: float = 0.5
    level: float = 0.3
    stay: float = 0.3


@dataclass(frozen=True)
class Lesson:
    """A ladder as the head sees it.

    Attributes:
        features: (rungs + 1, frames, dim), the source last.
        vmaf: (rungs,) in 0..1.
        pairs: see :func:`equal_rate`.
    """

    clean: bool
    features: Tensor
    vmaf: Tensor
    pairs: Tensor


def equal_rate(ladder: Ladder) -> Tensor:
    """Differences of curves at equal rate as a matrix over rungs, (comparisons, rungs): linear in the logarithm of rate.

    Every two curves (encoder and size) at five rates of the range that both cover.
    """
    curves: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for index, encode in enumerate(ladder.encodes):
        curves.setdefault((encode.codec, encode.height), []).append((float(np.log2(encode.kbps)), index))
    rows = []
    for one, other in itertools.combinations([sorted(curve) for curve in curves.values()], 2):
        low, high = max(one[0][0], other[0][0]), min(one[-1][0], other[-1][0])
        if low < high:
            rates = np.linspace(low, high, RATES)
            rows.append(_weights(one, rates, len(ladder.encodes)) - _weights(other, rates, len(ladder.encodes)))
    empty = np.zeros((0, len(ladder.encodes)))
    return torch.from_numpy(np.concatenate([empty, *rows])).float()


def _weights(curve: Sequence[tuple[float, int]], rates: np.ndarray, rungs: int) -> np.ndarray:
    """How much of each rung there is in a curve at some rates, (rates, rungs)."""
    logs, indices = zip(*curve, strict=True)
    out = np.zeros((len(rates), rungs))
    for place, index in enumerate(indices):
        out[:, index] += np.interp(rates, logs, np.eye(len(curve))[place])
    return out


def lesson_loss(head: VsfaHead, lesson: Lesson, frames: slice, settings: TuneSettings) -> Tensor:
    """The loss of one ladder, without the distance from the weights before."""
    outputs, _ = head(lesson.features[:, frames])
    told = pool_batch(outputs, torch.full((len(outputs),), outputs.shape[1]))
    told, source = told[:-1], told[-1:]
    gap, wanted = lesson.pairs @ told, lesson.pairs @ lesson.vmaf
    sure = wanted.abs() >= NOTICED / 100
    loss = settings.centred * F.smooth_l1_loss(told - told.mean(), lesson.vmaf - lesson.vmaf.mean(), beta=0.05)
    if sure.any():
        signed = gap[sure] * wanted[sure].sign()
        loss = loss + settings.gap * F.smooth_l1_loss(gap, wanted, beta=0.02)
        loss = loss + settings.rank * F.softplus(-settings.rank_slope * signed).mean()
    if lesson.clean:
        goal = torch.cat((lesson.vmaf, torch.ones(1)))
        loss = loss + settings.level * F.smooth_l1_loss(torch.cat((told, source)), goal, beta=0.05)
    return loss


def tune_head(
    before: VsfaHead, lessons: Sequence[Lesson], settings: TuneSettings, log: Callable[[str], None]
) -> VsfaHead:
    """Train on from a head; gives a new one."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    head = deepcopy(before).train().requires_grad_(True)
    anchors = [(weight, weight.detach().clone()) for weight in head.parameters()]
    optimiser = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.2
    )
    for step in range(settings.steps):
        picks = rng.choice(len(lessons), min(settings.ladders_per_step, len(lessons)), replace=False)
        losses = [lesson_loss(head, lessons[pick], _window(lessons[pick], rng), settings) for pick in picks]
        away = [(weight - anchor).square().sum() / anchor.square().sum() for weight, anchor in anchors]
        loss = torch.stack(losses).mean() + settings.stay * torch.stack(away).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            log(f"step {step} loss {float(loss.detach()):.4f}")
    return head.eval()


def _window(lesson: Lesson, rng: np.random.Generator) -> slice:
    """Some frames in a row, half of them or more, so that no step sees the very same ladder."""
    frames = lesson.features.shape[1]
    count = int(rng.integers(min(frames, max(_SHORTEST, frames // 2)), frames + 1))
    start = int(rng.integers(frames - count + 1))
    return slice(start, start + count)


def tune(data: Path, model: Path, out: Path, settings: TuneSettings, log: Callable[[str], None]) -> None:
    """Tune the head of a model file on the training ladders under ``data`` and write another model file.

    Raises:
        InputError: no ladder to train on, or damaged ones.
        ModelError: no model file, or its head is not VSFA's.
    """
    card, tensors, _ = load_model(model)
    scorer = load_scorer(str(model), precision="fp32", device="cpu")
    for judged in judge(data, scorer, "training", keep_features=True):
        log(f"features of {judged.key}")
    lessons = [_lesson(data, ladder) for ladder in read_ladders(data, "training")]
    if not lessons:
        raise InputError(f"no ladder to train on: {data}", hint="make them with `python -m training.lite ladders`")
    head = VsfaHead(**card.head_config)
    head.load_state_dict(below(tensors, "head."))
    tuned = tune_head(head, lessons, settings, log)
    record = {**card.training, "tuned": {**asdict(settings), "ladders": len(lessons)}}
    # Figures of the weights before say nothing of these.
    changed = card.model_copy(update={"training": record, "metrics": {}})
    save_model(out, changed, tensors | {f"head.{name}": value for name, value in tuned.state_dict().items()})


def _lesson(data: Path, ladder: Ladder) -> Lesson:
    features = torch.from_numpy(np.load(features_path(data, ladder)).astype(np.float32))
    vmaf = torch.tensor([encode.vmaf / 100 for encode in ladder.encodes])
    return Lesson(ladder.clean, features, vmaf, equal_rate(ladder))
