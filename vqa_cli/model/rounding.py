"""Rounding a convolution's weights without moving the mean of what it gives.

Weights that are off by E move the output by E * x; the mean of that, E * E[x], can be taken back in the bias. E[x] is known
without a frame: batch normalisation says how the maps before it are spread.
Source: M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, sec. 4.2 and appendix C (mean and variance of a rectified normal variable).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and variance of each channel of a map, shape (channels,) each, taken as normal and independent."""

    mean: Tensor
    variance: Tensor

    def __add__(self, other: Spread) -> Spread:
        return Spread(self.mean + other.mean, self.variance + other.variance)

    def rectified(self) -> Spread:
        """After max(0, x)."""
        deviation = self.variance.sqrt().clamp_min(1e-12)
        z = self.mean / deviation
        positive = (1 + torch.erf(z / sqrt(2))) / 2
        density = torch.exp(-z.square() / 2) / sqrt(2 * pi)
        mean = self.mean * positive + deviation * density
        square = (self.mean.square() + self.variance) * positive + self.mean * deviation * density
        return Spread(mean, (square - mean.square()).clamp_min(0))


@dataclass(frozen=True, slots=True)
class BlockInputs:
    """Expected mean of each channel that the convolutions of a ``Bottleneck`` are shown."""

    conv1: Tensor
    conv2: Tensor
    conv3: Tensor


def spread_after(norm: nn.BatchNorm2d) -> Spread:
    """Of a map that has just been normalised."""
    return Spread(norm.bias.detach(), norm.weight.detach().square())


def expected_inputs(first: nn.BatchNorm2d, blocks: list[Any]) -> list[BlockInputs]:
    """For each of torchvision's unfolded ``Bottleneck`` blocks; ``first`` is the normalisation before the first of them.

    What pooling between the two adds is left out.
    """
    stream, found = spread_after(first).rectified(), []
    for block in blocks:
        inner = [spread_after(norm).rectified().mean for norm in (block.bn1, block.bn2)]
        found.append(BlockInputs(stream.mean, *inner))
        shortcut = stream if block.downsample is None else spread_after(block.downsample[1])
        stream = (shortcut + spread_after(block.bn3)).rectified()
    return found


def round_weights(layer: nn.Conv2d, dtype: torch.dtype, expected: Tensor) -> None:
    """Weights to ``dtype``; the bias stays in fp32 and takes back what rounding does to the mean.

    Args:
        expected: mean of each input channel.
    """
    exact = layer.weight.data
    layer.weight.data = exact.to(dtype)
    assert layer.bias is not None
    layer.bias.data += (exact - layer.weight.data.float()).sum((2, 3)) @ expected
