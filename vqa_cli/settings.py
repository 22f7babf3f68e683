"""The settings of a ladder: what a preset file may say, after every override has been applied."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from vqa_cli.metrics import known_metric
from vqa_cli.values import Treatment

_RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kKmM]?)\s*$")


def parse_kbps(value: Any) -> float:
    """Read a bitrate as ffmpeg users write it into kb/s: ``"300k"``, ``"1.5M"``, ``"800000"`` (bit/s), ``300.0``.

    A number without quotes is taken as kb/s already, which is what documents store.

    Raises:
        ValueError: the text is no bitrate or not above zero.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        kbps = float(value)
    else:
        match = _RATE.match(str(value))
        if not match:
            raise ValueError(f"{value!r} is no bitrate; write 300k, 1.5M or 800000")
        kbps = float(match[1]) * {"k": 1.0, "m": 1000.0, "": 0.001}[match[2].lower()]
    if not 0 < kbps < 1e7:
        raise ValueError(f"{value!r} is out of range for a bitrate")
    return kbps


Kbps = Annotated[float, BeforeValidator(parse_kbps)]
MetricName = Annotated[str, AfterValidator(known_metric)]
Height = Annotated[int, Field(ge=64, le=8640, multiple_of=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodecSettings(_Strict):
    """One encoder with everything that is the same for all of its rungs.

    Rate points are ``crf`` (constant quality), ``bitrate`` (two-pass VBR) or ``crf`` with ``maxrate`` (capped CRF).
    ``extra`` are options of the encoder in pairs, ``["-aq-mode", "3"]``; those that the ladder sets, or that name files, are refused.
    ``maxrate_ratio`` and ``bufsize_ratio`` apply to ``bitrate``: maxrate and bufsize as multiples of the target.
    """

    encoder: str
    preset: str | None = None
    tune: str | None = None
    pix_fmt: str = "yuv420p"
    crf: tuple[float, ...] = ()
    bitrate: tuple[Kbps, ...] = ()
    maxrate: Kbps | None = None
    bufsize: Kbps | None = None
    maxrate_ratio: float = Field(default=1.5, ge=1.0)
    bufsize_ratio: float = Field(default=2.0, gt=0.0)
    extra: tuple[str, ...] = ()


class FixedRung(_Strict):
    """A rung named outright: size and rate together, as published ladders list them."""

    height: Height
    bitrate: Kbps | None = None
    crf: float | None = None
    maxrate: Kbps | None = None
    bufsize: Kbps | None = None

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if (self.bitrate is None) == (self.crf is None):
            raise ValueError("a rung names either bitrate or crf")
        return self


class Constraints(_Strict):
    """What the recommended ladder must keep to; ``None`` is the metric's or the usual value, see docs/decide.md.

    ``min_step`` and ``top_quality`` are in units of ``metric``; ``min_ratio`` and ``max_ratio`` say how far the rates of
    neighbours are apart; ``max_delta_to_source`` is the most that the top rung may lie below the source's own score on
    the model's scale; ``knee_kbps_per_point`` ends the ladder where one more point costs more than that;
    ``max_encode_s_per_s`` is CPU time of the dearest encode for a second of video, ``max_ladder_s_per_s`` that of the whole
    ladder; without ``interpolate`` only rungs that were measured are recommended.
    """

    metric: str | None = None
    max_rungs: int | None = Field(default=None, ge=1)
    min_kbps: float | None = Field(default=None, gt=0)
    max_kbps: float | None = Field(default=None, gt=0)
    min_step: float | None = Field(default=None, ge=0)
    min_ratio: float | None = Field(default=None, ge=1)
    max_ratio: float | None = Field(default=None, gt=1)
    top_quality: float | None = None
    max_delta_to_source: float | None = Field(default=None, ge=0)
    knee_kbps_per_point: float | None = Field(default=None, gt=0)
    max_encode_s_per_s: float | None = Field(default=None, gt=0)
    max_ladder_s_per_s: float | None = Field(default=None, gt=0)
    interpolate: bool = True


class LadderSettings(_Strict):
    """A whole preset.

    Attributes:
        display: short side of the picture (the "p" number) at which every rung and the source are judged.
        heights: short sides that are encoded, crossed with each codec's rate points.
        rungs: explicit rungs instead of ``heights`` and per-codec rate points.
        gop_s: closed GOP length in seconds, the same for all codecs.
        tonemap: bring HDR sources to SDR (approximately) instead of refusing them.
        deinterlace: deinterlace interlaced sources instead of refusing them.
        threads: threads of one encode. Part of the settings because it changes what some encoders produce.
    """

    name: str = "custom"
    description: str = ""
    display: Height = 1080
    heights: tuple[Height, ...] = ()
    rungs: tuple[FixedRung, ...] = ()
    codecs: tuple[CodecSettings, ...] = Field(min_length=1)
    gop_s: float = Field(default=2.0, gt=0, le=60)
    threads: int = Field(default=2, ge=1, le=64)
    downscale: Literal["lanczos", "bicubic", "bilinear", "spline"] = "lanczos"
    upscale: Literal["bicubic", "lanczos", "bilinear", "spline"] = "bicubic"
    tonemap: bool = False
    deinterlace: bool = False
    model: str = "vsfa-lite"
    metrics: tuple[MetricName, ...] = ("vmaf", "psnr", "ssim")
    recommend: Constraints = Constraints()

    @property
    def treatment(self) -> Treatment:
        """What may be done to sources that cannot be judged as they are."""
        return Treatment(self.tonemap, self.deinterlace)

    @model_validator(mode="after")
    def _rate_points(self) -> Self:
        if self.rungs and self.heights:
            raise ValueError("rungs names sizes and rates together: leave heights out")
        if not self.rungs and not self.heights:
            raise ValueError("name heights (crossed with each codec's crf or bitrate) or rungs")
        for codec in self.codecs:
            if self.rungs and (codec.crf or codec.bitrate):
                raise ValueError(f"rungs names the rates already: leave crf and bitrate out of {codec.encoder}")
            if not self.rungs and bool(codec.crf) == bool(codec.bitrate):
                raise ValueError(f"{codec.encoder}: name either crf or bitrate")
            if codec.maxrate and codec.bitrate:
                raise ValueError(f"{codec.encoder}: with bitrate use maxrate_ratio; maxrate caps a CRF")
        return self
