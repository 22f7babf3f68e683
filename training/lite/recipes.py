"""Which degradations one take is put through. Pure and seeded: the same take always gets the same list."""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.lite.material import Kind


@dataclass(frozen=True, slots=True)
class Coder:
    """An encoder as recipes use it.

    Attributes:
        encoder: ffmpeg's name.
        knob: the option that sets quality or rate.
        best, worst: range of the knob, from hardly visible to ruined, for a take of 352x192 pixels at 25 frames/s.
        rate: the knob is a bitrate in kb/s, spread evenly in its logarithm, with a buffer of half a second to starve in.
        speeds: options of which one set is drawn.
        weight: how often it is drawn.
        bit_depth: of what it codes.
    """

    encoder: str
    knob: str
    best: float
    worst: float
    weight: float
    speeds: tuple[tuple[str, ...], ...]
    rate: bool = False
    options: tuple[str, ...] = ()
    bit_depth: int = 8


def _presets(*names: str) -> tuple[tuple[str, ...], ...]:
    return tuple(("-preset", name) for name in names)


CODERS: dict[str, Coder] = {
    "x264": Coder("libx264", "-crf", 15, 48, 6, _presets("ultrafast", "veryfast", "fast", "medium", "slow")),
    "x264-capped": Coder("libx264", "-b:v", 1400, 30, 2, _presets("veryfast", "fast", "medium"), rate=True),
    "x265": Coder(
        "libx265", "-crf", 16, 48, 4, _presets("ultrafast", "veryfast", "fast", "medium"),
        options=("-x265-params", "log-level=error:pools=1:frame-threads=1"),
    ),
    "svtav1": Coder(
        "libsvtav1", "-crf", 16, 63, 4, _presets("12", "10", "8", "6"), options=("-svtav1-params", "lp=1")
    ),
    "vp9": Coder(
        "libvpx-vp9", "-crf", 16, 63, 2, (("-cpu-used", "8"), ("-cpu-used", "4")),
        options=("-deadline", "good", "-b:v", "0"),
    ),
    "mpeg4": Coder("mpeg4", "-q:v", 2, 31, 1, ((),)),
    "vvc": Coder("libvvenc", "-qp", 22, 52, 0.3, _presets("faster"), bit_depth=10),
}  # fmt: skip
_SCALES = (1.0, 1.0, 1.0, 0.75, 0.667, 0.5, 0.5, 0.375, 0.25)
_DOWN = ("bicubic", "lanczos", "bilinear")
_UP = ("bicubic", "bicubic", "bicubic", "lanczos", "bilinear")
_GOPS = (8, 12, 250, 250)
_BEFORE = (
    "gblur=sigma=0.8", "gblur=sigma=1.8", "noise=alls=8:allf=t", "noise=alls=20:allf=t",
    "unsharp=5:5:1.2", "lutyuv=y=floor(val/12)*12", "shuffleframes=0 0 2 2", "shuffleframes=0 0 0 0",
)  # fmt: skip
_LADDERS: dict[Kind, tuple[int, int]] = {"clip": (4, 4), "photo": (3, 4), "drawn": (3, 4)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One degraded version.

    Attributes:
        ladder: versions with the same number differ in ``quality`` alone, so their order is known.
        coder: a name in :data:`CODERS`.
        quality: value of the coder's knob.
        speed: the coder's options of speed.
        gop: largest distance between keyframes, in frames.
        scale: coded size over display size.
        down, up: kernels of scaling.
        first: CRF of an x264 encode made before this one (double compression), if any.
        before: an ffmpeg filter applied before encoding, if any.
    """

    ladder: int
    coder: str
    quality: float
    speed: tuple[str, ...]
    gop: int
    scale: float
    down: str = "bicubic"
    up: str = "bicubic"
    first: float | None = None
    before: str | None = None


def draw(name: str, kind: Kind, seed: int) -> list[Recipe]:
    """Recipes of one take: a few ladders, each with its quality points spread over the coder's range, best first."""
    rng = random.Random(f"{seed}:{name}")
    ladders, points = _LADDERS[kind]
    recipes = []
    for ladder in range(ladders):
        coder = rng.choices(list(CODERS), [c.weight for c in CODERS.values()])[0]
        about = CODERS[coder]
        speed, gop, scale = rng.choice(about.speeds), rng.choice(_GOPS), rng.choice(_SCALES)
        down, up = rng.choice(_DOWN), rng.choice(_UP)
        first = round(rng.uniform(20, 34)) if rng.random() < 0.10 else None
        before = rng.choice(_BEFORE) if rng.random() < 0.10 else None
        for point in range(points):
            share = (point + rng.random()) / points
            if about.rate:
                quality = round(about.best * (about.worst / about.best) ** share)
            else:
                quality = round(about.best + (about.worst - about.best) * share)
            recipes.append(Recipe(ladder, coder, quality, speed, gop, scale, down, up, first, before))
    return recipes
