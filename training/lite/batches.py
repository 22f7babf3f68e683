"""What one training step sees: versions of a few takes, drawn so that the whole scale is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.lite.takes import FRAMES, WINDOW, WINDOW_FORMAT, Take

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Hyper-parameters; all of them end up in the model's card.

    ``widths``, ``halve``, ``taps`` and ``motion`` are the backbone's. ``flatten`` says how far rare VMAF values are drawn
    more often: 0 as they come, 1 until every tenth of the scale is drawn equally often. ``clip_weight`` says how many
    times more often a take of a real clip is drawn than one of a picture; ``recolour`` is the share of takes whose
    contrast, brightness and saturation are changed; ``skip`` the share whose frame before is the last but one; ``reverse``
    the share that runs backwards. ``composed`` is the share of the loss that is on frames put together of two
    takes, as whole frames are of several tiles.
    """

    seed: int = 1
    widths: tuple[int, ...] = (32, 48, 64, 96, 128, 192, 192)
    halve: tuple[bool, ...] = (False, True, False, True, False, True, False)
    taps: tuple[int, ...] = (0, 2, 4, 6)
    motion: bool = True
    backbone_steps: int = 6000
    head_steps: int = 4000
    takes_per_step: int = 10
    versions_per_take: int = 5
    learning_rate: float = 2e-3
    head_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.998
    rank_weight: float = 0.5
    rank_margin: float = 0.02
    rank_slope: float = 12.0
    flatten: float = 0.4
    clip_weight: float = 2.0
    recolour: float = 0.5
    skip: float = 0.2
    reverse: float = 0.25
    composed: float = 0.4
    reduced: int = 64
    hidden: int = 32
    longest_sequence: int = 72

    def as_record(self) -> dict[str, Any]:
        """As JSON would give it back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Features:
    """Frame features of all versions of one take: (versions, frames, dim)."""

    take: Take
    values: Tensor


def draw_chances(vmaf: Sequence[NDArray[np.float32]], flatten: float) -> list[NDArray[np.float64]]:
    """Chance of each version to be drawn within its take, higher where its tenth of the scale is rare over all takes.

    Args:
        vmaf: per take (versions,), 0..1.
        flatten: see :class:`FitSettings`.
    """
    tenths = [np.clip((10 * values).astype(int), 0, 9) for values in vmaf]
    rarity = np.bincount(np.concatenate(tenths), minlength=10).clip(1) ** -float(flatten)
    return [rarity[bins] / rarity[bins].sum() for bins in tenths]


def draw_takes(kinds: Sequence[str], settings: FitSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Takes of one step, those of real clips ``clip_weight`` times as often as those of pictures."""
    weights = np.array([settings.clip_weight if kind == "clip" else 1.0 for kind in kinds])
    scarce = len(kinds) < settings.takes_per_step
    return rng.choice(len(kinds), settings.takes_per_step, replace=scarce, p=weights / weights.sum())


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


def mirror(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Left becomes right; (n, height * 3 // 2, width), planar yuv420p."""
    count, _, width = frames.shape
    out = np.empty_like(frames)
    out[:, :height] = frames[:, :height, ::-1]
    chroma = frames[:, height:].reshape(count, height, width // 2)
    out[:, height:] = chroma[:, :, ::-1].reshape(count, height // 2, width)
    return out


def upend(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Top becomes bottom; (n, height * 3 // 2, width), planar yuv420p."""
    count, _, width = frames.shape
    chroma = frames[:, height:].reshape(count, 2, height // 2, width // 2)[:, :, ::-1]
    return np.concatenate([frames[:, :height][:, ::-1], chroma.reshape(count, height // 2, width)], axis=1)


def compose(values: Tensor, share: Tensor) -> Tensor:
    """Each take put together with the next one, as a frame is put together of tiles.

    Args:
        values: (takes, ...), what is a mean over tiles: features, or about so VMAF.
        share: (takes,) of each take in its pair, in 0..1.
    """
    return torch.lerp(values.roll(1, 0), values, share.reshape(-1, *[1] * (values.ndim - 1)))


class FrameBatches:
    """Single frames, each with the one before it: the same moment of several versions of a take, so that only quality
    differs.

    Args:
        frames: per take what :meth:`~training.lite.takes.Take.frames` gives.
    """

    def __init__(self, takes: Sequence[Take], frames: Sequence[NDArray[np.uint8]], settings: FitSettings) -> None:
        self._takes = takes
        self._frames = frames
        self._settings = settings
        self._kinds = [take.kind for take in takes]
        self._chances = draw_chances([take.vmaf.mean(axis=1) for take in takes], settings.flatten)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Frames and those before them, both (takes * versions, height * 3 // 2, width), and VMAF (takes, versions)."""
        settings = self._settings
        now, before, targets = [], [], []
        for index in draw_takes(self._kinds, settings, rng):
            take = self._takes[index]
            picks = rng.choice(len(take.vmaf), settings.versions_per_take, replace=False, p=self._chances[index])
            frame = int(rng.integers(FRAMES))
            earlier = max(0, frame - (2 if rng.random() < settings.skip else 1))
            if rng.random() < settings.reverse:
                frame, earlier = earlier, frame
            both = self._frames[index][picks[:, None], [frame, earlier]].reshape(-1, *WINDOW_FORMAT.shape)
            if rng.random() < settings.recolour:
                both = recolour(both, WINDOW.height, rng)
            if rng.random() < 0.5:
                both = mirror(both, WINDOW.height)
            if rng.random() < 0.5:
                both = upend(both, WINDOW.height)
            now.append(both[::2])
            before.append(both[1::2])
            targets.append(take.vmaf[picks, frame])
        shown, earlier_ones = (torch.from_numpy(np.concatenate(parts)) for parts in (now, before))
        return shown, earlier_ones, torch.from_numpy(np.stack(targets))


def clip_batch(
    data: list[Features], chances: list[NDArray[np.float64]], settings: FitSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Padded sequences; takes run forth and back to lengths that a real clip has, some together with another take."""
    features, targets, lengths = [], [], []
    for index in draw_takes([each.take.kind for each in data], settings, rng):
        length = int(rng.integers(2, settings.longest_sequence + 1))
        walk = (int(rng.integers(2 * FRAMES)) + np.arange(length)) % (2 * FRAMES)
        steps = torch.from_numpy(np.minimum(walk, 2 * FRAMES - 1 - walk))
        values, vmaf = _versions(data[index], chances[index], steps, settings, rng)
        if rng.random() < settings.composed:
            other = int(rng.integers(len(data)))
            more, more_vmaf = _versions(data[other], chances[other], steps, settings, rng)
            share = float(rng.random())
            values, vmaf = torch.lerp(values, more, share), torch.lerp(vmaf, more_vmaf, share)
        pad = settings.longest_sequence - length
        features.append(F.pad(values, (0, 0, 0, pad)))
        targets.append(F.pad(vmaf, (0, pad)))
        lengths += [length] * settings.versions_per_take
    return torch.cat(features), torch.cat(targets), torch.tensor(lengths)


def _versions(
    source: Features, chances: NDArray[np.float64], steps: Tensor, settings: FitSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Features (versions, steps, dim) and VMAF (versions, steps) of some versions of a take."""
    drawn = rng.choice(len(chances), settings.versions_per_take, replace=False, p=chances)
    picks = torch.from_numpy(drawn)[:, None]
    return source.values[picks, steps].float(), torch.from_numpy(source.take.vmaf)[picks, steps]
