"""What goes wrong with pictures besides compression, done to decoded frames; and grain, which is no fault. Pure.

All take and give (frames, height * 3 // 2, width) planar yuv420p of 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RUN = 12
_BAND = 12
_BLUR = 1.5
_NOISE = 12.0
_GRAIN = 4.0
# Film grain is no white noise: it has a size.
_GRAIN_SIZE = 0.7


def frozen(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Of every twelve frames the last six show the sixth: the picture stands still for a quarter of a second and jumps."""
    at = np.arange(len(frames))
    still = at % _RUN >= _RUN // 2
    return frames[np.where(still, at - at % _RUN + _RUN // 2 - 1, at)]


def dropped(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Every third frame is missing and the one before it is shown in its place."""
    at = np.arange(len(frames))
    return frames[np.where(at % 3 == 2, at - 1, at)]


def banded(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Luma in steps of twelve code values."""
    out = frames.copy()
    out[:, :height] = out[:, :height] // _BAND * _BAND
    return out


def blurred(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Luma through a Gaussian of 1.5 pixels."""
    out = frames.copy()
    luma = ndimage.gaussian_filter(frames[:, :height].astype(np.float32), (0, _BLUR, _BLUR))
    out[:, :height] = luma.round().astype(np.uint8)
    return out


def noisy(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """White noise of 12 code values on luma, another in each frame."""
    return _added(frames, height, _NOISE, 0.0)


def grainy(frames: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """Fine grain of 4 code values on luma, as film and small sensors have it."""
    return _added(frames, height, _GRAIN, _GRAIN_SIZE)


def _added(frames: NDArray[np.uint8], height: int, amount: float, size: float) -> NDArray[np.uint8]:
    rng = np.random.default_rng(7)
    out = frames.copy()
    for picture in out:
        noise = rng.normal(size=picture[:height].shape)
        if size:
            noise = ndimage.gaussian_filter(noise, size)
        noisy = picture[:height] + amount * noise / noise.std()
        picture[:height] = noisy.round().clip(0, 255).astype(np.uint8)
    return out


IMPAIRMENTS: dict[str, Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]] = {
    "frozen": frozen,
    "dropped": dropped,
    "banded": banded,
    "blurred": blurred,
    "noisy": noisy,
}
"""Faults, which a score should notice."""
