"""What made a result, for its record: program versions, machine and model."""

from __future__ import annotations

import platform
import sys

from vqa_cli._version import MEASUREMENT, __version__
from vqa_cli.document import Environment, ModelInfo, ScaleInfo, WeightsInfo
from vqa_cli.machine import cpu_name, simd_level
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg
from vqa_cli.values import ModelIdentity


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


def describe_model(identity: ModelIdentity) -> ModelInfo:
    """The model for the record."""
    s = identity.scale
    scale = ScaleInfo(
        name=s.name,
        minimum=s.minimum,
        maximum=s.maximum,
        higher_is_better=s.higher_is_better,
        description=s.description,
    )
    return ModelInfo(
        name=identity.name, sha256=identity.sha256,
        files={file.part: WeightsInfo(name=file.name, sha256=file.sha256) for file in identity.files}, scale=scale, precision=identity.precision, device=identity.device,
        verified=identity.verified, preprocessing=identity.preprocessing, pooling=identity.pooling,
        training_data=identity.training_data, licence=identity.licence,
    )  # fmt: skip
