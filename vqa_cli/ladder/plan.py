"""Settings and a probed source become a list of encodes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from vqa_cli.document import RateMode, RatePoint
from vqa_cli.errors import InputError, UsageError
from vqa_cli.media.command import EncodeOrder
from vqa_cli.media.encoders import Encoder, find_encoder
from vqa_cli.media.extra import parse_extra
from vqa_cli.media.grain import SYNTHESISED, synthesises_grain
from vqa_cli.metrics import METRICS
from vqa_cli.settings import CodecSettings, FixedRung, LadderSettings
from vqa_cli.values import MediaInfo, Size

_SHORT_CLIP_S = 5.0


@dataclass(frozen=True, slots=True)
class PlannedRung:
    """One encode to be made; ``id`` is unique within the source and safe as a file name."""

    id: str
    codec: CodecSettings
    order: EncodeOrder
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LadderPlan:
    """All rungs of one source and the size at which they are judged."""

    display: Size
    rungs: tuple[PlannedRung, ...]
    warnings: tuple[str, ...]


def plan_ladder(info: MediaInfo, settings: LadderSettings) -> LadderPlan:
    """Expand settings into rungs for this source.

    Raises:
        InputError: pictures of this source are too large for a metric.
        UsageError: an unknown encoder or a rate point that it cannot do.
    """
    display = info.size.with_short_side(settings.display)
    _refuse_large(display, settings)
    warnings = list(_source_warnings(info, display))
    rungs: dict[str, PlannedRung] = {}
    clamped: set[int] = set()
    names = _names(settings)
    for codec, height, rate in _points(settings):
        short = min(height, info.size.short_side // 2 * 2)
        if short < height:
            clamped.add(height)
        order = _order(find_encoder(codec.encoder), codec, info, short, rate, settings)
        rung = PlannedRung(f"{names[codec]}_{short}p_{_rate_id(rate)}", codec, order, tuple(_rung_warnings(order)))
        rungs.setdefault(rung.id, rung)
    if clamped:
        sizes = ", ".join(f"{height}p" for height in sorted(clamped))
        warnings.append(f"rungs above the source's size ({sizes}) are encoded at {info.size.short_side // 2 * 2}p")
    return LadderPlan(display, tuple(rungs.values()), tuple(warnings))


def _points(settings: LadderSettings) -> Iterator[tuple[CodecSettings, int, RatePoint]]:
    for codec in settings.codecs:
        for fixed in settings.rungs:
            yield codec, fixed.height, fixed_rate(fixed)
        for height in settings.heights:
            for crf in codec.crf:
                mode: RateMode = "capped-crf" if codec.maxrate else "crf"
                yield (
                    codec,
                    height,
                    RatePoint(
                        mode=mode,
                        crf=crf,
                        maxrate_kbps=codec.maxrate,
                        bufsize_kbps=codec.bufsize or _double(codec.maxrate),
                    ),
                )
            for kbps in codec.bitrate:
                yield (
                    codec,
                    height,
                    RatePoint(
                        mode="bitrate",
                        bitrate_kbps=kbps,
                        maxrate_kbps=kbps * codec.maxrate_ratio,
                        bufsize_kbps=kbps * codec.bufsize_ratio,
                    ),
                )


def fixed_rate(rung: FixedRung) -> RatePoint:
    if rung.bitrate is not None:
        return RatePoint(
            mode="bitrate",
            bitrate_kbps=rung.bitrate,
            maxrate_kbps=rung.maxrate or rung.bitrate * 1.5,
            bufsize_kbps=rung.bufsize or rung.bitrate * 2,
        )
    mode: RateMode = "capped-crf" if rung.maxrate else "crf"
    bufsize = rung.bufsize or _double(rung.maxrate)
    return RatePoint(mode=mode, crf=rung.crf, maxrate_kbps=rung.maxrate, bufsize_kbps=bufsize)


def _double(kbps: float | None) -> float | None:
    return None if kbps is None else 2 * kbps


def _order(
    encoder: Encoder,
    codec: CodecSettings,
    info: MediaInfo,
    short: int,
    rate: RatePoint,
    settings: LadderSettings,
) -> EncodeOrder:
    low, high = encoder.quality_range
    if rate.crf is not None and not low <= rate.crf <= high:
        raise UsageError(f"CRF out of range for {encoder.name}: {rate.crf:g} (it takes {low:g} to {high:g})")
    if rate.crf is not None and encoder.whole_quality and rate.crf % 1:
        raise UsageError(
            f"{encoder.name} takes whole CRFs: {rate.crf:g}", hint=f"{math.floor(rate.crf)} or {math.ceil(rate.crf)}"
        )
    if rate.mode == "capped-crf" and encoder.capped is None:
        raise UsageError(f"{encoder.name} has no capped CRF", hint="leave maxrate out, or use bitrate")
    return EncodeOrder(
        encoder=encoder,
        speed=codec.preset,
        tune=codec.tune,
        pix_fmt=codec.pix_fmt,
        size=info.size.with_short_side(short),
        rate=rate,
        gop_frames=gop_frames(settings.gop_s, info.fps, encoder.gop_multiple),
        threads=settings.threads,
        downscale=settings.downscale,
        upscale=settings.upscale,
        extra=parse_extra(encoder.name, codec.extra),
    )


def gop_frames(gop_s: float, fps: Fraction, multiple: int) -> int:
    """GOP length in frames, at least 1, rounded to what the encoder can do."""
    return max(1, round(gop_s * fps / multiple)) * multiple


def _names(settings: LadderSettings) -> dict[CodecSettings, str]:
    """Short name of each codec entry: the encoder, and what tells it from others with the same encoder."""
    names: dict[CodecSettings, str] = {}
    for codec in settings.codecs:
        full = find_encoder(codec.encoder).name
        same = [c for c in settings.codecs if find_encoder(c.encoder).name == full]
        if len(same) > 1:
            full = f"{full}-{codec.preset or 'default'}"
            if full in names.values():
                full = f"{full}-{settings.codecs.index(codec) + 1}"
        names[codec] = full
    return names


def _rate_id(rate: RatePoint) -> str:
    if rate.mode == "bitrate":
        return f"{rate.bitrate_kbps:g}k"
    cap = f"-max{rate.maxrate_kbps:g}k" if rate.mode == "capped-crf" else ""
    return f"crf{rate.crf:g}{cap}"


def _refuse_large(display: Size, settings: LadderSettings) -> None:
    for name in settings.metrics:
        if METRICS[name].exceeded_by(display):
            raise InputError(
                f"{name} cannot measure pictures as large as {display}",
                hint="--display sets a smaller size; or leave the metric out",
            )


def _source_warnings(info: MediaInfo, display: Size) -> Iterator[str]:
    if display.short_side > info.size.short_side:
        yield f"the source ({info.size}) is smaller than the display ({display}) and is shown enlarged"
    if (lasts_s := float(info.frames / info.fps)) < _SHORT_CLIP_S:
        yield f"the clip lasts {lasts_s:.1f} s: bitrates of so short a clip are dominated by its first frame"
    if info.colour.range == "pc":
        yield "full-range source: encoded and compared in limited range"
    if info.alpha:
        yield "transparency is dropped"


def _rung_warnings(order: EncodeOrder) -> Iterator[str]:
    if order.rate.mode == "bitrate" and not order.encoder.two_pass:
        yield f"{order.encoder.name} has no two-pass mode in ffmpeg: one-pass VBR"
    if order.rate.mode == "bitrate" and not order.encoder.maxrate_with_bitrate:
        yield f"{order.encoder.name} takes no maxrate with a target bitrate: plain VBR"
    if synthesises_grain(order.encoder.name, order.extra):
        yield SYNTHESISED
    if order.encoder.gop_multiple > 1:
        yield f"GOP of {order.gop_frames} frames: {order.encoder.name} needs multiples of {order.encoder.gop_multiple}"
