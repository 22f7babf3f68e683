"""What one training step sees: versions of a few sources, drawn so that the whole scale is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqa_cli.train.lite import cache

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Hyper-parameters; all of them end up in the model's card.

    ``blocks`` is how many of the backbone's blocks there are: a deeper one can go on from a shallower one's weights.
    ``flatten`` says how far rare VMAF values are drawn more often: 0 as they come, 1 until every tenth of the scale is
    drawn equally often. ``clip_weight`` says how many times more often a source from a real clip is drawn than one from
    a photograph; ``recolour`` is the share of crops whose contrast, brightness and saturation are changed.
    """

    seed: int = 1
    blocks: int = 5
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
    clip_weight: float = 3.0
    recolour: float = 0.5
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


def draw_chances(vmaf: Sequence[NDArray[np.float32]], flatten: float) -> list[NDArray[np.float64]]:
    """Chance of each version to be drawn within its source, higher where its tenth of the scale is rare over all sources.

    Args:
        vmaf: per source (versions,), 0..1.
        flatten: see :class:`FitSettings`.
    """
    tenths = [np.clip((10 * values).astype(int), 0, 9) for values in vmaf]
    rarity = np.bincount(np.concatenate(tenths), minlength=10).clip(1) ** -float(flatten)
    return [rarity[bins] / rarity[bins].sum() for bins in tenths]


def draw_sources(groups: Sequence[str], settings: FitSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sources of one step, real clips ``clip_weight`` times as often as photographs."""
    weights = np.array([1.0 if group.startswith("photo:") else settings.clip_weight for group in groups])
    scarce = len(groups) < settings.sources_per_step
    return rng.choice(len(groups), settings.sources_per_step, replace=scarce, p=weights / weights.sum())


def recolour(frames: NDArray[np.uint8], height: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The same change of contrast, brightness and saturation for all versions: none of them says how good a frame is.

    Args:
        frames: (n, height * 3 // 2, width), planar yuv420p.
    """
    levels = np.arange(256)
    luma = (levels - 110) * rng.uniform(0.7, 1.15) + 110 + rng.uniform(-20, 20)
    chroma = (levels - 128) * rng.uniform(0.5, 1.3) + 128
    out = np.empty_like(frames)
    out[:, :height] = luma.round().clip(0, 255).astype(np.uint8)[frames[:, :height]]
    out[:, height:] = chroma.round().clip(0, 255).astype(np.uint8)[frames[:, height:]]
    return out


def frame_batch(
    sources: list[cache.SourceData],
    chances: list[NDArray[np.float64]],
    settings: FitSettings,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Crops at the same place of the same frame for several versions of each source, so that only quality differs."""
    crops, targets = [], []
    for index in draw_sources([source.group for source in sources], settings, rng):
        source = sources[index]
        picks = rng.choice(len(source.vmaf), settings.versions_per_source, replace=False, p=chances[index])
        frame = rng.integers(source.vmaf.shape[1])
        same_place = _crop(source, picks, int(frame), settings.crop_px, rng)
        if rng.random() < settings.recolour:
            same_place = recolour(same_place, settings.crop_px, rng)
        crops.append(same_place)
        targets.append(source.vmaf[picks, frame])
    return torch.from_numpy(np.concatenate(crops)), torch.from_numpy(np.stack(targets))


def _crop(source: cache.SourceData, picks: Any, frame: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
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


def clip_batch(
    data: list[Features], chances: list[NDArray[np.float64]], settings: FitSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Padded sequences; clips run forth and back to lengths that a real clip has."""
    features, targets, lengths = [], [], []
    for index in draw_sources([source.group for source in data], settings, rng):
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
