"""VSFA's own features: torchvision's ResNet-50, last convolutional map, spatial mean and deviation.

Source: D. Li et al., ACM MM 2019, sec. 3.1, eqs. 1-2. The deviation is unbiased (N - 1), as torch.std is.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vqa_cli.errors import ModelError, first_line
from vqa_cli.types import FrameFormat

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class ResNetBackbone(nn.Module):
    """ResNet-50 without its classifier: frames to 4096 features."""

    dim = 4096

    def __init__(self) -> None:
        # Imported here alone: a torchvision that does not match torch fails at import, and lite must still work.
        from torchvision.models import resnet50

        super().__init__()
        net = resnet50(weights=None)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)
        self.register_buffer("centre", 255 * torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", 255 * torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor, frame_format: FrameFormat) -> Tensor:
        """(n, height, width, 3) uint8 -> (n, 4096) float32: mean then deviation of each of 2048 channels."""
        rgb = (frames.permute(0, 3, 1, 2) - self.get_buffer("centre")) / self.get_buffer("spread")
        dtype = next(self.parameters()).dtype
        x = self.layers(self.stem(rgb.to(dtype).contiguous(memory_format=torch.channels_last)))
        flat = x.float().flatten(2)
        deviation, mean = torch.std_mean(flat, dim=2)
        return torch.cat((mean, deviation), dim=1)

    def fold(self) -> ResNetBackbone:
        """Fold batch normalisation into the convolutions, for inference."""
        self.eval()
        _fold_pairs(self.stem, [("0", "1")])
        for stage in self.layers:
            for block in stage.children():
                _fold_pairs(block, [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")])
                if isinstance(block.downsample, nn.Module):
                    _fold_pairs(block.downsample, [("0", "1")])
        return self.to(memory_format=torch.channels_last)

    def load_torchvision(self, state: dict[str, Tensor], origin: Path) -> None:
        """Take a torchvision ResNet-50 state dict.

        Raises:
            ModelError: keys or shapes do not fit.
        """
        from torchvision.models import resnet50

        net = resnet50(weights=None)
        try:
            net.load_state_dict(state)
        except RuntimeError as err:
            raise ModelError(f"not ResNet-50 weights: {origin}", detail=first_line(err)) from err
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)


def _fold_pairs(module: nn.Module, pairs: list[tuple[str, str]]) -> None:
    for conv, norm in pairs:
        folded = nn.utils.fusion.fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
        setattr(module, conv, folded)
        setattr(module, norm, nn.Identity())
