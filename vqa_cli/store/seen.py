"""What a model has seen, remembered by content, so that another pooling, tau, beta or head decodes nothing.

Two things are kept of each stream of frames: the head's own numbers in float64 (small; another pooling of the same
weights is exact) and the frame features in float16 (large, hence limited; another head can start from them).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from vqa_cli.identity import ModelIdentity
from vqa_cli.store.content import content_key
from vqa_cli.store.kinds import FEATURES, SCORES
from vqa_cli.values import ClipScore, FrameFormat, Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Scores of as many clips as a few searches at a time go back to: 1.4 MB for each two hours at 25 fps.
_LATEST = 16


@dataclass(frozen=True, slots=True)
class Stream:
    """Which frames a model is shown.

    Attributes:
        content: sha256 of the file that is decoded, and how it was prepared.
        argv: the decoding command line with paths taken out.
        pixels: layout and colour matrix of the frames.
        ffmpeg: sha256 of the decoder.
        bit_depth: of the frames on their way through the filters.
        every: each how many frames of the clip are in it.
        compared: whether the frames came through the filters that compare them with a reference.
    """

    content: str
    argv: Sequence[str]
    pixels: FrameFormat
    ffmpeg: str
    bit_depth: int = 8
    every: int = 1
    compared: bool = False

    def key(self, weights: str, model: ModelIdentity) -> str:
        """Name of what these ``weights`` made of the stream, in the model's arithmetic."""
        how = [weights, model.precision, model.preprocessing]
        # yuv420p is the same with and without a comparison, RGB not quite (see ``decode.build_measure_argv``).
        compared = self.compared and self.pixels.layout == "rgb24"
        parts = [self.content, list(self.argv), astuple(self.pixels), self.ffmpeg, self.bit_depth, self.every, compared]
        return content_key(*parts, *how)


class Seen:
    """Frame scores and features below ``folder``; with ``None`` the last few scores, as long as this lives.

    So a search without a cache does not show the model the source again at each step. Safe to use from several threads.
    """

    def __init__(self, folder: Path | None, *, limit_bytes: int | None = FEATURES.limit_bytes) -> None:
        self._latest: dict[str, NDArray[np.float64]] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.scores = SCORES.entries(folder)
        self.features = replace(FEATURES, limit_bytes=limit_bytes).entries(folder)

    def find(self, stream: Stream, scorer: Scorer) -> ClipScore | None:
        """The model's verdict without decoding, or ``None`` when too little is remembered.

        From the head's own numbers it is exact. From features it differs by what float16 rounds away, a few hundred
        thousandths of the raw scale.
        """
        model = scorer.identity
        outputs = self._outputs(stream.key(model.sha256, model))
        if outputs is not None:
            return scorer.pool(outputs, every=stream.every)
        features = self._features(stream.key(model.extractor, model))
        return None if features is None else scorer.score_features(features, every=stream.every)

    @contextmanager
    def alone(self, stream: Stream, scorer: Scorer) -> Iterator[None]:
        """Whoever else asks for this stream here waits until this one is done with it, and then finds it."""
        with self._lock:
            turn = self._turns.setdefault(stream.key(scorer.identity.sha256, scorer.identity), threading.Lock())
        with turn:
            yield

    def score(self, stream: Stream, scorer: Scorer, frames: Iterable[NDArray[np.uint8]]) -> ClipScore:
        """Show the frames to the model and remember what it made of them.

        Nothing is remembered when the frames end in an error.

        Raises:
            StorageError: the folder cannot be written.
        """
        model = scorer.identity
        with ExitStack() as stack:
            scores = stack.enter_context(self.scores.write(stream.key(model.sha256, model)))
            folder = stack.enter_context(self.features.write(stream.key(model.extractor, model)))
            if scores is None or folder is None:
                clip = scorer.score(frames, stream.pixels, every=stream.every)
                self._keep(stream, clip)
                return clip
            with (folder / "features.f16").open("wb") as file:
                sink = _Sink(file)
                clip = scorer.score(frames, stream.pixels, every=stream.every, sink=sink)
            (folder / "about.json").write_text(json.dumps(sink.about()), encoding="utf-8")
            np.save(scores / "outputs.npy", clip.frame_outputs)
            return clip

    def remember(self, stream: Stream, clip: ClipScore) -> None:
        """Keep a verdict that was reached elsewhere, without the features: they are large, and stayed there.

        Raises:
            StorageError: the folder cannot be written.
        """
        with self.scores.write(stream.key(clip.model.sha256, clip.model)) as entry:
            if entry is None:
                self._keep(stream, clip)
            else:
                np.save(entry / "outputs.npy", clip.frame_outputs)

    def _keep(self, stream: Stream, clip: ClipScore) -> None:
        with self._lock:
            self._latest[stream.key(clip.model.sha256, clip.model)] = clip.frame_outputs
            while len(self._latest) > _LATEST:
                del self._latest[next(iter(self._latest))]

    def _kept(self, key: str) -> NDArray[np.float64] | None:
        with self._lock:
            if (outputs := self._latest.pop(key, None)) is not None:
                self._latest[key] = outputs  # the last one used stands last
            return outputs

    def _outputs(self, key: str) -> NDArray[np.float64] | None:
        if (entry := self.scores.find(key)) is None:
            return self._kept(key)
        try:
            outputs: NDArray[np.float64] = np.load(entry / "outputs.npy")
            if len(outputs) and np.isfinite(outputs).all():
                return outputs
        except (OSError, ValueError, TypeError, EOFError):
            pass
        self.scores.drop(key)
        return None

    def _features(self, key: str) -> NDArray[np.float16] | None:
        if (entry := self.features.find(key)) is None:
            return None
        try:
            about = json.loads((entry / "about.json").read_text(encoding="utf-8"))
            shape = (about["frames"], about["dim"])
            features: NDArray[np.float16] = np.memmap(entry / "features.f16", np.float16, "r", shape=shape)
            return features
        except (OSError, ValueError, KeyError, TypeError):
            self.features.drop(key)
            return None


class _Sink:
    """Writes features as they come, so that memory does not grow with the clip."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frames, self._dim = 0, 0

    def append(self, features: NDArray[np.float16]) -> None:
        self._file.write(np.ascontiguousarray(features).data)
        self._frames, self._dim = self._frames + len(features), features.shape[1]

    def about(self) -> dict[str, int]:
        return {"frames": self._frames, "dim": self._dim}
