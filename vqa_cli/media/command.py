"""Pure functions from plans to ffmpeg command lines, built with ffmpeg-python's graph. Nothing runs here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.media.encoders import Encoder, Options
from vqa_cli.run import RatePoint
from vqa_cli.types import ColourTags, MediaInfo, Size

PASS_LOG = "pass"
# -nostdin: a child that reads the terminal eats the user's keys. level+info: error lines can be told apart, and
# -benchmark reports CPU time.
_GLOBAL = ("-hide_banner", "-nostdin", "-loglevel", "level+info", "-nostats")
_PROGRESS = ("-progress", "pipe:1", "-stats_period", "0.5", "-benchmark")


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


@dataclass(frozen=True, slots=True)
class EncodeOrder:
    """Everything that determines one encode's bitstream."""

    encoder: Encoder
    speed: str | None
    tune: str | None
    pix_fmt: str
    size: Size
    rate: RatePoint
    gop_frames: int
    threads: int
    downscale: str
    upscale: str
    extra: tuple[str, ...] = ()


def open_input(path: Path, **options: Any) -> Any:
    """A local file as ffmpeg input, safe against names that look like a protocol, an option or a pattern."""
    return _graph().input(f"file:{path}", protocol_whitelist="file", **options)


def by_index(stream: Any, fps: Fraction) -> Any:
    """Number the frames 0, 1, 2, … at ``fps``, whatever the container's clock says.

    Timestamps cannot be trusted for pairing: Matroska rounds them to milliseconds, and 29.97 fps material then pairs
    with the wrong frame of an MP4.
    """
    return stream.filter("settb", expr=f"{fps.denominator}/{fps.numerator}").filter("setpts", "N")


def to_size(stream: Any, source: Size, target: Size, *, downscale: str, upscale: str, full_range: bool) -> Any:
    """Scale to ``target`` in limited range with square pixels, by the filter for the direction."""
    smaller = target.short_side < source.short_side
    kernel = {"spline": "spline"}.get(downscale, downscale) if smaller else upscale
    scaled = stream.filter(
        "scale",
        target.width,
        target.height,
        flags=f"{kernel}+accurate_rnd+full_chroma_int",
        in_range="pc" if full_range else "tv",
        out_range="tv",
    )
    return scaled.filter("setsar", 1)


def build_encode_argv(ffmpeg: Path, source: SourceView, order: EncodeOrder, output: str) -> tuple[tuple[str, ...], ...]:
    """Command lines of one encode, in order: one, or two for two-pass VBR.

    They are to be run in a working directory of their own: pass logs are named relative to it.
    """
    if order.rate.mode == "bitrate" and order.encoder.two_pass:
        first = _encode_argv(ffmpeg, source, order, "-", {"pass": "1", "passlogfile": PASS_LOG, "f": "null"})
        second = _encode_argv(ffmpeg, source, order, output, {"pass": "2", "passlogfile": PASS_LOG})
        return first, second
    return (_encode_argv(ffmpeg, source, order, output, {}),)


def _encode_argv(ffmpeg: Path, source: SourceView, order: EncodeOrder, output: str, more: Options) -> tuple[str, ...]:
    stream = open_input(source.path)[str(source.stream_index)]
    stream = by_index(stream, source.fps)
    stream = to_size(
        stream, source.size, order.size,
        downscale=order.downscale, upscale=order.upscale, full_range=source.full_range,
    )  # fmt: skip
    stream = stream.filter("format", order.pix_fmt)
    for part in (order.encoder.upload or "").split(","):
        if part:
            name, _, value = part.partition("=")
            stream = stream.filter(name, value) if value else stream.filter(name)
    options = merge_options(
        {"c:v": order.encoder.name},
        _speed(order),
        order.encoder.fixed,
        rate_options(order.encoder, order.rate),
        order.encoder.gop(order.gop_frames),
        order.encoder.threads(order.threads),
        _colour_options(source.colour),
        {"tag:v": order.encoder.tag} if order.encoder.tag and "pass" not in more else {},
        _extra_options(order.extra),
        # The frames are already numbered at this rate; saying it gives encoders their rate-control clock.
        {"r": _rate(source.fps), "fps_mode": "cfr"},
        {"map_metadata": "-1"},
        more,
    )
    argv = _compile(ffmpeg, stream.output(output, **options))
    return (*argv[:1], *_GLOBAL, *_PROGRESS, *order.encoder.device, *argv[1:], "-y")


def rate_options(encoder: Encoder, rate: RatePoint) -> Options:
    """Rate-control options of a rate point."""
    bufsize = {"bufsize": _bits(rate.bufsize_kbps)} if rate.bufsize_kbps else {}
    if rate.mode == "crf":
        assert rate.crf is not None
        return encoder.quality(rate.crf)
    if rate.mode == "capped-crf":
        assert rate.crf is not None
        assert rate.maxrate_kbps is not None
        assert encoder.capped is not None
        return {**encoder.capped(rate.crf, rate.maxrate_kbps * 1000), **bufsize}
    assert rate.bitrate_kbps is not None
    options = {"b:v": _bits(rate.bitrate_kbps)} | ({"rc": "vbr"} if encoder.name.endswith("_nvenc") else {})
    if rate.maxrate_kbps and encoder.maxrate_with_bitrate:
        options |= {"maxrate": _bits(rate.maxrate_kbps), **bufsize}
    return options


def build_check_argv(ffmpeg: Path, encoder: Encoder) -> list[str]:
    """A quarter of a second through ``encoder``, to learn whether it really runs here and which version it is."""
    chain = ["-vf", encoder.upload] if encoder.upload else ["-pix_fmt", "yuv420p"]
    return [
        str(ffmpeg), *_GLOBAL, *encoder.device, "-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25:duration=0.25",
        *chain, "-c:v", encoder.name, "-f", "mp4",
        "-movflags", "frag_keyframe+empty_moov", "pipe:1",
    ]  # fmt: skip


def merge_options(*layers: Any) -> Options:
    """Merge option layers, later ones winning; ``key=value:key=value`` parameter strings are joined, not replaced."""
    merged: Options = {}
    for layer in layers:
        for key, value in layer.items():
            merged[key] = f"{merged[key]}:{value}" if key.endswith("-params") and key in merged else value
    return merged


def _speed(order: EncodeOrder) -> Options:
    speed = order.speed or order.encoder.default_speed
    options = {order.encoder.speed_key: speed} if speed else {}
    if order.tune:
        options |= (
            {"svtav1-params": f"tune={order.tune}"} if order.encoder.name == "libsvtav1" else {"tune": order.tune}
        )
    return options


def _extra_options(extra: Iterable[str]) -> Options:
    """``("-bf", "3", "-x265-params", "aq-mode=3")`` as options."""
    items = list(extra)
    return {key.lstrip("-"): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _colour_options(colour: ColourTags) -> Options:
    named = {
        "colorspace": colour.matrix,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
        "color_range": "tv" if colour.range else None,
    }
    return {key: value for key, value in named.items() if value}


def _bits(kbps: float) -> str:
    return str(round(kbps * 1000))


def _rate(fps: Fraction) -> str:
    return f"{fps.numerator}/{fps.denominator}"


def _graph() -> Any:
    import ffmpeg

    return ffmpeg


def _compile(ffmpeg: Path, *outputs: Any) -> list[str]:
    graph = _graph()
    stream = outputs[0] if len(outputs) == 1 else graph.merge_outputs(*outputs)
    argv: list[str] = stream.compile(cmd=str(ffmpeg))
    return argv


@dataclass(frozen=True, slots=True)
class MeasureOrder:
    """How frames of a file are brought to the scorer, and what is measured against the reference on the way.

    ``every`` keeps each ``every``-th frame; ``start_s`` and ``duration_s`` cut the input, decoding from a key frame.
    """

    display: Size
    metrics: tuple[str, ...] = ()
    downscale: str = "lanczos"
    upscale: str = "bicubic"
    threads: int = 2
    every: int = 1
    start_s: float | None = None
    duration_s: float | None = None


# Names of the log files, in the working directory of the command.
LOGS = {"vmaf": "vmaf.json", "psnr": "psnr.log", "ssim": "ssim.log", "xpsnr": "xpsnr.log"}
_VMAF_MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}


def build_frames_argv(ffmpeg: Path, source: SourceView, order: MeasureOrder) -> tuple[str, ...]:
    """Decode ``source`` alone to raw yuv420p frames at the display size on standard output."""
    stream = _seen(source, order)
    if order.every > 1:
        stream = stream.filter("select", f"not(mod(n,{order.every}))")
    return _raw_output(ffmpeg, stream.filter("format", "yuv420p"))


def build_measure_argv(ffmpeg: Path, encode: SourceView, reference: SourceView, order: MeasureOrder) -> tuple[str, ...]:
    """Decode ``encode`` and ``reference`` once, compare them by every metric, and give the encode's raw frames.

    The comparison filters hand the encode's frames on, so that they form one chain: nothing is decoded twice and no
    branch can run ahead of the reader. To be run in a working directory of its own, where the logs of :data:`LOGS` go.
    """
    pix_fmt = "yuv420p10le" if max(encode.bit_depth, reference.bit_depth) > 8 else "yuv420p"
    filters = comparison_filters(order.metrics, order.threads)
    stream = _seen(encode, order).filter("format", pix_fmt)
    # An option of its own makes the second input a node of its own, even when a file is compared with itself.
    copies = (
        _seen(reference, order, thread_queue_size=8)
        .filter("format", pix_fmt)
        .filter_multi_output("split", len(filters))
    )
    for index, (name, options) in enumerate(filters):
        stream = _graph().filter([stream, copies[index]], name, **options)
    if order.every > 1:
        stream = stream.filter("select", f"not(mod(n,{order.every}))")
    return _raw_output(ffmpeg, stream.filter("format", "yuv420p"))


def comparison_filters(metrics: Iterable[str], threads: int) -> list[tuple[str, dict[str, str]]]:
    """The filters that measure ``metrics``, each writing its log; one libvmaf serves both VMAF models."""
    wanted = set(metrics)
    filters: list[tuple[str, dict[str, str]]] = []
    models = [f"version={version}:name={name}" for name, version in _VMAF_MODELS.items() if name in wanted]
    if models:
        options = {
            "model": "|".join(models),
            "log_fmt": "json",
            "log_path": LOGS["vmaf"],
            "n_threads": str(threads),
        }
        filters.append(("libvmaf", options))
    filters += [(name, {"stats_file": LOGS[name]}) for name in ("psnr", "ssim", "xpsnr") if name in wanted]
    return filters


def build_count_argv(ffmpeg: Path, source: SourceView) -> tuple[str, ...]:
    """Decode everything and keep nothing: how many frames come out."""
    stream = open_input(source.path)[str(source.stream_index)]
    argv = _compile(ffmpeg, stream.output("-", f="null", fps_mode="passthrough"))
    return (*argv[:1], *_GLOBAL, *_PROGRESS, *argv[1:])


@dataclass(frozen=True, slots=True)
class Preparation:
    """What must happen to a source once, before anything can be compared with it."""

    constant_rate: bool = False
    deinterlace: bool = False
    tonemap: bool = False
    pix_fmt: str = "yuv420p"

    def __bool__(self) -> bool:
        return self.constant_rate or self.deinterlace or self.tonemap


def build_prepare_argv(ffmpeg: Path, source: SourceView, steps: Preparation, output: str) -> tuple[str, ...]:
    """Write the prepared source losslessly (FFV1), once, so that encodes and reference share its exact frames."""
    stream = open_input(source.path)[str(source.stream_index)]
    if steps.deinterlace:
        stream = stream.filter("bwdif", mode="send_frame")
    if steps.constant_rate:
        stream = stream.filter("fps", fps=_rate(source.fps))
    if steps.tonemap:
        stream = _tonemapped(stream)
    stream = stream.filter("format", steps.pix_fmt)
    options = {"c:v": "ffv1", "level": "3", "g": "1", "slices": "12", "map_metadata": "-1"}
    if not steps.constant_rate:
        options["fps_mode"] = "passthrough"
    argv = _compile(ffmpeg, stream.output(output, **options))
    return (*argv[:1], *_GLOBAL, *_PROGRESS, *argv[1:], "-y")


def _tonemapped(stream: Any) -> Any:
    """HDR (PQ or HLG) to BT.709 SDR: linear light, Hable curve, back to BT.709. An approximation of a viewer's display."""
    return (
        stream.filter("zscale", transfer="linear", npl=100)
        .filter("format", "gbrpf32le")
        .filter("zscale", primaries="bt709")
        .filter("tonemap", tonemap="hable", desat=0)
        .filter("zscale", transfer="bt709", matrix="bt709", range="tv")
    )


def _seen(source: SourceView, order: MeasureOrder, **options: Any) -> Any:
    cut: dict[str, Any] = dict(options)
    if order.start_s is not None:
        cut["ss"] = order.start_s
    if order.duration_s is not None:
        cut["t"] = order.duration_s
    stream = by_index(open_input(source.path, **cut)[str(source.stream_index)], source.fps)
    return to_size(
        stream, source.size, order.display,
        downscale=order.downscale, upscale=order.upscale, full_range=source.full_range,
    )  # fmt: skip


def _raw_output(ffmpeg: Path, stream: Any) -> tuple[str, ...]:
    argv = _compile(ffmpeg, stream.output("pipe:1", f="rawvideo", pix_fmt="yuv420p", fps_mode="passthrough"))
    return (*argv[:1], *_GLOBAL, *argv[1:])
