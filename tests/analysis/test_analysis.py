"""Curves, hull, BD-rate, recommendation and gate against known truth and independent references."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats
from conftest import Vqa
from documents import ladder, make_run, make_rung
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from report_runs import make_run as make_report_run
from scipy.interpolate import PchipInterpolator

from vqa_cli.analysis.bdrate import Method, RatePoints, bd
from vqa_cli.analysis.compare import rate_points, run_curves, within
from vqa_cli.analysis.curves import Point, curves, inversions
from vqa_cli.analysis.gate import judge
from vqa_cli.analysis.hull import HULL, codec_hulls, convex_hull, crossovers, envelope, undominated
from vqa_cli.analysis.policy import MetricPolicy, Policy, default_policy, read_policy
from vqa_cli.analysis.recommend import recommend
from vqa_cli.analysis.spread import mean_interval
from vqa_cli.document import Run
from vqa_cli.errors import InputError, UsageError
from vqa_cli.pchip import Pchip
from vqa_cli.report.view import build_page
from vqa_cli.settings import Constraints
from vqa_cli.student import spearman, t_quantile


def point(kbps: float, quality: float, height: int = 360) -> Point:
    return Point(f"{kbps}-{quality}", kbps, quality, height, "x", 1.0)


clouds = st.lists(st.tuples(st.floats(10, 1e5), st.floats(0, 100)), min_size=1, max_size=40)


@given(clouds)
def test_nothing_lies_above_the_hull(cloud: list[tuple[float, float]]) -> None:
    points = [point(r, q) for r, q in cloud]
    hull = convex_hull(points)
    assert [p.kbps for p in hull] == sorted({p.kbps for p in hull})
    assert [p.quality for p in hull] == sorted({p.quality for p in hull})
    assert max(p.quality for p in points) == hull[-1].quality
    xs = [math.log(p.kbps) for p in hull]
    assume(len(xs) < 2 or min(np.diff(xs)) > 1e-6)
    for p in points:
        assert p.quality <= np.interp(math.log(p.kbps), xs, [h.quality for h in hull]) + 1e-6
    slopes = [(b.quality - a.quality) / (math.log(b.kbps) - math.log(a.kbps)) for a, b in itertools.pairwise(hull)]
    assert all(a >= b - 1e-6 * max(1, abs(a)) for a, b in itertools.pairwise(slopes))


@given(
    st.lists(
        st.tuples(st.integers(10, 5000), st.integers(0, 100), st.sampled_from((360, 720))), min_size=1, max_size=30
    )
)
def test_the_envelope_has_what_none_beats_and_no_other_size_passes_over(
    cloud: list[tuple[int, int, int]],
) -> None:
    points = [point(*given) for given in cloud]
    found = envelope(points)
    assert found[0].kbps == min(p.kbps for p in points) and found[-1].quality == max(p.quality for p in points)
    assert [p.kbps for p in found] == sorted({p.kbps for p in found})
    assert [p.quality for p in found] == sorted({p.quality for p in found})
    assert set(convex_hull(points)) <= set(found) <= set(undominated(points))
    alone = [p for p in points if p.height == 360]
    assert not alone or envelope(alone) == undominated(alone)


def test_a_very_poor_rung_does_not_hide_what_lies_above_it() -> None:
    """Quality rises slowly over log rate at first: a straight line from there passes over all that follows."""

    def made(cost: float, least: int) -> list[Point]:
        rates = {h: [h * 0.1 * cost * 2**step for step in range(least, 9)] for h in (360, 720)}
        top = {360: 80.0, 720: 100.0}
        return [
            point(r, top[h] / (1 + math.exp(2.5 - 1.2 * math.log(r / cost / h))), h) for h in rates for r in rates[h]
        ]

    lines = [envelope(made(cost, least)) for cost, least in ((1.0, -4), (0.8, 1))]
    assert all(len(line) > 7 for line in lines)
    dear, cheap = (rate_points(line, hull=True) for line in lines)
    found = bd(dear, cheap, metric="vmaf")
    assert found.bd_rate == pytest.approx(-20, abs=1) and found.interval is not None
    assert found.interval[0] < -20 < found.interval[1]


def test_crossovers_sit_between_sizes() -> None:
    few = [point(100, 10, 360), point(400, 30, 720)]
    (half_way,) = crossovers(few, few)
    assert (half_way.lower, half_way.higher, half_way.interpolated) == (360, 720, False)
    assert half_way.kbps == pytest.approx(200)
    # Straight lines over log rate that meet at 300 kb/s.
    small = [point(r, 50 + 5 * math.log(r / 300), 360) for r in (100, 200, 500, 900)]
    large = [point(r, 50 + 12 * math.log(r / 300), 720) for r in (150, 250, 600, 1200)]
    (met,) = crossovers(convex_hull([*small, *large]), [*small, *large])
    assert met.interpolated and met.kbps == pytest.approx(300, rel=1e-3)


RATES, QUALITY = (100.0, 230.0, 520.0, 1300.0, 2600.0), (55.0, 71.0, 83.0, 91.5, 95.0)


@pytest.mark.parametrize("method", ["pchip", "akima", "cubic"])
@given(factor=st.floats(0.3, 3))
@settings(max_examples=20)
def test_scaled_rates_give_that_bd_rate(method: str, factor: float) -> None:
    anchor, test = RatePoints(RATES, QUALITY), RatePoints(tuple(r * factor for r in RATES), QUALITY)
    result = bd(anchor, test, method=method)  # type: ignore[arg-type]
    assert result.bd_rate == pytest.approx(100 * (factor - 1), abs=1e-3)
    assert result.overlap == 1.0
    back = bd(test, anchor, method=method)  # type: ignore[arg-type]
    assert back.bd_rate is not None and result.bd_rate is not None
    assert (1 + result.bd_rate / 100) * (1 + back.bd_rate / 100) == pytest.approx(1, abs=1e-4)


def test_pchip_agrees_with_its_definition() -> None:
    anchor, test = RatePoints(RATES, QUALITY), RatePoints((90.0, 250.0, 480.0, 1250.0), (52.0, 73.0, 84.0, 93.0))
    low, high = 55.0, 93.0
    grid = np.linspace(low, high, 200_001)
    curves_ = [PchipInterpolator(c.quality, np.log(c.kbps))(grid) for c in (anchor, test)]
    expected = 100 * (math.exp(np.trapezoid(curves_[1] - curves_[0], grid) / (high - low)) - 1)
    assert bd(anchor, test).bd_rate == pytest.approx(expected, abs=1e-4)


# Values in thousandths: SciPy itself overflows, with a warning, where two differ by less than 1e-308.
values = st.integers(-50_000, 50_000).map(lambda thousandths: thousandths / 1000)
knots = st.lists(st.tuples(st.floats(0.01, 5), values), min_size=2, max_size=9)


@given(knots, st.floats(0, 1), st.floats(0, 1))
def test_our_pchip_is_scipys(steps: list[tuple[float, float]], one: float, two: float) -> None:
    x = list(itertools.accumulate(step for step, _ in steps))
    y = [value for _, value in steps]
    ours, theirs = Pchip(x, y), PchipInterpolator(x, y)
    low, high = (x[0] + share * (x[-1] - x[0]) for share in sorted((one, two)))
    assert ours(low) == pytest.approx(float(theirs(low)), abs=1e-9)
    assert ours.integral(low, high) == pytest.approx(float(theirs.integrate(low, high)), abs=1e-9)


@pytest.mark.parametrize("method", ["pchip", "akima", "cubic"])
def test_bd_rate_and_quality_are_those_of_the_package_that_others_use(method: Method) -> None:
    import bjontegaard

    anchor, test = RatePoints(RATES, QUALITY), RatePoints((90.0, 250.0, 480.0, 1250.0), (52.0, 73.0, 84.0, 93.0))
    curves_ = (anchor.kbps, anchor.quality, test.kbps, test.quality)
    options = {"method": method, "require_matching_points": False, "min_overlap": 0}
    found = bd(anchor, test, method=method)
    assert found.bd_rate == pytest.approx(bjontegaard.bd_rate(*curves_, **options), abs=1e-9)
    # That package takes decadic logs of the rate; the mean over the range is the same.
    assert found.bd_quality == pytest.approx(bjontegaard.bd_psnr(*curves_, **options), abs=1e-9)


CPU = (1.0, 1.4, 2.1, 2.9, 5.0)


@given(factor=st.floats(0.1, 20), rate=st.floats(0.5, 2))
def test_the_cpu_ratio_is_the_factor_that_was_put_in_whatever_the_rate(factor: float, rate: float) -> None:
    anchor = RatePoints(RATES, QUALITY, CPU)
    test = RatePoints(tuple(r * rate for r in RATES), QUALITY, tuple(c * factor for c in CPU))
    there, back = bd(anchor, test).cpu_ratio, bd(test, anchor).cpu_ratio
    assert there == pytest.approx(factor)
    assert back == pytest.approx(1 / factor)


def test_the_cpu_ratio_is_at_equal_quality_not_per_rung() -> None:
    # The same encoder with more rungs at the expensive end costs the same for the same quality.
    anchor = RatePoints(RATES, QUALITY, CPU)
    more = RatePoints((*RATES, 5000.0, 9000.0), (*QUALITY, 97.0, 98.0), (*CPU, 9.0, 12.0))
    assert bd(anchor, more).cpu_ratio == pytest.approx(1.0, abs=0.01)
    # A rung for rung ratio would be 1 here: only the quality that the seconds buy differs.
    better = RatePoints(RATES, tuple(q + 4 for q in QUALITY), CPU)
    log_cpu = PchipInterpolator(QUALITY, np.log(CPU))
    low, high = QUALITY[0] + 4, QUALITY[-1]
    gain = log_cpu.integrate(low - 4, high - 4) - log_cpu.integrate(low, high)
    assert bd(anchor, better).cpu_ratio == pytest.approx(math.exp(gain / (high - low)))


@pytest.mark.parametrize("times", [(), (0.0, 1.0, 1.0, 1.0, 1.0)])
def test_no_cpu_ratio_without_times(times: tuple[float, ...]) -> None:
    anchor, test = RatePoints(RATES, QUALITY, CPU), RatePoints(RATES, QUALITY, times)
    assert bd(anchor, test).cpu_ratio is None
    assert bd(anchor, test).bd_rate == pytest.approx(0)


def test_one_run_has_one_cpu_ratio_wherever_it_is_shown() -> None:
    run, _ = make_report_run(crfs=(16, 20, 25, 30, 36, 42))
    told = {
        c.anchor.removeprefix("libx264 medium "): c.result.cpu_ratio
        for c in within(run_curves(run, "vmaf"), "vmaf", "pchip")
    }
    page = build_page([run])
    tables = [table for table in page.titles[0].findings.bd if table.metric == "vmaf"]
    shown = {table.basis: cell.cpu_ratio for table in tables if (cell := table.rows[0][1])}
    assert shown == told
    assert set(shown) == {HULL, "360p", "540p", "720p"}
    assert [shown[size] for size in ("360p", "540p", "720p")] == [pytest.approx(7 / 4)] * 3
    assert shown[HULL] is not None


def test_each_codec_has_a_hull_of_its_own() -> None:
    strong = [dataclasses.replace(point(r, q + 20), codec="strong") for r, q in ((100, 50), (200, 70), (400, 71))]
    weak = [dataclasses.replace(point(r, q), codec="weak") for r, q in ((100, 50), (200, 51), (400, 71))]
    hulls = codec_hulls([*weak, *strong])
    assert list(hulls) == ["weak", "strong"]
    assert hulls == {"weak": weak, "strong": strong}


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (RatePoints(RATES[:3], QUALITY[:3]), "3 usable points; at least 4 are needed"),
        (RatePoints(RATES, (55.0, 71.0, 70.0, 91.0, 95.0)), "quality does not rise with rate at 520 kb/s"),
        (RatePoints(RATES, (1.0, 2.0, 3.0, 4.0, 5.0)), "the curves share no quality range"),
        (RatePoints(RATES, (55.0, float("nan"), 70.0, 91.0, 95.0)), "a rate or quality is no number"),
    ],
)
def test_no_number_where_none_is_defined(curve: RatePoints, reason: str) -> None:
    result = bd(RatePoints(RATES, QUALITY), curve)
    assert result.bd_rate is None and result.bd_quality is None
    assert reason in result.notes[0]


def test_saturated_vmaf_is_cut_and_little_overlap_is_said() -> None:
    rates = (*RATES, 5000.0, 9000.0)
    saturated = RatePoints(rates, (60.0, 75.0, 88.0, 96.0, 99.7, 99.6, 99.9))
    assert bd(saturated, saturated, metric="vmaf").bd_rate == pytest.approx(0, abs=1e-9)
    assert bd(saturated, saturated, metric="psnr").bd_rate is None
    low = RatePoints(RATES, tuple(q - 25 for q in QUALITY))
    assert "share only" in bd(RatePoints(RATES, QUALITY), low).notes[0]


@pytest.mark.parametrize("sources", [3, 5, 10])
def test_a_mean_over_sources_lies_in_its_interval_as_often_as_is_said(sources: int) -> None:
    rng = np.random.default_rng(1)
    held = []
    for values in rng.normal(-10.0, 8.0, size=(1000, sources)):
        low, high = mean_interval(list(values)) or (0.0, 0.0)
        held.append(low <= -10 <= high)
    # Four standard errors of a share of 0.95 over 1000 draws.
    assert np.mean(held) == pytest.approx(0.95, abs=0.028)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30, 119, 7199])
def test_quantiles_of_t_are_scipys(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-12)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_rank_correlation_is_scipys_with_ties_too(pairs: list[tuple[int, int]]) -> None:
    one, other = zip(*pairs, strict=True)
    found = spearman(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(one, other).statistic, abs=1e-12)


def test_few_sources_have_no_interval() -> None:
    assert mean_interval([1.0, 2.0]) is None
    assert mean_interval([15.19, -23.10, -18.63]) == pytest.approx((-60.85, 43.16), abs=0.01)


def test_curves_follow_the_run_and_rise_in_rate() -> None:
    run = make_run(ladder("libx264") + ladder("libx265", scale=0.6))
    found = curves(run.sources[0], "vmaf")
    assert [(c.codec, c.size) for c in found] == [
        (f"{e} medium", f"{h}p") for e in ("libx264", "libx265") for h in (360, 540, 720)
    ]
    assert all(list(c.points) == sorted(c.points, key=lambda p: p.kbps) for c in found)


def test_inversions_beyond_noise_alone_are_flagged() -> None:
    good, bad = make_rung("libx264", 360, 300, 70.0), make_rung("libx264", 360, 600, 66.0)
    tiny = make_rung("libx264", 360, 900, 65.9)
    (item,) = inversions(make_run([bad, good, tiny]), "vmaf")
    assert (item.lower, item.higher) == (good.id, bad.id) and item.drop == pytest.approx(4.0)


def test_recommendation_ships_nothing_that_is_beaten_and_keeps_its_limits() -> None:
    run = make_run(ladder())
    (plain,) = recommend(run, Constraints())
    assert len(plain.chosen) > 3 and not {p.rung for p in plain.chosen} & {w.rung for w in plain.wasted}
    (few,) = recommend(run, Constraints(max_rungs=3, min_kbps=200, max_kbps=2000))
    assert len(few.chosen) <= 3 and all(200 <= p.kbps <= 2000 for p in few.chosen)
    (spaced,) = recommend(run, Constraints(min_step=15))
    assert all(b.quality - a.quality >= 15 for a, b in itertools.pairwise(spaced.chosen))
    (top,) = recommend(run, Constraints(top_quality=60))
    assert top.chosen[-1].quality >= 60 > top.chosen[-2].quality
    (knee,) = recommend(run, Constraints(knee_kbps_per_point=20))
    assert knee.chosen[-1].kbps < plain.chosen[-1].kbps
    assert [b.limit for b in knee.bindings][-1] == "knee_kbps_per_point 20"


def test_wasted_rungs_are_all_that_another_one_beats() -> None:
    points = {"A": (100, 50), "Y": (500, 70), "X": (600, 69), "Z": (700, 70), "B": (1000, 90), "B2": (1000, 90)}
    rungs = [make_rung("libx264", 360, kbps, quality, name=name) for name, (kbps, quality) in points.items()]
    (found,) = recommend(make_run(rungs), Constraints())
    # Of two equal rungs neither beats the other.
    assert [p.rung for p in found.hull] == ["A", "Y", "B"]
    assert [(w.rung, w.beaten_by, w.saves_kbps) for w in found.wasted] == [("X", "Y", 100), ("Z", "Y", 200)]
    assert (found.saves_kbps, found.saves_cpu_s) == (1300, 4)


def test_speeds_get_ladders_of_their_own_and_codecs_share_one_on_request() -> None:
    slow = [r.model_copy(update={"encoder_preset": "slow", "id": f"slow_{r.id}"}) for r in ladder(scale=0.8)]
    run = make_run(ladder() + slow)
    assert [r.codec for r in recommend(run, Constraints())] == ["libx264 medium", "libx264 slow"]
    (both,) = recommend(run, Constraints(), across=True)
    assert both.codec == "all codecs" and {p.codec for p in both.hull} == {"libx264 slow"}
    assert both.saves_cpu_s == 2.0 * len(both.wasted) and both.saves_kbps > 0
    aimed = [
        r.model_copy(update={"rate": r.rate.model_copy(update={"mode": "bitrate", "bitrate_kbps": 800.0})})
        for r in slow
    ]
    assert (
        "mixes rate control: bitrate and crf"
        in recommend(make_run(ladder() + aimed), Constraints(), across=True)[0].notes
    )


def test_recommendation_needs_the_metric() -> None:
    with pytest.raises(UsageError, match="did not measure psnr"):
        recommend(make_run(ladder()), Constraints(), "psnr")


def verdict(baseline: Run, candidate: Run, **limits: float) -> str:
    return judge(baseline, candidate, Policy(metrics={"vmaf": MetricPolicy(**limits)})).outcome


def test_gate_passes_the_same_and_fails_the_worse() -> None:
    base = make_run(ladder())
    assert judge(base, base, default_policy("vmaf")).outcome == "pass"
    assert verdict(base, make_run(ladder(shift=-3)), max_drop_mean=1.0) == "fail"
    assert verdict(base, make_run(ladder(scale=1.1)), max_bd_rate=5.0) == "fail"
    assert verdict(base, make_run(ladder(scale=1.1)), max_bd_rate=15.0) == "pass"
    assert verdict(base, make_run(ladder(shift=2)), max_drop_mean=0.0, max_drop_p5=0.0, max_drop_min=0.0) == "pass"


def test_gate_is_inconclusive_within_the_noise() -> None:
    base = make_run([make_rung("libx264", 360, 300, 70.0)])
    shaky = make_run([make_rung("libx264", 360, 300, 69.0, wave=12.0, name="libx264_360p_300")])
    assert verdict(base, shaky, max_drop_mean=1.0) == "inconclusive"


def test_gate_fails_closed_on_missing_data() -> None:
    base, rungs = make_run(ladder()), ladder()
    assert verdict(base, make_run(rungs[:-1]), max_drop_mean=1.0) == "inconclusive"
    broken = rungs[0].model_copy(
        update={"status": "failed", "encode": None, "score": None, "fidelity": {}, "reason": "crash"}
    )
    assert verdict(base, make_run([broken, *rungs[1:]]), max_drop_mean=1.0) == "fail"
    few = make_run(rungs[:3])
    assert verdict(few, few, max_bd_rate=1.0) == "inconclusive"


def test_gate_checks_bitrate_and_time() -> None:
    base = make_run(ladder())
    more = make_run(ladder(scale=1.2))
    policy = Policy(metrics={"vmaf": MetricPolicy()}, max_bitrate_increase=10, max_encode_time=1.0)
    outcomes = {c.figure: c.outcome for c in judge(base, more, policy).checks}
    assert outcomes == {"bitrate": "fail", "encode CPU time": "pass"}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"sha256": "9" * 64}, "lacks source clip.mp4"), ({"model_sha": "9" * 64}, "model sha256 is")],
)
def test_gate_refuses_unlike_runs(change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        judge(make_run(ladder()), make_run(ladder(), **change), default_policy("model"))


def test_policy_errors_name_the_key(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[metrics.vmaf]\nmax_bdrate = 1.0\n")
    with pytest.raises(UsageError) as error:
        read_policy(path)
    assert "metrics.vmaf.max_bdrate" in error.value.message and error.value.hint == "did you mean max_bd_rate?"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.json", tmp_path / "b.json"
    for path, shift in zip(paths, (0, -5), strict=True):
        path.write_text(make_run(ladder() + ladder("libx265", scale=0.5, shift=0), name='<b>&"x".mp4').model_dump_json() if not shift
                        else make_run(ladder(shift=-5) + ladder("libx265", scale=0.5), name='<b>&"x".mp4').model_dump_json())  # fmt: skip
    return paths


def test_gate_command_in_every_format(vqa: Vqa, runs: tuple[Path, Path], tmp_path: Path) -> None:
    good = vqa("gate", runs[0], runs[0])
    assert (good.returncode, good.stdout.splitlines()[-1].split(":")[0]) == (0, "PASS")
    bad = vqa("gate", *runs, "--format", "junit", "-o", tmp_path / "junit.xml")
    assert bad.returncode == 1
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert int(suite.attrib["failures"]) == len(suite.findall(".//failure")) > 0
    assert json.loads(vqa("gate", *runs, "--format", "json").stdout)["outcome"] == "fail"
    assert "::error title=vqa gate::" in vqa("gate", *runs, "--format", "github").stdout
    assert vqa("gate", *runs, "--format", "markdown").stdout.startswith("### vqa gate: FAIL")


def test_bdrate_and_recommend_commands(started: Vqa, runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = json.loads(started("bdrate", runs[0], "--format", "json").stdout)
    values = {c["test"]: c["result"]["bd_rate"] for c in found["comparisons"]}
    sizes = [f"libx265 medium {height}p" for height in (360, 540, 720)]
    assert list(values) == [*sizes, "libx265 medium all sizes (hull)"]
    assert [values[size] for size in sizes] == [pytest.approx(-50, abs=0.1)] * 3
    assert started("bdrate", *runs).returncode == 0
    table = tmp_path / "t.csv"
    table.write_text(
        "source,codec,bitrate,quality\n"
        + "".join(f"s,{c},{r * f},{q}\n" for c, f in (("a", 1), ("b", 2)) for r, q in zip(RATES, QUALITY, strict=True))
    )
    assert "+100.00%" in started("bdrate", table).stdout
    table.write_text("source,codec\n")
    assert started("bdrate", table).returncode == 3
    assert started("recommend", runs[0], "--max-rungs", "2").stdout.count("libx264_") >= 2
    assert started("recommend", runs[0], "--format", "hls").stdout.startswith("#EXTM3U")
    turned = json.loads(started("bdrate", runs[0], "--anchor", "libx265", "--format", "json").stdout)["comparisons"]
    assert {c["anchor"] for c in turned if c["test"] == "libx264 medium 360p"} == {"libx265 medium 360p"}
    assert started("bdrate", runs[0], "--anchor", "vp9").returncode == 2
