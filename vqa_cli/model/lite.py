"""The small backbone of vsfa-lite: VSFA's idea (spatial mean and deviation of convolutional features of the whole frame)
on a network that sees every pixel of luma and costs a few milliseconds.

Four by four luma pixels and the chroma that lies under them become the channels of one position, so that the first
convolution sees block edges, ringing and blur at full resolution while the map is a quarter of the frame's size.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqa_cli.types import FrameFormat

_CELL = 4
_IN_CHANNELS = _CELL * _CELL + 2 * (_CELL // 2) ** 2


class _Block(nn.Sequential):
    def __init__(self, before: int, after: int, stride: int) -> None:
        conv = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))

    def fold(self) -> nn.Sequential:
        conv, norm = self[0], self[1]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        folded = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
        return nn.Sequential(folded, nn.ReLU(inplace=True))


class LiteBackbone(nn.Module):
    """Frames to features.

    Args:
        widths: channels of each block; the map halves at each ``True`` of ``halve``.
        taps: blocks whose output is pooled into the features, by index.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (24, 40, 48, 64, 96, 128, 128),
        halve: tuple[bool, ...] = (False, True, False, True, False, True, False),
        taps: tuple[int, ...] = (0, 2, 4, 6),
    ) -> None:
        super().__init__()
        self.config: dict[str, list[Any]] = {"widths": list(widths), "halve": list(halve), "taps": list(taps)}
        self.taps = frozenset(taps)
        self.dim = 2 * sum(widths[tap] for tap in taps)
        pairs = pairwise((_IN_CHANNELS, *widths))
        blocks = [_Block(before, after, 2 if half else 1) for (before, after), half in zip(pairs, halve, strict=True)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, frames: Tensor, frame_format: FrameFormat) -> Tensor:
        """Features of each frame on its own.

        Args:
            frames: (n, height * 3 // 2, width) uint8, planar yuv420p.

        Returns:
            (n, dim) float32: per tapped block the spatial mean and standard deviation of each channel.
        """
        dtype = next(self.parameters()).dtype
        x = to_cells(frames, frame_format).to(dtype).contiguous(memory_format=torch.channels_last)
        pooled: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                pooled += _mean_and_deviation(x)
        return torch.cat(pooled, dim=1)

    def fold(self) -> LiteBackbone:
        """Fold batch normalisation into the convolutions, for inference."""
        self.blocks = nn.ModuleList(b.fold() if isinstance(b, _Block) else b for b in self.eval().blocks)
        return self.to(memory_format=torch.channels_last)


def to_cells(frames: Tensor, frame_format: FrameFormat) -> Tensor:
    """(n, height * 3 // 2, width) uint8 -> (n, 24, height // 4, width // 4) float32 around zero.

    Rows and columns beyond the last whole cell are left out. Limited and full range come to the same scale.
    """
    height, width = frame_format.height, frame_format.width
    luma = frames[:, :height].unsqueeze(1)
    chroma = frames[:, height:].reshape(len(frames), 2, height // 2, width // 2)
    rows, cols = height // _CELL, width // _CELL
    luma = F.pixel_unshuffle(luma[:, :, : rows * _CELL, : cols * _CELL], _CELL)
    half = _CELL // 2
    chroma = F.pixel_unshuffle(chroma[:, :, : rows * half, : cols * half], half)
    if frame_format.full_range:
        return torch.cat((luma.float() / 127.5 - 1.0, chroma.float() / 127.5 - 128 / 127.5), dim=1)
    return torch.cat(((luma.float() - 16.0) / 109.5 - 1.0, (chroma.float() - 128.0) / 112.0), dim=1)


def _mean_and_deviation(x: Tensor) -> tuple[Tensor, Tensor]:
    flat = x.float().flatten(2)
    deviation, mean = torch.std_mean(flat, dim=2)
    return mean, deviation
