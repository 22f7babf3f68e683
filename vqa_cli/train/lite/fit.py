"""Trains vsfa-lite in two steps: the backbone on single frames, then VSFA's head with its pooling on whole clips."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqa_cli.model.device import cpu_has_bf16
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.train.lite import cache
from vqa_cli.train.lite.batches import Features, FitSettings, clip_batch, draw_chances, frame_batch
from vqa_cli.train.lite.make_data import read_labels
from vqa_cli.types import FrameFormat

Log = Callable[[str], None]


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


def new_backbone(settings: FitSettings, before: dict[str, Any] | None) -> LiteBackbone:
    """A backbone of ``settings.blocks`` blocks; those that an earlier, perhaps shallower fit had start from its weights."""
    torch.manual_seed(settings.seed)
    config = LiteBackbone().config
    taps = [tap for tap in config["taps"] if tap < settings.blocks]
    widths, halve = config["widths"][: settings.blocks], config["halve"][: settings.blocks]
    backbone = LiteBackbone(tuple(widths), tuple(map(bool, halve)), tuple(taps))
    if before is not None:
        known = {key: value for key, value in before["backbone"].items() if key in backbone.state_dict()}
        backbone.load_state_dict(known, strict=False)
    return backbone


def fit_backbone(sources: list[cache.SourceData], start: LiteBackbone, settings: FitSettings, log: Log) -> LiteBackbone:
    """Train the backbone with a small throw-away head on crops of single frames; gives the averaged weights."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    chances = draw_chances([source.vmaf.mean(axis=1) for source in sources], settings.flatten)
    backbone = start.train().to(memory_format=torch.channels_last)
    head = nn.Sequential(nn.Linear(backbone.dim, 64), nn.ReLU(), nn.Linear(64, 1))
    model = nn.ModuleList([backbone, head])
    average = deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.backbone_steps, pct_start=0.1
    )
    running = 0.0
    for step in range(settings.backbone_steps):
        frames, target = frame_batch(sources, chances, settings, rng)
        crop = FrameFormat(settings.crop_px, settings.crop_px)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
            features = backbone(frames, crop)
        predicted = head(features).reshape(target.shape)
        loss = F.smooth_l1_loss(predicted, target, beta=0.05) + settings.rank_weight * rank_loss(
            predicted, target, settings
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _update_average(average, model, min(settings.ema, (step + 1) / (step + 10)))
        running = 0.98 * running + 0.02 * float(loss.detach()) if step else float(loss.detach())
        if step % 100 == 0:
            log(f"backbone step {step} loss {running:.4f}")
    result = average[0]
    assert isinstance(result, LiteBackbone)
    return result.eval()


def fit_head(data: list[Features], settings: FitSettings, log: Log) -> VsfaHead:
    """Train VSFA's head through its pooling on clip and frame labels; features are standardised, then unfolded into fc0."""
    torch.manual_seed(settings.seed + 1)
    rng = np.random.default_rng(settings.seed + 1)
    every = torch.cat([d.values.flatten(0, 1).float() for d in data])
    centre, spread = every.mean(0), every.std(0).clamp_min(1e-4)
    head = VsfaHead(len(centre), settings.reduced, settings.hidden)
    nn.init.constant_(head.q.bias, 0.7)
    chances = draw_chances([d.vmaf.mean(dim=1).numpy() for d in data], settings.flatten)
    average = deepcopy(head)
    optimiser = torch.optim.AdamW(head.parameters(), settings.head_learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.head_learning_rate, total_steps=settings.head_steps, pct_start=0.1
    )
    for step in range(settings.head_steps):
        features, target, lengths = clip_batch(data, chances, settings, rng)
        scores, _ = head((features - centre) / spread)
        real = torch.arange(scores.shape[1])[None] < lengths[:, None]
        pooled = pool_batch(scores, lengths)
        goal = (target * real).sum(1) / lengths
        shape = (-1, settings.versions_per_source)
        loss = (
            F.smooth_l1_loss(pooled, goal, beta=0.05)
            + 0.3 * F.smooth_l1_loss(scores[real], target[real], beta=0.05)
            + settings.rank_weight * rank_loss(pooled.reshape(shape), goal.reshape(shape), settings)
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _update_average(average, head, min(settings.ema, (step + 1) / (step + 10)))
        if step % 250 == 0:
            log(f"head step {step} loss {float(loss.detach()):.4f}")
    return _unfold_standardisation(average, centre, spread)


@torch.no_grad()
def extract(sources: list[cache.SourceData], backbone: LiteBackbone, log: Log) -> list[Features]:
    """Features of the cached frames of every version, whole frames, by the folded backbone."""
    folded = deepcopy(backbone).fold()
    found = []
    for index, source in enumerate(sources):
        values = [folded(torch.from_numpy(np.array(version)), source.frame_format) for version in source.frames]
        vmaf, ladders = torch.from_numpy(source.vmaf), torch.from_numpy(source.ladders)
        found.append(Features(source.key, source.group, source.split, torch.stack(values).clone(), vmaf, ladders))
        if index % 20 == 0:
            log(f"features {index}/{len(sources)}")
    return found


def fit(out: Path, settings: FitSettings, *, jobs: int, log: Log, start: Path | None = None) -> None:
    """Fit on everything labelled ``train`` under ``out`` and write ``out/fit.pt`` (weights, settings, sources used).

    Args:
        start: a ``fit.pt`` whose backbone is trained on instead of a new one.
    """
    clips = [clip for clip in read_labels(out) if clip.split == "train"]
    sources = cache.build(out, clips, jobs)
    log(f"{len(clips)} clips of {len(sources)} sources")
    before = torch.load(start, weights_only=True) if start else None
    backbone = fit_backbone(sources, new_backbone(settings, before), settings, log)
    torch.save({"backbone": backbone.state_dict(), "config": backbone.config}, out / "backbone.pt")
    head = fit_head(extract(sources, backbone, log), settings, log)
    saved: dict[str, Any] = {
        "backbone": backbone.state_dict(),
        "config": backbone.config,
        "head": head.state_dict(),
        "settings": asdict(settings),
        "earlier": [*before.get("earlier", []), before["settings"]] if before else [],
        "clips": len(clips),
        "groups": sorted({clip.group for clip in clips}),
    }
    torch.save(saved, out / "fit.pt")


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
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
