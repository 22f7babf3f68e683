"""The interval of a BD-rate holds what denser curves give, and narrows as points come."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from vqa_cli.analysis.bdrate import BdResult, RatePoints, bd


def sampled(crfs: range, *, cost: float = 0.0, bend: float = 0.0, hull: bool = False) -> RatePoints:
    """Rate and quality as encoders have them: log rate and the log odds of quality fall smoothly with CRF."""
    tens = [(crf - 30) / 10 for crf in reversed(crfs)]
    rates = tuple(math.exp(7 + cost - 1.06 * u + 0.05 * u * u + 0.02 * math.sin(4 * u + bend)) for u in tens)
    odds = [1.9 - 1.8 * u + 0.15 * bend * u * u + 0.05 * math.cos(3 * u + bend) for u in tens]
    return RatePoints(rates, tuple(100 / (1 + math.exp(-o)) for o in odds), hull=hull)


def within(result: BdResult, truth: float) -> bool:
    assert result.interval is not None and result.bd_rate is not None
    low, high = result.interval
    assert low < result.bd_rate < high
    return low <= truth <= high


def test_it_holds_what_dense_curves_give() -> None:
    rng = random.Random(3)
    held = []
    for _ in range(200):
        cost, bend = rng.uniform(-0.4, 0.4), rng.uniform(-1, 1)
        sparse = bd(sampled(range(20, 45, 6)), sampled(range(20, 45, 6), cost=cost, bend=bend))
        dense = bd(sampled(range(20, 45)), sampled(range(20, 45), cost=cost, bend=bend))
        assert dense.bd_rate is not None
        held.append(within(sparse, dense.bd_rate))
    assert sum(held) / len(held) >= 0.95


def test_more_points_are_surer_and_hulls_less_sure() -> None:
    def width(step: int, *, hull: bool = False) -> float:
        result = bd(sampled(range(20, 45, step), hull=hull), sampled(range(20, 45, step), cost=0.2))
        assert result.interval is not None
        return result.interval[1] - result.interval[0]

    widths = [width(step) for step in (2, 4, 6)]
    assert all(a < b for a, b in itertools.pairwise(widths))
    assert width(4, hull=True) > 2 * width(4)


def test_no_bd_rate_no_interval() -> None:
    few = RatePoints((100.0, 200.0, 400.0), (40.0, 60.0, 80.0))
    assert bd(few, few).interval is None


def test_equal_curves_differ_by_nothing() -> None:
    result = bd(sampled(range(20, 45, 6)), sampled(range(20, 45, 6)))
    assert result.bd_rate == pytest.approx(0.0) and within(result, 0.0)
