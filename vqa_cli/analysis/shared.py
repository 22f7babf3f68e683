"""One ladder for a whole catalogue, and what each title pays for not having its own. Pure.

Candidates are the same for all titles: a size with a CRF, whose rate every title has for itself, or a size with a rate,
whose quality every title has for itself. The sum over titles of what viewers get is a sum over neighbours as well, as long
as no title's rate or quality falls from one rung to the next; only such rungs may follow on one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.between import between
from vqa_cli.analysis.curves import Point, codec_name, points
from vqa_cli.analysis.equalrate import QualityCurve
from vqa_cli.analysis.ladders import Choice
from vqa_cli.analysis.optimum import Worth, affordable_ladder, expected, permitted
from vqa_cli.analysis.recommend import choose, chosen_metric
from vqa_cli.document import Run
from vqa_cli.errors import UsageError
from vqa_cli.settings import Constraints

By = Literal["crf", "bitrate"]
_FINENESS = 1.05  # between candidate rates


@dataclass(frozen=True, slots=True)
class SharedRung:
    """A rung of the shared ladder: its size, its setting, and what it is over the titles that have it."""

    height: int
    setting: str
    kbps: tuple[float, float]
    quality: tuple[float, float]
    titles: int


@dataclass(frozen=True, slots=True)
class TitleLoss:
    """What viewers of a title get of its own best ladder and of the shared one."""

    source: str
    own: float
    shared: float

    @property
    def loss(self) -> float:
        return self.own - self.shared


@dataclass(frozen=True, slots=True)
class SharedLadder:
    """The best ladder for all titles of a run in one codec."""

    codec: str
    metric: str
    by: By
    rungs: tuple[SharedRung, ...]
    titles: tuple[TitleLoss, ...]

    @property
    def mean_loss(self) -> float:
        return math.fsum(t.loss for t in self.titles) / len(self.titles)


# What a rung is for one title; ``None`` where the title has nothing at so low a rate.
_Column = list[Point | None]


def shared_ladders(
    run: Run, constraints: Constraints, by: By, metric: str | None = None, audience: Audience | None = None
) -> list[SharedLadder]:
    """One ladder per codec over all titles of the run that were encoded by it.

    Raises:
        UsageError: the run did not measure the metric, or a limit that only a title's own ladder can keep to.
        InputError: two sources of one name.
    """
    for name in ("max_delta_to_source", "knee_kbps_per_point"):
        if getattr(constraints, name) is not None:
            raise UsageError(f"a shared ladder takes no {name}: it is a limit on a title's own hull")
    wanted = chosen_metric(run, constraints, metric)
    found = []
    for codec in dict.fromkeys(codec_name(rung) for source in run.sources for rung in source.rungs):
        titles: dict[str, tuple[Choice, list[Point]]] = {}
        for source in run.sources:
            pairs = [pair for pair in points(source, wanted) if pair[1].codec == codec]
            if pairs:
                choice = choose(run, source, pairs, constraints, wanted, audience)
                titles[source.source.name] = choice, [point for _, point in pairs]
        if titles:
            found.append(_shared(codec, wanted, by, titles))
    return found


def _shared(codec: str, metric: str, by: By, titles: Mapping[str, tuple[Choice, list[Point]]]) -> SharedLadder:
    choices = [choice for choice, _ in titles.values()]
    settings, columns = _by_crf(titles) if by == "crf" else _by_rate(titles)
    kept = [k for k, column in enumerate(columns) if _within(column, choices)]
    settings, columns = [settings[k] for k in kept], [columns[k] for k in kept]
    order = np.argsort([_mean_log(column) for column in columns], kind="stable")
    settings, columns = [settings[k] for k in order], [columns[k] for k in order]
    limits = choices[0].limits
    budget = limits.asked.max_ladder_s_per_s or math.inf
    times = np.array([_time(column, choices) for column in columns])
    best = affordable_ladder(_worth(settings, columns, choices), limits.rules.rungs, times, budget)
    chosen = best.chosen if best else ()
    rungs = [_rung(settings[j], columns[j]) for j in chosen]
    losses = [
        TitleLoss(name, choice.best().expected, _worth_to(choice, [columns[j][t] for j in chosen]))
        for t, (name, (choice, _)) in enumerate(titles.items())
    ]
    return SharedLadder(codec, metric, by, tuple(rungs), tuple(losses))


def _by_crf(titles: Mapping[str, tuple[Choice, list[Point]]]) -> tuple[list[tuple[int, str]], list[_Column]]:
    """Sizes and CRFs that all titles have; a title that is smaller than a size has its largest in its place."""
    tables: list[dict[tuple[int, float], Point]] = []
    for _, measured in titles.values():
        every = [*between(measured), *measured]
        tables.append({(p.height, p.crf): p for p in every if p.crf is not None})
    heights = sorted({height for table in tables for height, _ in table})
    crfs = sorted({crf for table in tables for _, crf in table})
    settings, columns = [], []
    for height in heights:
        for crf in crfs:
            column = [table.get((_size(table, height), crf)) for table in tables]
            if all(column):
                settings.append((height, f"crf {crf:g}"))
                columns.append(column)
    return settings, columns


def _size(table: Mapping[tuple[int, float], Point], height: int) -> int:
    """The size that stands for ``height``: itself, or the title's largest where that is less."""
    mine = {h for h, _ in table}
    return min(height, max(mine))


def _by_rate(titles: Mapping[str, tuple[Choice, list[Point]]]) -> tuple[list[tuple[int, str]], list[_Column]]:
    """Sizes and rates; beyond its dearest rung a title has that one's quality, below its cheapest it has nothing."""
    every = [p for _, measured in titles.values() for p in measured]
    low, high = min(p.kbps for p in every), max(p.kbps for p in every)
    count = max(2, round(math.log(high / low) / math.log(_FINENESS)) + 1)
    rates = [round(float(rate)) for rate in np.geomspace(low, high, count)]
    settings, columns = [], []
    for height in sorted({p.height for p in every}):
        curves = [_curve(measured, height) for _, measured in titles.values()]
        for rate in dict.fromkeys(rates):
            column = [_at_rate(curve, rate) for curve in curves]
            if any(column):
                settings.append((height, f"{rate}k"))
                columns.append(column)
    return settings, columns


def _curve(measured: Sequence[Point], height: int) -> list[Point]:
    mine = {p.height for p in measured}
    return sorted((p for p in measured if p.height == min(height, max(mine))), key=lambda p: p.kbps)


def _at_rate(curve: Sequence[Point], rate: float) -> Point | None:
    if not curve or rate < curve[0].kbps:
        return None
    inner = QualityCurve([(p.kbps, p.quality) for p in curve]).at(min(rate, curve[-1].kbps))
    return None if inner is None else replace(curve[-1], kbps=rate, quality=inner, measured=False)


def _within(column: _Column, choices: Sequence[Choice]) -> bool:
    """Whether a rung is within the limits on single rungs for every title that has it."""
    asked = choices[0].limits.asked
    low, high, dear = asked.min_kbps or 0.0, asked.max_kbps or math.inf, asked.max_encode_s_per_s or math.inf
    pairs = [(p, choice) for p, choice in zip(column, choices, strict=True) if p]
    return all(low <= p.kbps <= high and p.cpu_s <= dear * choice.duration_s for p, choice in pairs)


def _time(column: _Column, choices: Sequence[Choice]) -> float:
    """CPU time of a rung for a second of video, mean over the titles that have it."""
    known = [p.cpu_s / choice.duration_s for p, choice in zip(column, choices, strict=True) if p]
    return math.fsum(known) / len(known)


def _mean_log(column: _Column) -> float:
    known = [math.log(p.kbps) for p in column if p]
    return math.fsum(known) / len(known)


def _worth(settings: Sequence[tuple[int, str]], columns: Sequence[_Column], choices: Sequence[Choice]) -> Worth:
    """See :class:`vqa_cli.analysis.optimum.Worth`; the mean over titles."""
    rules, scale = choices[0].limits.rules, choices[0].scale
    allowed = permitted(
        np.array([_mean_log(column) for column in columns]), np.array([height for height, _ in settings]), rules
    )
    first, gains, added = np.zeros(len(columns)), np.zeros_like(allowed, float), np.zeros_like(allowed, float)
    for t, choice in enumerate(choices):
        quality = np.array([_capped(choice, column[t]) for column in columns])
        rates = np.array([point.kbps if (point := column[t]) else 0.0 for column in columns])
        shares = np.array([choice.audience.share(rate) if rate else 0.0 for rate in rates])
        rise = quality[None, :] - quality[:, None]
        allowed &= (rise >= 0) & (rates[None, :] >= rates[:, None])
        first += (quality - scale.floor) * shares
        gains += rise
        added += rise * shares[None, :]
    allowed &= gains / len(choices) >= max(rules.min_step, 1e-9)
    return Worth(scale.floor + first / len(choices), np.where(allowed, added / len(choices), -np.inf))


def _capped(choice: Choice, point: Point | None) -> float:
    if point is None:
        return choice.scale.floor
    ceiling = choice.limits.ceiling
    return point.quality if ceiling is None else min(point.quality, ceiling)


def _worth_to(choice: Choice, rungs: Sequence[Point | None]) -> float:
    judged = [replace(p, quality=_capped(choice, p)) for p in rungs if p]
    return expected(judged, choice.audience, choice.scale.floor)


def _rung(setting: tuple[int, str], column: _Column) -> SharedRung:
    known = [p for p in column if p]
    rates, quality = [p.kbps for p in known], [p.quality for p in known]
    return SharedRung(*setting, (min(rates), max(rates)), (min(quality), max(quality)), len(known))
