"""Ladders as a model sees them: a score for every rung, for the source, and for what can go wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.lite.agreement import Rung
from training.lite.ladders import read_ladders
from training.lite.mill import FAULTS, Ladder
from training.lite.shots import Part
from vqa_cli.errors import InputError, first_line
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv
from vqa_cli.media.frames import open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.values import FrameFormat, Scorer, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Judged:
    """A model's scores of one ladder: of the source itself, of each encode by its file, and of the source with a fault."""

    key: str
    source: float
    encodes: dict[str, float]
    impaired: dict[str, float]


def judge(data: Path, scorer: Scorer, *parts: Part, keep_features: bool = False) -> Iterator[Judged]:
    """Score the ladders of some parts; what was scored before by the same weights and arithmetic is read again.

    Args:
        keep_features: write the backbone's features beside the encodes, (rungs + 1, frames, dim) float16, the source last.

    Raises:
        InputError: no ladders, or damaged lines.
    """
    identity = scorer.identity
    path = data / "judged" / f"{identity.sha256[:16]}-{identity.precision}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {judged.key: judged for judged in _read(path)} if path.exists() else {}
    with Runner() as runner:
        projector = _Projector(runner, data)
        for ladder in read_ladders(data, *parts):
            if ladder.key not in known or (keep_features and not features_path(data, ladder).exists()):
                known[ladder.key] = _judge(projector, ladder, scorer, keep_features)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(known[ladder.key])) + "\n")
            yield known[ladder.key]


def features_path(data: Path, ladder: Ladder) -> Path:
    """Where a ladder's features are."""
    return data / ladder.key / "features.npy"


def rungs_of(ladder: Ladder, judged: Judged) -> list[Rung]:
    """The rungs of a ladder as agreement is measured on them."""
    pixels = float(ladder.width * ladder.height)
    return [
        Rung(ladder.key, ladder.group, ladder.clean, e.codec, e.height, e.kbps, e.vmaf, judged.encodes[e.file], pixels)
        for e in ladder.encodes
    ]


def _judge(projector: _Projector, ladder: Ladder, scorer: Scorer, keep_features: bool) -> Judged:
    shown = FrameFormat(ladder.width, ladder.height)
    files = [*(encode.file for encode in ladder.encodes), f"{ladder.key}/reference.mkv"]
    scores, features = [], []
    frames: NDArray[np.uint8]
    for file in files:
        frames = projector.frames(file, shown)
        seen: list[NDArray[np.float16]] = []
        scores.append(scorer.score([frames], shown, sink=seen).score)
        features.append(np.concatenate(seen))
    impaired = {
        name: scorer.score([fault(frames, ladder.height)], shown).score for name, fault in FAULTS.items()
    }  # the source comes last
    if keep_features:
        np.save(features_path(projector.data, ladder), np.stack(features))
    return Judged(ladder.key, scores[-1], dict(zip(files[:-1], scores[:-1], strict=True)), impaired)


def _read(path: Path) -> list[Judged]:
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [Judged(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as err:
        raise InputError(f"damaged scores: {path}", detail=first_line(err), hint="delete the file") from err


class _Projector:
    """Shows encodes at their display size."""

    def __init__(self, runner: Runner, data: Path) -> None:
        self.data = data
        self._runner = runner
        self._ffmpeg = find_ffmpeg(runner).path

    def frames(self, file: str, shown: FrameFormat) -> NDArray[np.uint8]:
        """All frames of an encode, (n, height * 3 // 2, width)."""
        info = probe(self.data / file)
        order = MeasureOrder(Size(shown.width, shown.height))
        argv = build_frames_argv(self._ffmpeg, SourceView.of(info), order)
        with open_frames(self._runner, argv, shown, expected=None, what=file) as frames:
            return np.concatenate(list(frames))
