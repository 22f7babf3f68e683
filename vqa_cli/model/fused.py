"""A convolution with the addition and the rectifier after it in one pass over memory, where oneDNN or cuDNN offers that.

On two cores these two alone took 12 % of ResNet-50's time in fp32 and 43 % in bf16, on an H100 two thirds in fp16. The
operators are the ones that ``torch.compile`` puts in; they have no public name, hence the way without them. It gives the same
numbers in fp32, and rounds more often below: biases too, and each sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def takes_bf16() -> bool:
    """Whether bf16 goes through the fused operators on this CPU. ``ONEDNN_MAX_CPU_ISA`` may forbid what the CPU could do."""
    return torch.bfloat16 in _fusible_types()


def convolve(x: Tensor, layer: nn.Conv2d, *, relu: bool = True) -> Tensor:
    """``relu(layer(x))``, or without the rectifier."""
    if relu and _on_cudnn(x):
        return torch.cudnn_convolution_relu(x, layer.weight, _bias(x, layer), *_steps(layer))
    if not _fusible(x):
        y = _apply(x, layer)
        return y.relu_() if relu else y
    done: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, _packed(layer, x.shape), layer.bias, *_geometry(layer), "relu" if relu else "none", [], ""
    )
    return done


def convolve_onto(shortcut: Tensor, x: Tensor, layer: nn.Conv2d) -> Tensor:
    """``relu(shortcut + layer(x))``; ``shortcut`` may be overwritten."""
    if _on_cudnn(x):
        return torch.cudnn_convolution_add_relu(x, layer.weight, shortcut, 1.0, _bias(x, layer), *_steps(layer))
    if not _fusible(x):
        return shortcut.add_(_apply(x, layer)).relu_()
    done: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        shortcut, x, _packed(layer, x.shape), layer.bias, *_geometry(layer), "add", 1.0, "relu", [], ""
    )
    return done


def _apply(x: Tensor, layer: nn.Conv2d) -> Tensor:
    return F.conv2d(x, layer.weight, _bias(x, layer), *_steps(layer))


def _bias(x: Tensor, layer: nn.Conv2d) -> Tensor | None:
    """With as many digits as the map: it may have more, which PyTorch does not take."""
    return None if layer.bias is None else layer.bias.to(x.dtype)


def _steps(layer: nn.Conv2d) -> tuple[Any, ...]:
    return layer.stride, layer.padding, layer.dilation, layer.groups


def _packed(layer: Any, shape: torch.Size) -> Tensor:
    """Weights in the order in which the CPU multiplies maps of this shape, kept until a map of another shape comes.

    oneDNN would bring them to it for every frame: a twentieth of the time in bf16, nothing in fp32. In the order for another
    shape they are several times as slow, which is why they are kept with the shape.
    """
    if layer.weight.dtype != torch.bfloat16:
        return cast(Tensor, layer.weight)
    kept: _Packed = getattr(layer, "packed", _NOTHING)
    if kept.shape != shape:
        ordered = torch.ops.mkldnn._reorder_convolution_weight(layer.weight, *_geometry(layer), list(shape))
        kept = layer.packed = _Packed(shape, ordered)  # in one go: other threads may be at this layer
    return cast(Tensor, kept.weight)


@dataclass(frozen=True)
class _Packed:
    """Weights in an order that only oneDNN reads, for maps of one shape. They can't be copied, and a copy starts without."""

    shape: torch.Size | None = None
    weight: Tensor | None = None

    def __reduce__(self) -> tuple[type[_Packed], tuple[()]]:
        return _Packed, ()


_NOTHING = _Packed()


def _geometry(layer: nn.Conv2d) -> tuple[object, ...]:
    return layer.padding, layer.stride, layer.dilation, layer.groups


def _on_cudnn(x: Tensor) -> bool:
    return x.device.type == "cuda" and cudnn_fuses(x.device, x.dtype)


@cache
def cudnn_fuses(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether cuDNN does both in this arithmetic on this device: old GPUs may not."""
    if torch.version.hip or not hasattr(torch, "cudnn_convolution_add_relu"):
        return False
    x = torch.zeros(1, 64, 8, 8, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.zeros(64, 64, 1, 1, device=device, dtype=dtype)
    try:
        torch.cudnn_convolution_add_relu(x, weight, x, 1.0, None, (1, 1), (0, 0), (1, 1), 1)
    except RuntimeError:
        return False
    return True


def _fusible(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype in _fusible_types()


@cache
def _fusible_types() -> frozenset[torch.dtype]:
    """Types that the operators take on this CPU; none where this torch has no such operators."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")):
        return frozenset()
    bf16 = {torch.bfloat16} if torch.ops.mkldnn._is_mkldnn_bf16_supported() else set()
    return frozenset({torch.float32, *bf16})
