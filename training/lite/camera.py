"""Moving pictures from still ones: a camera that pans, zooms, turns and shakes by fractions of a pixel, things that move
before it, a lens, an exposure, grain and captions. All of it is in the reference, so that none of it counts as a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vqa_cli.values import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How a take is filmed. Sharp: the picture is reduced until it is sharp. Soft, as phones and small cameras do: all that the
# picture's own pixels show or less, out of focus here and there, sharpened afterwards at times. Recorded: soft, in little
# light, with the noise that comes of it; what a camera does to it afterwards is not done here.
Style = Literal["sharp", "soft", "recorded"]

# Sampled at twice the size and averaged: at one sample a pixel, a fraction of a pixel would blur some frames only.
_OVERSAMPLING = 2
_SHARPEST = 0.75
_SOFTEST = 1.3
# A view of less deviation (in code values) shows a bare wall, from which nothing is learnt; another is looked for, so often.
_BARE = 20.0
_ATTEMPTS = 8


@dataclass(frozen=True)
class Move:
    """Where a layer is in each frame; all (frames,) arrays.

    Attributes:
        x, y: centre of the view in pixels of the reduced picture.
        zoom: view size over nominal size.
        angle: in radians.
    """

    x: NDArray[np.floating[Any]]
    y: NDArray[np.floating[Any]]
    zoom: NDArray[np.floating[Any]]
    angle: NDArray[np.floating[Any]]


def film(
    picture: NDArray[np.uint8],
    other: NDArray[np.uint8],
    count: int,
    size: Size,
    rng: np.random.Generator,
    style: Style = "sharp",
) -> NDArray[np.uint8]:
    """A take of ``count`` frames.

    Args:
        picture: (height, width, 3) RGB, what the take shows.
        other: the same of another picture, for things that move before the first one and for what comes after a cut.

    Returns:
        (count, size.height, size.width, 3) RGB.
    """
    soft = style != "sharp"
    frames = _pan(picture, count, size, rng, soft)
    if rng.random() < 0.3:
        frames = _with_object(frames, other, size, rng)
    if rng.random() < 0.06:
        cut = int(rng.integers(2, count - 1))
        frames = torch.cat((frames[:cut], _pan(other, count - cut, size, rng, soft)))
    if soft:
        frames = _soften(frames, rng)
    elif rng.random() < 0.5:
        frames = _lens(frames, float(rng.uniform(0.3, 1.3)))
    frames = _exposure(frames, rng)
    if style == "recorded":
        frames = _dim(frames, rng)
    if rng.random() < (0.7 if style == "recorded" else 0.45):
        frames = frames + _grain(frames.shape, rng)
    pictures = frames.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return _with_caption(pictures, rng) if rng.random() < 0.12 else pictures


def _pan(picture: NDArray[np.uint8], count: int, size: Size, rng: np.random.Generator, soft: bool) -> Tensor:
    """A camera move over the whole frame, (count, 3, height, width) float32 in 0..255."""
    height, width = picture.shape[:2]
    margin = 1.12
    covering = max(margin * size.width / width, margin * size.height / height)
    least, most = (_SHARPEST, _SOFTEST) if soft else (covering, _SHARPEST)
    reduction = float(np.exp(rng.uniform(np.log(max(covering, least)), np.log(max(covering, most)))))
    layer = _reduced(picture, reduction * _OVERSAMPLING)
    room = (layer.shape[2] / _OVERSAMPLING - size.width, layer.shape[1] / _OVERSAMPLING - size.height)
    for _ in range(_ATTEMPTS if soft else 1):  # a reduced picture seldom shows a bare wall
        move = _move(count, room, size, rng)
        if _view(layer, move, size).std() > _BARE:
            break
    steps = int(rng.integers(2, 4)) if rng.random() < 0.4 else 1
    return _sample(layer, move, size, steps)


def _view(layer: Tensor, move: Move, size: Size) -> Tensor:
    """About what the middle frame shows."""
    left, top = (
        max(0, round((float(path.mean()) - side / 2) * _OVERSAMPLING))
        for path, side in ((move.x, size.width), (move.y, size.height))
    )
    return layer[:, top : top + size.height * _OVERSAMPLING, left : left + size.width * _OVERSAMPLING]


def _move(count: int, room: tuple[float, float], size: Size, rng: np.random.Generator) -> Move:
    t = np.arange(count) - (count - 1) / 2
    speed = 0.0 if rng.random() < 0.2 else float(rng.gamma(1.2, 1.6))
    heading = rng.uniform(0, 2 * np.pi)
    velocity = np.minimum(speed * np.abs([np.cos(heading), np.sin(heading)]), np.array(room) / count)
    velocity = velocity * np.sign([np.cos(heading), np.sin(heading)])
    shake = rng.normal(0, rng.uniform(0.2, 1.5), (2, count)) if rng.random() < 0.25 else np.zeros((2, count))
    centre = []
    for axis, (extent, free) in enumerate(zip((size.width, size.height), room, strict=True)):
        reach = abs(velocity[axis]) * count / 2
        low, high = extent / 2 + reach, extent / 2 + free - reach
        middle = rng.uniform(low, high) if high > low else (low + high) / 2
        centre.append(middle + velocity[axis] * t + shake[axis])
    zooming = rng.normal(0, 0.004) if rng.random() < 0.3 else 0.0
    turning = rng.normal(0, 0.004) if rng.random() < 0.2 else 0.0
    tilt = rng.normal(0, 0.05) if rng.random() < 0.3 else 0.0
    return Move(centre[0], centre[1], (1 + zooming) ** t, tilt + turning * t)


def _sample(layer: Tensor, move: Move, size: Size, steps: int = 1) -> Tensor:
    """The layer as the camera sees it; ``steps`` moments of an open shutter are averaged in each frame."""
    channels, rows, cols = layer.shape
    y, x = torch.meshgrid(
        torch.arange(size.height * _OVERSAMPLING, dtype=torch.float32) + 0.5 - size.height * _OVERSAMPLING / 2,
        torch.arange(size.width * _OVERSAMPLING, dtype=torch.float32) + 0.5 - size.width * _OVERSAMPLING / 2,
        indexing="ij",
    )
    moments = np.arange(len(move.x))
    frames = []
    for frame in moments:
        total = torch.zeros(1, channels, size.height, size.width)
        for step in range(steps):
            when = min(frame + 0.5 * step / steps, len(moments) - 1)
            cx, cy, zoom, angle = (
                float(np.interp(when, moments, path)) for path in (move.x, move.y, move.zoom, move.angle)
            )
            cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
            grid_x = (cos * x - sin * y + cx * _OVERSAMPLING) / cols * 2 - 1
            grid_y = (sin * x + cos * y + cy * _OVERSAMPLING) / rows * 2 - 1
            grid = torch.stack((grid_x, grid_y), -1)[None]
            seen = F.grid_sample(
                layer[None],
                grid,
                mode="bicubic",
                padding_mode="border" if channels == 3 else "zeros",
                align_corners=False,
            )
            total += F.avg_pool2d(seen, _OVERSAMPLING)
        frames.append(total / steps)
    return torch.cat(frames)


def _with_object(frames: Tensor, other: NDArray[np.uint8], size: Size, rng: np.random.Generator) -> Tensor:
    """A soft-edged piece of another picture moves across the frames."""
    count = len(frames)
    part = _reduced(other, max(size.height * _OVERSAMPLING / min(other.shape[:2]), 0.5))
    side = min(part.shape[1:])
    part = part[:, :side, :side]
    axis = torch.linspace(-1, 1, side)
    distance = torch.hypot(axis[:, None], axis[None] * float(rng.uniform(0.6, 1.6)))
    alpha = ((1 - distance) * side / float(rng.uniform(2, 12))).clamp(0, 1)
    layer = torch.cat((part * alpha, alpha[None]))
    zoom = side / _OVERSAMPLING / (size.height * rng.uniform(0.35, 0.9))
    speed = rng.normal(0, 3.0, 2)
    t = np.arange(count) - (count - 1) / 2
    middle = side / _OVERSAMPLING / 2
    x = middle - zoom * (rng.uniform(-0.4, 0.4) * size.width + speed[0] * t)
    y = middle - zoom * (rng.uniform(-0.4, 0.4) * size.height + speed[1] * t)
    seen = _sample(layer, Move(x, y, np.full(count, zoom), rng.normal(0, 0.01) * t), size)
    return frames * (1 - seen[:, 3:].clamp(0, 1)) + seen[:, :3]


def _reduced(picture: NDArray[np.uint8], factor: float) -> Tensor:
    whole = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    shape = [max(2, round(side * factor)) for side in whole.shape[2:]]
    return F.interpolate(whole, shape, mode="bicubic", antialias=True)[0]


def _lens(frames: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    taps = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(3, 1, -1)
    padded = F.pad(frames, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, taps[:, :, None, :], groups=3), taps[:, :, :, None], groups=3)


def _soften(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """A lens that is not at its best, a depth of field that ends, and what a camera does about it."""
    if rng.random() < 0.5:
        frames = _lens(frames, float(np.exp(rng.uniform(np.log(0.5), np.log(1.8)))))
    if rng.random() < 0.35:
        rows, cols = frames.shape[2:]
        y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, cols), indexing="ij")
        middle, reach = rng.uniform(-0.7, 0.7, 2), rng.uniform(0.25, 1.0, 2)
        distance = torch.hypot((x - middle[0]) / reach[0], (y - middle[1]) / reach[1])
        sharp = ((1 - distance) * rng.uniform(1.0, 6.0) + 0.5).clamp(0, 1)
        frames = sharp * frames + (1 - sharp) * _lens(frames, float(rng.uniform(1.5, 5.0)))
    if rng.random() < 0.3:
        frames = frames + rng.uniform(0.3, 1.2) * (frames - _lens(frames, float(rng.uniform(0.8, 2.0))))
    return frames


def _exposure(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation of the take, and a slow drift of the exposure."""
    if rng.random() < 0.5:
        gain, gamma = rng.uniform(0.45, 1.15), rng.uniform(0.75, 1.4)
        frames = 255 * (frames / 255).clamp(0, 1) ** gamma * gain
        grey = frames.mean(dim=1, keepdim=True)
        frames = grey + (frames - grey) * rng.uniform(0.0 if rng.random() < 0.1 else 0.5, 1.4)
    if rng.random() < 0.2:
        drift = 1 + rng.normal(0, 0.008) * torch.arange(len(frames), dtype=torch.float32)
        frames = frames * drift[:, None, None, None]
    return frames


def _dim(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Little light on the scene; the blacks of some cameras are not black."""
    gain = float(np.exp(rng.uniform(np.log(0.5), 0.0)))
    return frames * gain + (rng.uniform(0, 24) if rng.random() < 0.4 else 0.0)


def _grain(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    """New in every frame; mostly in all channels alike, sometimes a little coarse."""
    count, _, height, width = shape
    strength = float(np.exp(rng.uniform(np.log(0.7), np.log(6.0))))
    grey = torch.from_numpy(rng.normal(0, 1, (count, 1, height, width)).astype(np.float32)).expand(-1, 3, -1, -1)
    colour = torch.from_numpy(rng.normal(0, 0.4, (count, 3, height, width)).astype(np.float32))
    grain = grey + colour
    if rng.random() < 0.4:
        grain = _lens(grain, 0.6)
        grain = grain / grain.std()
    return grain * strength


def _with_caption(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    size = int(rng.integers(10, 28))
    words = "".join(chr(int(c)) for c in rng.choice([*range(97, 123), 32, 32, 32, 32], 24))
    where = (int(rng.integers(4, 80)), int(frames.shape[1] * rng.uniform(0.05, 0.8)))
    out = []
    for frame in frames:
        image = Image.fromarray(frame)
        ImageDraw.Draw(image).text(
            where,
            words,
            fill=(245, 245, 235),
            font=ImageFont.load_default(size),
            stroke_width=size // 12,
            stroke_fill=(0, 0, 0),
        )
        out.append(np.array(image))
    return np.stack(out)
