"""What is tried before anything is encoded: whether this ffmpeg has the metrics and encoders that a ladder needs, and whether the
encoders take the presets, tunes, pixel formats and further options that it names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from vqa_cli.errors import ToolError, UsageError
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg, check_encoder
from vqa_cli.media.command import build_check_argv, build_model_argv, merge_options, speed_options
from vqa_cli.media.encoders import ENCODERS, Encoder, Options, find_encoder
from vqa_cli.media.extra import parse_extra
from vqa_cli.media.listing import check_extra, check_names, read_listing
from vqa_cli.media.process import Runner
from vqa_cli.metrics import METRICS, models_for
from vqa_cli.settings import CodecSettings, LadderSettings

_FIRST_MODEL = "vmaf_v0.6.1"
# What libraries say of an option that they then leave out.
_LEFT_OUT = re.compile(
    r"Error parsing option|Unknown option|Invalid value for|only 1 psy tuning|has not been used for any stream"
)
# "[libx264 @ 0x559b68829c80] " says nothing to a reader.
_ADDRESS = re.compile(r"^\[\S+(?: @ 0x[0-9a-f]+)?\] (\[\w+\] )?")


def check_metrics(settings: LadderSettings, ffmpeg: Ffmpeg) -> LadderSettings:
    """Refuse metrics that this ffmpeg cannot measure.

    Raises:
        ToolError: one is missing, named with what would give it.
        UsageError: the display is too small for one.
    """
    for name in settings.metrics:
        if settings.display < (least := METRICS[name].least):
            raise UsageError(f"{name} needs pictures of {least}p or more: the display is {settings.display}p")
    missing = [name for name in settings.metrics if name not in ffmpeg.metrics]
    if missing:
        have = ",".join(m for m in settings.metrics if m in ffmpeg.metrics) or "none"
        raise ToolError(
            f"this ffmpeg cannot measure {', '.join(missing)}: {ffmpeg.path} ({ffmpeg.version})",
            hint=f"--metric {have} leaves it out; the embedded ffmpeg has all (leave --ffmpeg out)",
        )
    return settings


def check_models(runner: Runner, settings: LadderSettings, ffmpeg: Ffmpeg) -> None:
    """Refuse metrics whose model this ffmpeg's libvmaf does not hold, at the rates that sources may have.

    Raises:
        ToolError: one is missing, named with those that there are.
    """
    rates = (25.0, 60.0)
    wanted = {name for rate in rates for name in models_for(settings.metrics, settings.display, rate).values()}
    # Every libvmaf that ffmpeg can be built with holds the first model of all.
    if not wanted - {_FIRST_MODEL} or _holds(runner, ffmpeg, sorted(wanted)):
        return
    known = {m for display in (1080, 2160) for rate in rates for m in models_for(METRICS, display, rate).values()}
    have = [name for name in sorted(known) if _holds(runner, ffmpeg, [name])]
    raise ToolError(
        f"this ffmpeg has no model {', '.join(sorted(wanted - set(have)))}: {ffmpeg.path} ({ffmpeg.version})",
        hint=f"it has {', '.join(have) or 'none'}; the embedded ffmpeg has all (leave --ffmpeg out)",
    )


def _holds(runner: Runner, ffmpeg: Ffmpeg, models: Sequence[str]) -> bool:
    """Whether one frame can be measured by these models."""
    try:
        runner.run(build_model_argv(ffmpeg.path, models))
    except ToolError:
        return False
    return True


def check_encoders(
    runner: Runner, ffmpeg: Ffmpeg, settings: LadderSettings, *, skip_missing: bool
) -> dict[str, EncoderCheck]:
    """Try every encoder of the ladder, by what it is told there, before anything is encoded.

    Raises:
        UsageError: unknown encoder; or a preset, tune, pixel format or further option that it does not take.
        ToolError: one does not run here and ``skip_missing`` is not set, or none runs.
    """
    for codec in settings.codecs:  # what can be refused without running anything
        parse_extra(find_encoder(codec.encoder).name, codec.extra)
    with ThreadPoolExecutor(max(1, len(settings.codecs))) as pool:
        found = pool.map(
            lambda codec: _check_codec(runner, ffmpeg, find_encoder(codec.encoder), codec), settings.codecs
        )
    checks = {check.encoder: check for check in found}
    broken = [check for check in checks.values() if not check.works]
    if broken and (not skip_missing or len(broken) == len(checks)):
        raise ToolError(
            f"encoder not available: {', '.join(check.encoder for check in broken)}",
            detail=broken[0].reason,
            hint=_instead(runner, ffmpeg, others=len(broken) < len(checks)),
        )
    return checks


def _check_codec(runner: Runner, ffmpeg: Ffmpeg, encoder: Encoder, codec: CodecSettings) -> EncoderCheck:
    def tried(options: Options | None = None, pix_fmt: str | None = None) -> EncoderCheck:
        return check_encoder(runner, ffmpeg, encoder.name, build_check_argv(ffmpeg.path, encoder, options, pix_fmt))

    bare = tried()
    if not bare.works:
        return bare
    extra = parse_extra(encoder.name, codec.extra)
    # VAAPI's speed is one of the options that all encoders have.
    listing = read_listing(runner, ffmpeg.path, encoder, general=bool(extra) or encoder.hardware)
    check_names(encoder, listing, codec.preset, codec.tune, codec.pix_fmt)
    check_extra(encoder, listing, extra)
    if not extra and not codec.tune:
        return bare
    # At the default speed: that of the preset is known by its name, and two frames can take it half a minute.
    speed = speed_options(encoder, None, codec.tune)
    full = tried(merge_options(speed, encoder.fixed, *({name: value} for name, value in extra)), codec.pix_fmt)
    if complaint := _left_out(full.log) if full.works else full.reason:
        told = {"tune": codec.tune, "extra": " ".join(codec.extra)}
        said = " with ".join(f"{name} {value}" for name, value in told.items() if value)
        raise UsageError(f"{encoder.name} does not take {said}", detail=_ADDRESS.sub("", complaint))
    return bare


def _left_out(log: str) -> str:
    """The first line of a log that tells of an option without effect."""
    return next((line for line in log.splitlines() if _LEFT_OUT.search(line)), "")


def _instead(runner: Runner, ffmpeg: Ffmpeg, *, others: bool) -> str:
    """Encoders that really run here: hardware encoders may be compiled in without a device."""
    named = [ENCODERS[name] for name in ffmpeg.video_encoders(frozenset(ENCODERS))]
    checks = [check_encoder(runner, ffmpeg, encoder.name, build_check_argv(ffmpeg.path, encoder)) for encoder in named]
    have = ", ".join(check.encoder for check in checks if check.works) or "none that works here"
    return f"this ffmpeg has {have}" + ("; --skip-missing drops the others" if others else "")
