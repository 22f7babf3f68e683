"""What pieces of a source gave, put together as the whole would have given it. Pure.

Segments hold every frame: what is joined is what was measured. Samples stand for their strata: bitrates, means and scores are
weighted, and carry the interval that sampling leaves. Extremes and percentiles are those of the frames that were measured.
Sources: W. G. Cochran, "Sampling Techniques" (3rd ed., 1977), sections 5.3 and 5A.12: one unit in each stratum, whose variance
is taken from that between strata, hence too large rather than too small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.document import EncodeResult, ModelScore, Pooled, RungResult, Series
from vqa_cli.ladder.samples import weighted
from vqa_cli.series import pool
from vqa_cli.student import t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.frametable import FrameValues

Interval = tuple[float, float]


@dataclass(frozen=True)
class Weights:
    """Frames that each piece has, and those that it stands for; ``sampled`` where that is more."""

    frames: tuple[int, ...]
    stands_for: tuple[int, ...]

    @property
    def sampled(self) -> bool:
        return self.frames != self.stands_for

    def mean(self, values: Sequence[float], pooling: str = "mean") -> float:
        """As all frames that the pieces stand for would give it."""
        return weighted(values, self.stands_for, pooling)

    def interval(self, values: Sequence[float]) -> Interval | None:
        """95 % interval of the weighted mean; ``None`` where one sample says nothing of others."""
        count = len(values)
        if count < 2:
            return None
        middle = self.mean(values)
        shares = np.array(self.stands_for) / sum(self.stands_for)
        left_out = 1 - sum(self.frames) / sum(self.stands_for)
        variance = count / (count - 1) * float(np.sum((shares * (np.array(values) - middle)) ** 2)) * left_out
        reach = t_quantile(count - 1) * variance**0.5
        return middle - reach, middle + reach


def join_values(parts: Sequence[FrameValues]) -> dict[str, NDArray[np.float64]]:
    """Frame values one after the other, of the metrics that every piece has."""
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in shared}


def join_rungs(parts: Sequence[RungResult], weights: Weights, values: FrameValues) -> RungResult:
    """The rung over all pieces; a failure of one is a failure of all.

    Args:
        values: what :func:`join_values` gives.
    """
    for number, part in enumerate(parts, 1):
        if part.encode is None:
            return part.model_copy(update={"reason": f"piece {number} of {len(parts)}: {part.reason}"})
    encodes = [part.encode for part in parts if part.encode is not None]
    scores = [part.score for part in parts if part.score is not None]
    series = {name: [part.fidelity[name] for part in parts] for name in values if name != "model"}
    update = {
        "encode": _join_encodes(encodes, weights),
        "score": join_scores(scores, weights, values["model"]) if len(scores) == len(parts) else None,
        "fidelity": {name: join_series(found, weights, values[name]) for name, found in series.items()},
        "warnings": tuple(dict.fromkeys(text for part in parts for text in part.warnings)),
        "intervals": _intervals(encodes, scores, series, weights) if weights.sampled else {},
    }
    return parts[0].model_copy(update=update)


def join_scores(parts: Sequence[ModelScore], weights: Weights, values: NDArray[np.float64]) -> ModelScore:
    """The model's verdict: the mean of its verdicts on the pieces."""
    names = [name for name in parts[0].others if all(name in part.others for part in parts)]
    return ModelScore(
        score=weights.mean([part.score for part in parts]),
        raw=weights.mean([part.raw for part in parts]),
        others={name: weights.mean([part.others[name] for part in parts]) for name in names},
        series=join_series([part.series for part in parts], weights, values),
    )


def join_series(parts: Sequence[Series], weights: Weights, values: NDArray[np.float64]) -> Series:
    """One metric over all pieces; windows of a second end where a piece does."""
    segments = tuple(value for part in parts for value in part.segments)
    pooled = pool(values)
    if weights.sampled:
        pooled = pooled.model_copy(update=_means([part.pooled for part in parts], weights))
    return Series(pooled=pooled, segments=segments)


def _means(parts: Sequence[Pooled], weights: Weights) -> dict[str, float | None]:
    harmonic = [part.harmonic_mean for part in parts if part.harmonic_mean is not None]
    known = len(harmonic) == len(parts)
    return {
        "mean": weights.mean([part.mean for part in parts]),
        "harmonic_mean": weights.mean(harmonic, "harmonic_mean") if known else None,
    }


def _join_encodes(parts: Sequence[EncodeResult], weights: Weights) -> EncodeResult:
    def total(of: Callable[[EncodeResult], float]) -> float:
        return sum(map(of, parts))

    frames, wall_s = sum(part.frames for part in parts), total(lambda part: part.wall_s)
    hashes = tuple(part.sha256 for part in parts)
    digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return EncodeResult(
        bitrate_kbps=weights.mean([part.bitrate_kbps for part in parts]),
        peak_kbps=max(part.peak_kbps for part in parts),
        video_bytes=sum(part.video_bytes for part in parts), file_bytes=sum(part.file_bytes for part in parts),
        frames=frames, duration_s=total(lambda part: part.duration_s), wall_s=wall_s,
        cpu_s=total(lambda part: part.cpu_s), fps=frames / wall_s, sha256=digest,
        simd="/".join(sorted({part.simd for part in parts})),
        segments_kbps=tuple(rate for part in parts for rate in part.segments_kbps), pieces=hashes,
    )  # fmt: skip


def _intervals(
    encodes: Sequence[EncodeResult],
    scores: Sequence[ModelScore],
    series: Mapping[str, Sequence[Series]],
    weights: Weights,
) -> dict[str, Interval]:
    figures = {"bitrate_kbps": [encode.bitrate_kbps for encode in encodes]}
    if len(scores) == len(encodes):
        figures["score"] = [score.score for score in scores]
    figures |= {f"{name}_mean": [part.pooled.mean for part in found] for name, found in series.items()}
    found = {name: weights.interval(values) for name, values in figures.items()}
    for name, parts in series.items():
        found[f"{name}_harmonic_mean"] = _harmonic([part.pooled.harmonic_mean for part in parts], weights)
    return {name: interval for name, interval in found.items() if interval is not None}


def _harmonic(values: Sequence[float | None], weights: Weights) -> Interval | None:
    """The interval of 1 / (value + 1), of which the harmonic mean is a plain one, brought back."""
    inverse = [1 / (value + 1) for value in values if value is not None]
    found = weights.interval(inverse) if len(inverse) == len(values) else None
    return None if found is None or found[0] <= 0 else (1 / found[1] - 1, 1 / found[0] - 1)
