"""The network in integers: what floating point learnt, in kernels of seven bits and maps of eight.

Each channel of a map has steps of its own, so that the largest value seen is the largest byte; kernels before and after take them
in. Block by block, kernels are rounded so that the network in integers gives what the one in floating point does, on maps that
are rounded already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.lite.ladders import read_ladders
from training.lite.mill import PATIENCE_S, shown
from training.lite.rounding import Moments, round_kernel
from training.lite.shots import Part
from training.lite.weights import read_floating
from vqa_cli.errors import InputError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.card import LITE_INTEGERS, Card
from vqa_cli.model.checkpoint import save_model
from vqa_cli.model.integer import KERNEL_MOST, LEVELS, MIDDLE, IntegerBackbone, IntegerConv
from vqa_cli.model.lite import CELL_CHANNELS, CHANGE_GAIN, LUMAS, CellBackbone, LiteBackbone
from vqa_cli.values import FrameFormat, Size

# Of the encodes of a ladder every third, so that all encoders, sizes and qualities are there.
_ENCODES_APART = 3
_FRAMES = 3
# Places of each of them that a kernel is fitted by.
_PLACES = 1500
# A channel that hardly ever speaks gets no finer steps than this share of its block's widest.
_LEAST_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Sample:
    """Some frames of a video, each with the one before it: (n, height * 3 // 2, width) uint8 both."""

    now: Tensor
    before: Tensor
    shape: FrameFormat


def integers(model: Path, data: Path, out: Path, *parts: Part) -> Card:
    """Write a model file in integers from one in floating point; frames of ladders under ``data`` say how far maps reach.

    Raises:
        InputError: no ladders.
        ModelError: no model file, or not one in floating point.
    """
    card, network, head, sha256 = read_floating(model)
    samples = list(draw_samples(data, *parts))
    if not samples:
        raise InputError(f"no ladders: {data}", hint="make them with `python -m training.lite ladders`")
    found = convert(network.fold().requires_grad_(False), samples)
    record = {**card.training, "integers": {"of": sha256, "frames": sum(len(sample.now) for sample in samples)}}
    changed = card.model_copy(update={"backbone": LITE_INTEGERS, "training": record, "metrics": {}, "interval": None})
    kept = {f"backbone.{name}": value for name, value in found.state_dict().items()}
    save_model(out, changed, kept | {f"head.{name}": value for name, value in head.items()})
    return changed


def draw_samples(data: Path, *parts: Part) -> Iterator[Sample]:
    """Frames of every third encode of each ladder, and of its source."""
    rng = np.random.default_rng(0)
    with Runner(silence_s=PATIENCE_S) as runner:
        ffmpeg = str(find_ffmpeg(runner).path)
        for ladder in read_ladders(data, *parts):
            size = Size(ladder.width, ladder.height)
            files = [*(Path(encode.file).name for encode in ladder.encodes[::_ENCODES_APART]), "reference.mkv"]
            for frames in shown(runner, ffmpeg, data / ladder.key, files, size):
                at = rng.choice(np.arange(1, len(frames)), _FRAMES, replace=False)
                yield Sample(
                    torch.from_numpy(frames[at]), torch.from_numpy(frames[at - 1]), FrameFormat(size.width, size.height)
                )


@torch.no_grad()
def convert(network: LiteBackbone, samples: Sequence[Sample]) -> IntegerBackbone:
    """The integer network that says most nearly what a folded network in floating point says of some frames."""
    found = IntegerBackbone(**network.config).eval()
    tops = _tops(network, samples)
    steps = [top.clamp_min(float(top.max()) * _LEAST_STEP) / LEVELS for top in tops]
    exact = [_shown(network, sample) for sample in samples]
    maps = [_shown(found, sample) for sample in samples]
    rng = torch.Generator().manual_seed(0)
    for index, (before, after) in enumerate(pairwise([_cell_worth(network.looks_back), *steps])):
        folded, block = network.blocks[index], found.blocks[index]
        assert isinstance(folded, nn.Sequential)
        assert isinstance(block, IntegerConv)
        conv = folded[0]
        assert isinstance(conv, nn.Conv2d)
        # The border of the first block is part of what it is shown, and grey.
        zero = MIDDLE if index == 0 else 0
        kernel = conv.weight * before[:, None, None] / after[:, None, None, None]
        moments = Moments(kernel[0].numel(), len(kernel))
        for number, (x, floating) in enumerate(zip(maps, exact, strict=True)):
            wanted = conv(floating)
            rows = _columns(x, block) - zero, wanted.permute(0, 2, 3, 1).flatten(0, 2) / after
            some = torch.randperm(len(rows[0]), generator=rng)[:_PLACES]
            moments.add(*(row[some] for row in rows))
            exact[number] = wanted.relu_()
        rounded, worth, bias = round_kernel(kernel.flatten(1), moments, KERNEL_MOST)
        block.kernel.copy_(rounded.reshape(kernel.shape))
        block.scale.copy_(worth)
        block.bias.copy_(bias - zero * worth * rounded.sum(1))
        maps = [block(x) for x in maps]
    found.steps.copy_(torch.cat([torch.cat([steps[tap], steps[tap]]) for tap in sorted(network.taps)]))
    return found


def _shown(network: CellBackbone, sample: Sample) -> Tensor:
    return network.tiles(sample.now, sample.before, sample.shape).permute(0, 3, 1, 2)


def _columns(x: Tensor, block: IntegerConv) -> Tensor:
    """What a block multiplies at each place: (places, before * 9)."""
    found: Tensor = F.unfold(x.float(), 3, padding=block.padding, stride=block.stride)
    return found.transpose(1, 2).flatten(0, 1)


def _tops(network: LiteBackbone, samples: Sequence[Sample]) -> list[Tensor]:
    """The largest value of each channel of each map."""
    tops: list[Tensor] = []
    for sample in samples:
        x = network.tiles(sample.now, sample.before, sample.shape).permute(0, 3, 1, 2)
        found = []
        for block in network.blocks:
            x = block(x)
            found.append(x.amax((0, 2, 3)))
        tops = [torch.maximum(a, b) for a, b in zip(tops, found, strict=True)] if tops else found
    return tops


def _cell_worth(looks_back: int) -> Tensor:
    """What a step of a byte is worth to the network, of each channel of a cell in limited range."""
    luma, chroma = 1 / 109.5, 1 / 112.0
    channels = [luma] * LUMAS + [chroma] * (CELL_CHANNELS - LUMAS) + [CHANGE_GAIN * luma] * LUMAS * looks_back
    return torch.tensor(channels)
