"""Still pictures that takes are filmed from: photographs, and drawn ones for what photographs lack."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDTH, _HEIGHT = 1280, 720
_WORDS = [
    "encode",
    "frame",
    "rate",
    "the",
    "of",
    "a",
    "sharp",
    "scene",
    "light",
    "bitrate",
    "ladder",
    "river",
    "tree",
    "open",
    "close",
    "with",
    "4K",
    "12",
    "and",
    "is",
    "under",
]


def open_photo(path: Path) -> NDArray[np.uint8]:
    """A photograph as (height, width, 3) RGB.

    Raises:
        InputError: it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except OSError as err:
        raise InputError(f"cannot read the picture: {path}", detail=str(err)) from err


def draw_picture(name: str) -> NDArray[np.uint8]:
    """A drawn picture, (720, 1280, 3) RGB; the same name always gives the same picture.

    Args:
        name: style and number, such as ``leaves_3``.

    Raises:
        InputError: no such style.
    """
    style = name.rpartition("_")[0]
    if style not in STYLES:
        raise InputError(f"no such style of drawn picture: {name}", hint=f"one of {', '.join(STYLES)}")
    return STYLES[style](random.Random(name))


def _leaves(rng: random.Random) -> NDArray[np.uint8]:
    """Discs over discs, sizes by an inverse cube law: the statistics of natural scenes with edges at every scale.

    Source: A. B. Lee, D. Mumford, J. Huang, "Occlusion models for natural images", IJCV 2001, sec. 3.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_WIDTH, _HEIGHT), _colour(rng))
    pen = ImageDraw.Draw(image)
    least = rng.choice((3, 6, 12))
    for _ in range(12000):
        radius = min(300.0, least * (1 - rng.random()) ** -0.5)
        x, y = rng.uniform(-50, _WIDTH + 50), rng.uniform(-50, _HEIGHT + 50)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(rng))
    return np.array(image)


def _noise(rng: random.Random) -> NDArray[np.uint8]:
    """A random field whose amplitude falls with frequency: clouds, water, rough ground."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    power = rng.uniform(0.9, 1.9)
    rows, cols = np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH)[None]
    fall = np.hypot(rows, cols).clip(1 / _WIDTH) ** -power
    field = np.stack([np.fft.irfft2(np.fft.rfft2(numbers.normal(size=(_HEIGHT, _WIDTH))) * fall) for _ in range(3)], -1)
    field = field / field.std()
    grey = field.mean(axis=2, keepdims=True)
    colour = np.array(_colour(rng)) + rng.uniform(25, 60) * (grey + rng.uniform(0, 0.4) * field)
    return np.asarray(colour.clip(0, 255), dtype=np.uint8)


def _gradient(rng: random.Random) -> NDArray[np.uint8]:
    """Smooth transitions between a few colours: sky, studio walls, where banding shows first."""
    from PIL import Image

    rows, cols = rng.randint(2, 4), rng.randint(2, 5)
    coarse = np.array([_colour(rng) for _ in range(rows * cols)]).reshape(rows, cols, 3)
    soft = Image.fromarray(coarse.astype(np.uint8)).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    return np.array(soft)


def _text(rng: random.Random) -> NDArray[np.uint8]:
    """A page of text."""
    from PIL import Image, ImageDraw, ImageFont

    dark = rng.random() < 0.4
    image = Image.new("RGB", (_WIDTH, _HEIGHT), (24, 26, 32) if dark else (250, 250, 246))
    pen = ImageDraw.Draw(image)
    size = rng.randint(14, 44)
    for y in range(10, _HEIGHT, round(size * 1.4)):
        line = " ".join(rng.choice(_WORDS) for _ in range(40))
        ink = _colour(rng) if rng.random() < 0.2 else ((220, 220, 220) if dark else (20, 20, 20))
        pen.text((rng.choice((20, 20, 60)), y), line, fill=ink, font=ImageFont.load_default(size))
    return np.array(image)


def _screen(rng: random.Random) -> NDArray[np.uint8]:
    """A desktop: windows with frames, lines, icons and text."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(_gradient(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(3, 7)):
        x, y = rng.randint(0, _WIDTH - 200), rng.randint(0, _HEIGHT - 150)
        right, bottom = x + rng.randint(200, 700), y + rng.randint(150, 450)
        pen.rectangle(
            (x, y, right, bottom),
            fill=rng.choice(((255, 255, 255), (40, 42, 50), (236, 236, 240))),
            outline=(90, 90, 90),
        )
        pen.rectangle((x, y, right, y + 22), fill=_colour(rng))
        for row in range(y + 30, bottom - 16, 18):
            text = "".join(rng.choice(string.ascii_lowercase + "    (){}=") for _ in range((right - x) // 9))
            pen.text((x + 8, row), text, fill=_colour(rng), font=ImageFont.load_default(13))
    for _ in range(20):
        x, y = rng.randint(0, _WIDTH), rng.randint(0, _HEIGHT)
        pen.rectangle((x, y, x + 24, y + 24), fill=_colour(rng), outline=_colour(rng))
    return np.array(image)


def _cartoon(rng: random.Random) -> NDArray[np.uint8]:
    """Flat shapes with outlines on a smooth ground."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(_gradient(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(30, 120)):
        x, y, reach = rng.uniform(0, _WIDTH), rng.uniform(0, _HEIGHT), rng.uniform(15, 180)
        corners = [(x + rng.gauss(0, reach), y + rng.gauss(0, reach)) for _ in range(rng.randint(3, 7))]
        line = rng.choice((0, 2, 4))
        fill = _colour(rng)
        if rng.random() < 0.5:
            pen.polygon(corners, fill=fill, outline=(10, 10, 10) if line else fill, width=max(1, line))
        else:
            pen.ellipse(
                (x - reach, y - reach / 2, x + reach, y + reach / 2),
                fill=fill,
                outline=(10, 10, 10) if line else fill,
                width=max(1, line),
            )
    return np.array(image)


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


STYLES = {
    "leaves": _leaves,
    "noise": _noise,
    "gradient": _gradient,
    "text": _text,
    "screen": _screen,
    "cartoon": _cartoon,
}
