"""Frozen values that cross package borders. No behaviour beyond what the value itself implies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from vqa_cli.identity import Layout, ModelIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# How callers from outside may name a file; inside it is a Path.
StrPath = str | os.PathLike[str]


def optional_path(path: StrPath | None) -> Path | None:
    """A file that may be left out, as a Path."""
    return None if path is None else Path(path)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A local copy of what came from elsewhere, to be used as any path is. ``origin`` names where from, without secrets."""

    path: Path
    origin: str

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return self.origin


@dataclass(frozen=True, slots=True)
class Awaited(Fetched):
    """One that is not there yet: ``bring`` brings it when its turn comes. ``key`` tells addresses apart that are shown alike."""

    bring: Callable[[], None]
    key: str


def origin_of(path: StrPath) -> str | None:
    """Where a file was fetched from, if it was."""
    return path.origin if isinstance(path, Fetched) else None


@dataclass(frozen=True, slots=True)
class Size:
    """Picture size in square pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def short_side(self) -> int:
        """The "p" number of the size: 1080 for 1920x1080 and for 1080x1920."""
        return min(self.width, self.height)

    def with_short_side(self, pixels: int) -> Size:
        """This shape at another "p" number, both sides rounded to even as 4:2:0 needs."""
        longer = max(self.width, self.height) * pixels / self.short_side
        even = max(2, round(longer / 2) * 2)
        return Size(pixels, even) if self.width < self.height else Size(even, pixels)


@dataclass(frozen=True, slots=True)
class ColourTags:
    """ffmpeg names of the stream's colour tags; ``None`` where the stream says nothing."""

    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    range: Literal["tv", "pc"] | None = None


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What probing found in the video stream of a file.

    ``coded`` is the stored size, cropped as decoding crops it; ``size`` is the size to be shown, after rotation and pixel
    aspect ratio. ``frames`` counts packets that are shown; a few codecs carry some that never are, so a decode may give fewer.
    ``fps`` is the mean where the rate varies (``vfr``); ``steady_fps`` is then the constant rate that keeps its frames, but
    for ``crowded_frames``. ``modified_ns`` is the file's time, by which a later change is noticed. ``remarks`` are what users
    should hear of the file.
    """

    path: Path
    stream_index: int
    container: str
    codec: str
    coded: Size
    size: Size
    fps: Fraction
    frames: int
    duration_s: float
    pix_fmt: str
    bit_depth: int
    colour: ColourTags
    rotation_deg: int
    sar: Fraction
    interlaced: bool
    vfr: bool
    alpha: bool
    size_bytes: int
    video_bytes: int
    steady_fps: Fraction | None = None
    crowded_frames: int = 0
    modified_ns: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Treatment:
    """What may be done to files that cannot be judged as they are; what is not allowed is refused.

    ``steady`` brings a variable frame rate to a constant one; files that are paired frame by frame keep theirs.
    """

    tonemap: bool = False
    deinterlace: bool = False
    steady: bool = True


@dataclass(frozen=True, slots=True)
class Preparation:
    """What must happen to a file's frames before anything can be compared with them; false where nothing must.

    ``constant_rate`` is the rate that they are brought to in frames/s, as ffmpeg writes it: ``30000/1001``.
    ``colour``, ``full_range`` and ``rgb`` say what they are before. Of the frames that come out, only those of ``span`` (number of
    the first, how many) are kept, where one is named.
    """

    constant_rate: str | None = None
    deinterlace: bool = False
    tonemap: bool = False
    pix_fmt: str = "yuv420p"
    colour: ColourTags = ColourTags()
    full_range: bool = False
    rgb: bool = False
    span: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return self.changes or self.span is not None

    @property
    def changes(self) -> bool:
        """Whether frames become others."""
        return bool(self.constant_rate or self.deinterlace or self.tonemap)


AS_IT_IS = Preparation()


Matrix = Literal["bt601", "bt709", "bt2020"]


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """Layout of raw 8-bit frames on a pipe, with even width and height.

    One frame of yuv420p is ``height * 3 // 2`` rows of ``width`` bytes: the Y plane, then U, then V at half size. One of
    rgb24 is ``height`` rows of ``width`` pixels of three bytes; ``matrix`` is then the one it was made with.
    """

    width: int
    height: int
    matrix: Matrix = "bt709"
    full_range: bool = False
    layout: Layout = "yuv420p"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame as an array of bytes."""
        if self.layout == "rgb24":
            return self.height, self.width, 3
        return self.height * 3 // 2, self.width

    @property
    def frame_bytes(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class ClipScore:
    """A model's verdict on one clip.

    Attributes:
        score: the clip score on ``model.scale``.
        raw: the network's own number before the scale was applied.
        frame_scores: shape (frames,), per-frame scores q_t before temporal pooling, on ``model.scale``.
        frame_outputs: shape (frames,), the head's own numbers before pooling, bounds and scale: what pooling starts from.
        others: further scales by name, e.g. MDTVSFA's alignment to other training sets.
    """

    score: float
    raw: float
    frame_scores: NDArray[np.float64]
    frame_outputs: NDArray[np.float64]
    model: ModelIdentity
    others: dict[str, float]


class FeatureSink(Protocol):
    """Receives frame features as they are made, to be cached as float16."""

    def append(self, features: NDArray[np.float16]) -> None:
        """Take features of shape (n, dim)."""


class Scorer(Protocol):
    """One streaming interface for every model of the VSFA family (frames in, clip score out).

    Memory is bounded whatever the length. Batch size and chunking do not change the result.
    """

    @property
    def identity(self) -> ModelIdentity: ...

    def expect(self) -> None:
        """Frames will be shown soon: begin what takes long before the first. Nothing need come of it."""

    def score(
        self,
        frames: Iterable[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]],
        frame_format: FrameFormat,
        *,
        every: int = 1,
        sink: FeatureSink | None = None,
    ) -> ClipScore:
        """Score a stream of frame chunks, each of shape (n, *frame_format.shape), any n >= 1.

        Args:
            frame_format: in the layout that ``identity.pixels`` names.
            every: the stream holds each ``every``-th frame of the clip; tau is divided by it so that the
                temporal windows keep their length in seconds.
            sink: where float16 frame features go, if they are to be kept.

        Raises:
            ModelError: a score is not finite.
            InputError: the stream holds no frame, or frames of another layout.
        """

    def score_features(self, features: NDArray[np.float16], *, every: int = 1) -> ClipScore:
        """Score cached features of shape (frames, dim) without touching the video."""

    def pool(self, frame_outputs: NDArray[np.float64], *, every: int = 1) -> ClipScore:
        """The verdict from :attr:`ClipScore.frame_outputs` of the same weights: exact, whatever the pooling was."""
