"""The small backbone of vsfa-lite: VSFA's idea (spatial mean and deviation of convolutional features of the whole frame)
on a network that sees every pixel of luma and costs a few milliseconds.

Four by four luma pixels and the chroma that lies under them become the channels of one position, so that the first
convolution sees block edges, ringing and blur at full resolution while the map is a quarter of the frame's size.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
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
    """(n, height * 3 // 2, width) uint8 -> (n, 24, height // 4, width // 4) float32 around zero, channels last in memory.

    Rows and columns beyond the last whole cell are left out. Limited and full range come to the same scale.
    """
    height, width = frame_format.height, frame_format.width
    count, half = len(frames), _CELL // 2
    rows, cols = height // _CELL, width // _CELL
    luma = frames[:, : rows * _CELL, : cols * _CELL].reshape(count, rows, _CELL, cols, _CELL)
    chroma = frames[:, height:].reshape(count, 2, height // 2, width // 2)
    chroma = chroma[:, :, : rows * half, : cols * half].reshape(count, 2, rows, half, cols, half)
    # Written once, in the layout that the convolutions read: shuffling and converting apart costs as much as a layer.
    cells = torch.empty(count, rows, cols, _IN_CHANNELS, device=frames.device)
    lumas = _CELL * _CELL
    cells[..., :lumas].unflatten(-1, (_CELL, _CELL)).copy_(luma.permute(0, 1, 3, 2, 4))
    cells[..., lumas:].unflatten(-1, (2, half, half)).copy_(chroma.permute(0, 2, 4, 1, 3, 5))
    grey, reach, chroma_reach = (127.5, 127.5, 127.5) if frame_format.full_range else (125.5, 109.5, 112.0)
    cells[..., :lumas].sub_(grey).div_(reach)
    cells[..., lumas:].sub_(128.0).div_(chroma_reach)
    return cells.permute(0, 3, 1, 2)


def _mean_and_deviation(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spatial mean and unbiased deviation of (n, channels, rows, cols), each (n, channels) float32.

    From sums of values and squares along the outer axis, several times faster than ``torch.std_mean`` on channels-last
    maps. The small term keeps the gradient of a channel that is silent everywhere finite.
    """
    flat = x.permute(0, 2, 3, 1).flatten(1, 2).float()
    count = flat.shape[1]
    mean = flat.mean(dim=1)
    variance = (flat.square().mean(dim=1) - mean.square()).clamp_min(0.0) * (count / max(1, count - 1))
    return mean, (variance + 1e-12).sqrt()
