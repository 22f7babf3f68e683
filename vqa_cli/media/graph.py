"""What all command lines share: how a source is read, numbered and scaled, and ffmpeg-python's graph. Nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.types import ColourTags, MediaInfo, Size

# -nostdin: a child that reads the terminal eats the user's keys. level+info: error lines can be told apart, and
# -benchmark reports CPU time.
GLOBAL = ("-hide_banner", "-nostdin", "-loglevel", "level+info", "-nostats")
PROGRESS = ("-progress", "pipe:1", "-stats_period", "0.5", "-benchmark")
# Flags of the scale filter: without them it rounds coarsely, and halves the chroma of RGB before it computes with it.
EXACT = "accurate_rnd+full_chroma_int"


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source as every command must read it, so that encode and reference see the same frames.

    ``fps`` is the constant rate at which frames are numbered; ``full_range`` pictures are brought to limited range.
    """

    path: Path
    stream_index: int
    fps: Fraction
    size: Size
    colour: ColourTags
    full_range: bool
    bit_depth: int

    @classmethod
    def of(cls, info: MediaInfo) -> SourceView:
        return cls(
            path=info.path.absolute(),
            stream_index=info.stream_index,
            fps=info.fps,
            size=info.size,
            colour=info.colour,
            full_range=info.colour.range == "pc",
            bit_depth=info.bit_depth,
        )


def open_input(path: Path, **options: Any) -> Any:
    """A local file as ffmpeg input, safe against names that look like a protocol, an option or a pattern."""
    return library().input(f"file:{path}", protocol_whitelist="file", **options)


def by_index(stream: Any, fps: Fraction) -> Any:
    """Number the frames 0, 1, 2, … at ``fps``, whatever the container's clock says.

    Timestamps cannot be trusted for pairing: Matroska rounds them to milliseconds, and 29.97 fps material then pairs
    with the wrong frame of an MP4.
    """
    return stream.filter("settb", expr=f"{fps.denominator}/{fps.numerator}").filter("setpts", "N")


def to_size(stream: Any, source: Size, target: Size, *, downscale: str, upscale: str, full_range: bool) -> Any:
    """Scale to ``target`` in limited range with square pixels, by the filter for the direction."""
    smaller = target.short_side < source.short_side
    kernel = downscale if smaller else upscale
    scaled = stream.filter(
        "scale",
        target.width,
        target.height,
        flags=f"{kernel}+{EXACT}",
        in_range="pc" if full_range else "tv",
        out_range="tv",
    )
    return scaled.filter("setsar", 1)


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
