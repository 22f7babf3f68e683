"""Run documents with known truth, made without encoding anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from vqa_cli._version import MEASUREMENT
from vqa_cli.document import (
    EncodeResult,
    Environment,
    ModelScore,
    RatePoint,
    Run,
    RungResult,
    SourceInfo,
    SourceResult,
)
from vqa_cli.identity import ModelIdentity, ScoreScale
from vqa_cli.series import make_series
from vqa_cli.settings import LadderSettings

# Argv as a ladder records them, of one linear chain.
ARGV = (
    "/venv/bin/ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "level+info", "-nostats", "-progress", "pipe:1",
    "-stats_period", "0.5", "-benchmark", "-flags", "bitexact", "-idct", "simple", "-protocol_whitelist", "file",
    "-i", "file:/videos/a & b.mp4", "-filter_complex",
    "[0:0]settb=expr=1/25[s0];[s0]setpts=N[s1];[s1]scale=640:360:flags=lanczos[s2];[s2]format=yuv420p[s3]",
    "-map", "[s3]", "-c:v", "libx264", "-crf", "{crf}", "-flags", "+cgop", "-g", "50", "{name}.mp4", "-y",
)  # fmt: skip

Quality = Callable[[float, int], float]


def vmaf_like(kbps: float, height: int) -> float:
    """Rises with log rate, saturates, and favours small pictures at low rates: sizes cross over."""
    top = {360: 80.0, 540: 90.0, 720: 98.0}.get(height, 98.0)
    return float(top * (1 - np.exp(-kbps / (height * 1.2))))


def make_rung(
    encoder: str,
    height: int,
    kbps: float,
    quality: float,
    *,
    seconds: int = 6,
    wave: float = 0.5,
    name: str | None = None,
    simd: str = "avx2",
) -> RungResult:
    """One rung; frame values swing by ``wave`` around ``quality``."""
    fps = Fraction(25)
    values = quality + wave * np.sin(np.arange(seconds * 25) / 7.0)
    values += quality - values.mean()
    series = make_series(values, fps)
    encode = EncodeResult(
        bitrate_kbps=kbps, peak_kbps=kbps * 1.4, video_bytes=1, file_bytes=1, frames=seconds * 25, duration_s=seconds,
        wall_s=1.0, cpu_s=2.0, fps=150.0, sha256="0" * 64, simd=simd,
    )  # fmt: skip
    return RungResult(
        id=name or f"{encoder}_{height}p_{kbps:g}", encoder=encoder, encoder_preset="medium", width=height * 16 // 9 // 2 * 2,
        height=height, pix_fmt="yuv420p", rate=RatePoint(mode="crf", crf=23), status="ok", encode=encode,
        score=ModelScore(score=quality, raw=quality / 100, delta_to_source=quality - 95, series=series), fidelity={"vmaf": series},
        encode_argv=(("ffmpeg", "-i", "a & b.mp4", "out.mp4"),),
    )  # fmt: skip


def make_run(
    rungs: list[RungResult], *, name: str = "clip.mp4", sha256: str = "1" * 64, model_sha: str = "2" * 64
) -> Run:
    """A run of one source."""
    source = SourceInfo(
        path=f"/videos/{name}", name=name, sha256=sha256, container="mov", codec="h264", width=1280, height=720, fps="25/1",
        frames=150, duration_s=6.0, pix_fmt="yuv420p", matrix="bt709", primaries=None, transfer=None, range="tv",
        size_bytes=1, video_bitrate_kbps=4000.0,
    )  # fmt: skip
    own = ModelScore(score=95.0, raw=0.95, series=make_series(np.full(150, 95.0), Fraction(25)))
    result = SourceResult(
        source=source, display_width=1280, display_height=720, status="ok", score=own, rungs=tuple(rungs)
    )
    model = ModelIdentity(
        name="vsfa-lite", sha256=model_sha, precision="fp32", device="cpu", verified=True, preprocessing="p", pooling="q",
        training_data="t", licence="MIT",
        scale=ScoreScale(name="0-100", minimum=0, maximum=100, higher_is_better=True, description="d."),
    )  # fmt: skip
    return Run(
        created="2026-01-01T00:00:00+00:00", command=("vqa", "ladder"), settings=LadderSettings(
            heights=(360,), codecs=({"encoder": "libx264", "crf": (23,)},)),  # type: ignore[arg-type]
        environment=Environment(vqa="0", measurement=MEASUREMENT, python="3", platform="p", cpu="c", simd="avx2", torch=None, ffmpeg="f", ffmpeg_path="/f",
                                ffmpeg_version="9", ffmpeg_sha256="3" * 64),
        model=model, metrics=("vmaf",), sources=(result,),
    )  # fmt: skip


def ladder(
    encoder: str = "libx264", *, scale: float = 1.0, shift: float = 0.0, quality: Quality = vmaf_like
) -> list[RungResult]:
    """Four rates at each of three sizes; ``scale`` multiplies rates at equal quality."""
    return [
        make_rung(encoder, height, rate * scale, quality(rate, height) + shift, name=f"{encoder}_{height}p_{rate:g}")
        for height in (360, 540, 720)
        for rate in (150.0, 400.0, 1000.0, 2500.0)
    ]


def crf_rung(height: int, crf: int, *, scale: float = 1.0, encoder: str = "libx264") -> RungResult:
    """A rung of a curve whose rate halves every six CRFs; small sizes win at low rates."""
    kbps = scale * 4000 * (height / 720) * 2 ** (-(crf - 20) / 6)
    name = f"{encoder}_{height}p_crf{crf}"
    top = {360: 84.0, 540: 93.0, 720: 99.0}[height]
    quality = top * (1 - math.exp(-kbps / (height * scale)))
    rung = make_rung(encoder, height, kbps, quality, name=name)
    argv = tuple(word.format(crf=crf, name=name) for word in ARGV)
    return rung.model_copy(update={"rate": rung.rate.model_copy(update={"crf": float(crf)}), "encode_argv": (argv,)})


def sweep(*crfs: int, **more: object) -> list[RungResult]:
    return [crf_rung(height, crf, **more) for height in (360, 540, 720) for crf in crfs]  # type: ignore[arg-type]
