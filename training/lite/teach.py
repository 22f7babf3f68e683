"""Teaches a whole model, backbone and head, what bitrate cannot say: which of two encodes at equal rate is better, by how much.

It goes on from weights that know VMAF frame by frame (:mod:`training.lite.fit`). Each step sees whole ladders, because the question
is about all rungs of a source together. Batch normalisation keeps its statistics: those of one ladder are those of its source.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.lite.agreement import NOTICED
from training.lite.ladders import read_ladders
from training.lite.lessons import Lesson, View, glimpse, load_lesson, whole
from training.lite.mill import PATIENCE_S
from training.lite.sights import sights_path, write_sights
from training.lite.weights import read_floating
from vqa_cli.errors import InputError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.card import Card
from vqa_cli.model.checkpoint import save_model
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.vsfa import VsfaHead

Log = Callable[[str], None]
_LEAK = 0.1


@dataclass(frozen=True, slots=True)
class TeachSettings:
    """Hyper-parameters; all of them end up in the model's card.

    Attributes:
        steps, minutes: when it ends, whichever comes first.
        least: frames seen of each version in a step, or more.
        hidden, reduced: of a new head; 0 keeps the one that is there.
        gap, rank, bias, centred, level: weights of the loss. ``gap`` is of differences at equal rate, worth the rate that they
            stand for; ``rank`` of their sign; ``bias`` of their mean error for each two encoders over the ladders of a step;
            ``centred`` of VMAF about its mean in a source; ``level`` of VMAF itself on clean sources.
    """

    seed: int = 1
    steps: int = 4000
    minutes: float = 600.0
    ladders_per_step: int = 4
    least: int = 7
    held: int = 0
    backbone_rate: float = 3e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    hidden: int = 0
    reduced: int = 0
    gap: float = 1.0
    rank: float = 0.3
    rank_slope: float = 12.0
    bias: float = 0.5
    centred: float = 0.5
    level: float = 0.3


class Model(nn.Module):
    """Backbone and head of vsfa-lite as they learn."""

    def __init__(self, backbone: LiteBackbone, head: VsfaHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, view: View) -> Tensor:
        """Raw scores, (versions,)."""
        features = self.backbone.judge(view.now, view.before, view.shape)
        versions = len(view.vmaf)
        held = features.reshape(versions, -1, features.shape[1]).repeat_interleave(self.backbone.hold, dim=1)
        outputs, _ = self.head(held[:, : view.frames])
        return pool_batch(outputs, torch.full((versions,), outputs.shape[1], device=outputs.device))


class _Steady(nn.Sequential):
    """A block whose batch normalisation is part of its convolution, by the statistics that it has."""

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self[0], self[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        kernel = (conv.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, kernel, norm.bias - norm.running_mean * scale, conv.stride, conv.padding).relu_()


def read(path: Path, settings: TeachSettings) -> tuple[Card, Model]:
    """The model of a file, ready to learn.

    Raises:
        ModelError: no model file, or one in integers.
    """
    card, backbone, tensors, _ = read_floating(path)
    backbone.blocks = nn.ModuleList(_Steady(*block.children()) for block in backbone.blocks)
    head = VsfaHead(**card.head_config)
    head.load_state_dict(tensors)
    if settings.hidden:
        torch.manual_seed(settings.seed)
        config = {"dim": head.dim, "reduced": settings.reduced, "hidden": settings.hidden}
        head, card = VsfaHead(**config), card.model_copy(update={"head_config": config})
        nn.init.constant_(head.q.bias, 0.7)
    return card, Model(backbone, head)


def write(path: Path, card: Card, model: Model, settings: TeachSettings, lessons: int, done: int) -> None:
    """Write a model file; kernels in half precision. Figures of the weights before say nothing of these."""
    record = {**card.training, "taught": {**asdict(settings), "ladders": lessons, "done": done}}
    changed = card.model_copy(update={"training": record, "metrics": {}})
    kept = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    save_model(path, changed, {name: value.half() if value.dim() == 4 else value for name, value in kept.items()})


def within(raw: Tensor, knee: float) -> Tensor:
    """Scores in 0..1, about as :meth:`vqa_cli.model.verdict.Calibration.score` brings raw ones within the scale.

    What lies beyond goes on a little, so that it can be learnt back.
    """
    if not knee:
        return raw
    middle = raw.clamp(knee, 1 - knee)
    return middle + knee * torch.tanh((raw - middle) / knee) + _LEAK * (raw - middle)


def lesson_loss(told: Tensor, lesson: Lesson, vmaf: Tensor, settings: TeachSettings) -> tuple[Tensor, Tensor]:
    """The loss of one ladder without its part of the bias, and how far each difference at equal rate is from VMAF's."""
    rows, worth = lesson.compared.rows, lesson.compared.worth
    gap, wanted = rows @ told[: lesson.rungs], rows @ vmaf[: lesson.rungs]
    # What a source that is compressed already is worth, nobody knows: its encodes are compared with each other.
    known = len(told) if lesson.clean else lesson.rungs
    own, goal = told[:known], vmaf[:known]
    loss = settings.centred * F.smooth_l1_loss(own - own.mean(), goal - goal.mean(), beta=0.05)
    if len(gap):
        loss = loss + settings.gap * (worth * F.smooth_l1_loss(gap, wanted, beta=0.02, reduction="none")).mean()
        sure = (wanted.abs() >= NOTICED / 100).float()
        away = F.softplus(-settings.rank_slope * gap * wanted.sign())
        loss = loss + settings.rank * (sure * away).sum() / sure.sum().clamp_min(1.0)
    if lesson.clean:
        loss = loss + settings.level * F.smooth_l1_loss(own, goal, beta=0.05)
    return loss, worth * (gap - wanted)


def bias_loss(lessons: Sequence[Lesson], errors: Sequence[Tensor]) -> Tensor:
    """Mean error of differences between each two encoders over some ladders: what makes one encoder look better than it is."""
    pairs: dict[frozenset[str], list[Tensor]] = {}
    for lesson, error in zip(lessons, errors, strict=True):
        for pair in sorted(set(lesson.compared.codecs)):
            if pair[0] != pair[1]:
                sign = 1.0 if pair == tuple(sorted(pair)) else -1.0
                at = [index for index, codecs in enumerate(lesson.compared.codecs) if codecs == pair]
                pairs.setdefault(frozenset(pair), []).append(sign * error[at])
    means = [torch.cat(parts).mean() for parts in pairs.values()]
    return torch.stack([F.smooth_l1_loss(mean, torch.zeros_like(mean), beta=0.01) for mean in means]).mean()


@dataclass
class Pupil:
    """A model that learns, and the running average of its weights, which is what is kept."""

    model: Model
    settings: TeachSettings
    knee: float
    done: int = 0
    average: Model = field(init=False)
    _optimiser: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.average = deepcopy(self.model).requires_grad_(False)
        rates = ((self.model.backbone, self.settings.backbone_rate), (self.model.head, self.settings.head_rate))
        groups = [{"params": list(part.parameters()), "lr": rate, "most": rate} for part, rate in rates]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=self.settings.weight_decay)

    def step(self, lessons: Sequence[Lesson], views: Sequence[View], progress: float) -> Tensor:
        """Learn from some ladders; ``progress`` goes from 0 to 1."""
        for group in self._optimiser.param_groups:
            group["lr"] = group["most"] * min(1.0, progress / 0.04 + 1e-3) * (1 + math.cos(math.pi * progress)) / 2
        self._optimiser.zero_grad(set_to_none=True)
        losses, errors = [], []
        for lesson, view in zip(lessons, views, strict=True):
            loss, error = lesson_loss(within(self.model(view), self.knee), lesson, view.vmaf, self.settings)
            losses.append(loss)
            errors.append(error)
        total = torch.stack(losses).mean() + self.settings.bias * bias_loss(lessons, errors)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        self._follow(min(self.settings.ema, (self.done + 1) / (self.done + 10)))
        self.done += 1
        return total.detach()

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        for kept, new in zip(self.average.parameters(), self.model.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


@torch.no_grad()
def raw_scores(model: Model, lesson: Lesson) -> Tensor:
    """What the model says of each version of a ladder, before its scale."""
    raw: Tensor = model(whole(lesson, model.backbone.hold))
    return raw


def draw(
    lessons: Sequence[Lesson], hold: int, settings: TeachSettings, rng: np.random.Generator
) -> tuple[list[Lesson], list[View]]:
    """The ladders of one step and what is seen of them."""
    picks = rng.choice(len(lessons), min(settings.ladders_per_step, len(lessons)), replace=False)
    some = [lessons[pick] for pick in picks]
    return some, [glimpse(lesson, hold, settings.least, rng) for lesson in some]


def teach(data: Path, model: Path, out: Path, settings: TeachSettings, device: torch.device, log: Log) -> None:
    """Teach a model file on the training ladders under ``data`` and write another model file.

    Raises:
        InputError: no ladder to train on, or damaged ones.
        ModelError: no model file.
    """
    card, pupil_model = read(model, settings)
    lessons = _lessons(data, pupil_model.backbone.hold, settings, device)
    pupil = Pupil(pupil_model.to(device), settings, card.scale.knee)
    rng, start, progress = np.random.default_rng(settings.seed), time.monotonic(), 0.0
    while progress < 1:
        some, views = draw(lessons, pupil_model.backbone.hold, settings, rng)
        loss = pupil.step(some, views, progress)
        if pupil.done % 50 == 1:
            log(f"step {pupil.done} of {settings.steps} loss {float(loss):.4f}")
        progress = max(pupil.done / settings.steps, (time.monotonic() - start) / 60 / settings.minutes)
    write(out, card, pupil.average, settings, len(lessons), pupil.done)


def _lessons(data: Path, hold: int, settings: TeachSettings, device: torch.device) -> list[Lesson]:
    ladders = read_ladders(data, "training")
    if not ladders:
        raise InputError(f"no ladder to train on: {data}", hint="make them with `python -m training.lite ladders`")
    rng = np.random.default_rng(settings.seed)
    with Runner(silence_s=PATIENCE_S) as runner:
        for ladder in ladders:
            if not sights_path(data, ladder).exists():
                write_sights(runner, str(find_ffmpeg(runner).path), data, ladder, hold)
    return [load_lesson(data, ladder, hold, device, held=settings.held or None, rng=rng) for ladder in ladders]
