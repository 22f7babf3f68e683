"""Ladders as a model sees them: a score for every rung, for the source, and for what can go wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from training.lite.agreement import Rung
from training.lite.ladders import read_ladders
from training.lite.mill import FAULTS, PATIENCE_S, Ladder, shown
from training.lite.shots import Part
from vqa_cli.errors import InputError, first_line
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.values import FrameFormat, Scorer, Size


@dataclass(frozen=True, slots=True)
class Judged:
    """A model's scores of one ladder: of the source itself, of each encode by its file, and of the source with a fault."""

    key: str
    source: float
    encodes: dict[str, float]
    impaired: dict[str, float]


def judge(data: Path, scorer: Scorer, *parts: Part) -> Iterator[Judged]:
    """Score the ladders of some parts; what was scored before by the same weights and arithmetic is read again.

    Raises:
        InputError: no ladders, or damaged lines.
    """
    identity = scorer.identity
    path = data / "judged" / f"{identity.sha256[:16]}-{identity.precision}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {judged.key: judged for judged in _read(path)} if path.exists() else {}
    with Runner(silence_s=PATIENCE_S) as runner:
        for ladder in read_ladders(data, *parts):
            if ladder.key not in known:
                known[ladder.key] = _judge(runner, data, ladder, scorer)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(known[ladder.key])) + "\n")
            yield known[ladder.key]


def rungs_of(ladder: Ladder, judged: Judged) -> list[Rung]:
    """The rungs of a ladder as agreement is measured on them."""
    pixels = float(ladder.width * ladder.height)
    return [
        Rung(ladder.key, ladder.group, ladder.clean, e.codec, e.height, e.kbps, e.vmaf, judged.encodes[e.file], pixels)
        for e in ladder.encodes
    ]


def _judge(runner: Runner, data: Path, ladder: Ladder, scorer: Scorer) -> Judged:
    folder, size = data / ladder.key, Size(ladder.width, ladder.height)
    files = [*(Path(encode.file).name for encode in ladder.encodes), "reference.mkv"]
    versions = shown(runner, str(find_ffmpeg(runner).path), folder, files, size)
    display = FrameFormat(size.width, size.height)
    scores = [scorer.score([frames], display).score for frames in versions]
    source = versions[-1]
    impaired = {name: scorer.score([fault(source, size.height)], display).score for name, fault in FAULTS.items()}
    told = dict(zip((encode.file for encode in ladder.encodes), scores, strict=False))
    return Judged(ladder.key, scores[-1], told, impaired)


def _read(path: Path) -> list[Judged]:
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [Judged(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as err:
        raise InputError(f"damaged scores: {path}", detail=first_line(err), hint="delete the file") from err
