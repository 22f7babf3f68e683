"""Frame features of a whole database: each video decoded once, finished ones kept, bad ones reported."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli._version import MEASUREMENT
from vqa_cli.errors import InputError, ModelError, StorageError, VqaError
from vqa_cli.files import file_sha256
from vqa_cli.identity import ModelIdentity, PixelWish
from vqa_cli.measure.score import ScoreRequest, score_file
from vqa_cli.media.decode import MeasureOrder
from vqa_cli.media.frames import frame_format, open_frames
from vqa_cli.media.prefetch import prefetch
from vqa_cli.media.raw import SUFFIXES, RawFormat, build_raw_argv, count_raw_frames
from vqa_cli.train.features import Provenance, features_path, read_provenance, write_features
from vqa_cli.values import ClipScore, ColourTags, FeatureSink, FrameFormat, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.media.binaries import Ffmpeg
    from vqa_cli.media.process import Runner
    from vqa_cli.model.extractor import FeatureExtractor

_KONVID = re.compile(r"(\d+)_(?:original|cut)_centercrop_960x540_8s\.mp4")


@dataclass(frozen=True, slots=True)
class Extracted:
    """What became of one video; ``frames`` is 0 where it was there already or failed."""

    video: str
    frames: int = 0
    kept: bool = False
    error: VqaError | None = None


@dataclass(frozen=True)
class ExtractOrder:
    """Videos below ``videos`` to features below ``features``, by a network, of each ``every``-th frame.

    ``extractor`` is the name or file by which the network is found again; ``raw`` says what headerless files hold.
    """

    videos: Path
    features: Path
    network: FeatureExtractor
    model: ModelIdentity
    extractor: str
    every: int = 1
    raw: RawFormat | None = None


def as_published(raw: RawFormat, pixels: PixelWish) -> RawFormat:
    """How headerless files are read where nobody said it in so many words.

    Where the authors' pixels are wanted, at full range: their code asks skvideo for ``yuvj420p``, whatever was recorded.
    """
    return replace(raw, pix_fmt="yuvj420p") if pixels == PixelWish("rgb24", "reference") else raw


def find_video(folder: Path, name: str) -> Path:
    """Where a database's video lies: under its name, or under the one that it has by now.

    KoNViD-1k's owners renamed its files after the authors' table was made: what is called
    ``8424428827_cut_centercrop_960x540_8s.mp4`` there comes as ``8424428827.mp4``. Source: issues 3 and 16 of
    github.com/lidq92/VSFA.
    """
    listed, konvid = folder / name, _KONVID.fullmatch(Path(name).name)
    renamed = listed.with_name(f"{konvid[1]}.mp4") if konvid else listed
    return renamed if renamed.is_file() and not listed.is_file() else listed


def shard(names: Sequence[str], index: int, count: int) -> tuple[str, ...]:
    """The ``index``-th (from 1) of ``count`` shares: every name is in one, and all are of about the same length."""
    return tuple(names[index - 1 :: count])


def extract(
    names: Iterable[str], order: ExtractOrder, *, runner: Runner, ffmpeg: Ffmpeg, jobs: int = 1
) -> Iterator[Extracted]:
    """Extract what is not there yet, ``jobs`` videos at once; yields in order of completion.

    Left early, it ends the decodes in work and closes ``runner``, so that nobody waits for a long video.

    Raises:
        StorageError: features cannot be written, which is no fault of a video's.
    """
    with ThreadPoolExecutor(jobs) as pool:
        work = [pool.submit(_one, name, order, runner, ffmpeg) for name in names]
        try:
            for done in as_completed(work):
                yield done.result()
        except BaseException:
            runner.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one(name: str, order: ExtractOrder, runner: Runner, ffmpeg: Ffmpeg) -> Extracted:
    source, target = order.videos / name, features_path(order.features, name)
    try:
        source = find_video(order.videos, name)
        if not source.is_file():
            raise InputError(f"no such video: {source}")
        if _is_current(target, source, order):
            return Extracted(name, kept=True)
        tap = _Tap(order.network, order.model)
        if source.suffix.lower() in SUFFIXES:
            size = _read_raw(source, order, tap, runner, ffmpeg)
        else:
            request = ScoreRequest(every=order.every)
            size = score_file(source, request, scorer=tap, runner=runner, ffmpeg=ffmpeg).size
        features = np.concatenate(tap.parts)
        if not np.isfinite(features).all():
            raise ModelError(f"a feature is beyond float16: {source}")
        model = order.model
        origin = Provenance(
            extractor=order.extractor, extractor_sha256=model.extractor, precision=model.precision,
            preprocessing=model.preprocessing, every=order.every, video=name, video_bytes=source.stat().st_size,
            width=size.width, height=size.height, raw=_told(source, order), measurement=MEASUREMENT,
            video_sha256=file_sha256(source),
        )  # fmt: skip
        write_features(target, features, origin)
    except StorageError:
        raise
    except VqaError as err:
        return Extracted(name, error=err)
    except OSError as err:  # such as a name that the system does not take, or a folder that may not be entered
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return Extracted(name, error=InputError(f"{err.strerror}: {source}"))
    return Extracted(name, frames=len(features))


def _is_current(target: Path, source: Path, order: ExtractOrder) -> bool:
    """Whether the file there is of this network and this video; anything else is made again."""
    if not target.exists():
        return False
    try:
        found = read_provenance(target)
    except InputError:
        return False
    model = order.model
    wanted = (model.extractor, model.precision, model.preprocessing, order.every, MEASUREMENT)
    now = source.stat()
    # Headerless files of other content have the same size, hence the time as well.
    older = now.st_mtime_ns <= target.stat().st_mtime_ns
    same_file = found.video_bytes == now.st_size and older and found.raw == _told(source, order)
    return found.key == wanted and same_file


def _told(source: Path, order: ExtractOrder) -> str | None:
    """What a headerless file is said to hold."""
    if order.raw is None or source.suffix.lower() not in SUFFIXES:
        return None
    return f"{order.raw.size} {order.raw.pix_fmt}"


def _read_raw(source: Path, order: ExtractOrder, tap: _Tap, runner: Runner, ffmpeg: Ffmpeg) -> Size:
    raw = order.raw
    if raw is None:
        raise InputError(f"nothing says what size the frames are: {source}", hint="--yuv-size WxH")
    frames = -(-count_raw_frames(source, raw) // order.every)
    pixels = frame_format(raw.size, ColourTags(), raw.size, order.model.pixels)
    wanted = MeasureOrder(raw.size, every=order.every, layout=pixels.layout, untagged=pixels.matrix)
    argv = build_raw_argv(ffmpeg.path, source, raw, wanted)
    with open_frames(runner, argv, pixels, expected=frames, what=str(source)) as stream:
        tap.score(prefetch(stream), pixels, every=order.every)
    return raw.size


class _Tap:
    """In the place of a scorer, so that extraction reads video exactly as scoring does: keeps features, judges nothing."""

    def __init__(self, network: FeatureExtractor, identity: ModelIdentity) -> None:
        self.parts: list[NDArray[np.float16]] = []
        self.identity = identity
        self._network = network

    def expect(self) -> None:
        """It is loaded."""

    def score(
        self,
        frames: Iterable[NDArray[np.uint8]],
        frame_format: FrameFormat,
        *,
        every: int = 1,
        sink: FeatureSink | None = None,
    ) -> ClipScore:
        for features in self._network.features(frames, frame_format):
            self.parts.append(features.cpu().numpy().astype(np.float16))
        if not self.parts:
            raise InputError("no frame to take features of")
        return self._unjudged(sum(map(len, self.parts)))

    def score_features(self, features: NDArray[np.float16], *, every: int = 1) -> ClipScore:
        return self._unjudged(len(features))

    def pool(self, frame_outputs: NDArray[np.float64], *, every: int = 1) -> ClipScore:
        return self._unjudged(len(frame_outputs))

    def _unjudged(self, frames: int) -> ClipScore:
        nothing = np.full(frames, math.nan)
        return ClipScore(math.nan, math.nan, nothing, nothing, self.identity, {})
