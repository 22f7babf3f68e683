"""Rate-quality curves of a run document, and where they go backwards. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from vqa_cli.document import Run, RungResult, Series, SourceResult
from vqa_cli.errors import InputError, UsageError
from vqa_cli.metrics import METRICS, lower_is_better

# A fall smaller than this many standard errors of the rungs' own one-second means is noise.
_NOISE_ERRORS = 1.0
# Below this share of the scale no fall is worth a word.
_LEAST_SHARE = 0.002


@dataclass(frozen=True, slots=True)
class Point:
    """One rung on a curve: achieved video bitrate in kb/s, quality in the metric's unit, CPU seconds of its encode.

    ``codec`` is encoder and speed, ``mode`` how the rate was controlled, ``setting`` at what rate as text. What was not
    ``measured`` is read off the curve between rungs that were.
    """

    rung: str
    kbps: float
    quality: float
    height: int
    encoder: str
    cpu_s: float
    codec: str = ""
    mode: str = "crf"
    crf: float | None = None
    setting: str = ""
    measured: bool = True


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one source, encoder and size, by rising bitrate."""

    source: str
    codec: str
    size: str
    points: tuple[Point, ...]

    @property
    def encoder(self) -> str:
        """The encoder without its speed."""
        return self.points[0].encoder


class Matchable(Protocol):
    """What one curve of a run is told apart from the others by."""

    @property
    def codec(self) -> str: ...
    @property
    def encoder(self) -> str: ...
    @property
    def size(self) -> str: ...


C = TypeVar("C", bound=Matchable)


def counterpart(curve: C, others: Sequence[C]) -> C | None:
    """The curve among another run's of the same source that stands for the same thing.

    It has the same encoder, speed and size. The speed may be what changed: without such a curve it is the only one of the
    same encoder and size, and ``None`` where several could be meant.
    """
    alike = [other for other in others if (other.encoder, other.size) == (curve.encoder, curve.size)]
    same = [other for other in alike if other.codec == curve.codec]
    return same[0] if same else alike[0] if len(alike) == 1 else None


@dataclass(frozen=True, slots=True)
class Inversion:
    """More bitrate, less quality: ``higher`` costs more than ``lower`` and scores ``drop`` less."""

    source: str
    metric: str
    lower: str
    higher: str
    drop: float


def refuse_doubled_names(run: Run) -> None:
    """Raise where two sources have one name, as in documents of older versions: their curves could not be told apart.

    Raises:
        InputError: with the name.
    """
    names = [source.source.name for source in run.sources]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            raise InputError(f"{names.count(name)} sources of the run are called {name}", hint="run the ladder again")


def default_metric(run: Run) -> str:
    """VMAF where it was measured, else the model, else the first metric that decides ladders.

    Raises:
        UsageError: there is none.
    """
    if "vmaf" in run.metrics:
        return "vmaf"
    if run.model is not None:
        return "model"
    deciding = [metric for metric in run.metrics if not lower_is_better(metric)]
    if not deciding:
        refuse_undecided(run.metrics[0])
    return deciding[0]


def refuse_undecided(metric: str) -> None:
    """Raise where a metric orders no encodes by rate.

    Raises:
        UsageError: a low value is good.
    """
    if lower_is_better(metric):
        raise UsageError(f"{metric} decides no ladder and has no BD-rate: low is good, and more bitrate may raise it")


def all_metrics(run: Run) -> tuple[str, ...]:
    """Everything that the run measured, the model first."""
    return (("model",) if run.model is not None else ()) + run.metrics


def codec_name(rung: RungResult) -> str:
    """Encoder and speed: what a curve belongs to."""
    return f"{rung.encoder} {rung.encoder_preset}" if rung.encoder_preset else rung.encoder


def points(source: SourceResult, metric: str, pooling: str = "mean") -> list[tuple[RungResult, Point]]:
    """Every measured rung of a source by rising bitrate."""
    found = []
    for rung in source.rungs:
        quality = rung.quality(metric, pooling)
        if rung.encode is not None and quality is not None:
            point = Point(
                rung.id,
                rung.encode.bitrate_kbps,
                quality,
                min(rung.width, rung.height),
                rung.encoder,
                rung.encode.cpu_s,
                codec_name(rung),
                rung.rate.mode,
                rung.rate.crf,
                rung.rate.label,
            )
            found.append((rung, point))
    return sorted(found, key=lambda pair: pair[1].kbps)


def curves(source: SourceResult, metric: str, pooling: str = "mean") -> list[Curve]:
    """One curve per encoder, speed and size, in the run's order."""
    order = dict.fromkeys((codec_name(rung), f"{min(rung.width, rung.height)}p") for rung in source.rungs)
    groups: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for rung, point in points(source, metric, pooling):
        groups[codec_name(rung), f"{point.height}p"].append(point)
    return [Curve(source.source.name, *key, tuple(groups[key])) for key in order if key in groups]


def inversions(run: Run, metric: str) -> list[Inversion]:
    """Neighbours on a curve whose quality falls beyond the metric's noise although the bitrate rises.

    Noise is the standard error of the difference of the two rungs' one-second means, paired second by second; for clips
    of under three seconds it is unknown and only the least share of the scale counts.
    """
    found: list[Inversion] = []
    if lower_is_better(metric):
        return found
    span = _span(run, metric)
    for source in run.sources:
        rungs = {rung.id: rung for rung in source.rungs}
        for curve in curves(source, metric):
            for low, high in zip(curve.points, curve.points[1:], strict=False):
                drop = low.quality - high.quality
                if drop > max(_LEAST_SHARE * span, _noise(rungs[low.rung], rungs[high.rung], metric)):
                    found.append(Inversion(source.source.name, metric, low.rung, high.rung, drop))
    return found


def inverted_metrics(run: Run, source: SourceResult) -> dict[str, list[str]]:
    """By rung of one source: the metrics by which it costs more than its neighbour and scores less."""
    alone = run.model_copy(update={"sources": (source,)})
    found: dict[str, list[str]] = defaultdict(list)
    for metric in all_metrics(run):
        for item in inversions(alone, metric):
            found[item.higher].append(metric)
    return found


def mixed_modes(found: Sequence[Point]) -> str | None:
    """What to say where points of different rate control meet: they answer different questions."""
    modes = sorted({point.mode for point in found})
    return f"mixes rate control: {' and '.join(modes)}" if len(modes) > 1 else None


def series(rung: RungResult, metric: str) -> Series | None:
    """A rung's series of a metric, the model's under ``"model"``."""
    if metric == "model":
        return rung.score.series if rung.score else None
    return rung.fidelity.get(metric)


def _noise(one: RungResult, other: RungResult, metric: str) -> float:
    a, b = series(one, metric), series(other, metric)
    if a is None or b is None or len(a.segments) < 3 or len(a.segments) != len(b.segments):
        return 0.0
    deltas = [x - y for x, y in zip(a.segments, b.segments, strict=True)]
    mean = sum(deltas) / len(deltas)
    variance = sum((d - mean) ** 2 for d in deltas) / (len(deltas) - 1)
    return _NOISE_ERRORS * math.sqrt(variance / len(deltas))


def _span(run: Run, metric: str) -> float:
    if metric == "model" and run.model is not None:
        return run.model.scale.maximum - run.model.scale.minimum
    return METRICS[metric].span if metric in METRICS else 100.0
