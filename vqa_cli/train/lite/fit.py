"""Trains vsfa-lite in two steps: the backbone on single frames, then VSFA's head with its pooling on whole clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.device import cpu_has_bf16
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.train.lite import cache
from vqa_cli.train.lite.make_data import LabelledClip, read_labels
from vqa_cli.types import FrameFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

Log = Callable[[str], None]
# The head learns from every second frame: neighbours are nearly equal, and features cost most of the time.
_EVERY = 2


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Hyper-parameters; all of them end up in the model's card.

    ``flatten`` says how far rare VMAF values are drawn more often: 0 as they come, 1 until every tenth of the scale is
    drawn equally often.
    """

    seed: int = 1
    backbone_steps: int = 6000
    head_steps: int = 4000
    sources_per_step: int = 8
    versions_per_source: int = 6
    crop_px: int = 256
    learning_rate: float = 2e-3
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.998
    rank_weight: float = 0.5
    rank_margin: float = 0.02
    rank_slope: float = 12.0
    flatten: float = 0.7
    reduced: int = 64
    hidden: int = 32
    longest_sequence: int = 72


@dataclass(frozen=True)
class Features:
    """Frame features of all versions of one source: (versions, frames, dim), VMAF in 0..1 (versions, frames)."""

    key: str
    group: str
    split: str
    values: Tensor
    vmaf: Tensor
    ladders: Tensor


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


def fit_backbone(
    sources: list[cache.SourceData], settings: FitSettings, log: Log, start: LiteBackbone | None = None
) -> LiteBackbone:
    """Train the backbone with a small throw-away head on crops of single frames; gives the averaged weights."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    chances = draw_chances([source.vmaf.mean(axis=1) for source in sources], settings.flatten)
    backbone = (start or LiteBackbone()).train().to(memory_format=torch.channels_last)
    head = nn.Sequential(nn.Linear(backbone.dim, 64), nn.ReLU(), nn.Linear(64, 1))
    model = nn.ModuleList([backbone, head])
    average = deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.backbone_steps, pct_start=0.1
    )
    running = 0.0
    for step in range(settings.backbone_steps):
        frames, target = _frame_batch(sources, chances, settings, rng)
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
        features, target, lengths = _clip_batch(data, chances, settings, rng)
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


def extract(out: Path, clips: list[LabelledClip], backbone: LiteBackbone, jobs: int, log: Log) -> Iterator[Features]:
    """Features of every second frame of every version, by the folded backbone; ``jobs`` sources are decoded at once."""
    folded = deepcopy(backbone).fold()
    groups = cache.by_source(clips)
    with Runner() as runner, ThreadPoolExecutor(jobs) as pool:
        ffmpeg = str(find_ffmpeg(runner).path)
        work = [(folded, out, members, runner, ffmpeg) for members in groups.values()]
        for index, found in enumerate(pool.map(lambda job: _features(*job), work)):
            if index % 20 == 0:
                log(f"features {index}/{len(groups)}")
            yield found


def _features(
    folded: LiteBackbone, out: Path, members: list[LabelledClip], runner: Runner, ffmpeg: str
) -> Features:
    first = members[0]
    frame_format = FrameFormat(first.width, first.height)
    with torch.inference_mode():
        values = [
            torch.cat([folded(part, frame_format) for part in torch.split(torch.from_numpy(frames), 8)])
            for frames in (whole[::_EVERY] for whole in cache.versions(out, members, runner, ffmpeg))
        ]
    vmaf = torch.tensor([c.vmaf for c in members] + [(100.0,) * len(first.vmaf)])[:, ::_EVERY] / 100
    ladders = torch.tensor([c.recipe["ladder"] for c in members] + [-1])
    return Features(first.source, first.group, first.split, torch.stack(values).clone(), vmaf, ladders)


def fit(out: Path, settings: FitSettings, *, jobs: int, log: Log, start: Path | None = None) -> None:
    """Fit on everything labelled ``train`` under ``out`` and write ``out/fit.pt`` (weights, settings, sources used).

    Args:
        start: a ``fit.pt`` whose backbone is trained on instead of a new one.
    """
    clips = [clip for clip in read_labels(out) if clip.split == "train"]
    sources = cache.build(out, clips, jobs)
    log(f"{len(clips)} clips of {len(sources)} sources")
    earlier: list[dict[str, Any]] = []
    begin = None
    if start is not None:
        saved = torch.load(start, weights_only=True)
        begin = LiteBackbone(**{key: tuple(value) for key, value in saved["config"].items()})
        begin.load_state_dict(saved["backbone"])
        earlier = [*saved.get("earlier", []), saved["settings"]]
    backbone = fit_backbone(sources, settings, log, begin)
    torch.save({"backbone": backbone.state_dict(), "config": backbone.config}, out / "backbone.pt")
    head = fit_head(list(extract(out, clips, backbone, jobs, log)), settings, log)
    saved: dict[str, Any] = {
        "backbone": backbone.state_dict(),
        "config": backbone.config,
        "head": head.state_dict(),
        "settings": asdict(settings),
        "earlier": earlier,
        "clips": len(clips),
        "groups": sorted({clip.group for clip in clips}),
    }
    torch.save(saved, out / "fit.pt")


def draw_chances(vmaf: Sequence[NDArray[np.float32]], flatten: float) -> list[NDArray[np.float64]]:
    """Chance of each version to be drawn within its source, higher where its tenth of the scale is rare over all sources.

    Args:
        vmaf: per source (versions,), 0..1.
        flatten: see :class:`FitSettings`.
    """
    tenths = [np.clip((10 * values).astype(int), 0, 9) for values in vmaf]
    rarity = np.bincount(np.concatenate(tenths), minlength=10).clip(1) ** -float(flatten)
    return [rarity[bins] / rarity[bins].sum() for bins in tenths]


def _frame_batch(
    sources: list[cache.SourceData],
    chances: list[NDArray[np.float64]],
    settings: FitSettings,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Crops at the same place of the same frame for several versions of each source, so that only quality differs."""
    crops, targets = [], []
    for index in rng.choice(len(sources), settings.sources_per_step, replace=len(sources) < settings.sources_per_step):
        source = sources[index]
        picks = rng.choice(len(source.vmaf), settings.versions_per_source, replace=False, p=chances[index])
        frame = rng.integers(source.vmaf.shape[1])
        crops.append(_crop(source, picks, int(frame), settings.crop_px, rng))
        targets.append(source.vmaf[picks, frame])
    return torch.from_numpy(np.concatenate(crops)), torch.from_numpy(np.stack(targets))


def _crop(
    source: cache.SourceData, picks: Any, frame: int, size: int, rng: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    height, width = source.frame_format.height, source.frame_format.width
    # Frames smaller than the crop are tiled by wrapping; their statistics stay what they are.
    rows = (2 * int(rng.integers(max(1, (height - size) // 2 + 1))) + np.arange(size)) % height
    cols = (2 * int(rng.integers(max(1, (width - size) // 2 + 1))) + np.arange(size)) % width
    if rng.random() < 0.5:
        cols = cols[::-1]
    half_rows, half_cols = rows[::2] // 2, cols[::2] // 2
    crops = np.empty((len(picks), size * 3 // 2, size), dtype=np.uint8)
    for slot, pick in enumerate(picks):
        picture = source.frames[pick, frame]
        chroma = picture[height:].reshape(2, height // 2, width // 2)
        crops[slot, :size] = picture[rows][:, cols]
        crops[slot, size:] = chroma[:, half_rows][:, :, half_cols].reshape(size // 2, size)
    return crops


def _clip_batch(
    data: list[Features], chances: list[NDArray[np.float64]], settings: FitSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Padded sequences; clips run forth and back to lengths that a real clip has."""
    features, targets, lengths = [], [], []
    for index in rng.choice(len(data), settings.sources_per_step, replace=len(data) < settings.sources_per_step):
        source = data[index]
        drawn = rng.choice(len(source.vmaf), settings.versions_per_source, replace=False, p=chances[index])
        picks = torch.from_numpy(drawn)
        count = source.vmaf.shape[1]
        length = int(rng.integers(2, settings.longest_sequence + 1))
        walk = torch.tensor([t if t < count else 2 * count - 1 - t for t in range(2 * count)])
        steps = walk[(int(rng.integers(2 * count)) + torch.arange(length)) % (2 * count)]
        pad = settings.longest_sequence - length
        features.append(F.pad(source.values[picks][:, steps].float(), (0, 0, 0, pad)))
        targets.append(F.pad(source.vmaf[picks][:, steps], (0, pad)))
        lengths += [length] * settings.versions_per_source
    return torch.cat(features), torch.cat(targets), torch.tensor(lengths)


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
