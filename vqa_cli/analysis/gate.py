"""Did a change hurt? Two run documents and a policy give a verdict. Pure; fails closed on missing data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vqa_cli.analysis.bdrate import MIN_OVERLAP
from vqa_cli.analysis.comparable import refuse_unlike, remarks
from vqa_cli.analysis.figures import (
    SAME_RATE,
    Estimate,
    Line,
    Pair,
    bd_estimate,
    bd_rate,
    drop_estimates,
    lines,
    rate_increase,
    repeats,
    time_ratio,
)
from vqa_cli.analysis.policy import Allowance, Limits, MetricPolicy, Policy
from vqa_cli.analysis.spread import Frames, mean_interval
from vqa_cli.document import Run, RungResult
from vqa_cli.errors import InputError
from vqa_cli.frametable import RunFrames

Outcome = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its limit.

    Attributes:
        value: how much worse the candidate is, in ``unit``; ``None`` when it could not be measured.
        interval: 95 % interval of the value, where there is one; then the verdict goes by it.
        limit: the most that the policy allows.
        allowed: the policy's reason why this one does not count.
    """

    source: str
    subject: str
    figure: str
    unit: str
    value: float | None
    interval: tuple[float, float] | None
    limit: float
    outcome: Outcome
    note: str = ""
    allowed: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks and what follows from them: one failure fails, else one unknown makes it inconclusive."""

    outcome: Outcome
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()


def judge(
    baseline: Run, candidate: Run, policy: Policy, frames: tuple[RunFrames | None, RunFrames | None] = (None, None)
) -> Verdict:
    """Compare two runs.

    Args:
        frames: frame values of either run, for the interval of percentiles.

    Raises:
        InputError: they cannot be compared, and the message names the first difference; or nothing is checked.
    """
    refuse_unlike(baseline, candidate, policy)
    paired = list(pairs(baseline, candidate, frames))
    checks = [c for pair in paired for c in _source_checks(pair, policy.limits_for(pair.first[0].source.name))]
    checks += _mean_checks(paired, policy)
    if not checks:
        raise InputError("the policy checks nothing")
    excused = [_excused(check, policy.allow) for check in checks]
    outcomes = {check.outcome for check in excused if check.allowed is None}
    worst: Outcome = "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"
    unused = tuple(
        f"allowance not needed: {allowance.reason}"
        for allowance in policy.allow if not any(check.allowed == allowance.reason for check in excused)
    )  # fmt: skip
    return Verdict(worst, tuple(excused), (*remarks(baseline, candidate, policy), *unused))


def pairs(
    baseline: Run, candidate: Run, frames: tuple[RunFrames | None, RunFrames | None] = (None, None)
) -> Iterator[Pair]:
    """Each source of the baseline with the candidate's, which has them all."""
    numbers = {source.source.sha256: index for index, source in enumerate(candidate.sources)}
    for index, source in enumerate(baseline.sources):
        other = numbers[source.source.sha256]
        takes = zip(repeats(source), repeats(candidate.sources[other]), strict=False)
        yield Pair(tuple(takes), (_frames_of(frames[0], index), _frames_of(frames[1], other)))


def _frames_of(frames: RunFrames | None, index: int) -> dict[str, Frames]:
    return {rung: (frames or {})[source, rung] for source, rung in frames or () if source == index}


def _source_checks(pair: Pair, limits: Limits) -> Iterator[Check]:
    baseline, candidate = pair.first
    name = baseline.source.name
    if not baseline.rungs:
        note = baseline.reason or "the baseline has no rung"
        yield Check(name, "all rungs", "rung", "", None, None, 0.0, "inconclusive", note)
    theirs = {rung.id: rung for rung in candidate.rungs}
    both = []
    for rung in baseline.rungs:
        if rung.status == "skipped":
            continue
        other = theirs.get(rung.id)
        if other is not None and other.encode is not None and rung.encode is not None:
            both.append(rung)
        else:
            yield _missing(name, rung, other)
    for metric, wanted in limits.metrics.items():
        yield from _metric_checks(pair, metric, wanted, limits)
    yield from _cost_checks(pair, [rung.id for rung in both], theirs, limits)


def _missing(name: str, rung: RungResult, other: RungResult | None) -> Check:
    failed = other is not None and other.status == "failed"
    note = (other.reason or "not measured") if other else "the candidate has no such rung"
    return Check(name, rung.id, "rung", "", None, None, 0.0, "fail" if failed else "inconclusive", note)


def _metric_checks(pair: Pair, metric: str, wanted: MetricPolicy, limits: Limits) -> Iterator[Check]:
    slack = max(SAME_RATE, (limits.max_bitrate_increase or 0.0) / 100)
    name = pair.first[0].source.name
    drops = {"mean": wanted.max_drop_mean, "p5": wanted.max_drop_p5, "min": wanted.max_drop_min}
    for line in lines(pair, metric):
        if wanted.max_bd_rate is not None:
            yield _bd_check(pair, line, metric, wanted.max_bd_rate)
        for pooling, limit in drops.items():
            if limit is not None:
                for rung, estimate in drop_estimates(pair, line, metric, pooling, slack=slack).items():
                    yield _check(name, rung, f"{metric} {pooling} drop", "", estimate, limit)


def _bd_check(pair: Pair, line: Line, metric: str, limit: float) -> Check:
    """BD-rate of a curve; without enough overlap it may fail, but a pass would rest on too little."""
    name, figure = pair.first[0].source.name, f"{metric} BD-rate"
    if line.test is None:
        return _check(name, line.subject, figure, "%", Estimate(None, None, "the candidate has no such curve"), limit)
    estimate, overlap = bd_estimate(pair, line, metric)
    check = _check(name, line.subject, figure, "%", estimate, limit)
    thin = check.outcome == "pass" and overlap < MIN_OVERLAP
    return replace(check, outcome="inconclusive") if thin else check


def _mean_checks(paired: list[Pair], policy: Policy) -> Iterator[Check]:
    """The mean of the sources' BD-rates, curve by curve; inconclusive as soon as one source has none."""
    for metric, wanted in policy.metrics.items():
        if wanted.max_mean_bd_rate is None:
            continue
        values: dict[str, list[float | None]] = {}
        for pair in paired:
            for line in lines(pair, metric):
                values.setdefault(line.subject, []).append(bd_rate(pair, line, metric))
        for subject, found in values.items():
            yield _check("all sources", subject, f"{metric} mean BD-rate", "%", _mean(found), wanted.max_mean_bd_rate)


def _mean(values: list[float | None]) -> Estimate:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Estimate(None, None, f"{len(values) - len(known)} of {len(values)} sources have no BD-rate")
    return Estimate(sum(known) / len(known), mean_interval(known))


def _cost_checks(pair: Pair, rungs: list[str], candidate: Mapping[str, RungResult], limits: Limits) -> Iterator[Check]:
    name = pair.first[0].source.name
    for rung in rungs:
        if limits.max_bitrate_increase is not None:
            yield _check(name, rung, "bitrate", "%", rate_increase(pair, rung), limits.max_bitrate_increase)
        target, encode = candidate[rung].rate.bitrate_kbps, candidate[rung].encode
        if limits.max_overshoot is not None and target and encode:
            over = Estimate(100 * (encode.bitrate_kbps / target - 1))
            yield _check(name, rung, "overshoot of target", "%", over, limits.max_overshoot)
    if limits.max_encode_time is not None and rungs:
        yield _check(name, "all rungs", "encode CPU time", "x", time_ratio(pair, rungs), limits.max_encode_time)


def _check(source: str, subject: str, figure: str, unit: str, found: Estimate, limit: float) -> Check:
    value, interval = found.value, found.interval
    if value is None or not np.isfinite(value):
        return Check(source, subject, figure, unit, None, None, limit, "inconclusive", found.note)
    low, high = interval or (value, value)
    # A bound leaves the other side open.
    good = found.settled and high <= limit and found.bound != "least"
    bad = found.settled and low > limit and found.bound != "most"
    outcome: Outcome = "pass" if good else "fail" if bad else "inconclusive"
    return Check(source, subject, figure, unit, value, interval, limit, outcome, found.note)


def _excused(check: Check, allowances: tuple[Allowance, ...]) -> Check:
    if check.outcome == "pass":
        return check
    reasons = (a.reason for a in allowances if a.covers(check.source, check.subject, check.figure))
    return replace(check, allowed=next(reasons, None))
