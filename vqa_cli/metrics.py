"""The full-reference metrics, one row each: how ffmpeg measures it, how its log is read, what its number means.

A row is all that a new metric needs. Sources: Z. Li et al., "Toward a practical perceptual video quality metric" (Netflix,
2016); P. Tandon et al., "CAMBI: Contrast-aware Multiscale Banding Index", PCS 2021; Z. Wang et al., "Image quality assessment", IEEE TIP 2004 (SSIM); C. Helmrich et al., "XPSNR", ICASSP 2020.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TextIO

from vqa_cli.values import Size

# Where libvmaf's list of frames begins, and what stands between two of them.
_BEGIN, _BETWEEN, _BLOCK = re.compile(r'"frames"\s*:\s*\['), re.compile(r"[\s,]*"), 1 << 16
# A signed decimal as ffmpeg prints it; SSIM of a single frame can be below zero.
_NUMBER = r"(-?inf|nan|-?[\d.]+)"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a metric's numbers are to viewers.

    Attributes:
        noticeable: the least step that half of them notice.
        poor, excellent: the range within which a picture is worth its rate.
    """

    noticeable: float
    poor: float
    excellent: float


@dataclass(frozen=True, slots=True)
class Metric:
    """One full-reference metric.

    Attributes:
        name: as users, presets and documents write it.
        label, about: for tables and the report's glossary.
        unit, decimals: how it is printed.
        filter: the ffmpeg filter that measures it.
        model: libvmaf's model, where that is the filter; all of a command's models share one libvmaf.
        uhd_model: the one for displays of 2160p and more, where it is another.
        hfr: whether there are models of their own for 50 and 60 frames a second.
        feature: libvmaf's feature, where that is the filter and there is no model.
        lower: whether a low value is good. Such a metric is no measure of how near an encode is to its source: it need not
            fall as the rate rises, so it decides no ladder and has no BD-rate.
        least: short side of the smallest picture that it can measure; those that have one are not in ``all``.
        most: width and height together of the largest picture that it can measure.
        weights: of the planes, where the value is made from several that the pattern finds.
        pattern: finds one frame's value in the filter's log; libvmaf's log is JSON under ``name`` or ``feature`` instead.
        metadata: whether the filter writes no log, but its values into the frames' metadata; those are printed to one.
        span: what a large difference is, in its own unit: the axis of the frame charts and the scale of inversions.
        peak: value of equal frames in dB per bit of depth and beyond, where these would be infinite; ``None`` elsewhere.
        saturation: from here on more rate need not raise it; ``None`` where it goes on rising.
        default_drop: the gate's default limit for a drop of the mean.
        seen: what its numbers are to viewers; ``None`` where nobody has published that.
    """

    name: str
    label: str
    about: str
    unit: str
    decimals: int
    filter: str
    default_drop: float
    span: float = 100.0
    model: str | None = None
    uhd_model: str | None = None
    hfr: bool = False
    feature: str | None = None
    lower: bool = False
    least: int = 0
    most: float = math.inf
    weights: tuple[float, ...] = (1.0,)
    pattern: str | None = None
    metadata: bool = False
    peak: tuple[float, float] | None = None
    saturation: float | None = None
    seen: Seen | None = None

    @property
    def log(self) -> str:
        """Name of its log, in the working directory of the command."""
        return "vmaf.json" if self.filter == "libvmaf" else f"{self.filter}.log"

    def exceeded_by(self, size: Size) -> bool:
        """Whether pictures of this size are too large for it."""
        return size.width + size.height > self.most

    def read(self, log: TextIO, bit_depth: int) -> Iterator[float]:
        """Values of the frames in order, as the log is read; those of equal frames are :meth:`ceiling`.

        Raises:
            ValueError, KeyError, TypeError: not such a log.
        """
        if self.pattern is None:
            key = self.feature or self.name
            return (float(frame["metrics"][key]) for frame in _frames(log))
        found = (match.groups() for line in log if (match := re.search(self.pattern, line)))
        ceiling = self.ceiling(bit_depth)
        return (self._joined(planes, math.inf if ceiling is None else ceiling) for planes in found)

    def _joined(self, planes: Sequence[str], ceiling: float) -> float:
        """One value of a frame's planes."""
        values = [min(float(plane), ceiling) for plane in planes]
        total = sum(weight * value for weight, value in zip(self.weights, values, strict=True))
        return total / sum(self.weights) if len(values) > 1 else values[0]

    def model_for(self, display: int, fps: float) -> str | None:
        """libvmaf's model for a display's short side and a frame rate; ``None`` where there is none to choose.

        Source: Netflix/vmaf, resource/doc/models_v0.md and models_v1.md (2026): 1080p is seen from three times its height,
        2160p from one and a half, a phone from five; "hfr" models are for the 50 and 60 fps regime.
        """
        if self.model is None:
            return None
        name = self.uhd_model if self.uhd_model and display >= _UHD else self.model
        return name.replace(_V1, f"{_V1}hfr_") if self.hfr and fps >= _HFR_FPS else name

    def ceiling(self, bit_depth: int) -> float | None:
        """What equal frames count as, so that a mean exists: libvmaf's 6 * bits + 12 dB; ``None`` for bounded metrics."""
        return None if self.peak is None else self.peak[0] * bit_depth + self.peak[1]


def _frames(log: TextIO) -> Iterator[Any]:
    """The list ``frames`` of a JSON document, one by one: that of a film is too large to be in memory at once.

    Raises:
        ValueError: no JSON, or none with such a list.
    """
    decoder, text, at = json.JSONDecoder(), "", 0
    while not (begin := _BEGIN.search(text)):
        if not (block := log.read(_BLOCK)):
            raise ValueError("no frames")
        text += block
    at = begin.end()
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if text.startswith("]", at):
            return
        try:
            frame, at = decoder.raw_decode(text, at)
        except ValueError:
            if not (block := log.read(_BLOCK)):
                raise
            text, at = text[at:] + block, 0
            continue
        yield frame


_DB = (6.0, 12.0)
_V1 = "vmaf_v1.0.16_"
_UHD = 2160
# Between the common 24 to 30 fps and their doubles.
_HFR_FPS = 40.0
# As the JCT-VC weighs the planes of 4:2:0.
_611 = (6.0, 1.0, 1.0)
# Six points are about one just noticeable difference (J. Ozer, "Finding the Just Noticeable Difference with Netflix VMAF",
# 2017). 40 is "poor" where 20 is "bad" and 100 "excellent" (Z. Li et al., "VMAF: The journey continues", Netflix, 2018).
# Beyond 95 few viewers tell an encode from its source: by convention ladders end there.
_VMAF_SEEN = Seen(noticeable=6.0, poor=40.0, excellent=95.0)


# libvmaf's window for CAMBI grows with the picture, and its table ends just above 3840x2160.
_CAMBI_SIDES = 6000


def _planes(*names: str) -> str:
    """Finds the values of a frame's planes, which follow one another in a line."""
    return ".*?".join(rf"{name}:{_NUMBER}" for name in names)


TABLE = (
    Metric(
        "vmaf", "VMAF", "Netflix's fused metric (v0.6.1, from 2160p its 4K model), against the source at the display size.",
        "0–100", 1, "libvmaf", 1.0, model="vmaf_v0.6.1", uhd_model="vmaf_4k_v0.6.1", saturation=99.5, seen=_VMAF_SEEN,
    ),
    Metric(
        "vmaf_neg", "VMAF NEG", "VMAF that gives no credit for sharpening and other enhancement.", "0–100", 1,
        "libvmaf", 1.0, model="vmaf_v0.6.1neg", uhd_model="vmaf_4k_v0.6.1neg", saturation=99.5, seen=_VMAF_SEEN,
    ),
    Metric(
        "vmaf_v1", "VMAF v1", "Netflix's VMAF of 2026, which sees banding and chroma; 1080p from three heights, 4K from 1.5.",
        "0–100", 1, "libvmaf", 1.0, model=f"{_V1}3d0h", uhd_model=f"{_V1}1d5h_2160", hfr=True, least=180,
        saturation=99.5,
    ),
    Metric(
        "vmaf_v1_phone", "VMAF v1 phone", "VMAF v1 as a phone is seen, from five times the picture's height.",
        "0–100", 1, "libvmaf", 1.0, model=f"{_V1}5d0h", hfr=True, least=270, saturation=99.5,
    ),
    Metric(
        "ms_ssim", "MS-SSIM", "Structural similarity of luma over five scales.", "0–1", 4,
        "libvmaf", 0.005, span=1.0, feature="float_ms_ssim", least=176,
    ),
    Metric(
        "cambi", "CAMBI", "Banding that the picture shows: 0 is none, from about 5 on it annoys. Lower is better.", "0–24",
        2, "libvmaf", 1.0, span=24.0, feature="cambi", lower=True, least=180, most=_CAMBI_SIDES,
    ),
    Metric(
        "psnr", "PSNR", "Peak signal-to-noise ratio of luma; equal frames count as the ceiling of the bit depth.", "dB", 2,
        "psnr", 0.3, span=40.0, pattern=rf"psnr_y:{_NUMBER}", peak=_DB,
    ),
    Metric(
        "psnr_cb", "PSNR Cb", "PSNR of the blue difference.", "dB", 2,
        "psnr", 0.3, span=40.0, pattern=rf"psnr_u:{_NUMBER}", peak=_DB,
    ),
    Metric(
        "psnr_cr", "PSNR Cr", "PSNR of the red difference.", "dB", 2,
        "psnr", 0.3, span=40.0, pattern=rf"psnr_v:{_NUMBER}", peak=_DB,
    ),
    Metric(
        "psnr_611", "PSNR 6:1:1", "Mean of the planes' PSNR in dB, luma six times.", "dB", 2,
        "psnr", 0.3, span=40.0, pattern=_planes("psnr_y", "psnr_u", "psnr_v"), weights=_611, peak=_DB,
    ),
    Metric(
        "ssim", "SSIM", "Structural similarity of luma.", "0–1", 4,
        "ssim", 0.005, span=1.0, pattern=rf" Y:{_NUMBER}",
    ),
    Metric(
        "ssim_cb", "SSIM Cb", "Structural similarity of the blue difference.", "0–1", 4,
        "ssim", 0.005, span=1.0, pattern=rf" U:{_NUMBER}",
    ),
    Metric(
        "ssim_cr", "SSIM Cr", "Structural similarity of the red difference.", "0–1", 4,
        "ssim", 0.005, span=1.0, pattern=rf" V:{_NUMBER}",
    ),
    Metric(
        "ssim_611", "SSIM 6:1:1", "Mean of the planes' SSIM, luma six times.", "0–1", 4,
        "ssim", 0.005, span=1.0, pattern=_planes(" Y", " U", " V"), weights=_611,
    ),
    Metric(
        "xpsnr", "XPSNR", "PSNR of luma weighted by what the eye sees.", "dB", 2,
        "xpsnr", 0.3, span=40.0, pattern=rf"^n: *\d+ +XPSNR y: *{_NUMBER}", peak=_DB,
    ),
)  # fmt: skip
METRICS = {metric.name: metric for metric in TABLE}
# Asked for, and for want of a well-kept implementation not there.
_ELSEWHERE = ("ssimulacra2", "butteraugli", "vmaf_b", "cvvdp")


def metric_names(text: str) -> tuple[str, ...]:
    """The metrics of ``vmaf,psnr``, ``all`` or ``none``, each once.

    Raises:
        ValueError: one that there is not, with the nearest.
    """
    if text in ("all", "none"):
        return tuple(name for name, metric in METRICS.items() if not metric.least) if text == "all" else ()
    return tuple(dict.fromkeys(known_metric(part.strip()) for part in text.split(",")))


def known_metric(name: str) -> str:
    """``name``, if there is such a metric.

    Raises:
        ValueError: there is not, with the nearest.
    """
    if name in METRICS:
        return name
    if name in _ELSEWHERE:
        raise ValueError(f"{name} cannot be measured here: docs/decide.md says why, and what there is")
    near = get_close_matches(name, METRICS, 1)
    raise ValueError(
        f"unknown metric: {name}; {f'did you mean {near[0]}?' if near else 'one of ' + ', '.join(METRICS)}"
    )


def lower_is_better(name: str) -> bool:
    """Whether a low value is good; ``name`` may be the model's."""
    return name in METRICS and METRICS[name].lower


def models_for(names: Iterable[str], display: int, fps: float) -> dict[str, str]:
    """The model of each metric that has one, in the table's order."""
    wanted = set(names)
    chosen = {metric.name: metric.model_for(display, fps) for metric in TABLE if metric.name in wanted}
    return {name: model for name, model in chosen.items() if model}
