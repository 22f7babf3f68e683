"""What a search may try, and what it is to reach: bounds and targets become a scale of points and a goal. Pure."""

from __future__ import annotations

import math

from vqa_cli.errors import UsageError
from vqa_cli.identity import ScoreScale
from vqa_cli.ladder.search import Goal
from vqa_cli.media.encoders import Encoder
from vqa_cli.metrics import METRICS
from vqa_cli.values import MediaInfo

# Where no bounds are given: from a thousandth of a bit per pixel, below which no encoder gets, to the raw picture's own bits.
_LEAST_BPP, _RAW_SAMPLES = 0.001, 1.5
# What every encoder takes: whole kb/s, and a buffer of twice the rate that is an int of bits.
_LEAST_KBPS, _MOST_KBPS = 1.0, 1e6


def crf_scale(low: float, high: float, step: float) -> list[float]:
    """CRFs from ``low`` to ``high`` in steps; both ends are there, whatever the step."""
    inner = [round(low + index * step, 6) for index in range(math.ceil((high - low) / step - 1e-6))]
    return [*inner, high]


def bitrate_scale(low_kbps: float, high_kbps: float, percent: float) -> list[float]:
    """Bitrates from ``high_kbps`` down to ``low_kbps``, each ``percent`` below the one before; both ends are there.

    Between the ends they are whole kb/s, as encoders take them, and so fewer where they are low.
    """
    count = math.ceil(math.log(high_kbps / low_kbps) / -math.log1p(-percent / 100) - 1e-6)
    inner = (round(high_kbps * (1 - percent / 100) ** index) for index in range(1, count))
    return list(dict.fromkeys([high_kbps, *(kbps for kbps in inner if low_kbps < kbps < high_kbps), low_kbps]))


def crfs_of(encoder: Encoder, low: float | None, high: float | None, step: float | None) -> list[float]:
    """An encoder's CRFs from best to worst, between bounds that default to all it takes.

    Raises:
        UsageError: a bound outside the encoder's scale, in the wrong order, or between its steps.
    """
    least, most = encoder.quality_range
    low, high = least if low is None else low, most if high is None else high
    if not least <= low < high <= most:
        raise UsageError(
            f"no CRFs of {encoder.name} from {low:g} to {high:g}: it takes {least:g} to {most:g}",
            hint="--min-crf is the best one allowed, --max-crf the worst",
        )
    if encoder.whole_quality and any(value % 1 for value in (low, high, step or 1)):
        raise UsageError(f"{encoder.name} takes whole CRFs", hint="--min-crf, --max-crf and --step without decimals")
    scale = crf_scale(low, high, step or 1.0)
    return scale if encoder.lower_is_better else scale[::-1]


def rates_of(
    info: MediaInfo, short_side: int, low: float | None, high: float | None, percent: float | None
) -> list[float]:
    """Bitrates in kb/s from high to low for a coded size, between bounds that default to all that make sense.

    Raises:
        UsageError: bounds in the wrong order.
    """
    size = info.size.with_short_side(short_side)
    kilopixels_per_s = float(size.width * size.height * info.fps) / 1000
    least = low or max(_LEAST_KBPS, math.floor(_LEAST_BPP * kilopixels_per_s))
    most = high or min(_MOST_KBPS, math.ceil(_RAW_SAMPLES * info.bit_depth * kilopixels_per_s))
    if not least < most:
        raise UsageError(
            f"no bitrates from {least:g} to {most:g} kb/s", hint="--min-kbps is the lowest, --max-kbps the highest"
        )
    return bitrate_scale(least, most, percent or 3.0)


def goal_of(metric: str, target: float, bit_depth: int, model: ScoreScale | None) -> Goal:
    """A target of a full-reference metric, or of the model where ``metric`` is ``"model"``.

    Args:
        bit_depth: of the frames that are compared; the ceiling of metrics in dB follows it.
        model: the model's scale.

    Raises:
        UsageError: a target that the metric cannot have.
    """
    if model is not None:
        low, high = model.minimum, model.maximum
        goal = Goal(target, span=high - low, higher_is_better=model.higher_is_better)
    else:
        row = METRICS[metric]
        ceiling = row.ceiling(bit_depth)
        low, high = 0.0, row.span if ceiling is None else ceiling
        best = 0.0 if row.lower else row.span if ceiling is None else None
        goal = Goal(target, row.span, best=best, higher_is_better=not row.lower)
    if not low <= target <= high:
        raise UsageError(f"--target {target:g}: {metric} goes from {low:g} to {high:g}")
    return goal
