"""BRISQUE's natural-scene statistics as frame features: the paper's stand-in where content-aware features are left out.

Source: A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP 2012,
sec. III: locally normalised luma and the products of neighbours, their generalised Gaussian shapes, at two scales.
Ablation of VSFA with it: D. Li, T. Jiang, M. Jiang, ACM MM 2019, sec. 4.3.
"""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqa_cli.types import FrameFormat

BRISQUE = "brisque"
BRISQUE_SHA256 = hashlib.sha256(b"brisque features 1").hexdigest()
_WINDOW, _SIGMA = 7, 7 / 6
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


class BrisqueBackbone(nn.Module):
    """Frames to 36 features; nothing in it is learnt."""

    dim = 36

    def __init__(self) -> None:
        super().__init__()
        taps = torch.exp(-((torch.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
        shapes = torch.arange(0.2, 10.0, 0.001, dtype=torch.float64)
        gamma = torch.lgamma
        ratios = torch.exp(gamma(1 / shapes) + gamma(3 / shapes) - 2 * gamma(2 / shapes))
        self.register_buffer("taps", (taps / taps.sum()).float(), persistent=False)
        self.register_buffer("shapes", shapes.float(), persistent=False)
        # Falls as the shape rises; negated it can be searched.
        self.register_buffer("ratios", ratios.float(), persistent=False)

    def forward(self, frames: Tensor, frame_format: FrameFormat) -> Tensor:
        """(n, height * 3 // 2, width) uint8 planar yuv420p -> (n, 36) float32, from luma alone."""
        luma = frames[:, None, : frame_format.height].float()
        half = F.interpolate(luma, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([self._scale(luma), self._scale(half)], dim=1)

    def fold(self) -> BrisqueBackbone:
        """Nothing to fold; the statistics are always computed in single precision."""
        return self

    def _scale(self, luma: Tensor) -> Tensor:
        normal = self._normalised(luma)[:, 0]
        values = [*self._symmetric(normal)]
        for down, right in _SHIFTS:
            values += self._asymmetric(normal * torch.roll(normal, (down, right), (1, 2)))
        return torch.stack(values, dim=1)

    def _normalised(self, luma: Tensor) -> Tensor:
        mean = self._smooth(luma)
        deviation = (self._smooth(luma.square()) - mean.square()).abs().sqrt()
        return (luma - mean) / (deviation + 1)

    def _smooth(self, x: Tensor) -> Tensor:
        taps, reach = self.get_buffer("taps"), _WINDOW // 2
        x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
        return F.conv2d(F.conv2d(x, taps.reshape(1, 1, 1, -1)), taps.reshape(1, 1, -1, 1))

    def _symmetric(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape and variance of the generalised Gaussian with the moments of each (rows, cols) plane."""
        power, size = x.square().mean((1, 2)), x.abs().mean((1, 2))
        return self._shape(power / size.square().clamp_min(1e-12)), power

    def _asymmetric(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shape, mean, and variance on either side, of the asymmetric generalised Gaussian."""
        below, above = _one_sided(x, x < 0), _one_sided(x, x > 0)
        left, right = below.sqrt(), above.sqrt()
        skew = left / right.clamp_min(1e-6)
        ratio = x.square().mean((1, 2)) / x.abs().mean((1, 2)).square().clamp_min(1e-12)
        ratio = ratio * (skew.square() + 1).square() / ((skew**3 + 1) * (skew + 1))
        shape = self._shape(ratio)
        one, two, three = (torch.lgamma(k / shape) for k in (1, 2, 3))
        mean = (right - left) * torch.exp(two - one + (one - three) / 2)
        return shape, mean, below, above

    def _shape(self, ratio: Tensor) -> Tensor:
        ratios, shapes = self.get_buffer("ratios"), self.get_buffer("shapes")
        index = torch.searchsorted(-ratios, -ratio.contiguous()).clamp_max(len(shapes) - 1)
        return shapes[index]


def _one_sided(x: Tensor, side: Tensor) -> Tensor:
    return (x.square() * side).sum((1, 2)) / side.sum((1, 2)).clamp_min(1)
