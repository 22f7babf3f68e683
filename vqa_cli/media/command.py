"""Pure functions from planned rungs to encode command lines. Nothing runs here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa_cli.document import RatePoint
from vqa_cli.media.encoders import Encoder, Options
from vqa_cli.media.extra import Pairs
from vqa_cli.media.graph import GLOBAL, PROGRESS, SourceView, by_index, compile_argv, prepared, rate_text, to_size
from vqa_cli.media.pixels import bit_depth
from vqa_cli.values import ColourTags, Size

PASS_LOG = "pass"


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
    extra: Pairs = ()


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
    stream = by_index(prepared(source), source.fps)
    stream = to_size(stream, source, order.size, downscale=order.downscale, upscale=order.upscale)
    stream = stream.filter("format", order.pix_fmt)
    for part in upload_filters(order.encoder, order.pix_fmt).split(","):
        if part:
            name, _, value = part.partition("=")
            stream = stream.filter(name, value) if value else stream.filter(name)
    options = merge_options(
        {"c:v": order.encoder.name},
        speed_options(order.encoder, order.speed, order.tune),
        order.encoder.fixed,
        rate_options(order.encoder, order.rate),
        order.encoder.gop(order.gop_frames),
        order.encoder.threads(order.threads),
        _colour_options(source.colour),
        {"tag:v": order.encoder.tag} if order.encoder.tag and "pass" not in more else {},
        *({name: value} for name, value in order.extra),
        # The frames are already numbered at this rate; saying it gives encoders their rate-control clock.
        {"r": rate_text(source.fps), "fps_mode": "cfr"},
        {"map_metadata": "-1"},
        more,
    )
    argv = compile_argv(ffmpeg, stream.output(output, **options))
    return (*argv[:1], *GLOBAL, *PROGRESS, *order.encoder.device, *argv[1:], "-y")


def upload_filters(encoder: Encoder, pix_fmt: str) -> str:
    """The filters that carry frames of this format to the encoder's device; empty where it has none."""
    return (encoder.upload or "").replace("nv12", "nv12" if bit_depth(pix_fmt) == 8 else "p010le")


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


def build_check_argv(
    ffmpeg: Path, encoder: Encoder, options: Options | None = None, pix_fmt: str | None = None
) -> list[str]:
    """Two frames through ``encoder``, to learn whether it really runs here, which version it is, and whether it
    takes these options and this pixel format.
    """
    pix_fmt = pix_fmt or encoder.pix_fmt
    chain = ["-vf", upload_filters(encoder, pix_fmt)] if encoder.upload else ["-pix_fmt", pix_fmt]
    options = speed_options(encoder, None, None) if options is None else options
    told = [word for name, value in options.items() for word in (f"-{name}", value)]
    return [
        str(ffmpeg), *GLOBAL, *encoder.device, "-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25:duration=0.08",
        *chain, "-c:v", encoder.name, *told, "-f", "mp4",
        "-movflags", "frag_keyframe+empty_moov", "pipe:1",
    ]  # fmt: skip


def build_model_argv(ffmpeg: Path, models: Sequence[str]) -> list[str]:
    """One frame compared with itself by libvmaf's ``models``, to learn whether it holds them."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=480x270:rate=25:duration=0.04,format=yuv420p"]
    named = "|".join(f"version={model}" for model in models)
    return [str(ffmpeg), *GLOBAL, *picture, *picture, "-lavfi", f"libvmaf=model='{named}'", "-f", "null", "-"]


def merge_options(*layers: Any) -> Options:
    """Merge option layers, later ones winning; ``key=value:key=value`` parameter strings are joined, not replaced."""
    merged: Options = {}
    for layer in layers:
        for key, value in layer.items():
            merged[key] = f"{merged[key]}:{value}" if key.endswith("-params") and key in merged else value
    return merged


def speed_options(encoder: Encoder, speed: str | None, tune: str | None) -> Options:
    """Options of a speed preset, the encoder's default where none is named, and of a tune."""
    speed = speed or encoder.default_speed
    options = {encoder.speed_key: speed} if speed else {}
    if tune:
        options |= {"svtav1-params": f"tune={tune}"} if encoder.name == "libsvtav1" else {"tune": tune}
    return options


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
