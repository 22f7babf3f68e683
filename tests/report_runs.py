"""Run documents as a ladder would write them, made from a model of rate and quality: nothing is encoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

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
from vqa_cli.settings import CodecSettings, LadderSettings

FPS = Fraction(30000, 1001)
SOURCE_SCORE = 71.3
_SCALES = {"vmaf": (100.0, 8.0), "psnr": (48.0, 1.5), "ssim": (1.0, 0.01)}
# codec: bitrate at CRF 23 and 720p in kb/s, and how many CPU seconds an encode takes
CODECS = {"libx264": (2600.0, 4.0), "libx265": (1300.0, 7.0), "libsvtav1": (1040.0, 6.0)}

Frames = dict[tuple[int, str], dict[str, NDArray[np.float64]]]


def make_run(
    names: Sequence[str] = ("clip.mp4",),
    *,
    codecs: Sequence[str] = ("libx264", "libx265"),
    heights: Sequence[int] = (360, 540, 720),
    crfs: Sequence[float] = (20, 25, 30, 36),
    frames: int = 240,
    rate_factor: float = 1.0,
    model: bool = True,
    metrics: Sequence[str] = ("vmaf", "psnr", "ssim"),
) -> tuple[Run, Frames]:
    """A run and its frame values; ``rate_factor`` scales all bitrates at equal quality."""
    settings = LadderSettings(
        name="mobile",
        description="Phones",
        display=720,
        heights=tuple(heights),
        codecs=tuple(CodecSettings(encoder=codec, preset="medium", crf=tuple(crfs)) for codec in codecs),
        metrics=tuple(metrics),
    )
    values: Frames = {}
    sources = []
    for index, name in enumerate(names):
        maker = _Maker(index, frames, rate_factor, model, tuple(metrics), values)
        rungs = [maker.rung(codec, height, crf) for codec in codecs for height in heights for crf in crfs]
        sources.append(maker.source(name, rungs))
    run = Run(
        created="2026-03-04T10:11:12+00:00",
        command=("vqa", "ladder", *names, "--preset", "mobile"),
        environment=_environment(),
        settings=settings,
        model=_model() if model else None,
        metrics=tuple(metrics),
        sources=tuple(sources),
    )
    return run, values


class _Maker:
    def __init__(
        self, index: int, frames: int, rate_factor: float, model: bool, metrics: tuple[str, ...], values: Frames
    ) -> None:
        self.index, self.frames, self.rate_factor = index, frames, rate_factor
        self.model, self.metrics, self.values = model, metrics, values
        self.rng = np.random.default_rng(index)

    def rung(self, codec: str, height: int, crf: float) -> RungResult:
        base, cpu_s = CODECS[codec]
        share = (height / 720) ** 1.6
        kbps = base * share * 2 ** ((23 - crf) / 6)
        damage = (crf - 14) / 40 + 0.35 * (720 - height) / 720
        rung_id = f"{codec}_{height}p_crf{crf:g}"
        table: dict[str, NDArray[np.float64]] = {}
        if self.model:
            table["model"] = self._wobble(SOURCE_SCORE - 22 * damage**1.3, 2.0)
        for metric in self.metrics:
            top, wobble = _SCALES[metric]
            fall = {"vmaf": 52 * damage**1.4, "psnr": 15 * damage, "ssim": 0.12 * damage**1.5}[metric]
            table[metric] = self._wobble(top - fall - wobble / 4, wobble / 3)
        self.values[self.index, rung_id] = table
        duration = float(self.frames / FPS)
        rate = kbps * self.rate_factor
        return RungResult(
            id=rung_id,
            encoder=codec,
            encoder_preset="medium",
            width=round(height * 16 / 9 / 2) * 2,
            height=height,
            pix_fmt="yuv420p",
            rate=RatePoint(mode="crf", crf=crf),
            status="ok",
            encode_argv=(("/opt/ffmpeg", "-i", "file:clip.mp4", "-crf", f"{crf:g}", f"/tmp/scratch/{rung_id}.mp4"),),
            measure_argv=("/opt/ffmpeg", "-i", f"file:/tmp/scratch/{rung_id}.mp4", "-f", "rawvideo", "pipe:1"),
            encode=EncodeResult(
                bitrate_kbps=rate,
                peak_kbps=rate * 1.6,
                video_bytes=round(rate * 125 * duration),
                file_bytes=round(rate * 126 * duration),
                frames=self.frames,
                duration_s=duration,
                wall_s=cpu_s * share / 2,
                cpu_s=cpu_s * share,
                fps=self.frames / (cpu_s * share / 2),
                sha256="ab" * 32,
                simd="avx2",
            ),
            score=self._score(table["model"], delta=True) if self.model else None,
            fidelity={metric: make_series(table[metric], FPS) for metric in self.metrics},
        )

    def source(self, name: str, rungs: list[RungResult]) -> SourceResult:
        own = self._wobble(SOURCE_SCORE, 2.0)
        self.values[self.index, "source"] = {"model": own} if self.model else {}
        return SourceResult(
            source=SourceInfo(
                path=f"/media/{name}",
                name=name,
                sha256=f"{self.index:02x}" * 32,
                container="mov,mp4",
                codec="h264",
                width=1280,
                height=720,
                fps=str(FPS),
                frames=self.frames,
                duration_s=float(self.frames / FPS),
                pix_fmt="yuv420p",
                matrix="bt709",
                primaries="bt709",
                transfer="bt709",
                range="tv",
                size_bytes=5_000_000,
                video_bitrate_kbps=5100.0,
            ),
            display_width=1280,
            display_height=720,
            status="ok",
            score=self._score(own, delta=False) if self.model else None,
            rungs=tuple(rungs),
        )

    def _wobble(self, level: float, size: float) -> NDArray[np.float64]:
        t = np.arange(self.frames) / float(FPS)
        slow = np.sin(2 * math.pi * t / 3.1) + 0.6 * np.sin(2 * math.pi * t / 0.5)
        values: NDArray[np.float64] = level + size * (slow + 0.4 * self.rng.standard_normal(self.frames) - 0.2)
        return values

    def _score(self, values: NDArray[np.float64], *, delta: bool) -> ModelScore:
        score = float(values.mean()) - 0.4
        own = SOURCE_SCORE - 0.4
        return ModelScore(
            score=score,
            raw=score / 100,
            delta_to_source=score - own if delta else None,
            series=make_series(values, FPS),
        )


def _environment() -> Environment:
    return Environment(
        measurement=MEASUREMENT,
        vqa="0.1.0",
        python="3.11.9",
        platform="Linux-x86_64",
        cpu="Test CPU",
        simd="avx2",
        torch="2.4.0",
        ffmpeg="imageio-ffmpeg",
        ffmpeg_path="/opt/ffmpeg",
        ffmpeg_version="7.0.2",
        ffmpeg_sha256="cd" * 32,
        encoder_libraries={"libx264": "x264 - core 165"},
    )


def _model() -> ModelIdentity:
    return ModelIdentity(
        name="vsfa-lite",
        sha256="ef" * 32,
        scale=ScoreScale(
            name="VMAF-like",
            minimum=0,
            maximum=100,
            higher_is_better=True,
            description="Trained to follow VMAF without a reference.",
        ),
        precision="fp32",
        device="cpu",
        verified=True,
        preprocessing="RGB, display size",
        pooling="hysteresis, 12 frames",
        training_data="generated ladders",
        licence="MIT",
    )
