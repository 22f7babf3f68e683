"""Which ladders are made: what each shows, how it is filmed, and what it is encoded with. Plans only, nothing is made here."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from training.lite.camera import Style
from training.lite.material import LiteSource, read_sources
from vqa_cli.media.probe import probe
from vqa_cli.values import Size

Part = Literal["training", "choosing", "untouched"]
FRAMES = 40
_LARGEST = 288
_FILMED = Size(480, 270)
_PER_GROUP = 2
_PHOTOS = 12
# Of one clip that is for training, at most so many pieces, this many frames apart or more.
_PIECES = 4
_APART = 60
_DRAWN = 40
# CRF of x264 as a camera would compress: hardly visible.
_CAMERA_CRF = (6.0, 14.0)
_SHARES = (1.0, 2 / 3, 1 / 2)


@dataclass(frozen=True, slots=True)
class Coding:
    """One encoder with its preset, at some sizes (as shares of the source's) and qualities."""

    encoder: str
    preset: str
    crf: tuple[float, ...]
    shares: tuple[float, ...] = _SHARES


CODINGS = (
    Coding("libx264", "fast", (18, 24, 30, 36, 42)),
    Coding("libx265", "fast", (20, 26, 32, 38, 44)),
    Coding("libsvtav1", "10", (20, 32, 43, 53, 62)),
)
# What training sees beside the presets above, of which half the ladders are.
_PRESETS = {
    "libx264": ("veryfast", "faster", "medium"),
    "libx265": ("superfast", "veryfast", "medium"),
    "libsvtav1": ("8", "9", "12"),
}
_VP9 = Coding("libvpx-vp9", "8", (24, 36, 48, 60), (1.0,))


@dataclass(frozen=True, slots=True)
class Shot:
    """A ladder before it is made.

    Attributes:
        file: of the media, or of a drawn picture its style and number.
        size: at which it is shown.
        scaled: of the whole clip before the middle of ``size`` is cut out of it.
        first: first frame of a clip.
        camera_crf: what is filmed is compressed so by a camera, if at all.
    """

    key: str
    file: str
    kind: str
    group: str
    part: Part
    clean: bool
    size: Size
    scaled: Size
    codings: tuple[Coding, ...]
    first: int = 0
    style: Style = "sharp"
    camera_crf: float | None = None


def read_parts() -> dict[str, Part]:
    """Which part each group of the manifest belongs to.

    Held-out groups are either for choosing between weights or untouched: nobody looks at those until weights are final.
    """
    parts: dict[str, Part] = {source.group: "training" for source in read_sources() if source.split == "train"}
    names: dict[str, Part] = {"choosing": "choosing", "untouched": "untouched"}
    text = Path(__file__).with_name("parts.csv").read_text(encoding="utf-8").splitlines()
    return parts | {row["group"]: names[row["part"]] for row in csv.DictReader(text)}


def plan(media: Path, part: Part) -> list[Shot]:
    """The ladders of a part. Those of held-out parts are alike: sharp, whole, and encoded as ``CODINGS`` says.

    Raises:
        InputError: a clip cannot be read.
    """
    if part != "training":
        return [_shot(media, source, part) for source in chosen(part)]
    takes = [_lessons(media, source) for source in _training()]
    first = [shot for each in takes for shot in (each if each[0].kind == "clip" else each[:1])]
    second = [shot for each in takes for shot in each[1:] if shot.kind != "clip"]
    for shots in (first, second):
        random.Random(1).shuffle(shots)  # so that those made so far are always a fair sample
    return first + second


def chosen(part: Part) -> list[LiteSource]:
    """Sources of a held-out part: of each group of clips two files, and a few photographs."""
    parts = read_parts()
    taken: dict[str, set[str]] = {}
    sources: list[LiteSource] = []
    for source in read_sources():
        files = taken.setdefault(source.group, set())
        if source.kind == "drawn" or parts[source.group] != part or source.file in files or len(files) >= _PER_GROUP:
            continue
        if source.kind == "photo" and (files or sum(s.kind == "photo" for s in sources) >= _PHOTOS):
            continue
        files.add(source.file)
        sources.append(source)
    return sources


def _training() -> list[LiteSource]:
    sources = [source for source in read_sources() if source.split == "train"]
    drawn = [source for source in sources if source.kind == "drawn"]
    return [source for source in sources if source.kind != "drawn"] + drawn[:: max(1, len(drawn) // _DRAWN)]


def _shot(media: Path, source: LiteSource, part: Part) -> Shot:
    size = _FILMED if source.kind != "clip" else _whole(media, source)
    first = source.start_frame if source.kind == "clip" else 0
    return Shot(source.key, source.file, source.kind, source.group, part, source.clean, size, size, CODINGS, first)


def _whole(media: Path, source: LiteSource) -> Size:
    return probe(media / source.file).size.with_short_side(min(_LARGEST, source.short_side))


def _lessons(media: Path, source: LiteSource) -> list[Shot]:
    """What training makes of a source: pieces of a clip, whole or the middle at its clean size; of a photograph two takes, of
    which one is soft and may be compressed by its camera; of a drawn picture one of both.
    """
    rng = random.Random(source.key)
    shot = replace(_shot(media, source, "training"), codings=_varied(rng))
    if source.kind != "clip":
        camera = rng.uniform(*_CAMERA_CRF) if rng.random() < 0.5 else None
        soft = replace(shot, key=f"{shot.key}_soft", style="soft", camera_crf=camera, codings=_varied(rng))
        both = rng.sample([shot, soft], 2)
        return both if source.kind == "photo" else both[:1]
    clean = probe(media / source.file).size.with_short_side(source.short_side)
    step = max(_APART, (source.frames - FRAMES) // _PIECES)
    shots = []
    for number, first in enumerate(range(0, source.frames - FRAMES + 1, step)[:_PIECES]):
        piece = replace(shot, key=f"{source.key}_{number}", first=source.start_frame + first, codings=_varied(rng))
        if number % 2 and clean.short_side > 1.2 * shot.size.short_side:
            piece = replace(piece, scaled=clean)
        shots.append(piece)
    return shots


def _varied(rng: random.Random) -> tuple[Coding, ...]:
    """Half as the held-out ladders are encoded, half with another preset; qualities moved by up to 2. And a little VP9."""
    varied = []
    for coding in CODINGS:
        preset = rng.choice(_PRESETS[coding.encoder]) if rng.random() < 0.5 else coding.preset
        shift = rng.randint(-2, 1 if coding.encoder == "libsvtav1" else 2)
        varied.append(replace(coding, preset=preset, crf=tuple(crf + shift for crf in coding.crf)))
    return (*varied, _VP9)
