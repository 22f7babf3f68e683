"""Pure functions to the command lines that turn chosen frames into pictures at the display size. Nothing runs here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.media.decode import MeasureOrder
from vqa_cli.media.graph import GLOBAL, HD_SHORT_SIDE, PROGRESS, SourceView, by_index, compile_argv, prepared, to_size


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """How pictures are written: ``options`` of ffmpeg's."""

    suffix: str
    encoder: str
    options: tuple[tuple[str, str], ...]


# AVIF holds the 4:2:0 pixels that were measured, by the matrix that they are in, in two thirds of WebP's bytes. SVT-AV1
# writes one in a tenth of libaom's time.
FORMATS = (
    PictureFormat(".avif", "libsvtav1", (("crf", "26"), ("preset", "7"))),
    PictureFormat(".webp", "libwebp", (("quality", "88"),)),
)


def build_pick_argv(ffmpeg: Path, source: SourceView, numbers: Sequence[int], output: str) -> tuple[str, ...]:
    """Decode everything, and keep the frames with these numbers as they are (raw, in NUT)."""
    stream = by_index(prepared(source), source.fps)
    stream = stream.filter("select", "+".join(f"eq(n,{number})" for number in numbers))
    argv = compile_argv(ffmpeg, stream.output(output, vcodec="rawvideo", fps_mode="passthrough"))
    return (*argv[:1], *GLOBAL, *PROGRESS, *argv[1:], "-y")


def build_pictures_argv(
    ffmpeg: Path, picked: SourceView, order: MeasureOrder, form: PictureFormat, names: Sequence[str]
) -> tuple[str, ...]:
    """Bring picked frames to the display size, as they were measured, and write each as a picture of its own."""
    stream = by_index(prepared(picked), picked.fps)
    stream = to_size(stream, picked, order.display, downscale=order.downscale, upscale=order.upscale)
    stream = stream.filter("format", "yuv420p")
    copies = [stream] if len(names) == 1 else stream.filter_multi_output("split", len(names))
    tags = {"colorspace": picked.colour.matrix or _untagged(picked), "color_range": "tv", "threads": "1"}
    outputs = [
        (copies[place] if len(names) > 1 else stream)
        .filter("select", f"eq(n,{place})")
        .output(name, **{"c:v": form.encoder, "frames:v": 1, **dict(form.options), **tags})
        for place, name in enumerate(names)
    ]
    argv = compile_argv(ffmpeg, *outputs)
    return (*argv[:1], *GLOBAL, *argv[1:], "-y")


def _untagged(view: SourceView) -> str:
    """What players take video without a tag for."""
    return "bt709" if view.size.short_side >= HD_SHORT_SIDE else "smpte170m"
