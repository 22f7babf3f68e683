"""Trains vsfa-lite in two steps: the backbone on single frames, then VSFA's head with its pooling on whole clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.lite.batches import Features, FitSettings, FrameBatches, clip_batch, compose, draw_chances
from training.lite.takes import FRAMES, WINDOW_FORMAT, Take, read_takes
from vqa_cli.errors import InputError, ModelError
from vqa_cli.files import replacing
from vqa_cli.model.checkpoint import load_state
from vqa_cli.model.device import cpu_has_bf16
from vqa_cli.model.extractor import FeatureExtractor, prepare_backbone
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.vsfa import VsfaHead

Log = Callable[[str], None]
_RENORMALISING_STEPS = 300
CPU = torch.device("cpu")


def rank_loss(predicted: Tensor, target: Tensor, settings: FitSettings) -> Tensor:
    """Pairwise logistic loss over all pairs of versions whose labels differ by more than the margin.

    Args:
        predicted, target: (sources, versions).
    Source: C. Burges et al., "Learning to rank using gradient descent", ICML 2005, eq. 3.
    """
    delta = target[:, :, None] - target[:, None, :]
    guess = predicted[:, :, None] - predicted[:, None, :]
    certain = delta > settings.rank_margin
    return F.softplus(-settings.rank_slope * guess[certain]).mean() if certain.any() else predicted.sum() * 0


def read_fit(path: Path) -> dict[str, Any]:
    """A ``fit.pt`` or ``backbone.pt`` as :func:`fit` writes it.

    Raises:
        ModelError: missing, damaged or something else.
    """
    saved = load_state(path)
    if not {"backbone", "config", "settings"} <= saved.keys():
        raise ModelError(
            f"no fit of vsfa-lite: {path}", hint="give a fit.pt or backbone.pt of `python -m training.lite fit`"
        )
    return saved


def new_backbone(settings: FitSettings, before: Sequence[dict[str, Any]]) -> LiteBackbone:
    """A backbone as the settings describe it; what earlier fits of the same shapes knew, on average, it starts from."""
    torch.manual_seed(settings.seed)
    backbone = LiteBackbone(settings.widths, settings.halve, settings.taps, settings.motion)
    own = backbone.state_dict()
    for count, known in enumerate((each["backbone"] for each in before), 1):
        for key in own.keys() & known.keys():
            if own[key].shape == known[key].shape and own[key].dtype.is_floating_point:
                own[key].lerp_(known[key], 1 / count)
    return backbone


@torch.no_grad()
def renormalise(backbone: LiteBackbone, batches: FrameBatches, steps: int, seed: int) -> None:
    """Measure the statistics of batch normalisation anew: averaged weights do not have the average of the statistics.

    Source: P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, sec. 3.2.
    """
    norms = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    usual = norms[0].momentum
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all steps
    rng = np.random.default_rng(seed)
    backbone.train().to(memory_format=torch.channels_last)
    for _ in range(steps):
        frames, before, _ = batches.draw(rng)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
            backbone.judge(frames, before, WINDOW_FORMAT)
    for norm in norms:
        norm.momentum = usual
    backbone.eval()


def fit_backbone(
    batches: FrameBatches, start: LiteBackbone, settings: FitSettings, log: Log, keep: Callable[[LiteBackbone], None]
) -> LiteBackbone:
    """Train the backbone with a small throw-away head on single frames; gives the averaged weights.

    Args:
        keep: called now and then with the averaged backbone so far.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    backbone = start.train().to(memory_format=torch.channels_last)
    head = nn.Sequential(nn.Linear(backbone.dim, 64), nn.ReLU(), nn.Linear(64, 1))
    model = nn.ModuleList([backbone, head])
    descent = _Descent(model, settings.learning_rate, settings.backbone_steps, settings)
    running = 0.0
    with ThreadPoolExecutor(1) as ahead:
        drawn = ahead.submit(batches.draw, rng)
        for step in range(settings.backbone_steps):
            frames, before, target = drawn.result()
            drawn = ahead.submit(batches.draw, rng)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
                features = backbone.judge(frames, before, WINDOW_FORMAT)
            predicted = head(features).reshape(target.shape)
            share = torch.rand(len(target))
            composed = head(compose(features.unflatten(0, target.shape), share)).squeeze(-1)
            loss = (
                (1 - settings.composed) * F.smooth_l1_loss(predicted, target, beta=0.05)
                + settings.composed * F.smooth_l1_loss(composed, compose(target, share), beta=0.05)
                + settings.rank_weight * rank_loss(predicted, target, settings)
            )
            descent.step(loss)
            running = 0.99 * running + 0.01 * float(loss.detach()) if step else float(loss.detach())
            if step % 100 == 0:
                log(f"backbone step {step} loss {running:.4f}")
            if step % 1000 == 999:
                keep(_backbone_of(descent.average))
    return _backbone_of(descent.average).eval()


def _backbone_of(model: nn.Module) -> LiteBackbone:
    backbone = model.get_submodule("0")
    assert isinstance(backbone, LiteBackbone)
    return backbone


def fit_head(data: list[Features], settings: FitSettings, log: Log) -> VsfaHead:
    """Train VSFA's head through its pooling on clip and frame labels; features are standardised, then unfolded into fc0."""
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng(settings.seed + 1)
    every = torch.cat([d.values.flatten(0, 1).float() for d in data])
    centre, spread = every.mean(0), every.std(0).clamp_min(1e-4)
    head = VsfaHead(len(centre), settings.reduced, settings.hidden)
    nn.init.constant_(head.q.bias, 0.7)
    chances = draw_chances([d.take.vmaf.mean(axis=1) for d in data], settings.flatten)
    descent = _Descent(head, settings.head_learning_rate, settings.head_steps, settings)
    for step in range(settings.head_steps):
        features, target, lengths = clip_batch(data, chances, settings, rng)
        scores, _ = head((features - centre) / spread)
        real = torch.arange(scores.shape[1])[None] < lengths[:, None]
        pooled = pool_batch(scores, lengths)
        goal = (target * real).sum(1) / lengths
        shape = (-1, settings.versions_per_take)
        loss = (
            F.smooth_l1_loss(pooled, goal, beta=0.05)
            + 0.3 * F.smooth_l1_loss(scores[real], target[real], beta=0.05)
            + settings.rank_weight * rank_loss(pooled.reshape(shape), goal.reshape(shape), settings)
        )
        descent.step(loss)
        if step % 250 == 0:
            log(f"head step {step} loss {float(loss.detach()):.4f}")
    average = descent.average
    assert isinstance(average, VsfaHead)
    return _unfold_standardisation(average, centre, spread)


@torch.no_grad()
def widen(head: VsfaHead, data: list[Features]) -> VsfaHead:
    """Stretch the scores until those of versions of VMAF v are v on average.

    Least errors are had by a network that draws what it is unsure of towards the middle: clean frames score below 100,
    ruined ones above 0. So a line is fitted to its scores as VMAF gives them, by the means of the tenths of the scale, and
    inverted into the last layer.

    Source: R. G. Krutchkoff, "Classical and inverse regression methods of calibration", Technometrics 9(3), 1967.
    """
    scores = torch.cat([_clip_scores(head, each) for each in data]).numpy()
    vmaf = np.concatenate([each.take.vmaf.mean(axis=1) for each in data])
    tenths = np.clip((10 * vmaf).astype(int), 0, 9)
    means = [[values[tenths == tenth].mean() for tenth in np.unique(tenths)] for values in (vmaf, scores)]
    slope, offset = np.polyfit(means[0], means[1], 1).tolist()
    if slope > 0:  # a head that has learnt nothing stays as it is
        head.q.weight.div_(slope)
        head.q.bias.sub_(offset).div_(slope)
    return head


def _clip_scores(head: VsfaHead, source: Features) -> Tensor:
    """(versions,) as :meth:`Scorer.score` gives them, before any scale."""
    scores, _ = head(source.values.float())
    return pool_batch(scores, torch.full((len(scores),), scores.shape[1]))


def extract(takes: list[Take], folder: Path, backbone: LiteBackbone, log: Log) -> list[Features]:
    """Features of every version of the takes, by the folded backbone, as a stream gives them."""
    extractor = FeatureExtractor(prepare_backbone(deepcopy(backbone), CPU, "fp32"), CPU, 2 * FRAMES)

    def work(take: Take) -> Features:
        versions = [torch.cat(list(extractor.features([frames], WINDOW_FORMAT))) for frames in take.frames(folder)]
        return Features(take, torch.stack(versions).clone())

    # Windows are small: a thread for each of several takes is faster than several threads for each window.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    try:
        with ThreadPoolExecutor(threads) as pool:
            for index, features in enumerate(pool.map(work, takes)):
                found.append(features)
                if index % 50 == 0:
                    log(f"features {index}/{len(takes)}")
    finally:
        torch.set_num_threads(threads)
    return found


def fit(out: Path, settings: FitSettings, *, log: Log, start: Sequence[Path] = ()) -> None:
    """Fit on every take labelled ``train`` under ``out`` and write ``out/fit.pt`` (weights, settings, groups used).

    Args:
        start: each a ``fit.pt`` or ``backbone.pt`` whose backbone is trained on instead of a new one; of several, the mean
            of their weights. With no steps for the backbone that is taken as it is, and the head alone is new.

    Raises:
        InputError: there are no labels, or they are damaged.
        ModelError: a file to start from is damaged or something else.
    """
    before = [read_fit(path) for path in start]
    takes = read_takes(out, "train")
    if not takes:
        raise InputError(f"no take to train on: {out}", hint="make some with `python -m training.lite make-data`")
    tenths = np.histogram(np.concatenate([take.vmaf.mean(axis=1) for take in takes]), 10, (0, 1))[0]
    log(f"{len(takes)} takes; versions by tenths of VMAF: {' '.join(map(str, tenths))}")
    earlier: list[dict[str, Any]] = []
    for each in before:
        earlier += [done for done in (*each.get("earlier", []), each["settings"]) if done not in earlier]

    def record(backbone: LiteBackbone) -> dict[str, Any]:
        return {
            "backbone": backbone.state_dict(), "config": backbone.config, "settings": settings.as_record(),
            "earlier": earlier, "averaged": len(start),
        }  # fmt: skip

    def keep(backbone: LiteBackbone) -> None:
        _save(record(backbone), out / "backbone.pt")

    batches = FrameBatches(takes, [take.frames(out) for take in takes], settings)
    backbone = new_backbone(settings, before)
    if len(before) > 1:
        renormalise(backbone, batches, _RENORMALISING_STEPS, settings.seed)
    if settings.backbone_steps:
        backbone = fit_backbone(batches, backbone, settings, log, keep)
    keep(backbone)
    features = extract(takes, out, backbone, log)
    head = widen(fit_head(features, settings, log), features)
    groups = sorted({take.group for take in takes})
    whole = {"head": head.state_dict(), "clips": sum(len(take.recipes) for take in takes), "groups": groups}
    _save(record(backbone) | whole, out / "fit.pt")


def _save(state: dict[str, Any], path: Path) -> None:
    with replacing(path) as staged:
        torch.save(state, staged)


class _Descent:
    """AdamW in one cycle of its learning rate, and the running average of the weights, which is what is kept."""

    def __init__(self, model: nn.Module, rate: float, steps: int, settings: FitSettings) -> None:
        self.average = deepcopy(model)
        self._model = model
        self._ema = settings.ema
        self._done = 0
        self._optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=settings.weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimiser, rate, total_steps=steps, pct_start=0.1)

    def step(self, loss: Tensor) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimiser.step()
        self._schedule.step()
        # Short at first, so that the average soon forgets where it started.
        self._follow(min(self._ema, (self._done + 1) / (self._done + 10)))
        self._done += 1

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        for kept, new in zip(self.average.state_dict().values(), self._model.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


@torch.no_grad()
def _unfold_standardisation(head: VsfaHead, centre: Tensor, spread: Tensor) -> VsfaHead:
    layer = head.ann["fc0"]
    assert isinstance(layer, nn.Linear)
    layer.bias.sub_(layer.weight @ (centre / spread))
    layer.weight.div_(spread)
    return head.eval()
