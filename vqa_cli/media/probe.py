"""What a video file is: container, stream, colour, timing, and whether it is whole. Uses PyAV, decodes one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.errors import InputError
from vqa_cli.media.graph import RGB
from vqa_cli.values import ColourTags, MediaInfo, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
MIN_SHORT_SIDE = 64
# What is lost at the end before a file counts as truncated: players and muxers disagree by a few frames.
_SHORTFALL_S = 0.5

_MATRIX = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
    10: "bt2020c",
}
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
_TRANSFER = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 11: "iec61966-2-4",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip

_USUAL = sorted(
    [Fraction(n) for n in (12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)]
    + [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)]
)
_MOST_FPS = Fraction(120)


@dataclass(frozen=True, slots=True)
class _Packets:
    """Timing of the packets of the video stream, in presentation order."""

    pts: list[int]
    sizes: list[int]
    end_s: float


def probe(path: Path) -> MediaInfo:
    """Read everything that planning needs from the first real video stream of a local file.

    Raises:
        InputError: missing, empty, not a video, without a video stream, truncated, or too small to judge.
    """
    _check_file(path)
    import av

    try:
        with av.open(str(path.resolve()), options={"protocol_whitelist": "file"}) as container:
            stream = _video_stream(container, path)
            packets = _read_packets(container, stream.index)
            frame = _first_frame(path, stream.index)
            info = _describe(path, container, stream, packets, frame)
            _check_whole(info, container, stream, packets)
    except av.FFmpegError as err:
        raise InputError(
            f"cannot read as video: {path}",
            detail=err.strerror or str(err),
            hint="is the file complete, and does a player open it?",
        ) from err
    _check_usable(info)
    return info


def packet_rates(path: Path) -> tuple[list[tuple[float, int]], int]:
    """Presentation time in s and size in bytes of each video packet, and the number of packets.

    Raises:
        InputError: the file cannot be read.
    """
    import av

    try:
        with av.open(str(path.resolve()), options={"protocol_whitelist": "file"}) as container:
            stream = _video_stream(container, path)
            base = stream.time_base
            packets = _read_packets(container, stream.index)
    except av.FFmpegError as err:
        raise InputError(f"cannot read as video: {path}", detail=err.strerror) from err
    order = sorted(zip(packets.pts, packets.sizes, strict=True))
    return [(float(pts * base), size) for pts, size in order], len(packets.sizes)


def _check_file(path: Path) -> None:
    if not _is_text(path.absolute()):
        # Reports, tables and run documents are text, and name the file.
        raise InputError(
            f"file name is not valid UTF-8: {path}", hint="rename the file or its folder, or give a link to it"
        )
    if not path.exists():
        raise InputError(f"no such file: {path}")
    if path.is_dir():
        raise InputError(f"is a directory, not a video: {path}")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"file is empty: {path}")
    except OSError as err:
        raise InputError(f"cannot read: {path}", detail=err.strerror) from err


def _is_text(path: Path) -> bool:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _video_stream(container: Any, path: Path) -> Any:
    """The first video stream that is not a cover picture."""
    streams = [s for s in container.streams.video if "attached_pic" not in str(s.disposition)]
    if not streams:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise InputError(f"no video stream: {path} (it holds {', '.join(kinds)})")
    return streams[0]


def _read_packets(container: Any, index: int) -> _Packets:
    pts: list[int] = []
    sizes: list[int] = []
    end_s = 0.0
    for packet in container.demux():
        if not packet.size or packet.time_base is None:
            continue
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            end_s = max(end_s, float((stamp + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index == index:
            sizes.append(packet.size)
            pts.append(stamp if stamp is not None else len(pts))
    return _Packets(pts, sizes, end_s)


def _first_frame(path: Path, index: int) -> Any:
    # Opened again because raw streams cannot seek back.
    import av

    with av.open(str(path.resolve()), options={"protocol_whitelist": "file"}) as container:
        frame = next(container.decode(container.streams[index]), None)
    if frame is None:
        raise InputError(f"no frame can be decoded: {path}")
    return frame


def _describe(path: Path, container: Any, stream: Any, packets: _Packets, frame: Any) -> MediaInfo:
    context = stream.codec_context
    coded = Size(frame.width, frame.height)
    rotation = round(-(frame.rotation or 0)) % 360
    sar = Fraction(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1) or Fraction(1)
    timed = container.duration is not None  # raw streams carry no time: their rate is the decoder's word
    fps, vfr = _frame_rate(stream, packets) if timed else (_nominal(stream), False)
    pix_fmt = frame.format.name
    count = len(packets.sizes)
    return MediaInfo(
        path=path,
        stream_index=stream.index,
        container=container.format.name,
        codec=context.name.split("-")[0] if context.name.startswith("lib") else stream.codec.canonical_name,
        coded=coded,
        size=_shown_size(coded, sar, rotation),
        fps=fps,
        frames=count,
        duration_s=float(count / fps),
        pix_fmt=pix_fmt,
        bit_depth=frame.format.components[0].bits,
        colour=_colour(frame, pix_fmt),
        rotation_deg=rotation,
        sar=sar,
        interlaced=bool(frame.interlaced_frame),
        vfr=vfr,
        alpha=any(c.is_alpha for c in frame.format.components),
        size_bytes=path.stat().st_size,
        video_bytes=sum(packets.sizes),
        steady_fps=_steady_rate([float(pts * stream.time_base) for pts in packets.pts], fps) if vfr else None,
    )


def _shown_size(coded: Size, sar: Fraction, rotation: int) -> Size:
    width = round(coded.width * sar)
    return Size(coded.height, width) if rotation in (90, 270) else Size(width, coded.height)


def _colour(frame: Any, pix_fmt: str) -> ColourTags:
    full = int(frame.color_range) == 2 or pix_fmt.startswith("yuvj")
    return ColourTags(
        matrix=RGB if frame.format.is_rgb or frame.format.has_palette else _MATRIX.get(int(frame.colorspace)),
        primaries=_PRIMARIES.get(int(frame.color_primaries)),
        transfer=_TRANSFER.get(int(frame.color_trc)),
        range="pc" if full else ("tv" if int(frame.color_range) == 1 else None),
    )


def _frame_rate(stream: Any, packets: _Packets) -> tuple[Fraction, bool]:
    """Nominal rate, and whether the timing really varies.

    Timestamps that a container rounded (Matroska: to milliseconds) are still constant: the rate varies only when some
    frame lies half a frame or more off the ideal grid.
    """
    guess = _nominal(stream)
    stamps = sorted(packets.pts)
    if len(stamps) < 3 or stream.time_base is None or len(set(stamps)) < len(stamps):
        return _standard(guess), False
    span = (stamps[-1] - stamps[0]) * stream.time_base
    mean = Fraction(len(stamps) - 1) / span if span > 0 else guess
    fps = _standard(mean, slack=3 * stream.time_base / (2 * span) if span > 0 else Fraction(0))
    step = 1 / (fps * stream.time_base)
    off = max(abs((stamp - stamps[0]) - index * step) for index, stamp in enumerate(stamps))
    return fps, bool(off * 2 >= step)


def _steady_rate(times: list[float], mean: Fraction) -> Fraction:
    """The lowest usual rate at which frames of uneven timing each keep a place of their own, but for one in a hundred.

    At the mean rate the denser parts would lose frames. ffmpeg's own guess (``r_frame_rate``) is of no use here: it is as
    often the container's clock as a rate of frames. 120 fps are the most.

    Args:
        times: of the frames, in s and in any order.
    """
    ticks = np.sort(np.array(times)) - min(times)
    usual = [rate for rate in _USUAL if mean <= rate * Fraction(1001, 1000) and rate <= _MOST_FPS]
    for rate in usual:
        if _lost(ticks, rate) <= len(times) // 100:
            near = [other for other in usual if abs(other / rate - 1) < Fraction(1, 500)]
            return min(near, key=lambda other: _off_grid(ticks, other))
    return usual[-1] if usual else _MOST_FPS


def _lost(ticks: NDArray[np.float64], rate: Fraction) -> int:
    return len(ticks) - len(np.unique(np.floor(ticks * float(rate) + 0.5)))


def _off_grid(ticks: NDArray[np.float64], rate: Fraction) -> float:
    places = ticks * float(rate)
    return float(np.abs(places - np.round(places)).mean())


def _nominal(stream: Any) -> Fraction:
    return Fraction(stream.guessed_rate or stream.average_rate or stream.base_rate or 25)


def _standard(rate: Fraction, slack: Fraction = Fraction(0)) -> Fraction:
    """Snap a measured rate to the standard one that it rounds; ``slack`` is what coarse timestamps can hide."""
    best = min(_USUAL, key=lambda c: abs(c - rate))
    if abs(best / rate - 1) < max(slack, Fraction(1, 2001)):
        return best
    return rate.limit_denominator(1001)


def _check_whole(info: MediaInfo, container: Any, stream: Any, packets: _Packets) -> None:
    promised = stream.frames
    if promised and info.frames + _skipped(info, packets, promised) < promised:
        raise InputError(f"truncated: {info.path} holds {info.frames} of {promised} frames")
    if container.duration is None or len(packets.sizes) < 2:
        return
    start = (container.start_time or 0) / 1e6
    promised_s = container.duration / 1e6
    if promised_s - (packets.end_s - start) > max(_SHORTFALL_S, 0.02 * promised_s) and not math.isinf(promised_s):
        raise InputError(
            f"truncated: {info.path} promises {promised_s:.2f} s and ends after {packets.end_s - start:.2f} s"
        )


def _skipped(info: MediaInfo, packets: _Packets, promised: int) -> int:
    """Frames that an AVI leaves out on purpose, by empty chunks that show the frame before once more.

    Its header counts them and its clock ticks for them, but they are no packets. Those at the very end cannot be told from
    a loss; where others were left out before, a few of them are believed.
    """
    if info.container != "avi" or not packets.pts:
        return 0
    inside = max(packets.pts) + 1 - info.frames
    at_end = promised - info.frames - inside
    return promised - info.frames if 0 < at_end <= _SHORTFALL_S * info.fps and inside > 0 else inside


def _check_usable(info: MediaInfo) -> None:
    if info.frames < 2:
        raise InputError(f"a clip needs at least 2 frames: {info.path} has {info.frames}")
    if info.size.short_side < MIN_SHORT_SIDE:
        raise InputError(f"too small to judge: {info.path} is {info.size}; {MIN_SHORT_SIDE} px is the least")
