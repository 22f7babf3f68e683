"""Pure functions to the command lines that decode: for the scorer, for comparison, to count, to prepare. Nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vqa_cli.identity import Layout
from vqa_cli.media.comparison import comparison_filters
from vqa_cli.media.graph import (
    FFV1,
    GLOBAL,
    PROGRESS,
    SourceView,
    by_index,
    compile_argv,
    library,
    lossless,
    prepared,
    to_size,
)
from vqa_cli.values import AS_IT_IS, Matrix, Size


@dataclass(frozen=True, slots=True)
class MeasureOrder:
    """How frames of a file are brought to the scorer, and what is measured against the reference on the way.

    Of the frames from number ``first`` up to, not including, ``end``, each ``every``-th is kept.
    ``layout`` is that of the frames that come out; for rgb24, ``untagged`` is the matrix of video that names none.
    """

    display: Size
    metrics: tuple[str, ...] = ()
    downscale: str = "lanczos"
    upscale: str = "bicubic"
    threads: int = 2
    every: int = 1
    first: int = 0
    end: int | None = None
    layout: Layout = "yuv420p"
    untagged: Matrix = "bt601"


def build_frames_argv(ffmpeg: Path, source: SourceView, order: MeasureOrder, **told: Any) -> tuple[str, ...]:
    """Decode ``source`` alone to raw frames at the display size on standard output.

    Args:
        told: options of ffmpeg's that say what is in a file without a header.
    """
    if _is_straight(source, order):
        return _raw_output(ffmpeg, _sampled(_opened(source, order, **told), order), source, order)
    stream = _sampled(_seen(source, order, **told), order)
    if order.layout == "rgb24":
        stream = stream.filter("format", _compared(source))
    return _raw_output(ffmpeg, stream, source, order)


def build_measure_argv(ffmpeg: Path, encode: SourceView, reference: SourceView, order: MeasureOrder) -> tuple[str, ...]:
    """Decode ``encode`` and ``reference`` once, compare them by every metric, and give the encode's raw frames.

    The comparison filters hand the encode's frames on, so that they form one chain: nothing is decoded twice and no
    branch can run ahead of the reader. Only RGB at the file's own size branches off before, because what is compared is
    4:2:0 in limited range: the model is shown the pixels of :func:`build_frames_argv`, with a reference or without. To be
    run in a working directory of its own, where the metrics' logs go.
    """
    if not order.metrics:
        return build_frames_argv(ffmpeg, encode, order)
    # Paired by number: at two rates the filters would pair by time, and drop or repeat frames of one side.
    encode = replace(encode, fps=reference.fps)
    if reference.rgb and encode.colour.matrix and not encode.rgb:
        reference = replace(reference, colour=replace(reference.colour, matrix=encode.colour.matrix))
    if not _is_straight(encode, order):
        stream = _sampled(_measured(_seen(encode, order), encode, reference, order), order)
        if order.layout == "rgb24":
            stream = stream.filter("format", _compared(encode))
        return _raw_output(ffmpeg, stream, encode, order)
    both = _opened(encode, order).filter_multi_output("split", 2)
    measured = _measured(_at_display(both[1], encode, order), encode, reference, order)
    logged = measured.output("-", f="null", fps_mode="passthrough")
    return _raw_output(ffmpeg, _sampled(both[0], order), encode, order, logged)


def _measured(stream: Any, encode: SourceView, reference: SourceView, order: MeasureOrder) -> Any:
    """The encode's frames at the display size, sent through the filters that compare them with the reference."""
    pix_fmt = _compared(encode, reference)
    filters = comparison_filters(order.metrics, order.threads, order.display.short_side, float(reference.fps))
    stream = stream.filter("format", pix_fmt)
    # An option of its own makes the second input a node of its own, even when a file is compared with itself.
    copies = (
        _seen(reference, order, thread_queue_size=8)
        .filter("format", pix_fmt)
        .filter_multi_output("split", len(filters))
    )
    for index, comparison in enumerate(filters):
        stream = library().filter([stream, copies[index]], comparison.name, **comparison.options)
        if comparison.printed:
            stream = stream.filter("metadata", mode="print", file=comparison.printed)
    return stream


def build_count_argv(ffmpeg: Path, source: SourceView) -> tuple[str, ...]:
    """Decode everything, prepared as the view says, and keep nothing: how many frames come out."""
    argv = compile_argv(ffmpeg, prepared(source).output("-", f="null", fps_mode="passthrough"))
    return (*argv[:1], *GLOBAL, *PROGRESS, *argv[1:])


def build_inspect_argv(ffmpeg: Path, source: SourceView, log: str) -> tuple[str, ...]:
    """As :func:`build_count_argv`; the first interlaced frame is logged as ``pts:<its number>``, if there is one.

    Its flag is the decoder's: only a whole decode shows where a file of several parts changes.
    """
    argv = build_count_argv(ffmpeg, source)
    at = argv.index("-map")
    # The printing filter passes over frames without metadata.
    graph = (
        f"[{argv[at + 1]}]split[all][own];"
        "[own]setpts=N,select=not(eq(interlace_type\\,PROGRESSIVE))*eq(selected_n\\,0),"
        f"metadata=add:key=interlaced:value=1,metadata=print:file={log},nullsink"
    )
    return (*argv[:at], "-filter_complex", graph, "-map", "[all]", *argv[at + 2 :])


def build_sums_argv(ffmpeg: Path, source: SourceView, threads: int) -> tuple[str, ...]:
    """As :func:`build_count_argv`, by so many threads, and with a line for each frame that ends with its checksum."""
    argv = compile_argv(ffmpeg, prepared(source, threads=threads).output("-", f="framecrc", fps_mode="passthrough"))
    return (*argv[:1], *GLOBAL, *argv[1:])


def build_prepare_argv(ffmpeg: Path, source: SourceView, output: str) -> tuple[str, ...]:
    """Write the source with its steps carried out, losslessly (FFV1), so that encodes and reference share its frames.

    Where they change frames, what comes out is YUV in limited range, whatever the source is.
    """
    steps = source.steps
    options = dict(FFV1) if steps.changes else lossless(source)
    if steps.span or not steps.constant_rate:
        options["fps_mode"] = "passthrough"
    argv = compile_argv(ffmpeg, prepared(source).output(output, **options))
    return (*argv[:1], *GLOBAL, *PROGRESS, *argv[1:], "-y")


def build_reference_argv(
    ffmpeg: Path, encode: SourceView, reference: SourceView, order: MeasureOrder, output: str
) -> tuple[str, ...]:
    """Write the reference as it is compared, without compression, so that many encodes cost it one decode.

    The file is read in the reference's place by the command of :func:`build_measure_argv`: what is done to its frames there is
    done already and changes nothing. Empty where that would not hold, or where nothing is compared. Matroska tells the tags of
    frames without compression, but has them in eight bits alone.
    """
    again = reference.full_range or reference.rgb or reference.stream_index or reference.seek
    if again or reference.steps != AS_IT_IS or not order.metrics or compared_depth(encode, reference) != _RAW_DEPTH:
        return ()
    stream = _seen(reference, order).filter("format", _compared(encode, reference))
    argv = compile_argv(ffmpeg, stream.output(output, vcodec="rawvideo", fps_mode="passthrough"))
    return (*argv[:1], *GLOBAL, *PROGRESS, *argv[1:], "-y")


# Of what Matroska holds without compression.
_RAW_DEPTH = 8
# Depths that every comparison filter and libvmaf take.
_DEPTHS = {8: "yuv420p", 10: "yuv420p10le", 12: "yuv420p12le", 16: "yuv420p16le"}


def compared_depth(*files: SourceView) -> int:
    """Bits at which files are compared: those of the deepest, so that none loses any."""
    deepest = max(file.bit_depth for file in files)
    return next((depth for depth in _DEPTHS if depth >= deepest), max(_DEPTHS))


def _compared(*files: SourceView) -> str:
    """Pixel format in which files are compared."""
    return _DEPTHS[compared_depth(*files)]


def _opened(source: SourceView, order: MeasureOrder, **options: Any) -> Any:
    """The frames of the part that is wanted, numbered from 0.

    They are counted, not sought: ffmpeg's ``-ss`` finds other frames in an MPEG-TS than in an MP4 of the same stream, and
    every container has its own first timestamp.
    """
    stream = by_index(prepared(source, **options), source.fps)
    if source.seek is not None or (not order.first and order.end is None):
        return stream
    cut = {"start_frame": order.first} | ({} if order.end is None else {"end_frame": order.end})
    return stream.filter("trim", **cut).filter("setpts", "N")


def _is_straight(source: SourceView, order: MeasureOrder) -> bool:
    """Whether RGB comes straight from what the file holds, as ``ffmpeg -pix_fmt rgb24``, whose pixels the published models
    were trained on: every format between would round once more, full range and finer chroma by up to 3 levels.
    """
    return order.layout == "rgb24" and order.display == source.size


def _seen(source: SourceView, order: MeasureOrder, **options: Any) -> Any:
    return _at_display(_opened(source, order, **options), source, order)


def _at_display(stream: Any, source: SourceView, order: MeasureOrder) -> Any:
    return to_size(stream, source, order.display, downscale=order.downscale, upscale=order.upscale)


def _sampled(stream: Any, order: MeasureOrder) -> Any:
    return stream if order.every == 1 else stream.filter("select", f"not(mod(n,{order.every}))")


def _raw_output(ffmpeg: Path, stream: Any, source: SourceView, order: MeasureOrder, *others: Any) -> tuple[str, ...]:
    """The whole command: raw frames on standard output, and ``others`` that ffmpeg writes beside them."""
    if order.layout == "rgb24":
        stream = _to_rgb(stream, source, order)
    stream = stream.filter("format", order.layout)
    frames = stream.output("pipe:1", f="rawvideo", pix_fmt=order.layout, fps_mode="passthrough")
    argv = compile_argv(ffmpeg, frames, *others)
    return (*argv[:1], *GLOBAL, *argv[1:])


def _to_rgb(stream: Any, source: SourceView, order: MeasureOrder) -> Any:
    """To be followed by ``format=rgb24``: the conversion of ``ffmpeg -pix_fmt rgb24``, which is plain bicubic without exact
    rounding. The published heads were trained on its pixels, up to 18 levels off exact ones where chroma is sharp.

    The size is named for pixels that are not square; tagged matrix and range are taken from the frames.
    """
    named = {} if source.colour.matrix else {"in_color_matrix": order.untagged}
    return stream.filter("scale", order.display.width, order.display.height, flags="bicubic", **named)
