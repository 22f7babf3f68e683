"""Which degradations one source is put through. Pure and seeded: the same source always gets the same list."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["clip", "photo"]

# Encoder, its speed options, and the range its quality number is drawn from: from hardly visible to ruined.
ENCODERS: dict[str, tuple[tuple[str, ...], str, int, int]] = {
    "libx264": (("-preset", "fast"), "-crf", 16, 46),
    "libx265": (
        ("-preset", "fast", "-x265-params", "log-level=error:pools=1:frame-threads=1"),
        "-crf",
        18,
        46,
    ),
    "libsvtav1": (("-preset", "10", "-svtav1-params", "lp=1"), "-crf", 18, 63),
    "libvpx-vp9": (("-cpu-used", "5", "-deadline", "good", "-b:v", "0"), "-crf", 18, 63),
    "mpeg4": ((), "-q:v", 2, 31),
    "libvvenc": (("-preset", "faster"), "-qp", 22, 52),
}
_WEIGHTS = (6, 4, 4, 2, 1, 0.3)
_SCALES = (1.0, 1.0, 1.0, 0.75, 0.667, 0.5, 0.5, 0.375, 0.25)
_BEFORE = (
    "gblur=sigma=0.8", "gblur=sigma=1.8", "noise=alls=8:allf=t", "noise=alls=20:allf=t",
    "unsharp=5:5:1.2", "lutyuv=y=floor(val/12)*12",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """One degraded version.

    Attributes:
        ladder: versions with the same number differ in ``quality`` alone, so their order is known.
        scale: coded size over display size.
        first: quality of an x264 encode made before this one (double compression), if any.
        before: an ffmpeg filter applied before encoding, if any.
    """

    ladder: int
    encoder: str
    quality: float
    scale: float
    first: float | None = None
    before: str | None = None


def draw(name: str, kind: Kind, seed: int) -> list[Recipe]:
    """Recipes of one source: a few ladders, each with its quality points spread over the encoder's range."""
    rng = random.Random(f"{seed}:{name}")
    ladders, points = (6, 5) if kind == "clip" else (4, 4)
    recipes = []
    for ladder in range(ladders):
        encoder = rng.choices(list(ENCODERS), _WEIGHTS)[0]
        low, high = ENCODERS[encoder][2:]
        scale = rng.choice(_SCALES)
        first = rng.uniform(20, 34) if rng.random() < 0.12 else None
        before = rng.choice(_BEFORE) if rng.random() < 0.10 else None
        step = (high - low) / points
        for point in range(points):
            quality = round(low + step * (point + rng.random()))
            recipes.append(Recipe(ladder, encoder, quality, scale, first, before))
    return recipes
