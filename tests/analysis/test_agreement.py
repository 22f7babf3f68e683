"""What a score is judged by, against figures worked out another way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.lite import agreement
from training.lite.agreement import Rung

RATES = (100.0, 200.0, 400.0, 800.0, 1600.0)


def curve(
    level: float,
    *,
    codec: str = "libx264",
    height: int = 270,
    slope: float = 10.0,
    source: str = "a",
    bias: float = 0.0,
) -> list[Rung]:
    """VMAF is a line over log2 of rate; the score is VMAF and a bias."""
    lines = [(rate, level + slope * math.log2(rate / 100)) for rate in RATES]
    return [Rung(source, source, True, codec, height, rate, vmaf, vmaf + bias, 1e6) for rate, vmaf in lines]


def test_verdicts_at_equal_rate_are_those_of_the_curves() -> None:
    rungs = curve(30) + curve(35, codec="libx265") + curve(31, codec="libsvtav1")
    found = agreement.verdicts(rungs)
    # x264 and SVT-AV1 lie one point apart, which is not said to differ.
    assert sorted({v.codecs for v in found}) == [("libsvtav1", "libx265"), ("libx264", "libx265")]
    assert len(found) == 10
    assert all(v.agrees == 1 and v.between == "encoders" for v in found)
    lifted = [replace(r, score=r.score - 10 if r.codec == "libx265" else r.score) for r in rungs]
    assert all(v.agrees == 0 for v in agreement.verdicts(lifted))


def test_what_differs_in_size_alone_is_told_apart() -> None:
    rungs = curve(30) + curve(40, height=134) + curve(50, height=134, codec="libx265")
    assert sorted(v.between for v in agreement.verdicts(rungs)) == 5 * ["both"] + 5 * ["encoders"] + 5 * ["sizes"]


def test_bitrate_alone_ties_at_equal_rate() -> None:
    groups = [replace(r, source=s, group=s) for s in "ab" for r in curve(30) + curve(40, height=134)]
    bare = agreement.by_bitrate(groups, knows_encoder=False)
    assert {v.agrees for v in agreement.verdicts(bare)} == {0.5}
    assert agreement.crossings(bare) == []
    knowing = agreement.by_bitrate(groups, knows_encoder=True)
    assert {v.agrees for v in agreement.verdicts(knowing)} == {1.0}


@given(st.lists(st.floats(5, 95), min_size=5, max_size=5), st.lists(st.floats(5, 95), min_size=5, max_size=5))
def test_a_score_in_the_order_of_vmaf_is_right_where_rungs_share_their_rates(
    one: list[float], two: list[float]
) -> None:
    """At its own rungs a curve needs no interpolation: verdicts at shared rates are comparisons of rungs."""
    rungs = [
        Rung("a", "a", True, codec, 270, rate, vmaf, 100 * (vmaf / 100) ** 3)
        for codec, values in (("libx264", one), ("libx265", two))
        for rate, vmaf in zip(RATES, values, strict=True)
    ]
    found = agreement.verdicts(rungs)
    assert len(found) == sum(abs(a - b) >= agreement.NOTICED for a, b in zip(one, two, strict=True))
    assert all(v.agrees == 1 for v in found)


def test_a_crossing_is_where_lines_meet() -> None:
    rungs = curve(30, slope=14) + curve(42, slope=8, height=134)
    # 30 + 14 x = 42 + 8 x at x = 2, four times the lowest rate.
    (crossing,) = agreement.crossings(rungs)
    assert crossing.by_vmaf == pytest.approx(math.log2(400), abs=1e-3)
    assert crossing.by_score == pytest.approx(math.log2(400), abs=1e-3)
    late = [replace(r, score=r.score - 6 if r.height == 270 else r.score) for r in rungs]
    assert agreement.crossings(late)[0].by_score == pytest.approx(math.log2(800), abs=1e-3)
    never = [replace(r, score=r.score - 60 if r.height == 270 else r.score) for r in rungs]
    assert agreement.crossings(never)[0].by_score is None
    assert agreement.crossings([replace(r, vmaf=r.vmaf - 60 if r.height == 270 else r.vmaf) for r in rungs]) == []


def test_savings_are_shifts_of_the_curve() -> None:
    anchor = curve(30)
    cheaper = [replace(r, codec="libx265", kbps=0.8 * r.kbps) for r in anchor]
    (found,) = agreement.savings([*anchor, *cheaper], "libx264")
    assert (found.test, found.group) == ("libx265", "a")
    assert found.by_vmaf == pytest.approx(-20, abs=0.1)
    assert found.by_score == pytest.approx(-20, abs=0.1)
    tied = [replace(r, score=50.0) for r in cheaper]
    assert agreement.savings([*anchor, *tied], "libx264")[0].by_score is None


@given(st.integers(0, 2**32 - 1))
def test_order_inside_a_source_is_spearmans(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rungs = [replace(r, score=float(rng.random())) for r in curve(30) + curve(33, codec="libx265")]
    ((group, value),) = agreement.within(rungs)
    assert group == "a"
    assert value == pytest.approx(stats.spearmanr([r.vmaf for r in rungs], [r.score for r in rungs])[0])


def test_neighbours_that_vmaf_tells_apart_are_judged_and_ties_are_wrong() -> None:
    rungs = curve(30)
    assert agreement.neighbours(rungs) == 4 * [("a", 0.0)]
    assert agreement.neighbours(curve(30, slope=2.9)) == []
    rungs[1] = replace(rungs[1], score=rungs[0].score)
    assert sum(wrong for _, wrong in agreement.neighbours(rungs)) == 1


def test_intervals_draw_groups_and_not_items() -> None:
    """A hundred items of one footage are worth no more than one: with two groups there are three means to draw."""
    items = [("a", 0.0)] * 100 + [("b", 10.0)] * 100
    found = agreement.mean(items)
    assert (found.value, found.low, found.high, found.items) == (5.0, 0.0, 10.0, 200)
    many = agreement.mean([(str(n), float(n % 2)) for n in range(400)])
    # The standard error of a mean of 400 coins is 0.025.
    assert (many.low, many.high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
    nothing = agreement.mean([])
    assert nothing.items == 0
    assert math.isnan(nothing.value)


def test_medians_and_correlations_are_numpys_and_scipys() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.random((30, 2)).tolist()
    assert agreement.correlation([(str(n), (a, b)) for n, (a, b) in enumerate(pairs)]).value == pytest.approx(
        stats.spearmanr(pairs)[0]
    )
    assert agreement.median([("a", a) for a, _ in pairs]).value == pytest.approx(np.median([a for a, _ in pairs]))


def test_bitrate_knows_nothing_of_the_group_it_scores() -> None:
    rungs = [r for level, source in ((30, "a"), (30, "b"), (60, "c")) for r in curve(level, source=source)]
    told = agreement.as_vmaf(agreement.by_bitrate(rungs, knows_encoder=False))
    moved = [replace(r, vmaf=r.vmaf / 2) if r.source == "c" else r for r in rungs]
    again = agreement.as_vmaf(agreement.by_bitrate(moved, knows_encoder=False))
    assert [r.score for r in told if r.source == "c"] == pytest.approx([r.score for r in again if r.source == "c"])
    assert [r.score for r in told if r.source == "a"] != pytest.approx([r.score for r in again if r.source == "a"])
    assert all(0 < r.score < 100 for r in told)
    assert agreement.errors(told)[0][1] == pytest.approx(abs(told[0].score - told[0].vmaf))
