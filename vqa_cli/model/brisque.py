"""BRISQUE's natural-scene statistics as frame features: the paper's stand-in where content-aware features are left out.

Source: A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP 2012,
sec. III: locally normalised luma and the products of neighbours, their generalised Gaussian shapes, at two scales.
Ablation of VSFA with it: D. Li, T. Jiang, M. Jiang, ACM MM 2019, sec. 4.3.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vqa_cli.identity import ModelIdentity, ScoreScale
from vqa_cli.model.backbone import Backbone
from vqa_cli.model.extractor import FeatureExtractor
from vqa_cli.values import FrameFormat

BRISQUE = "brisque"
# Nothing is learnt, so that there are no weights to hash; the number rises with the arithmetic.
BRISQUE_SHA256 = hashlib.sha256(b"brisque features 2").hexdigest()
BRISQUE_PIXELS = "luma at full range, whole frame at the scoring size, and half of it"
_WINDOW, _SIGMA = 7, 7 / 6
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


class BrisqueBackbone(Backbone):
    """Frames to 36 features; nothing in it is learnt.

    The authors' code goes on with zeros beyond the picture's edge, here its last pixels are repeated. Constants are no
    buffers, so that they stay exact whatever the arithmetic of the model is said to be.
    """

    dim = 36

    def __init__(self) -> None:
        super().__init__()
        taps = torch.exp(-((torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
        shapes = torch.arange(0.2, 10.0, 0.001, dtype=torch.float64)
        gamma = torch.lgamma
        ratios = torch.exp(gamma(1 / shapes) + gamma(3 / shapes) - 2 * gamma(2 / shapes))
        self._taps, self._shapes = taps / taps.sum(), shapes
        self._falling = -ratios  # which fall as the shape rises; negated they can be searched

    def forward(self, frames: Tensor, frame_format: FrameFormat, first: int = 0) -> Tensor:
        """(n, height * 3 // 2, width) uint8 planar yuv420p -> (n, 36) float32, from luma alone."""
        # In float64, because a flat area's variance is a small difference of large squares; MPS has none.
        luma = frames[:, None, : frame_format.height].to(
            torch.float32 if frames.device.type == "mps" else torch.float64
        )
        if not frame_format.full_range:
            luma = (luma - 16) * (255 / 219)
        half = F.interpolate(luma, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([self._scale(luma), self._scale(half)], dim=1).float()

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
        taps, reach = self._taps.to(x), _WINDOW // 2
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
        falling, shapes = self._falling.to(ratio), self._shapes.to(ratio)
        return shapes[torch.searchsorted(falling, -ratio.contiguous()).clamp_max(len(shapes) - 1)]


def _one_sided(x: Tensor, side: Tensor) -> Tensor:
    return (x.square() * side).sum((1, 2)) / side.sum((1, 2)).clamp_min(1)


def brisque_network(device: torch.device, batch_size: int | Literal["auto"]) -> tuple[FeatureExtractor, ModelIdentity]:
    """The features as extraction takes them from any model; they are no model, so that the identity has no scale."""
    nothing = ScoreScale("none", math.nan, math.nan, True, "Features alone.")
    identity = ModelIdentity(
        name=BRISQUE, sha256=BRISQUE_SHA256, extractor=BRISQUE_SHA256, scale=nothing, precision="fp32",
        device=str(device), verified=True, preprocessing=BRISQUE_PIXELS, pooling="none", training_data="none", licence="MIT",
    )  # fmt: skip
    return FeatureExtractor(BrisqueBackbone(), device, batch_size), identity
