"""Cached features as training reads them: memory-mapped, packed into batches, standardised where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vqa_cli.errors import InputError
from vqa_cli.train.features import features_path, open_features

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Clips:
    """Videos of one part: features, each (frames, dim) on disk, and ratings, shape (videos,)."""

    features: tuple[NDArray[np.float16], ...]
    ratings: Tensor

    @classmethod
    def of(cls, folder: Path, names: Sequence[str], ratings: Sequence[float]) -> Clips:
        """Open the features of ``names``.

        Raises:
            InputError: a file is missing, damaged, empty, or of another width than the first.
        """
        opened = tuple(open_features(features_path(folder, name)) for name in names)
        for name, each in zip(names, opened, strict=True):
            if not len(each) or each.shape[1] != opened[0].shape[1]:
                raise InputError(f"features of shape {each.shape}: {features_path(folder, name)}")
        return cls(opened, torch.tensor(ratings, dtype=torch.float32))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def dim(self) -> int:
        return int(self.features[0].shape[1])


def load_batch(
    features: Sequence[NDArray[np.float16]], device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Features of several clips one after the other, (frames, dim) of ``dtype``, and the (batch,) frames of each."""
    lengths = torch.tensor([len(clip) for clip in features])
    clips = [torch.from_numpy(clip) for clip in features]
    if device.type != "cpu":
        return torch.cat(clips).to(device).to(dtype), lengths
    packed = torch.empty(int(lengths.sum()), clips[0].shape[1], dtype=dtype)
    for part, clip in zip(packed.split(lengths.tolist()), clips, strict=True):
        # torch turns float16 into bfloat16 four times as fast by way of float32.
        part.copy_(clip if dtype == torch.float32 else clip.float())
    return packed, lengths


@dataclass(frozen=True)
class Standard:
    """Centre and spread of each feature over the training part, shapes (dim,).

    A head is trained on (feature - centre) / spread; :meth:`folded` puts both into its first layer, so that a model's file
    works on features as they are.
    """

    centre: Tensor
    spread: Tensor

    @classmethod
    def of(cls, parts: Sequence[Clips]) -> Standard:
        """Over all frames of all clips, in one pass over the files."""
        total, square, count = 0.0, 0.0, 0
        for clip in (clip for part in parts for clip in part.features):
            values = clip.astype(np.float64)
            total, square, count = total + values.sum(0), square + np.square(values).sum(0), count + len(values)
        mean = np.asarray(total) / count
        spread = np.sqrt(np.maximum(np.asarray(square) / count - mean**2, 0))
        return cls(torch.from_numpy(mean).float(), torch.from_numpy(np.maximum(spread, 1e-4)).float())

    def apply(self, packed: Tensor) -> Tensor:
        return (packed - self.centre.to(packed.device)) / self.spread.to(packed.device)

    def folded(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The head for features as they are that equals ``state`` on standardised ones."""
        weight = state["ann.fc0.weight"] / self.spread
        bias = state["ann.fc0.bias"] - weight @ self.centre
        return {**state, "ann.fc0.weight": weight, "ann.fc0.bias": bias}

    def unfolded(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of :meth:`folded`."""
        bias = state["ann.fc0.bias"] + state["ann.fc0.weight"] @ self.centre
        return {**state, "ann.fc0.weight": state["ann.fc0.weight"] * self.spread, "ann.fc0.bias": bias}
