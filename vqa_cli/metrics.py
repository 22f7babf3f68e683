"""The full-reference metrics, one row each: how ffmpeg measures it, how its log is read, what its number means.

A row is all that a new metric needs. Sources: Z. Li et al., "Toward a practical perceptual video quality metric" (Netflix,
2016); Z. Wang et al., "Image quality assessment", IEEE TIP 2004 (SSIM); C. Helmrich et al., "XPSNR", ICASSP 2020.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TextIO

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
        pattern: finds one frame's value in the filter's log; libvmaf's log is JSON under ``name`` instead.
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
    pattern: str | None = None
    peak: tuple[float, float] | None = None
    saturation: float | None = None
    seen: Seen | None = None

    @property
    def log(self) -> str:
        """Name of its log, in the working directory of the command."""
        return "vmaf.json" if self.model else f"{self.filter}.log"

    def read(self, log: TextIO, bit_depth: int) -> Iterator[float]:
        """Values of the frames in order, as the log is read; those of equal frames are :meth:`ceiling`.

        Raises:
            ValueError, KeyError, TypeError: not such a log.
        """
        if self.pattern is None:
            return (float(frame["metrics"][self.name]) for frame in _frames(log))
        found = (match[1] for line in log if (match := re.search(self.pattern, line)))
        ceiling = self.ceiling(bit_depth)
        return map(float, found) if ceiling is None else (min(float(value), ceiling) for value in found)

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
# Six points are about one just noticeable difference (J. Ozer, "Finding the Just Noticeable Difference with Netflix VMAF",
# 2017). 40 is "poor" where 20 is "bad" and 100 "excellent" (Z. Li et al., "VMAF: The journey continues", Netflix, 2018).
# Beyond 95 few viewers tell an encode from its source: by convention ladders end there.
_VMAF_SEEN = Seen(noticeable=6.0, poor=40.0, excellent=95.0)
TABLE = (
    Metric(
        "vmaf", "VMAF", "Netflix's fused metric (v0.6.1), against the source at the display size.", "0–100", 1,
        "libvmaf", 1.0, model="version=vmaf_v0.6.1", saturation=99.5, seen=_VMAF_SEEN,
    ),
    Metric(
        "vmaf_neg", "VMAF NEG", "VMAF that gives no credit for sharpening and other enhancement.", "0–100", 1,
        "libvmaf", 1.0, model="version=vmaf_v0.6.1neg", saturation=99.5, seen=_VMAF_SEEN,
    ),
    Metric(
        "psnr", "PSNR", "Peak signal-to-noise ratio of luma; equal frames count as the ceiling of the bit depth.", "dB", 2,
        "psnr", 0.3, span=40.0, pattern=rf"psnr_y:{_NUMBER}", peak=_DB,
    ),
    Metric(
        "ssim", "SSIM", "Structural similarity of luma.", "0–1", 4,
        "ssim", 0.005, span=1.0, pattern=rf" Y:{_NUMBER}",
    ),
    Metric(
        "xpsnr", "XPSNR", "PSNR of luma weighted by what the eye sees.", "dB", 2,
        "xpsnr", 0.3, span=40.0, pattern=rf"^n: *\d+ +XPSNR y: *{_NUMBER}", peak=_DB,
    ),
)  # fmt: skip
METRICS = {metric.name: metric for metric in TABLE}


def metric_names(text: str) -> tuple[str, ...]:
    """The metrics of ``vmaf,psnr``, ``all`` or ``none``, each once.

    Raises:
        ValueError: one that there is not, with the nearest.
    """
    if text in ("all", "none"):
        return tuple(METRICS) if text == "all" else ()
    return tuple(dict.fromkeys(known_metric(part.strip()) for part in text.split(",")))


def known_metric(name: str) -> str:
    """``name``, if there is such a metric.

    Raises:
        ValueError: there is not, with the nearest.
    """
    if name in METRICS:
        return name
    near = get_close_matches(name, METRICS, 1)
    raise ValueError(
        f"unknown metric: {name}; {f'did you mean {near[0]}?' if near else 'one of ' + ', '.join(METRICS)}"
    )


def comparison_filters(names: Iterable[str], threads: int) -> list[tuple[str, dict[str, str]]]:
    """The ffmpeg filters that measure ``names``, with their options, each writing its log."""
    wanted = [METRICS[name] for name in names]
    filters: list[tuple[str, dict[str, str]]] = []
    if models := [metric for metric in TABLE if metric in wanted and metric.model]:
        joined = "|".join(f"{metric.model}:name={metric.name}" for metric in models)
        options = {"model": joined, "log_fmt": "json", "log_path": models[0].log, "n_threads": str(threads)}
        filters.append(("libvmaf", options))
    filters += [(m.filter, {"stats_file": m.log}) for m in TABLE if m in wanted and not m.model]
    return filters
