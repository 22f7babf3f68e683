"""Ladders as training sees them: what the model sees of every version, what VMAF says of it, and what to compare."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from training.lite.agreement import RATES
from training.lite.mill import FAULTS, Encode, Ladder
from training.lite.sights import sights_path
from vqa_cli.values import FrameFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pair = tuple[str, str]
# Of a picture that is cut, each side keeps this share or more; sides are whole cells of the network.
_LEAST = 0.75
_CELL = 4
# A difference at equal rate is worth a rate: this many points of VMAF for each doubling count as they are, and what is
# steeper or flatter less or more, within limits.
_STEEP = 0.08
_WORTH = (0.5, 3.0)
_AROUND = 0.25


@dataclass(frozen=True)
class Comparisons:
    """Every two curves (encoder and size) of a ladder at five rates of the range that both cover.

    Attributes:
        rows: (comparisons, rungs), a difference of curves as a sum over rungs, linear in the logarithm of rate.
        worth: (comparisons,), how much rate a point of VMAF is there.
        codecs: of both curves.
    """

    rows: Tensor
    worth: Tensor
    codecs: tuple[Pair, ...]

    def to(self, device: torch.device) -> Comparisons:
        """The same on a device."""
        return replace(self, rows=self.rows.to(device), worth=self.worth.to(device))


@dataclass(frozen=True)
class Lesson:
    """A ladder on the device.

    Attributes:
        sights: see :func:`~training.lite.sights.write_sights`; may lie in the host's memory.
        vmaf: (versions, frames), 0..1, in the order of the sights: encodes, source, faults.
        first: which frame the sights begin with.
        rungs: how many of the versions are encodes.
    """

    key: str
    clean: bool
    sights: Tensor
    vmaf: Tensor
    first: int
    rungs: int
    compared: Comparisons


@dataclass(frozen=True)
class View:
    """Part of a lesson as one step sees it: frames and those before them, each (versions * frames, height * 3 // 2, width), and VMAF
    of that time, (versions,).
    """

    now: Tensor
    before: Tensor
    vmaf: Tensor
    shape: FrameFormat
    frames: int


def load_lesson(
    data: Path, ladder: Ladder, hold: int, device: torch.device, *, held: int | None = None, rng: np.random.Generator
) -> Lesson:
    """Read the sights of a ladder.

    Args:
        held: keep only so many frames in a row, to save memory.
    """
    sights: NDArray[np.uint8] = np.load(sights_path(data, ladder), mmap_mode="r")
    start = int(rng.integers(sights.shape[1] - held + 1)) if held and held < sights.shape[1] else 0
    kept = torch.from_numpy(np.array(sights[:, start : start + held if held else None])).to(device)
    rows = [*(encode.frames for encode in ladder.encodes), (100.0,) * len(ladder.encodes[0].frames)]
    vmaf = torch.tensor([*rows, *(ladder.faults[name] for name in FAULTS)], dtype=torch.float32, device=device) / 100
    compared = compare(ladder.encodes).to(device)
    return Lesson(ladder.key, ladder.clean, kept, vmaf, start * hold, len(ladder.encodes), compared)


def compare(encodes: Sequence[Encode]) -> Comparisons:
    """What there is to compare at equal rate."""
    curves: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for index, encode in enumerate(encodes):
        curves.setdefault((encode.codec, encode.height), []).append((float(np.log2(encode.kbps)), index))
    vmaf = np.array([encode.vmaf / 100 for encode in encodes])
    rows, worth, codecs = [np.zeros((0, len(encodes)))], [np.zeros(0)], []
    for (name, one), (other_name, other) in itertools.combinations([(k, sorted(v)) for k, v in curves.items()], 2):
        low, high = max(one[0][0], other[0][0]), min(one[-1][0], other[-1][0])
        if low >= high:
            continue
        rates = np.linspace(low, high, RATES)
        rows.append(_weights(one, rates, len(encodes)) - _weights(other, rates, len(encodes)))
        steep = sum(
            (_weights(curve, rates + _AROUND, len(encodes)) - _weights(curve, rates - _AROUND, len(encodes))) @ vmaf
            for curve in (one, other)
        )
        worth.append(np.clip(_STEEP / np.maximum(steep / (4 * _AROUND), 1e-3), *_WORTH))
        codecs += RATES * [(name[0], other_name[0])]
    return Comparisons(
        torch.from_numpy(np.concatenate(rows)).float(), torch.from_numpy(np.concatenate(worth)).float(), tuple(codecs)
    )


def _weights(curve: Sequence[tuple[float, int]], rates: NDArray[np.float64], rungs: int) -> NDArray[np.float64]:
    """How much of each rung there is in a curve at some rates, (rates, rungs)."""
    logs, indices = zip(*curve, strict=True)
    out = np.zeros((len(rates), rungs))
    for place, index in enumerate(indices):
        out[:, index] += np.interp(rates, logs, np.eye(len(curve))[place])
    return out


def whole(lesson: Lesson, hold: int) -> View:
    """All of a lesson, as it is scored."""
    return _view(lesson, _planes(lesson.sights.to(lesson.vmaf.device)), 0, hold)


def glimpse(lesson: Lesson, hold: int, least: int, rng: np.random.Generator) -> View:
    """Some frames in a row, ``least`` of those seen or more: cut, mirrored, upside down, backwards, of another contrast."""
    seen = lesson.sights.shape[1]
    count = int(rng.integers(min(least, seen), seen + 1))
    start = int(rng.integers(seen - count + 1))
    planes = _planes(lesson.sights[:, start : start + count].to(lesson.vmaf.device, non_blocking=True))
    for chance, change in ((0.5, _cut), (0.5, _mirrored), (0.5, _upended), (0.25, _backwards), (0.3, _recoloured)):
        if rng.random() < chance:
            planes = change(planes, rng)
    return _view(lesson, planes, start, hold)


@dataclass(frozen=True)
class _Planes:
    """(versions, frames, rows, columns) of luma and of luma before; chroma (versions, frames, 2, rows / 2, columns / 2)."""

    luma: Tensor
    chroma: Tensor
    before: Tensor


def _planes(sights: Tensor) -> _Planes:
    height, width = sights.shape[2] * 2 // 5, sights.shape[3]
    luma, chroma, before = sights.split((height, height // 2, height), dim=2)
    return _Planes(luma, chroma.reshape(*sights.shape[:2], 2, height // 2, width // 2), before)


def _view(lesson: Lesson, planes: _Planes, start: int, hold: int) -> View:
    """``start`` counts the frames seen."""
    _, seen, height, width = planes.luma.shape
    first = lesson.first + start * hold
    vmaf = lesson.vmaf[:, first : first + seen * hold]
    colour = planes.chroma.reshape(-1, height // 2, width)
    now, before = (torch.cat((luma.flatten(0, 1), colour), dim=1) for luma in (planes.luma, planes.before))
    return View(now, before, vmaf.mean(dim=1), FrameFormat(width, height), vmaf.shape[1])


def _cut(planes: _Planes, rng: np.random.Generator) -> _Planes:
    height, width = planes.luma.shape[2:]
    tall, wide = (int(rng.uniform(_LEAST, 1.0) * side) // _CELL * _CELL for side in (height, width))
    top, left = (_CELL * int(rng.integers((room // _CELL) + 1)) for room in (height - tall, width - wide))
    window = (..., slice(top, top + tall), slice(left, left + wide))
    half = (..., slice(top // 2, (top + tall) // 2), slice(left // 2, (left + wide) // 2))
    return _Planes(planes.luma[window], planes.chroma[half], planes.before[window])


def _mirrored(planes: _Planes, rng: np.random.Generator) -> _Planes:
    return _Planes(planes.luma.flip(-1), planes.chroma.flip(-1), planes.before.flip(-1))


def _upended(planes: _Planes, rng: np.random.Generator) -> _Planes:
    return _Planes(planes.luma.flip(-2), planes.chroma.flip(-2), planes.before.flip(-2))


def _backwards(planes: _Planes, rng: np.random.Generator) -> _Planes:
    """From the last frame to the first: what came before comes after."""
    return _Planes(planes.before.flip(1), planes.chroma.flip(1), planes.luma.flip(1))


def _recoloured(planes: _Planes, rng: np.random.Generator) -> _Planes:
    """Another contrast, brightness and saturation, alike for all versions: none of them says how good a frame is."""
    contrast, light, saturation = rng.uniform(0.75, 1.15), rng.uniform(-16, 16), rng.uniform(0.5, 1.3)
    luma, before = (
        ((part.float() - 110) * contrast + 110 + light).round_().clamp_(0, 255).to(torch.uint8)
        for part in (planes.luma, planes.before)
    )
    chroma = ((planes.chroma.float() - 128) * saturation + 128).round_().clamp_(0, 255).to(torch.uint8)
    return _Planes(luma, chroma, before)
