"""Whole ladders of the manifest's sources, as ``vqa ladder`` makes them: what agreement is measured on and trained for.

Every source is cut to a short lossless reference, or filmed from a photograph, and encoded by three encoders at three sizes
and five qualities each. Kept are the encodes, the reference and one line a source with rate and VMAF of every rung, so that any
model can be judged later without another encode. What is there is not made twice.
"""

from __future__ import annotations

import csv
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from training.lite.camera import film
from training.lite.make_data import LOSSLESS, QUIET, cut_arguments, film_arguments
from training.lite.material import LiteSource, read_sources
from training.lite.pictures import open_photo
from vqa_cli.errors import InputError, VqaError, first_line
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.values import Size

Part = Literal["training", "choosing", "untouched"]
FRAMES = 40
_LARGEST = 288
_FILMED = Size(480, 270)
_PER_GROUP = 2
_PHOTOS = 4
_PATIENCE_S = 3600.0
_PRESET = """display = {display}
heights = [{heights}]
gop_s = 1.0
threads = 1
metrics = ["vmaf"]
[[codecs]]
encoder = "libx264"
preset = "fast"
crf = [18, 24, 30, 36, 42]
[[codecs]]
encoder = "libx265"
preset = "fast"
crf = [20, 26, 32, 38, 44]
[[codecs]]
encoder = "libsvtav1"
preset = "10"
crf = [20, 32, 43, 53, 62]
"""


@dataclass(frozen=True, slots=True)
class Encode:
    """One rung: what it is, what it costs (kb/s), its VMAF (mean over frames, 0..100) and its file beside the labels."""

    codec: str
    height: int
    crf: float
    kbps: float
    vmaf: float
    file: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """A source with all its rungs; ``clean`` as in :class:`~training.lite.material.LiteSource`."""

    key: str
    group: str
    kind: str
    part: Part
    clean: bool
    width: int
    height: int
    encodes: tuple[Encode, ...]


def read_parts() -> dict[str, Part]:
    """Which part each group of the manifest belongs to.

    Held-out groups are either for choosing between weights or untouched: nobody looks at those until weights are final.
    """
    parts: dict[str, Part] = {source.group: "training" for source in read_sources() if source.split == "train"}
    names: dict[str, Part] = {"choosing": "choosing", "untouched": "untouched"}
    text = Path(__file__).with_name("parts.csv").read_text(encoding="utf-8").splitlines()
    return parts | {row["group"]: names[row["part"]] for row in csv.DictReader(text)}


def chosen(part: Part) -> list[LiteSource]:
    """Sources of a part whose ladders are made: of each group of clips two files, and a few photographs."""
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


def make_ladders(media: Path, out: Path, part: Part) -> Iterator[str]:
    """Make the ladders of a part that are missing, a line for each.

    Raises:
        InputError: the lines that are there are damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {ladder.key for ladder in read_ladders(out)} if (out / "ladders.jsonl").exists() else set()
    # A ladder says nothing until it is done; it watches its own encoders.
    with Runner(silence_s=_PATIENCE_S) as runner:
        for source in chosen(part):
            if source.key in done:
                continue
            try:
                ladder = _make(runner, media, out, source, part)
            except VqaError as err:
                yield f"{source.key}: FAILED: {err.message} {err.detail or ''}"
                continue
            with (out / "ladders.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(ladder)) + "\n")
            yield f"{source.key}: {len(ladder.encodes)} rungs, {part}"


def read_ladders(out: Path, *parts: Part) -> list[Ladder]:
    """Everything made so far, or some parts of it.

    Raises:
        InputError: nothing was made, or a line is damaged.
    """
    path = out / "ladders.jsonl"
    if not path.exists():
        raise InputError(f"no ladders: {path}", hint="make them with `python -m training.lite ladders`")
    ladders = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            ladders.append(Ladder(**{**row, "encodes": tuple(Encode(**encode) for encode in row["encodes"])}))
        except (ValueError, KeyError, TypeError) as err:
            raise InputError(f"damaged ladder: line {number} of {path}", detail=first_line(err)) from err
    return [ladder for ladder in ladders if not parts or ladder.part in parts]


def _make(runner: Runner, media: Path, out: Path, source: LiteSource, part: Part) -> Ladder:
    folder = out / source.key
    folder.mkdir(exist_ok=True)
    reference = folder / "reference.mkv"
    if not reference.exists():
        staged = folder / "staged.mkv"
        _reference(runner, media, source, staged)
        staged.replace(reference)
    size = probe(reference).size
    short = size.short_side
    preset = folder / "ladder.toml"
    heights = ", ".join(str(round(short * share / 2) * 2) for share in (1, 2 / 3, 1 / 2))
    preset.write_text(_PRESET.format(display=short, heights=heights), encoding="utf-8")
    vqa = [sys.executable, "-m", "vqa_cli", "ladder", str(reference), "--preset", str(preset), "-o", str(folder)]
    runner.run([*vqa, "--model", "none", "--jobs", "1", "--keep-encodes", "--no-cache", "-q"])
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))["sources"][0]
    encodes = tuple(_encode(rung, folder) for rung in run["rungs"] if rung["status"] == "ok")
    return Ladder(source.key, source.group, source.kind, part, source.clean, size.width, size.height, encodes)


def _encode(rung: dict[str, Any], folder: Path) -> Encode:
    (file,) = folder.rglob(f"encodes/**/{rung['id']}.*")
    short = min(rung["width"], rung["height"])
    kbps, vmaf = rung["encode"]["bitrate_kbps"], rung["fidelity"]["vmaf"]["pooled"]["mean"]
    return Encode(rung["encoder"], short, rung["rate"]["crf"], kbps, vmaf, str(file.relative_to(folder.parent)))


def _reference(runner: Runner, media: Path, source: LiteSource, out: Path) -> None:
    """Write the lossless clip that encodes of ``source`` are made from and compared with."""
    ffmpeg = [str(find_ffmpeg(runner).path), *QUIET]
    if source.kind == "clip":
        path = media / source.file
        size = probe(path).size.with_short_side(min(_LARGEST, source.short_side))
        runner.run([*ffmpeg, *cut_arguments(path, source.start_frame, FRAMES, size, out)])
        return
    picture = open_photo(media / source.file)
    rng = np.random.default_rng(zlib.crc32(source.key.encode()))
    raw = out.with_suffix(".rgb")
    raw.write_bytes(film(picture, picture, FRAMES, _FILMED, rng).tobytes())
    runner.run([*ffmpeg, *film_arguments(raw, _FILMED), *LOSSLESS, str(out)])
    raw.unlink()
