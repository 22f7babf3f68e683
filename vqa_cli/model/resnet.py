"""VSFA's own features: torchvision's ResNet-50, last convolutional map, spatial mean and deviation.

Source: D. Li et al., ACM MM 2019, sec. 3.1, eqs. 1-2. The deviation is unbiased (N - 1), as torch.std is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqa_cli.errors import ModelError, first_line, misfit
from vqa_cli.model.backbone import Backbone
from vqa_cli.model.device import DTYPES
from vqa_cli.model.fused import convolve, convolve_onto
from vqa_cli.model.rounding import BlockInputs, expected_inputs, round_weights
from vqa_cli.values import FrameFormat

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


# How many of the 16 blocks, from the first, stay in fp32: what the first ones round weighs most. See docs/performance.md.
_EXACT_BLOCKS = {"mixed": 2}


class ResNetBackbone(Backbone):
    """ResNet-50 without its classifier: frames to 4096 features. To be folded before it is called."""

    dim = 4096
    # One 540p frame at a time: two leave the cache, and are no faster.
    cpu_batch_px = 960 * 540

    def __init__(self) -> None:
        super().__init__()
        self._expected: list[BlockInputs] = []
        net = _torchvision_resnet50()
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)

    def forward(self, frames: Tensor, frame_format: FrameFormat, first: int = 0) -> Tensor:
        """(n, height, width, 3) uint8 -> (n, 4096) float32: mean then deviation of each of 2048 channels."""
        stem: Any = self.stem[0]
        # Bytes of RGB lie in memory as channels-last maps do, so that this copies once. The deviation is in the weights.
        mean = torch.tensor(_MEAN, device=frames.device).mul_(255).view(3, 1, 1)
        pixels = frames.permute(0, 3, 1, 2)
        x = torch.sub(pixels, mean, out=torch.empty_like(pixels, dtype=stem.weight.dtype))
        x = F.max_pool2d(convolve(x, stem), 3, stride=2, padding=1)
        for block in self._blocks():
            x = _bottleneck(x.to(block.conv1.weight.dtype), block)
        return _mean_and_deviation(x)

    def fold(self) -> Self:
        """Fold batch normalisation into the convolutions, for inference."""
        self.eval()
        self._expected = expected_inputs(cast(nn.BatchNorm2d, self.stem[1]), self._blocks())
        _fold_pairs(self.stem, [("0", "1")])
        for block in self._blocks():
            _fold_pairs(block, [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")])
            if isinstance(block.downsample, nn.Module):
                _fold_pairs(block.downsample, [("0", "1")])
        first: Any = self.stem[0]
        first.weight.data /= 255 * torch.tensor(_STD).view(3, 1, 1)
        return self.to(memory_format=torch.channels_last)

    def lower(self, precision: str) -> None:
        """See :meth:`Backbone.lower`.

        In bf16 the stem stays in fp32: it is 3 % of the work, and its input has more digits. fp16 has enough of them.
        """
        if (dtype := DTYPES[precision]) != torch.float32:
            self.round_after(_EXACT_BLOCKS.get(precision, 0), dtype)
        if dtype == torch.float16:
            first: Any = self.stem[0]
            round_weights(first, dtype, torch.zeros(3))  # pixels less their mean

    def round_after(self, blocks: int, dtype: torch.dtype) -> None:
        """Weights of the folded network to ``dtype``, but for the first ``blocks`` of 16 and the stem."""
        for block, means in list(zip(self._blocks(), self._expected, strict=True))[blocks:]:
            _round(block, dtype, means)

    def _blocks(self) -> list[Any]:
        return [block for stage in self.layers for block in stage.children()]

    def load_torchvision(self, state: dict[str, Tensor], origin: Path) -> None:
        """Take a torchvision ResNet-50 state dict.

        Raises:
            ModelError: keys or shapes do not fit.
        """
        net = _torchvision_resnet50()
        try:
            net.load_state_dict(state)
        except RuntimeError as err:
            raise ModelError(f"not ResNet-50 weights: {origin}", detail=misfit(err)) from err
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)


def _torchvision_resnet50() -> Any:
    """Torchvision's network without weights. Imported here alone: vsfa-lite must work beside a torchvision that does not.

    Raises:
        ModelError: torchvision is missing or made for another torch.
    """
    try:
        from torchvision.models import resnet50
    except (ImportError, RuntimeError, AttributeError, OSError) as err:  # by which part of it misses its torch
        raise ModelError(
            "ResNet-50 needs torchvision, which cannot be imported",
            detail=first_line(err),
            hint="install torch and torchvision of matching versions; --model vsfa-lite does without",
        ) from err
    return resnet50(weights=None)


def _bottleneck(x: Tensor, block: Any) -> Tensor:
    """A folded torchvision ``Bottleneck``; its input may be overwritten."""
    shortcut = x if block.downsample is None else convolve(x, block.downsample[0], relu=False)
    return convolve_onto(shortcut, convolve(convolve(x, block.conv1), block.conv2), block.conv3)


def _round(block: Any, dtype: torch.dtype, means: BlockInputs) -> None:
    """A folded ``Bottleneck`` to weights of ``dtype``."""
    for layer, mean in ((block.conv1, means.conv1), (block.conv2, means.conv2), (block.conv3, means.conv3)):
        round_weights(layer, dtype, mean)
    last = block.conv3
    if block.downsample is not None:
        other = block.downsample[0]
        round_weights(other, dtype, means.conv1)
        # One bias serves both. In the shortcut it stays in fp32; cuDNN adds the last one's on the way, for nothing.
        kept, freed = (last, other) if dtype == torch.float16 else (other, last)
        kept.bias.data += freed.bias.data
        freed.bias = None
    if last.bias is not None:
        last.bias.data = last.bias.data.to(dtype)  # fused additions take no other


def _mean_and_deviation(x: Tensor) -> Tensor:
    """(n, channels, rows, cols) -> (n, 2 * channels) float32. Summed across positions, the outer axis of channels-last
    maps, which is several times as fast as ``torch.std_mean`` over rows and columns.
    """
    flat = x.permute(0, 2, 3, 1).flatten(1, 2).float()
    mean = flat.mean(dim=1, keepdim=True)
    variance = (flat - mean).square_().sum(dim=1) / max(1, flat.shape[1] - 1)
    return torch.cat((mean.squeeze(1), variance.sqrt()), dim=1)


def _fold_pairs(module: nn.Module, pairs: list[tuple[str, str]]) -> None:
    for conv, norm in pairs:
        folded = nn.utils.fusion.fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
        setattr(module, conv, folded)
        setattr(module, norm, nn.Identity())
