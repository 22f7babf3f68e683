"""What made a result, for its record: program versions and machine."""

from __future__ import annotations

import platform
import sys

from vqa_cli._version import MEASUREMENT, __version__
from vqa_cli.document import Environment
from vqa_cli.machine import cpu_name, simd_level
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg


def describe_environment(ffmpeg: Ffmpeg, encoding: Ffmpeg, checks: dict[str, EncoderCheck]) -> Environment:
    """Versions for the record."""
    torch = sys.modules.get("torch")
    other = encoding if encoding.sha256 != ffmpeg.sha256 else None
    return Environment(
        vqa=__version__,
        measurement=MEASUREMENT,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_name(),
        simd=simd_level(),
        torch=str(torch.__version__) if torch else None,
        ffmpeg=ffmpeg.origin,
        ffmpeg_path=str(ffmpeg.path),
        ffmpeg_version=ffmpeg.version,
        ffmpeg_sha256=ffmpeg.sha256,
        encode_ffmpeg_path=str(other.path) if other else None,
        encode_ffmpeg_version=other.version if other else None,
        encode_ffmpeg_sha256=other.sha256 if other else None,
        encoder_libraries={name: check.library for name, check in checks.items() if check.works},
    )
