"""Which model made a score: the one description that scorers carry, results keep and documents hold. Values alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Layout = Literal["yuv420p", "rgb24"]


@dataclass(frozen=True, slots=True)
class PixelWish:
    """Which pixels a model wants to be shown.

    Attributes:
        layout: yuv420p in limited range, or what ``ffmpeg -pix_fmt rgb24`` makes of the file.
        untagged: the colour matrix of video that names none: ``"auto"`` is BT.709 from 720p up and BT.601 below, as players
            assume; ``"reference"`` is always BT.601, as ffmpeg assumes and hence the authors' readers. Without effect on
            yuv420p, which is handed over as it is.
    """

    layout: Layout = "yuv420p"
    untagged: Literal["auto", "reference"] = "auto"


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """What a model's number means.

    Attributes:
        name: short label for axes and tables, e.g. ``"MOS (KoNViD-1k)"``.
        minimum, maximum: nominal range; scores may leave it slightly where the model is unbounded.
        higher_is_better: direction.
        description: one sentence a reader of the report understands.
    """

    name: str
    minimum: float
    maximum: float
    higher_is_better: bool
    description: str


@dataclass(frozen=True, slots=True)
class WeightsInUse:
    """One file of a model."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Everything that must be equal for two scores to be comparable; the ``model`` of a run document.

    Attributes:
        name: registry name, or the file name of a user model.
        sha256: hash over all weight files in use.
        precision: arithmetic of the backbone, ``"int8"``, ``"fp32"``, ``"mixed"``, ``"bf16"`` or ``"fp16"``.
        device: ``"cpu"``, ``"cuda:0"``, …; recorded, not compared.
        verified: False when any weight file is not the registered one.
        preprocessing: one line that fixes the pixel path.
        pooling: name and parameters of the temporal pooling.
        extractor: hash over what makes the frame features, the head left out: equal where another head can go on.
        pixels: what the frames must be.
        files: the weight files in use by part, ``"model"`` for all of it, else ``"backbone"`` and ``"head"``; none where
            nothing is learnt.
        every: the model was trained on each so many-th frame.
    """

    name: str
    sha256: str
    scale: ScoreScale
    precision: str
    device: str
    verified: bool
    preprocessing: str
    pooling: str
    training_data: str
    licence: str
    extractor: str = ""
    pixels: PixelWish = PixelWish()
    files: dict[str, WeightsInUse] = field(default_factory=dict)
    every: int = 1
