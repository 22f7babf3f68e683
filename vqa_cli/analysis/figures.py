"""What two measured curves differ by, with the interval of each figure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.analysis.curves import counterpart, curves, points
from vqa_cli.analysis.equalrate import Drop, QualityCurve, drop_at_equal_rate
from vqa_cli.analysis.spread import (
    MIN_WINDOWS,
    Drawn,
    Frames,
    Interval,
    RateQuality,
    bootstrap_interval,
    draw,
    has_rates,
    picks,
    repeat_margin,
    widened,
    windows_of,
)
from vqa_cli.document import EncodeResult, SourceResult
from vqa_cli.metrics import lower_is_better

BD_RATE = "BD-rate"  # the key of a line's BD-rate among its figures; the others are rungs
SAME_RATE = 0.01
Points = Mapping[str, RateQuality]


@dataclass(frozen=True)
class Pair:
    """A source of the baseline with the candidate's: one pair of results for each repeat, frame values of the first."""

    takes: tuple[tuple[SourceResult, SourceResult], ...]
    frames: tuple[Mapping[str, Frames], Mapping[str, Frames]] = ({}, {})

    @property
    def first(self) -> tuple[SourceResult, SourceResult]:
        return self.takes[0]


@dataclass(frozen=True, slots=True)
class Line:
    """Rungs of a baseline's curve and of the candidate's that stands for it, ``None`` where it has none."""

    subject: str
    base: tuple[str, ...]
    test: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure; ``None`` where it is not defined.

    Attributes:
        interval: 95 %, from windows of the clip and from repeats, where there are any.
        note: what to know of it.
        bound: the true value is at ``"least"`` or at ``"most"`` this one.
        settled: False where windows of the clip were drawn and most draws have no such figure: then it hangs by a thread,
            and no verdict can rest on it.
    """

    value: float | None
    interval: Interval | None = None
    note: str = ""
    bound: Literal["least", "most"] | None = None
    settled: bool = True


def repeats(source: SourceResult) -> list[SourceResult]:
    """A source once for each time that all of its rungs were encoded and measured."""
    measured = [rung for rung in source.rungs if rung.status == "ok"]
    count = min((len(rung.repeats) for rung in measured), default=0)
    takes = [source]
    for index in range(count):
        rungs = tuple(
            rung.model_copy(update=dict(rung.repeats[index])) if rung.status == "ok" else rung for rung in source.rungs
        )
        takes.append(source.model_copy(update={"rungs": rungs}))
    return takes


def lines(pair: Pair, metric: str) -> list[Line]:
    """Curves of the baseline with the candidate's curves that stand for the same thing."""
    theirs = curves(pair.first[1], metric)
    found = []
    for curve in curves(pair.first[0], metric):
        other = counterpart(curve, theirs)
        test = tuple(p.rung for p in other.points) if other else None
        found.append(Line(f"{curve.encoder} {curve.size}", tuple(p.rung for p in curve.points), test))
    return found


def bd_rate(pair: Pair, line: Line, metric: str) -> float | None:
    """BD-rate of a line in percent, mean over repeats."""
    takes = [_figures(*_both(take, metric, "mean"), line, metric, BD_RATE) for take in pair.takes]
    values = [take[BD_RATE] for take in takes if take]
    return sum(values) / len(values) if len(values) == len(takes) else None


def bd_estimate(pair: Pair, line: Line, metric: str) -> tuple[Estimate, float]:
    """BD-rate of a line that has a counterpart, and the share of the quality range that both curves cover."""
    base, test = _both(pair.first, metric, "mean")
    result = bd(_curve(base, line.base), _curve(test, line.test or ()), metric=metric)
    found = _estimates(pair, line, metric, "mean", BD_RATE).get(BD_RATE, Estimate(None))
    notes = [note for note in (*result.notes, found.note) if note]
    return replace(found, note="; ".join(notes)), result.overlap


def drop_estimates(
    pair: Pair, line: Line, metric: str, pooling: str, *, slack: float = SAME_RATE
) -> dict[str, Estimate]:
    """Loss of quality at equal bitrate, for each rung that both sides measured.

    Where no curve can bring both to the same bitrate, it is the loss as encoded: what it is at equal bitrate too if the
    bitrates differ by no more than ``slack`` (a share), at least that much if the candidate spends more, at most if less.
    """
    base, test = _both(pair.first, metric, pooling)
    found = _estimates(pair, line, metric, pooling)
    drops = _drops(base, test, line)
    return {rung: _explained(estimate, base[rung], test[rung], drops[rung], slack) for rung, estimate in found.items()}


def _explained(found: Estimate, base: RateQuality, test: RateQuality, drop: Drop | None, slack: float) -> Estimate:
    more = test[0] / base[0] - 1
    if drop is not None:
        there = f"at {drop.kbps:.0f} kb/s; as encoded {base[1] - test[1]:+.3g} for {100 * more:+.3g}% bitrate"
        return replace(found, note=there) if abs(more) > SAME_RATE else found
    if abs(more) <= slack:
        return found
    note = f"as encoded, for {100 * more:+.3g}% bitrate: no curve brings both to the same"
    return replace(found, note=note, bound="least" if more > 0 else "most")


def _drops(base: Points, test: Points, line: Line) -> dict[str, Drop | None]:
    """Loss at equal bitrate of each rung that both sides have."""
    mine = QualityCurve([base[r] for r in line.base if r in base])
    theirs = QualityCurve([test[r] for r in line.test or () if r in test])
    both = [rung for rung in line.base if rung in base and rung in test]
    return {rung: drop_at_equal_rate(base[rung], test[rung], mine, theirs) for rung in both}


def _figures(base: Points, test: Points, line: Line, metric: str, only: str | None) -> dict[str, float]:
    """The line's BD-rate, or what each rung loses at equal bitrate (as encoded where it has no curve)."""
    if only == BD_RATE:
        value = bd(_curve(base, line.base), _curve(test, line.test or ()), metric=metric, quality=False).bd_rate
        return {} if value is None else {BD_RATE: value}
    drops = _drops(base, test, line)
    return {rung: drop.value if drop else base[rung][1] - test[rung][1] for rung, drop in drops.items()}


def _estimates(pair: Pair, line: Line, metric: str, pooling: str, only: str | None = None) -> dict[str, Estimate]:
    takes = [_figures(*_both(take, metric, pooling), line, metric, only) for take in pair.takes]
    windows, draws = _draws(pair, line, metric, pooling)
    # Equal sides differ by nothing, whatever is drawn: one draw then stands for all.
    few = draws[:1] if all(base == test for base, test in draws) else draws
    drawn: dict[str, list[float]] = {}
    for base, test in few:
        for key, value in _figures(base, test, line, metric, only).items():
            drawn.setdefault(key, []).extend([value] * (len(draws) // len(few)))
    found = {}
    for key, first in takes[0].items():
        values = [take[key] for take in takes if key in take]
        if len(values) < len(takes):
            continue
        mean = sum(values) / len(values)
        around_mean = [value - first + mean for value in drawn.get(key, ())]
        interval = widened(mean, bootstrap_interval(mean, around_mean, windows), repeat_margin(values))
        lost = len(draws) - len(around_mean)
        note = f"undefined in {100 * lost / len(draws):.0f}% of the draws of the clip's windows" if lost else ""
        found[key] = Estimate(mean, interval, note, settled=2 * lost <= len(draws))
    return found


def _draws(pair: Pair, line: Line, metric: str, pooling: str) -> tuple[int, list[tuple[Points, Points]]]:
    """Number of windows, and both sides of the line as other windows of the clip would give them, draw by draw."""
    names = (line.base, line.test or ())
    sides = [[rung for rung in side.rungs if rung.id in ids] for side, ids in zip(pair.first, names, strict=True)]
    lengths = {windows_of(rung, metric) for side in sides for rung in side}
    if len(lengths) != 1 or not sides[1] or (windows := lengths.pop()) < MIN_WINDOWS:
        return 0, []
    # Rates are drawn on both sides or on neither.
    rates = all(has_rates(rung, metric) for side in sides for rung in side)
    pick = picks(windows)
    drawn = [
        {rung.id: draw(rung, metric, pooling, frames.get(rung.id), pick, rates=rates) for rung in side}
        for side, frames in zip(sides, pair.frames, strict=True)
    ]
    whole = [{name: d for name, d in side.items() if d is not None} for side in drawn]
    if any(len(a) != len(b) for a, b in zip(whole, drawn, strict=True)):
        return 0, []
    base, test = ([_draw_of(side, number, _sign(metric)) for number in range(len(pick))] for side in whole)
    return windows, list(zip(base, test, strict=True))


def _draw_of(side: Mapping[str, Drawn], number: int, sign: float) -> Points:
    return {rung: (float(d.kbps[number]), sign * float(d.quality[number])) for rung, d in side.items()}


def _sign(metric: str) -> float:
    """Figures are losses: what falls as quality does."""
    return -1.0 if lower_is_better(metric) else 1.0


def rate_increase(pair: Pair, rung: str) -> Estimate:
    """Change of a rung's achieved bitrate in percent."""
    encodes = [_encodes(take, rung) for take in pair.takes]
    values = [100 * (test.bitrate_kbps / base.bitrate_kbps - 1) for base, test in encodes]
    mean = sum(values) / len(values)
    a, b = (np.array(encode.segments_kbps) for encode in encodes[0])
    interval = None
    if len(a) == len(b) >= MIN_WINDOWS:
        pick = picks(len(a))
        ratios = b[pick].mean(axis=1) / np.maximum(a[pick].mean(axis=1), 1e-9)
        around_mean = 100 * (ratios - b.mean() / a.mean()) + mean
        interval = bootstrap_interval(mean, around_mean.tolist(), len(a))
    return Estimate(mean, widened(mean, interval, repeat_margin(values)))


def time_ratio(pair: Pair, rungs: Sequence[str]) -> Estimate:
    """CPU seconds of the candidate's encodes over the baseline's, all ``rungs`` together."""
    values = []
    for take in pair.takes:
        base, test = zip(*(_encodes(take, rung) for rung in rungs), strict=True)
        spent = sum(encode.cpu_s for encode in base)
        if not spent:
            return Estimate(None, None, "the baseline has no encode times")
        values.append(sum(encode.cpu_s for encode in test) / spent)
    mean = sum(values) / len(values)
    return Estimate(mean, widened(mean, None, repeat_margin(values)))


def _encodes(take: tuple[SourceResult, SourceResult], rung: str) -> tuple[EncodeResult, EncodeResult]:
    base, test = (next(r.encode for r in side.rungs if r.id == rung) for side in take)
    assert base is not None
    assert test is not None
    return base, test


def _both(take: tuple[SourceResult, SourceResult], metric: str, pooling: str) -> tuple[Points, Points]:
    base, test = take
    return _points(base, metric, pooling), _points(test, metric, pooling)


def _points(source: SourceResult, metric: str, pooling: str) -> dict[str, RateQuality]:
    return {point.rung: (point.kbps, _sign(metric) * point.quality) for _, point in points(source, metric, pooling)}


def _curve(found: Points, rungs: Sequence[str]) -> RatePoints:
    kept = [found[rung] for rung in rungs if rung in found]
    return RatePoints(tuple(r for r, _ in kept), tuple(q for _, q in kept))
