"""What a video file is: container, stream, colour, timing, and whether it is whole. Uses PyAV, decodes one frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.errors import InputError
from vqa_cli.media.changes import changed
from vqa_cli.media.colour import container_colour, frame_colour, joined, no_base_layer
from vqa_cli.media.opening import open_media
from vqa_cli.media.timing import Packets, frame_rate, nominal_rate, read_packets, steady_rate
from vqa_cli.media.whole import check_whole
from vqa_cli.values import ColourTags, MediaInfo, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SHORT_SIDE = 64


def probe(path: Path) -> MediaInfo:
    """Read everything that planning needs from the video stream of a local file.

    Where a container crops, ffmpeg's pictures are smaller than what is said here: for files that are not of our own making
    see :func:`vqa_cli.media.delivery.probe_source`.

    Raises:
        InputError: missing, empty, not a video, without a video stream, truncated, changing in mid-file, written to while it
            is read, or too small to judge.
    """
    with open_media(path) as container:
        before = path.stat()
        video = _choose(container, path)
        check_whole(path, container, video.stream, video.packets)
        frame, context = _first_frame(path, video.stream.index)
        info = replace(
            _describe(path, container, video, frame, context),
            size_bytes=before.st_size,
            modified_ns=before.st_mtime_ns,
        )
        check_unchanged(info)
        if change := video.packets.watch.change:
            raise changed(path, change)
    return check_usable(info)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a file shows, without a decode.

    Attributes:
        size: of the coded pictures.
        times_s, sizes: presentation time in s and size in bytes of each packet that is shown, in order of time.
    """

    size: Size
    times_s: NDArray[np.float64]
    sizes: NDArray[np.int64]


def read_shown(path: Path) -> Shown:
    """The video stream of a file as its packets tell it.

    Raises:
        InputError: the file cannot be read.
    """
    with open_media(path) as container:
        video = _choose(container, path)
        base, packets = video.stream.time_base, video.packets
        size = Size(video.stream.codec_context.width, video.stream.codec_context.height)
    pts, sizes = np.array(packets.pts, dtype=np.int64), np.array(packets.sizes, dtype=np.int64)
    order = np.lexsort((sizes, pts))
    return Shown(size, pts[order] * base.numerator / base.denominator, sizes[order])


def check_unchanged(info: MediaInfo) -> None:
    """Make sure that a file is still the one that was probed: what is measured is remembered as that one's.

    Raises:
        InputError: it has grown, was written to, or is gone.
    """
    try:
        now = info.path.stat()
    except OSError as err:
        raise InputError(f"vanished while it was read: {info.path}", detail=err.strerror) from err
    if (now.st_size, now.st_mtime_ns) != (info.size_bytes, info.modified_ns):
        raise InputError(f"changed while it was read: {info.path}", hint="wait until it is written, then try again")


def check_usable(info: MediaInfo) -> MediaInfo:
    """The same, if it can be judged.

    Raises:
        InputError: too short or too small.
    """
    if info.frames < 2:
        raise InputError(f"a clip needs at least 2 frames: {info.path} has {info.frames}")
    if info.size.short_side < MIN_SHORT_SIDE:
        raise InputError(f"too small to judge: {info.path} is {info.size}; {MIN_SHORT_SIDE} px is the least")
    return info


def shown_size(coded: Size, sar: Fraction, rotation_deg: int) -> Size:
    """In square pixels, turned upright."""
    width = round(coded.width * sar)
    return Size(coded.height, width) if rotation_deg in (90, 270) else Size(width, coded.height)


@dataclass(frozen=True, slots=True)
class _Video:
    """The stream that is read, among ``choices`` that could be, with the tags that the container gives it."""

    stream: Any
    packets: Packets
    tags: ColourTags
    choices: int


def _choose(container: Any, path: Path) -> _Video:
    """The stream to be read: no cover picture, marked as default, and of the most pixels over all of its frames.

    ffmpeg goes by the size of the picture alone, and takes the stills of a phone's "motion photo" for its video.
    """
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    videos = [s for s in container.streams.video if not s.disposition & pictures]
    if not videos:
        kinds = {"a picture" if s.type == "video" else s.type for s in container.streams} or {"nothing"}
        raise InputError(f"no video stream: {path} (it holds {', '.join(sorted(kinds))})")
    readable = [s for s in videos if s.codec_context is not None]
    if not readable:
        raise InputError(f"no decoder knows its video: {path}")
    tags = {s.index: container_colour(s.codec_context) for s in readable}
    found = read_packets(container, readable)
    filled = [s for s in readable if found[s.index].pts]
    if not filled:
        raise InputError(f"no frames to show: {path}", hint="they may lie in another file, or an edit list hides them")
    best = max(filled, key=lambda s: (bool(s.disposition & Disposition.default), _pixels(s, found[s.index])))
    return _Video(best, found[best.index], tags[best.index], len(filled))


def _pixels(stream: Any, packets: Packets) -> int:
    return int(stream.width * stream.height * len(packets.pts))


def _first_frame(path: Path, index: int) -> tuple[Any, Any]:
    """It, and the decoder that gave it. The file is opened again because raw streams cannot seek back."""
    with open_media(path) as container:
        stream = container.streams[index]
        frame = next(container.decode(stream), None)
        if frame is None:
            raise InputError(f"no frame can be decoded: {path}")
        return frame, stream.codec_context


def _describe(path: Path, container: Any, video: _Video, frame: Any, context: Any) -> MediaInfo:
    stream, packets = video.stream, video.packets
    # A frame's own size is rounded where the codec crops.
    coded, rotation = Size(context.width, context.height), round(-(frame.rotation or 0)) % 360
    sar = Fraction(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1) or Fraction(1)
    timed = container.duration is not None  # raw streams carry no time: their rate is the decoder's word
    fps, vfr = frame_rate(stream, packets) if timed else (nominal_rate(stream), False)
    times = [float(pts * stream.time_base) for pts in packets.pts] if vfr else []
    steady, crowded = steady_rate(times, fps) if vfr else (None, 0)
    colour = _colour(path, frame, video.tags)
    return MediaInfo(
        path=path,
        stream_index=stream.index,
        container=container.format.name,
        codec=context.name.split("-")[0] if context.name.startswith("lib") else stream.codec.canonical_name,
        coded=coded,
        size=shown_size(coded, sar, rotation),
        fps=fps,
        frames=len(packets.sizes),
        duration_s=float(len(packets.sizes) / fps),
        pix_fmt=frame.format.name,
        bit_depth=frame.format.components[0].bits,
        colour=colour,
        rotation_deg=rotation,
        sar=sar,
        interlaced=bool(frame.interlaced_frame),
        vfr=vfr,
        alpha=any(c.is_alpha for c in frame.format.components),
        size_bytes=0,
        video_bytes=sum(packets.sizes),
        steady_fps=steady,
        crowded_frames=crowded,
        remarks=tuple(_remarks(video, coded, colour)),
    )


def _colour(path: Path, frame: Any, tags: ColourTags) -> ColourTags:
    colour = joined(frame_colour(frame), tags)
    if colour.transfer is None and any(data.type.name.startswith("DOVI") for data in frame.side_data):
        raise no_base_layer(path, "its frames name no transfer")
    return colour


def _remarks(video: _Video, coded: Size, colour: ColourTags) -> Iterator[str]:
    if video.choices > 1:
        yield f"{video.choices} video streams: stream {video.stream.index} ({coded}) is taken"
    if colour.primaries == "bt2020" and colour.transfer is None:
        yield "BT.2020 colours without a transfer tag are taken for SDR; tag them if they are HDR"
