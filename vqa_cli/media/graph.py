"""What all command lines share: how a source is read, numbered and scaled, and ffmpeg-python's graph. Nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.values import AS_IT_IS, ColourTags, MediaInfo, Preparation, Size

# -nostdin: a child that reads the terminal eats the user's keys. level+info: error lines can be told apart, and
# -benchmark reports CPU time.
GLOBAL = ("-hide_banner", "-nostdin", "-loglevel", "level+info", "-nostats")
PROGRESS = ("-progress", "pipe:1", "-stats_period", "0.5", "-benchmark")
# Flags of the scale filter: without them it rounds coarsely, halves the chroma of RGB before it computes with it, and gives
# other pixels with other CPU instructions.
EXACT = "accurate_rnd+full_chroma_int+bitexact"
# Options of the decoder. H.264, HEVC, VP9 and AV1 say every bit; MPEG-2, MPEG-4, motion JPEG, DNxHD and DV leave the inverse
# transform open, and ffmpeg takes whichever is fastest on the CPU. "simple" is the one that gives the same on all.
SAME_EVERYWHERE = {"flags": "bitexact", "idct": "simple"}
FFV1 = {"c:v": "ffv1", "level": "3", "g": "1", "slices": "12", "map_metadata": "-1"}
RGB = "gbr"  # the matrix of pictures that are RGB
HD_SHORT_SIDE = 720


@dataclass(frozen=True, slots=True)
class Seek:
    """Where decoding begins instead of at the first frame, and which frames are then taken, by their exact time.

    Attributes:
        start_us: where the demuxer is sent, in microseconds of the file's own clock; ``None`` is the beginning.
        first_pts, end_pts: the first frame that is taken, and the first after it that is not, in ticks of that clock;
            ``None`` is the end of the file.
        frames: how many are taken.
    """

    start_us: int | None
    first_pts: int
    end_pts: int | None
    frames: int


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source as every command must read it, so that encode and reference see the same frames.

    ``fps`` is the constant rate at which frames are numbered; ``full_range`` pictures are brought to limited range, and
    ``rgb`` ones to the matrix of ``colour``. What else is said here is said of the frames after ``steps``. ``seek`` finds
    the part that is wanted without decoding what lies before it; the frames are the same as by counting.
    """

    path: Path
    stream_index: int
    fps: Fraction
    size: Size
    colour: ColourTags
    full_range: bool
    bit_depth: int
    rgb: bool = False
    steps: Preparation = AS_IT_IS
    seek: Seek | None = None

    @classmethod
    def of(cls, info: MediaInfo) -> SourceView:
        rgb = info.colour.matrix == RGB
        return cls(
            path=info.path.absolute(),
            stream_index=info.stream_index,
            fps=info.fps,
            size=info.size,
            colour=replace(info.colour, matrix=_matrix_for(info.size), range="tv") if rgb else info.colour,
            full_range=info.colour.range == "pc" and not rgb,
            bit_depth=info.bit_depth,
            rgb=rgb,
        )


def open_input(path: Path, seek: Seek | None = None, **options: Any) -> Any:
    """A local file as ffmpeg input, safe against names that look like a protocol, an option or a pattern."""
    if seek is not None:
        options |= {"copyts": None}  # ffmpeg must leave the frames' times as they are
        if seek.start_us is not None:
            options |= {"seek_timestamp": "1", "noaccurate_seek": None, "ss": f"{seek.start_us}us"}
    return library().input(f"file:{path}", protocol_whitelist="file", **SAME_EVERYWHERE, **options)


def picked(stream: Any, seek: Seek) -> Any:
    """The frames that a seek is for."""
    end = {} if seek.end_pts is None else {"end_pts": seek.end_pts}
    return stream.filter("trim", start_pts=seek.first_pts, **end)


def prepared(source: SourceView, **options: Any) -> Any:
    """The source's frames after its steps."""
    stream, steps = open_input(source.path, source.seek, **options)[str(source.stream_index)], source.steps
    if source.seek is not None:
        stream = picked(stream, source.seek)
    if steps.changes:
        stream = _changed(stream, source)
    if steps.span is None:
        return stream
    if source.seek is None:
        first, count = steps.span
        stream = by_index(stream, source.fps).filter("trim", start_frame=first, end_frame=first + count)
    return by_index(stream, source.fps)


def _changed(stream: Any, source: SourceView) -> Any:
    steps = source.steps
    if steps.deinterlace:
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    if steps.constant_rate:
        stream = stream.filter("fps", fps=steps.constant_rate)
    stream = _tonemapped(stream, steps.colour) if steps.tonemap else _to_limited_yuv(stream, source)
    return stream.filter("format", steps.pix_fmt)


def lossless(source: SourceView) -> dict[str, str]:
    """Options that keep frames to the bit (FFV1), with the tags of those of ``source``."""
    tags = {
        "colorspace": source.colour.matrix,
        "color_primaries": source.colour.primaries,
        "color_trc": source.colour.transfer,
        "color_range": source.colour.range,
    }
    if source.rgb:  # stays RGB in the copy; the tags are those of what is made of it
        del tags["colorspace"], tags["color_range"]
    return FFV1 | {key: value for key, value in tags.items() if value}


def by_index(stream: Any, fps: Fraction) -> Any:
    """Number the frames 0, 1, 2, … at ``fps``, whatever the container's clock says.

    Timestamps cannot be trusted for pairing: Matroska rounds them to milliseconds, and 29.97 fps material then pairs
    with the wrong frame of an MP4.
    """
    return stream.filter("settb", expr=f"{fps.denominator}/{fps.numerator}").filter("setpts", "N")


def to_size(stream: Any, source: SourceView, target: Size, *, downscale: str, upscale: str) -> Any:
    """Scale to ``target`` in limited range with square pixels, by the filter for the direction."""
    kernel = downscale if target.short_side < source.size.short_side else upscale
    return _scaled(stream, source, kernel, target.width, target.height).filter("setsar", 1)


def _to_limited_yuv(stream: Any, source: SourceView) -> Any:
    """Pictures as all others are: limited range, no RGB, their size kept. To be followed by ``format``.

    Left to itself ffmpeg goes by the pixel format whether to change the range, makes BT.601 of all RGB, and puts in a scale
    filter without exact flags where chroma must be halved.
    """
    before = replace(source, full_range=source.steps.full_range, rgb=source.steps.rgb)
    return _scaled(stream, before, "bicubic")


def _tonemapped(stream: Any, colour: ColourTags) -> Any:
    """HDR (PQ or HLG) to BT.709 SDR: linear light, Hable curve, back to BT.709. An approximation of a viewer's display.

    The frames are told what the file says: tags of the container alone do not reach them.
    """
    tags = {
        "colorspace": colour.matrix or "bt2020nc",
        "color_primaries": colour.primaries or "bt2020",
        "color_trc": colour.transfer,
    }
    return (
        stream.filter("setparams", **tags)
        .filter("zscale", transfer="linear", npl=100)
        .filter("format", "gbrpf32le")
        .filter("zscale", primaries="bt709")
        .filter("tonemap", tonemap="hable", desat=0)
        .filter("zscale", transfer="bt709", matrix="bt709", range="tv")
    )


def _scaled(stream: Any, source: SourceView, kernel: str, *size: int) -> Any:
    # RGB has one range, whatever its tag says.
    how = {} if source.rgb else {"in_range": "pc" if source.full_range else "tv"}
    if source.rgb:
        how["out_color_matrix"] = str(source.colour.matrix)
    return stream.filter("scale", *size, flags=f"{kernel}+{EXACT}", **how, out_range="tv")


def _matrix_for(size: Size) -> str:
    """What players take video of this size for where nothing is said."""
    return "bt709" if size.short_side >= HD_SHORT_SIDE else "smpte170m"


def rate_text(fps: Fraction) -> str:
    return f"{fps.numerator}/{fps.denominator}"


def library() -> Any:
    import ffmpeg

    return ffmpeg


def compile_argv(ffmpeg: Path, *outputs: Any) -> list[str]:
    graph = library()
    stream = outputs[0] if len(outputs) == 1 else graph.merge_outputs(*outputs)
    argv: list[str] = stream.compile(cmd=str(ffmpeg))
    return argv
