"""Frame features of a whole database: each video decoded once, finished ones kept, bad ones reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.errors import InputError, ModelError, VqaError
from vqa_cli.score import ScoreRequest, score_file
from vqa_cli.train.features import Provenance, features_path, read_provenance, write_features
from vqa_cli.types import ClipScore, FeatureSink, FrameFormat, ModelIdentity, Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.media.binaries import Ffmpeg
    from vqa_cli.media.process import Runner


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of one video; ``frames`` is 0 where it was there already or failed."""

    video: str
    frames: int = 0
    kept: bool = False
    error: VqaError | None = None


@dataclass(frozen=True)
class ExtractOrder:
    """Videos below ``videos`` to features below ``features``, of the network of ``scorer``, each ``every``-th frame."""

    videos: Path
    features: Path
    scorer: Scorer
    extractor: str
    every: int = 1


def extract(
    names: Iterable[str], order: ExtractOrder, *, runner: Runner, ffmpeg: Ffmpeg, jobs: int = 1
) -> Iterator[Extracted]:
    """Extract what is not there yet, ``jobs`` videos at once; yields in order of completion."""
    with ThreadPoolExecutor(jobs) as pool:
        work = [pool.submit(_one, name, order, runner, ffmpeg) for name in names]
        try:
            for done in as_completed(work):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one(name: str, order: ExtractOrder, runner: Runner, ffmpeg: Ffmpeg) -> Extracted:
    source, target = order.videos / name, features_path(order.features, name)
    try:
        if not source.is_file():
            raise InputError(f"no such video: {source}")
        if _is_current(target, source, order):
            return Extracted(name, kept=True)
        sink = _Sink()
        tap = _Tap(order.scorer, sink)
        done = score_file(source, ScoreRequest(every=order.every), scorer=tap, runner=runner, ffmpeg=ffmpeg)
        features = np.concatenate(sink.parts)
        if not np.isfinite(features).all():
            raise ModelError(f"a feature is beyond float16: {source}")
        model = order.scorer.identity
        origin = Provenance(
            extractor=order.extractor, extractor_sha256=model.extractor, precision=model.precision,
            preprocessing=model.preprocessing, every=order.every, video=name, video_bytes=source.stat().st_size,
            width=done.size.width, height=done.size.height,
        )  # fmt: skip
        write_features(target, features, origin)
    except VqaError as err:
        return Extracted(name, error=err)
    return Extracted(name, frames=len(features))


def _is_current(target: Path, source: Path, order: ExtractOrder) -> bool:
    """Whether the file there is of this network and this video; anything else is made again."""
    if not target.exists():
        return False
    try:
        found = read_provenance(target)
    except InputError:
        return False
    model = order.scorer.identity
    wanted = (model.extractor, model.precision, model.preprocessing, order.every)
    return found.key == wanted and found.video_bytes == source.stat().st_size


class _Sink:
    """Collects the features of one video."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.float16]] = []

    def append(self, features: NDArray[np.float16]) -> None:
        self.parts.append(features)


class _Tap:
    """A scorer whose features also go to ``sink``, so that extraction reads video exactly as scoring does."""

    def __init__(self, scorer: Scorer, sink: FeatureSink) -> None:
        self._scorer, self._sink = scorer, sink

    @property
    def identity(self) -> ModelIdentity:
        return self._scorer.identity

    def score(
        self, frames: Any, frame_format: FrameFormat, *, every: int = 1, sink: FeatureSink | None = None
    ) -> ClipScore:
        return self._scorer.score(frames, frame_format, every=every, sink=self._sink)

    def score_features(self, features: NDArray[np.float16], *, every: int = 1) -> ClipScore:
        return self._scorer.score_features(features, every=every)

    def pool(self, frame_outputs: NDArray[np.float64], *, every: int = 1) -> ClipScore:
        return self._scorer.pool(frame_outputs, every=every)
