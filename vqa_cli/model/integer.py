"""vsfa-lite's backbone in integers of eight bits: every machine computes the same maps, and four times as fast as in fp32.

Frames are bytes already. Kernels are integers with one scale for each output channel, maps are bytes with one scale for each
channel, which is part of the kernels before and after. Sums of products are exact wherever they are made: by oneDNN's own integer
convolutions on a CPU, by floating-point ones on integers elsewhere.

Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018;
scales by channel after M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqa_cli.model.card import INT8
from vqa_cli.model.lite import CellBackbone, Place, extent, fill_cells
from vqa_cli.values import FrameFormat

# Without VNNI a CPU adds two products in 16 bits. Kernels of seven bits keep 255 * 63 * 2 within them.
KERNEL_MOST = 63
LEVELS = 255
# What a change of luma is when there is none, and what lies beyond the border of a tile.
MIDDLE = 128


class IntegerConv(nn.Module):
    """A 3x3 convolution of bytes and a rectifier, to bytes.

    ``kernel`` is (after, before, 3, 3) int8 of at most :data:`KERNEL_MOST`, ``scale`` and ``bias`` (after,) float32:
    a byte is ``scale * sum(kernel * bytes) + bias``, rounded to the nearest (a half to the even one) and kept within 0 to 255.

    Args:
        usual: rows and columns of most maps that come in. oneDNN orders kernels for a size; for another than that of the maps
            it may order them anew for every call.
    """

    kernel: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, before: int, after: int, stride: int, padding: int, usual: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.zeros(after, before, 3, 3, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(after))
        self.register_buffer("bias", torch.zeros(after))
        self.stride, self.padding = stride, padding
        # As oneDNN takes it: stride, padding, dilation, groups.
        self._geometry = ([stride] * 2, [padding] * 2, [1, 1], 1)
        self._usual = [1, before, *usual]

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, rows, cols) uint8 -> (n, after, rows, cols) uint8."""
        if x.device.type == "cpu" and has_native():
            return self._native(x)
        return self.exact(x)

    def exact(self, x: Tensor) -> Tensor:
        """The same where there is no such operator. Sums of integers are rounded, in case they were made by way of others (Winograd)."""
        sums = F.conv2d(x.float(), self.kernel.float(), stride=self.stride, padding=self.padding).round_()
        told = torch.addcmul(self.bias[:, None, None], sums, self.scale[:, None, None])
        return told.round_().clamp_(0, LEVELS).to(torch.uint8)

    def _native(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.onednn.qconv_pointwise(
            x, 1.0, 0, self._packed, self.scale, self._zeros, self.bias, *self._geometry, 1.0, 0, torch.uint8, "relu", [], ""
        )  # fmt: skip
        return out

    @cached_property
    def _packed(self) -> Tensor:
        packed: Tensor = torch.ops.onednn.qconv_prepack(self.kernel, self.scale, 1.0, 0, *self._geometry, self._usual)
        return packed

    @cached_property
    def _zeros(self) -> Tensor:
        return torch.zeros(len(self.scale), dtype=torch.int32)


def has_native() -> bool:
    """Whether this torch has fast convolutions of integers for this CPU. Older ones than AVX2 multiply fp32 sooner."""
    fast = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return fast and torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv_pointwise")


class IntegerBackbone(CellBackbone):
    """The network as it ships. :mod:`training.lite.integers` makes one of a :class:`vqa_cli.model.lite.LiteBackbone`."""

    arithmetic = INT8
    cpu_batch_px = 4 * 960 * 540

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.blocks = nn.ModuleList()
        height, width = self.tile
        for before, after, stride in self.shapes:
            # The first block's border is there already: beyond a tile there is grey, and no byte of zero.
            padding = int(len(self.blocks) > 0)
            usual = (height, width) if padding else (height + 2, width + 2)
            self.blocks.append(IntegerConv(before, after, stride, padding, usual))
            height, width = -(-height // stride), -(-width // stride)
        # What one step of each feature is worth.
        self.steps: Tensor
        self.register_buffer("steps", torch.ones(self.dim))

    def pooled(self, x: Tensor) -> Tensor:
        """See :class:`vqa_cli.model.lite.CellBackbone`."""
        return super().pooled(x) * self.steps

    def cut(self, frames: Tensor, before: Tensor | None, frame_format: FrameFormat, places: Sequence[Place]) -> Tensor:
        """(n * places, 1 + rows + 1, 1 + cols + 1, channels) uint8."""
        frames = _limited(frames, frame_format)
        change = None
        if before is not None:
            change = frames[:, : frame_format.height].to(torch.int16)
            change -= _limited(before, frame_format)[:, : frame_format.height]
            change = change.add_(MIDDLE).clamp_(0, LEVELS).to(torch.uint8)
        height, width = extent(places)
        shape = (len(frames), len(places), height + 2, width + 2, self.shapes[0][0])
        x = torch.empty(shape, dtype=torch.uint8, device=frames.device)
        for edge in (x[:, :, 0], x[:, :, -1], x[:, :, 1:-1, 0], x[:, :, 1:-1, -1]):
            edge.fill_(MIDDLE)
        fill_cells(x[:, :, 1:-1, 1:-1], places, frames, frame_format, change)
        return x.flatten(0, 1)

    def fold(self) -> Self:
        """It is folded as it is."""
        return self.eval()

    def lower(self, precision: str) -> None:
        """It has one arithmetic."""
        if precision != INT8:
            raise ValueError(f"no arithmetic of a network of integers: {precision}")


def _limited(frames: Tensor, frame_format: FrameFormat) -> Tensor:
    """Frames of full range brought to limited range, in bytes: there is one set of kernels."""
    if not frame_format.full_range:
        return frames
    codes = torch.arange(LEVELS + 1, dtype=torch.float64)
    luma, chroma = 16 + codes * (219 / 255), 128 + (codes - 128) * (224 / 255)
    table = torch.stack([luma, chroma]).round().to(torch.uint8).to(frames.device)
    height = frame_format.height
    return torch.cat([table[0][frames[:, :height].long()], table[1][frames[:, height:].long()]], dim=1)
