"""Did a change hurt? Two run documents and a policy give a verdict. Pure; fails closed on missing data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vqa_cli.analysis.bdrate import MIN_OVERLAP, RatePoints, bd
from vqa_cli.analysis.curves import Curve, counterpart, curves, series
from vqa_cli.analysis.policy import MetricPolicy, Policy
from vqa_cli.errors import InputError
from vqa_cli.run import Run, RungResult, SourceResult

Outcome = Literal["pass", "fail", "inconclusive"]
_MIN_SEGMENTS = 3
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Check:
    """One figure against its limit.

    Attributes:
        value: how much worse the candidate is, in ``unit``; ``None`` when it could not be measured.
        interval: 95 % interval of the value, where there is one; then the verdict goes by it.
        limit: the most that the policy allows.
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks and what follows from them: one failure fails, else one unknown makes it inconclusive."""

    outcome: Outcome
    checks: tuple[Check, ...]


def judge(baseline: Run, candidate: Run, policy: Policy) -> Verdict:
    """Compare two runs.

    Raises:
        InputError: they cannot be compared; the message names the first difference.
    """
    refuse_unlike(baseline, candidate, policy)
    checks: list[Check] = []
    theirs = {source.source.sha256: source for source in candidate.sources}
    for source in baseline.sources:
        found = list(_source_checks(source, theirs[source.source.sha256], policy))
        if not source.rungs:
            note = source.reason or "the baseline has no rung"
            found.append(Check(source.source.name, "all rungs", "rung", "", None, None, 0.0, "inconclusive", note))
        checks += found
    if not checks:
        raise InputError("the policy checks nothing")
    outcomes = {check.outcome for check in checks}
    worst: Outcome = "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"
    return Verdict(worst, tuple(checks))


def refuse_unlike(baseline: Run, candidate: Run, policy: Policy) -> None:
    """Raise where two runs measured different things.

    Raises:
        InputError: different sources, sizes, models or pooling, or a metric of the policy is missing.
    """
    for metric in policy.metrics:
        for name, run in (("baseline", baseline), ("candidate", candidate)):
            if (metric != "model" and metric not in run.metrics) or (metric == "model" and run.model is None):
                raise InputError(f"the {name} did not measure {metric}")
    if "model" in policy.metrics and baseline.model and candidate.model:
        for field in ("name", "sha256", "precision", "pooling", "preprocessing"):
            one, two = getattr(baseline.model, field), getattr(candidate.model, field)
            if one != two:
                raise InputError(f"the runs cannot be compared: model {field} is {one} in one and {two} in the other")
    theirs = {source.source.sha256: source for source in candidate.sources}
    for source in baseline.sources:
        other = theirs.get(source.source.sha256)
        if other is None or not source.source.sha256:
            raise InputError(f"the runs cannot be compared: the candidate lacks source {source.source.name}")
        sizes = [f"{s.display_width}x{s.display_height}" for s in (source, other)]
        if sizes[0] != sizes[1]:
            raise InputError(f"the runs cannot be compared: judged at {sizes[0]} and at {sizes[1]}")
    for field in ("upscale", "tonemap", "deinterlace"):
        one, two = getattr(baseline.settings, field), getattr(candidate.settings, field)
        if one != two:
            raise InputError(f"the runs cannot be compared: {field} is {one} in one and {two} in the other")


def _source_checks(baseline: SourceResult, candidate: SourceResult, policy: Policy) -> Iterator[Check]:
    pairs = _pairs(baseline, candidate)
    name = baseline.source.name
    for rung, other in pairs:
        if other is None or other.encode is None or rung.encode is None:
            failed = other is not None and other.status == "failed"
            note = (other.reason or "not measured") if other else "the candidate has no such rung"
            yield Check(name, rung.id, "rung", "", None, None, 0.0, "fail" if failed else "inconclusive", note)
    both = [(a, b) for a, b in pairs if b is not None and b.encode is not None and a.encode is not None]
    for metric, limits in policy.metrics.items():
        yield from _bd_checks(baseline, candidate, metric, limits)
        for rung, other in both:
            yield from _drop_checks(name, rung, other, metric, limits)
    if policy.max_bitrate_increase is not None:
        for rung, other in both:
            assert rung.encode is not None
            assert other.encode is not None
            more = 100 * (other.encode.bitrate_kbps / rung.encode.bitrate_kbps - 1)
            yield _check(name, rung.id, "bitrate", "%", more, None, policy.max_bitrate_increase)
    if policy.max_encode_time is not None and both:
        spent = [sum(r.encode.cpu_s for r in side if r.encode) for side in zip(*both, strict=True)]
        yield _check(
            name,
            "all rungs",
            "encode CPU time",
            "x",
            spent[1] / spent[0] if spent[0] else None,
            None,
            policy.max_encode_time,
        )


def _pairs(baseline: SourceResult, candidate: SourceResult) -> list[tuple[RungResult, RungResult | None]]:
    theirs = {rung.id: rung for rung in candidate.rungs}
    return [(rung, theirs.get(rung.id)) for rung in baseline.rungs if rung.status != "skipped"]


def _bd_checks(baseline: SourceResult, candidate: SourceResult, metric: str, limits: MetricPolicy) -> Iterator[Check]:
    """BD-rate of each curve; without enough overlap it may fail, but a pass would rest on too little."""
    if limits.max_bd_rate is None:
        return
    theirs = curves(candidate, metric)
    for curve in curves(baseline, metric):
        subject = f"{curve.encoder} {curve.size}"
        other = counterpart(curve, theirs)
        figure = f"{metric} BD-rate"
        if other is None:
            yield _check(
                curve.source, subject, figure, "%", None, None, limits.max_bd_rate, "the candidate has no such curve"
            )
            continue
        result = bd(_rates(curve), _rates(other), metric=metric)
        check = _check(
            curve.source, subject, figure, "%", result.bd_rate, None, limits.max_bd_rate, "; ".join(result.notes)
        )
        thin = check.outcome == "pass" and result.overlap < MIN_OVERLAP
        yield replace(check, outcome="inconclusive") if thin else check


def _rates(curve: Curve) -> RatePoints:
    return RatePoints(tuple(p.kbps for p in curve.points), tuple(p.quality for p in curve.points))


def _drop_checks(name: str, rung: RungResult, other: RungResult, metric: str, limits: MetricPolicy) -> Iterator[Check]:
    wanted = {"mean": limits.max_drop_mean, "p5": limits.max_drop_p5, "min": limits.max_drop_min}
    for pooling, limit in wanted.items():
        if limit is None:
            continue
        before, after = rung.quality(metric, pooling), other.quality(metric, pooling)
        drop = None if before is None or after is None else before - after
        interval = drop_interval(rung, other, metric) if pooling == "mean" else None
        yield _check(name, rung.id, f"{metric} {pooling} drop", "", drop, interval, limit)


def drop_interval(rung: RungResult, other: RungResult, metric: str, *, seed: int = 0) -> tuple[float, float] | None:
    """95 % bootstrap interval of the mean drop over one-second windows, paired; ``None`` below three windows.

    It is centred on the drop itself, which for a model is not the mean of its windows.
    Source: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13 (percentile interval).
    """
    a, b = series(rung, metric), series(other, metric)
    before, after = rung.quality(metric), other.quality(metric)
    if a is None or b is None or before is None or after is None:
        return None
    if len(a.segments) != len(b.segments) or len(a.segments) < _MIN_SEGMENTS:
        return None
    delta = np.array(a.segments) - np.array(b.segments)
    rng = np.random.default_rng(seed)
    means = delta[rng.integers(len(delta), size=(_DRAWS, len(delta)))].mean(axis=1)
    low, high = np.percentile(means - delta.mean(), (2.5, 97.5))
    return float(before - after + low), float(before - after + high)


def _check(
    source: str, subject: str, figure: str, unit: str, value: float | None, interval: tuple[float, float] | None,
    limit: float, note: str = "",
) -> Check:  # fmt: skip
    outcome: Outcome
    if value is None or not np.isfinite(value):
        outcome, value = "inconclusive", None
    elif interval is None:
        outcome = "pass" if value <= limit else "fail"
    else:
        outcome = "pass" if interval[1] <= limit else "fail" if interval[0] > limit else "inconclusive"
    return Check(source, subject, figure, unit, value, interval, limit, outcome, note)
