"""Pure functions from planned rungs to encode command lines. Nothing runs here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqa_cli.document import RatePoint
from vqa_cli.media.encoders import Encoder, Options
from vqa_cli.media.graph import GLOBAL, PROGRESS, SourceView, by_index, compile_argv, prepared, rate_text, to_size
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
    extra: tuple[str, ...] = ()


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
        {"r": rate_text(source.fps), "fps_mode": "cfr"},
        {"map_metadata": "-1"},
        more,
    )
    argv = compile_argv(ffmpeg, stream.output(output, **options))
    return (*argv[:1], *GLOBAL, *PROGRESS, *order.encoder.device, *argv[1:], "-y")


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
        str(ffmpeg), *GLOBAL, *encoder.device, "-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25:duration=0.25",
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
