"""The series that a history's runs make: for each clip, encoder and size, what it costs and gives, run by run. Pure.

Points are joined only where they were measured alike. Where the sources, the measuring build, vqa's own arithmetic, the model or
the way of judging change, a new series begins, and says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vqa_cli.analysis.comparable import MODEL_FIELDS, preparation
from vqa_cli.analysis.curves import codec_name, curves, default_metric, refuse_undecided
from vqa_cli.analysis.figures import Estimate, Pair, bd_estimate, lines, repeats
from vqa_cli.analysis.spread import repeat_margin
from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.history.entries import Entry
from vqa_cli.metrics import METRICS

Worse = Literal["more", "less", ""]
BD, RATE, TIME = "BD-rate", "bitrate", "CPU time"


@dataclass(frozen=True, slots=True)
class Kind:
    """A figure: its unit, which direction is worse (none where neither is), and from which change on it matters.

    ``floor`` is what two measurements of the same thing may differ by.
    """

    name: str
    unit: str
    worse: Worse
    least: float
    floor: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """What a series is of: a clip by its name, an encoder with its speed, a size."""

    source: str
    encoder: str
    size: str

    @property
    def name(self) -> str:
        return f"{self.source} {self.encoder} {self.size}"


@dataclass(frozen=True, slots=True)
class Value:
    """A figure of one run; ``entry`` is the run's number in the history."""

    entry: int
    value: float
    interval: tuple[float, float] | None = None

    @property
    def error(self) -> float | None:
        """Half of the interval's width."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over runs that were measured alike.

    Attributes:
        begins: why it is not joined to the series before it; empty for the first.
        anchor: the run that a BD-rate is against.
    """

    place: Place
    kind: Kind
    values: tuple[Value, ...]
    begins: str = ""
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class _Alike:
    """All that must be equal for two runs' figures of a source to stand in one series."""

    content: str
    preparation: str
    points: str = ""
    display: str = ""
    arithmetic: str = ""
    build: str = ""
    scaling: str = ""
    model: str = ""
    machine: str = ""


_REASONS = {
    "content": "the source is another file", "points": "other rate points were encoded",
    "display": "judged at another size", "preparation": "the source was prepared otherwise",
    "arithmetic": "measured by another version of vqa's arithmetic", "build": "measured by another ffmpeg build",
    "scaling": "scaled otherwise", "model": "another model, weights or pooling", "machine": "encoded on another CPU",
}  # fmt: skip


def make_series(entries: Sequence[Entry], metric: str | None = None, anchor: str | None = None) -> list[Series]:
    """All series of a history.

    Args:
        entries: in order.
        metric: what BD-rates go by; each run's default where it is ``None``.
        anchor: commit that BD-rates are against, where it is in a series; else the first run of each.
    """
    if metric is not None:
        refuse_undecided(metric)
    known: dict[Place, list[tuple[int, SourceResult]]] = {}
    for number, entry in enumerate(entries):
        for source in entry.run.sources:
            for place in _places(entry.run, source, metric):
                known.setdefault(place, []).append((number, source))
    return [s for place, found in known.items() for s in _of_place(place, found, entries, metric, anchor)]


def _places(run: Run, source: SourceResult, metric: str | None) -> Iterator[Place]:
    chosen = metric or default_metric(run)
    for curve in curves(source, chosen):
        yield Place(source.source.name, curve.codec, curve.size)


def _of_place(
    place: Place, found: Sequence[tuple[int, SourceResult]], entries: Sequence[Entry], metric: str | None, anchor: str | None
) -> Iterator[Series]:  # fmt: skip
    names = dict.fromkeys(name for number, _ in found for name in _metrics(entries[number].run))
    for kind in (_bd_kind(), *map(_quality_kind, names), _RATE, _TIME):
        yield from _of_kind(place, kind, found, entries, metric, anchor)


def _metrics(run: Run) -> list[str]:
    return [*(["model"] if run.model else []), *run.metrics]


def _bd_kind() -> Kind:
    return Kind(BD, "%", "more", 0.5, 0.05)


def _quality_kind(name: str) -> Kind:
    span = METRICS[name].span if name in METRICS else 100.0
    return Kind(name, METRICS[name].unit if name in METRICS else "", "", span * 0.002, span * 0.0005)


_RATE = Kind(RATE, "kb/s", "", 0.01, 0.001, relative=True)
_TIME = Kind(TIME, "s", "more", 0.1, 0.02, relative=True)


def _of_kind(
    place: Place, kind: Kind, found: Sequence[tuple[int, SourceResult]], entries: Sequence[Entry], metric: str | None,
    anchor: str | None,
) -> Iterator[Series]:  # fmt: skip
    """The stretches of runs that were measured alike."""
    before: _Alike | None = None
    part: list[tuple[int, SourceResult]] = []
    begins = ""
    for number, source in found:
        run = entries[number].run
        if kind.name not in (BD, RATE, TIME, *_metrics(run)):
            continue
        alike = _alike(run, source, place, kind, metric)
        if before is not None and alike != before:
            yield from _stretch(place, kind, part, entries, begins, metric, anchor)
            part, begins = [], _why(before, alike)
        part.append((number, source))
        before = alike
    yield from _stretch(place, kind, part, entries, begins, metric, anchor)


def _alike(run: Run, source: SourceResult, place: Place, kind: Kind, metric: str | None) -> _Alike:
    env = run.environment
    same = _Alike(source.source.sha256, preparation(source), _rate_points(source, place) if kind.name != BD else "")
    if kind.name in (RATE, TIME):
        return replace(same, machine=env.cpu if kind.name == TIME else "")
    by = (metric or default_metric(run)) if kind.name == BD else kind.name
    model = str([getattr(run.model, field) for field in MODEL_FIELDS]) if by == "model" and run.model else ""
    return replace(
        same, display=f"{source.display_width}x{source.display_height}", arithmetic=str(env.measurement),
        build=env.ffmpeg_sha256, scaling=f"{run.settings.upscale} {run.settings.downscale}", model=f"{by} {model}",
    )  # fmt: skip


def _rate_points(source: SourceResult, place: Place) -> str:
    return " ".join(sorted(rung.rate.label for rung in _rungs(source, place)))


def _why(before: _Alike, after: _Alike) -> str:
    changed = [text for name, text in _REASONS.items() if getattr(before, name) != getattr(after, name)]
    return "; ".join(changed)


def _stretch(
    place: Place, kind: Kind, part: Sequence[tuple[int, SourceResult]], entries: Sequence[Entry], begins: str,
    metric: str | None, anchor: str | None,
) -> Iterator[Series]:  # fmt: skip
    if not part:
        return
    against = next((item for item in part if anchor and entries[item[0]].commit.startswith(anchor)), part[0])
    values = []
    for number, source in part:
        run = entries[number].run
        if kind.name == BD:
            estimate = _bd(against[1], source, place, metric or default_metric(run))
        else:
            estimate = _level(place, kind, source, metric or default_metric(run))
        if estimate is not None and estimate.value is not None and math.isfinite(estimate.value):
            values.append(Value(number, estimate.value, estimate.interval))
    if values:
        yield Series(place, kind, tuple(values), begins, against[0] if kind.name == BD else None)


def _bd(anchor: SourceResult, test: SourceResult, place: Place, metric: str) -> Estimate | None:
    """BD-rate of a run's curve against the anchor's, with the interval from windows of the clip."""
    pair = Pair(tuple(zip(repeats(_only(anchor, place)), repeats(_only(test, place)), strict=False)))
    found = lines(pair, metric)
    if not found or found[0].test is None:
        return None
    if _bits(anchor, place) == _bits(test, place):
        return Estimate(0.0, (0.0, 0.0))  # the same files differ by nothing, whatever windows are drawn
    return bd_estimate(pair, found[0], metric)[0]


def _only(source: SourceResult, place: Place) -> SourceResult:
    """The source with the rungs of one curve."""
    return source.model_copy(update={"rungs": tuple(_rungs(source, place))})


def _rungs(source: SourceResult, place: Place) -> list[RungResult]:
    chosen = []
    for rung in source.rungs:
        size = f"{min(rung.width, rung.height)}p"
        if rung.status == "ok" and rung.encode is not None and (codec_name(rung), size) == (place.encoder, place.size):
            chosen.append(rung)
    return chosen


def _bits(source: SourceResult, place: Place) -> list[str]:
    return [rung.encode.sha256 for rung in _rungs(source, place) if rung.encode]


def _level(place: Place, kind: Kind, source: SourceResult, metric: str) -> Estimate | None:
    """Mean quality, bitrate (geometric) or encoder time of a curve's rungs, with what repeats differ by."""
    takes = [_one_level(_rungs(take, place), kind) for take in repeats(source)]
    known = [value for value in takes if value is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    margin = repeat_margin(known)
    return Estimate(mean, None if margin is None else (mean - margin, mean + margin))


def _one_level(rungs: Sequence[RungResult], kind: Kind) -> float | None:
    if not rungs:
        return None
    if kind.name == RATE:
        return math.exp(sum(math.log(rung.encode.bitrate_kbps) for rung in rungs if rung.encode) / len(rungs))
    if kind.name == TIME:
        return sum(rung.encode.cpu_s for rung in rungs if rung.encode)
    values = [rung.quality(kind.name) for rung in rungs]
    return None if any(value is None for value in values) else sum(v for v in values if v is not None) / len(values)


def scaled(series: Series) -> Series:
    """A series in the unit that its limits are in: shares as logarithms, so that equal steps are equal."""
    if not series.kind.relative:
        return series
    return replace(series, values=tuple(_log(value) for value in series.values if value.value > 0))


def _log(value: Value) -> Value:
    interval = value.interval
    logs = (math.log(max(interval[0], 1e-12)), math.log(max(interval[1], 1e-12))) if interval else None
    return Value(value.entry, math.log(value.value), logs)
