"""What is tried before anything is encoded: whether this ffmpeg has the metrics and encoders that a ladder needs."""

from __future__ import annotations

from vqa_cli.errors import ToolError
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg, check_encoder
from vqa_cli.media.command import build_check_argv
from vqa_cli.media.encoders import ENCODERS, Encoder, find_encoder
from vqa_cli.media.process import Runner
from vqa_cli.settings import LadderSettings


def check_metrics(settings: LadderSettings, ffmpeg: Ffmpeg) -> LadderSettings:
    """Refuse metrics that this ffmpeg cannot measure.

    Raises:
        ToolError: one is missing, named with what would give it.
    """
    missing = [name for name in settings.metrics if name not in ffmpeg.metrics]
    if missing:
        have = ",".join(m for m in settings.metrics if m in ffmpeg.metrics) or "none"
        raise ToolError(
            f"this ffmpeg cannot measure {', '.join(missing)}: {ffmpeg.path} ({ffmpeg.version})",
            hint=f"--metric {have}, or an ffmpeg with libvmaf: the embedded one has it (leave --ffmpeg out)",
        )
    return settings


def check_encoders(
    runner: Runner, ffmpeg: Ffmpeg, settings: LadderSettings, *, skip_missing: bool
) -> dict[str, EncoderCheck]:
    """Try every encoder of the ladder before anything is encoded.

    Raises:
        UsageError: unknown encoder.
        ToolError: one does not run here and ``skip_missing`` is not set, or none runs.
    """
    needed: dict[str, Encoder] = {}
    for codec in settings.codecs:
        encoder = find_encoder(codec.encoder)
        needed[encoder.name] = encoder
    checks = {
        name: check_encoder(runner, ffmpeg, name, build_check_argv(ffmpeg.path, encoder))
        for name, encoder in needed.items()
    }
    broken = [check for check in checks.values() if not check.works]
    if broken and (not skip_missing or len(broken) == len(checks)):
        have = ", ".join(ffmpeg.video_encoders(frozenset(ENCODERS)))
        raise ToolError(
            f"encoder not available: {', '.join(check.encoder for check in broken)}",
            detail=broken[0].reason,
            hint=f"this ffmpeg has {have}; --skip-missing drops the others",
        )
    return checks
