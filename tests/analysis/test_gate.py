"""The gate: quality at equal bitrate, intervals, repeats, limits by source, known exceptions, and sources encoded twice."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import numpy as np
import pytest
from conftest import FFMPEG, Vqa
from documents import make_run, make_rung
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_cli.analysis.equalrate import QualityCurve, drop_at_equal_rate
from vqa_cli.analysis.gate import Check, Verdict, judge
from vqa_cli.analysis.policy import Policy, read_policy
from vqa_cli.document import Run, RungResult
from vqa_cli.frametable import RunFrames
from vqa_cli.ladder.repeat import with_repeats

RATES = (150.0, 400.0, 1000.0, 2500.0)


def quality(kbps: float) -> float:
    """Straight over log rate, which PCHIP follows exactly."""
    return 10 + 10 * math.log(kbps)


def one_curve(*, dearer: float = 1.0, loss: float = 0.0, wave: float = 0.0, rates: tuple[float, ...] = RATES) -> Run:
    """A curve whose rungs cost ``dearer`` times as much and lie ``loss`` under the law."""
    return make_run(
        [make_rung("libx264", 360, r * dearer, quality(r * dearer) - loss, name=f"r{r:g}", wave=wave) for r in rates]
    )


def policy(**values: object) -> Policy:
    return Policy.model_validate(values)


def drops(**limits: float) -> Policy:
    return policy(metrics={"vmaf": limits})


def rungs_of(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if "drop" in check.figure]


# At the limit itself rounding decides.
@given(st.floats(0.3, 3.0), st.floats(-8, 8).filter(lambda loss: abs(loss - 1) > 1e-6))
@settings(max_examples=25)
def test_a_drop_is_what_is_lost_at_equal_bitrate(dearer: float, loss: float) -> None:
    verdict = judge(one_curve(), one_curve(dearer=dearer, loss=loss), drops(max_drop_mean=1.0))
    assert [check.value for check in verdict.checks] == [pytest.approx(loss, abs=1e-9)] * 4
    assert verdict.outcome == ("pass" if loss <= 1 else "fail")


def test_better_as_encoded_and_worse_at_equal_bitrate_fails() -> None:
    verdict = judge(one_curve(), one_curve(dearer=2, loss=5), drops(max_drop_mean=1.0))
    assert {check.outcome for check in verdict.checks} == {"fail"}
    assert verdict.checks[0].note == "at 300 kb/s; as encoded -1.93 for +100% bitrate"


def test_curves_are_not_extrapolated() -> None:
    a, b = QualityCurve([(100, 50), (200, 60)]), QualityCurve([(300, 50), (600, 60)])
    assert drop_at_equal_rate((100, 50), (300, 50), a, b) is None
    assert a.at(99.9) is None and a.at(math.sqrt(100 * 200)) == pytest.approx(55)
    assert QualityCurve([(100, 50)]).at(100) is None


@pytest.mark.parametrize(
    ("dearer", "loss", "outcome"),
    [(1.0, 0.5, "pass"), (1.0, 2.0, "fail"), (1.2, 3.0, "fail"), (1.2, 0.0, "inconclusive"), (0.8, 0.0, "inconclusive"), (0.8, -3.0, "pass")],
)  # fmt: skip
def test_a_lone_rung_settles_only_what_is_clear(dearer: float, loss: float, outcome: str) -> None:
    # Dearer and worse, or cheaper and as good, need no curve; the rest would be a guess.
    alone = (1000.0,)
    verdict = judge(one_curve(rates=alone), one_curve(rates=alone, dearer=dearer, loss=loss), drops(max_drop_mean=1.0))
    assert verdict.outcome == outcome


def with_rates(run: Run, factor: float = 1.0, swing: float = 0.3) -> Run:
    """Window bitrates that swing around the mean, the last ones ``factor`` times as high."""
    shape = 1 + swing * np.array([1, -1, 1, -1, 1, -1])
    shape[3:] *= factor
    source = run.sources[0]
    rungs = []
    for rung in source.rungs:
        assert rung.encode is not None
        kbps = tuple(float(v) for v in rung.encode.bitrate_kbps * shape)
        encode = rung.encode.model_copy(update={"segments_kbps": kbps, "bitrate_kbps": float(np.mean(kbps))})
        rungs.append(rung.model_copy(update={"encode": encode}))
    return run.model_copy(update={"sources": (source.model_copy(update={"rungs": tuple(rungs)}),)})


def test_every_figure_has_an_interval_and_equal_runs_have_none_to_speak_of() -> None:
    base = with_rates(one_curve(wave=3.0))
    rules = policy(metrics={"vmaf": {"max_bd_rate": 1.0, "max_drop_mean": 1.0}}, max_bitrate_increase=1.0)
    same = judge(base, base, rules)
    assert same.outcome == "pass"
    assert all(check.interval == pytest.approx((0, 0), abs=1e-9) for check in same.checks)
    other = judge(base, with_rates(one_curve(wave=3.0), factor=1.5), rules)
    for check in other.checks:
        assert check.interval is not None and check.value is not None
        assert check.interval[0] < check.value < check.interval[1]


def hanging_by_a_thread(*, windows: bool = True) -> Run:
    """Rungs that rise by little over the clip, and not at all in most draws of its windows."""
    patterns = (
        np.zeros(6),
        [9, -9, 0, 0, 0, 0],
        [-9, 9, 0, 0, 0, 0],
        [0, 0, 9, -9, 0, 0],
        [0, 0, -9, 9, 0, 0],
        np.zeros(6),
    )
    qualities = (40.0, 60.0, 60.1, 70.0, 70.1, 90.0)
    rungs = []
    for number, (wave, level) in enumerate(zip(patterns, qualities, strict=True)):
        rung = make_rung("libx264", 360, 100.0 * 2**number, level, name=f"r{number}")
        segments = tuple(level + np.array(wave)) if windows else ()
        series = rung.fidelity["vmaf"].model_copy(update={"segments": segments})
        rungs.append(rung.model_copy(update={"fidelity": {"vmaf": series}}))
    return make_run(rungs)


def test_a_bd_rate_that_most_draws_do_not_have_settles_nothing() -> None:
    rules = policy(metrics={"vmaf": {"max_bd_rate": 50.0}})
    cheaper = hanging_by_a_thread()
    (source,) = cheaper.sources
    rungs = tuple(
        r.model_copy(update={"encode": r.encode.model_copy(update={"bitrate_kbps": r.encode.bitrate_kbps * 0.9})})
        for r in source.rungs if r.encode
    )  # fmt: skip
    cheaper = cheaper.model_copy(update={"sources": (source.model_copy(update={"rungs": rungs}),)})
    (check,) = judge(hanging_by_a_thread(), cheaper, rules).checks
    assert check.value == pytest.approx(-10) and check.interval is None
    assert check.outcome == "inconclusive" and "% of the draws of the clip's windows" in check.note
    # A clip without windows to draw has no interval either, and is judged by the figure alone.
    assert judge(hanging_by_a_thread(windows=False), hanging_by_a_thread(windows=False), rules).outcome == "pass"


def frames_of(run: Run, dip: float) -> RunFrames:
    """Six seconds of frames; one in ten of the last three seconds lies ``dip`` lower."""
    found = {}
    for rung in run.sources[0].rungs:
        value = rung.quality("vmaf")
        assert value is not None
        values = np.full(150, value)
        values[75::10] -= dip
        found[0, rung.id] = {"vmaf": values}
    return found


def test_a_percentile_needs_frame_values_for_its_interval() -> None:
    base, rules = one_curve(), drops(max_drop_p5=1.0, max_drop_min=1.0)
    with_frames = judge(base, base, rules, (frames_of(base, 0), frames_of(base, 9)))
    p5 = [check.interval for check in with_frames.checks if "p5" in check.figure]
    assert all(interval is not None and interval[1] > 1 for interval in p5)
    assert {check.interval for check in judge(base, base, rules).checks} == {None}
    assert {check.interval for check in with_frames.checks if "min" in check.figure} == {None}


def scattered(run: Run, values: tuple[float, ...]) -> Run:
    """The run with repeats that scored ``values`` more and cost that many percent more."""

    def changed(rung: RungResult, more: float) -> RungResult:
        assert rung.encode is not None and rung.score is not None
        made = make_rung("libx264", 360, rung.encode.bitrate_kbps, rung.score.score + more, name=rung.id)
        assert made.encode is not None
        encode = made.encode.model_copy(update={"sha256": f"{more}", "cpu_s": 2.0 + more})
        return made.model_copy(update={"encode": encode})

    others = []
    for more in values:
        source = run.sources[0]
        rungs = tuple(changed(rung, more) for rung in source.rungs)
        others.append(run.model_copy(update={"sources": (source.model_copy(update={"rungs": rungs}),)}))
    return with_repeats(run, others)


def test_repeats_measure_the_tolerance() -> None:
    rules = policy(metrics={"vmaf": {"max_drop_mean": 1.0, "max_drop_min": 1.0}}, max_encode_time=1.5)
    steady = judge(scattered(one_curve(), (0, 0)), scattered(one_curve(loss=0.8), (0, 0)), rules)
    assert steady.outcome == "pass"
    shaky = judge(scattered(one_curve(), (0.3, -0.3)), scattered(one_curve(loss=0.8), (-0.4, 0.4)), rules)
    assert shaky.outcome == "inconclusive"
    (time,) = [check for check in shaky.checks if check.figure == "encode CPU time"]
    assert time.interval is not None and time.interval[0] < 1 < time.interval[1]


def test_an_encoder_that_is_not_deterministic_is_told() -> None:
    (source,) = scattered(one_curve(), (0.3, -0.3)).sources
    assert source.rungs[0].warnings == ("3 different files in 3 encodes, 150.0 to 150.0 kb/s",)
    failed = one_curve().sources[0].rungs[0].model_copy(update={"encode": None, "status": "failed", "reason": "crash"})
    other = one_curve()
    other = other.model_copy(
        update={"sources": (other.sources[0].model_copy(update={"rungs": (failed, *other.sources[0].rungs[1:])}),)}
    )
    rung = with_repeats(one_curve(), [other]).sources[0].rungs[0]
    assert (rung.status, rung.reason, rung.encode) == ("failed", "repeat 2: crash", None)


def two_sources(*losses: float) -> Run:
    runs = [one_curve(loss=loss) for loss in losses]
    sources = []
    for number, run in enumerate(runs):
        named = run.sources[0].source.model_copy(update={"name": f"clip{number}.mp4", "sha256": f"{number}" * 64})
        sources.append(run.sources[0].model_copy(update={"source": named}))
    return runs[0].model_copy(update={"sources": tuple(sources)})


def test_limits_by_source_and_known_exceptions(tmp_path: Path) -> None:
    base, test = two_sources(0, 0), two_sources(0.5, 2)
    path = tmp_path / "policy.toml"
    strict = "[metrics.vmaf]\nmax_drop_mean = 1.0\n"
    path.write_text(strict)
    assert judge(base, test, read_policy(path)).outcome == "fail"
    path.write_text(strict + '[sources."clip1*".metrics.vmaf]\nmax_drop_mean = 3.0\n')
    by_source = judge(base, test, read_policy(path))
    assert by_source.outcome == "pass" and {check.limit for check in by_source.checks} == {1.0, 3.0}
    path.write_text(strict + '[[allow]]\nsource = "clip1.mp4"\nreason = "grain, see ticket 7"\n')
    excused = judge(base, test, read_policy(path))
    assert excused.outcome == "pass" and excused.notes == ()
    assert {check.allowed for check in excused.checks if check.outcome == "fail"} == {"grain, see ticket 7"}
    assert "allowance not needed: grain, see ticket 7" in judge(base, base, read_policy(path)).notes


def test_the_mean_over_sources_has_a_limit_of_its_own() -> None:
    base, test = two_sources(0, 0), two_sources(-0.5, 0.6)
    wide = policy(metrics={"vmaf": {"max_bd_rate": 10.0, "max_mean_bd_rate": 10.0}})
    (mean,) = [check for check in judge(base, test, wide).checks if check.source == "all sources"]
    expected = 50 * (math.exp(-0.05) + math.exp(0.06) - 2)
    assert mean.value == pytest.approx(expected, abs=0.01)
    short = test.sources[1].model_copy(update={"rungs": test.sources[1].rungs[:3]})
    missing = judge(base, test.model_copy(update={"sources": (test.sources[0], short)}), wide)
    assert [c.outcome for c in missing.checks if c.source == "all sources"] == ["inconclusive"]


def test_overshoot_goes_by_the_target() -> None:
    def aimed(run: Run) -> Run:
        source = run.sources[0]
        rungs = tuple(
            rung.model_copy(update={"rate": rung.rate.model_copy(update={"mode": "bitrate", "bitrate_kbps": kbps})})
            for rung, kbps in zip(source.rungs, RATES, strict=True)
        )
        return run.model_copy(update={"sources": (source.model_copy(update={"rungs": rungs}),)})

    rules = policy(metrics={"vmaf": {}}, max_overshoot=5.0)
    verdict = judge(aimed(one_curve()), aimed(one_curve(dearer=1.08)), rules)
    assert [check.value for check in verdict.checks] == [pytest.approx(8)] * 4 and verdict.outcome == "fail"


FLAGS = "--codec x264 --height 144 --display 144 --crf 20,26,32,38"


@pytest.mark.ffmpeg
def test_sources_are_encoded_by_two_settings(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    common = ("gate", clip, "--preset", "mobile", "--flags", FLAGS, "--metric", "psnr")
    sides = ("--baseline-flags", "--encoder-preset veryfast", "--candidate-flags")
    same = vqa(*common, *sides, "--encoder-preset veryfast", "--format", "json")
    assert same.returncode == 0, same.stderr
    assert {check["value"] for check in json.loads(same.stdout)["checks"]} == {0.0}
    worse = vqa(*common, *sides, "--encoder-preset ultrafast", "--save", tmp_path / "kept")
    assert worse.returncode == 1 and "FAIL  clip.mp4  libx264 144p" in worse.stdout
    assert (tmp_path / "kept/report.html").exists()
    assert vqa("gate", tmp_path / "kept/baseline", tmp_path / "kept/candidate", "--metric", "psnr").returncode == 1


@pytest.mark.ffmpeg
def test_sources_are_encoded_by_two_builds(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other-ffmpeg"
    # A build of its own by name and hash, that cannot measure anything: only encoding goes through it.
    other.write_text(f'#!/bin/sh\ncase "$*" in *psnr*) exit 9;; esac\nexec {FFMPEG} "$@"\n')
    other.chmod(other.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "policy.toml").write_text("max_bitrate_increase = 0.0\n[metrics.psnr]\nmax_drop_mean = 0.0\n")
    kept = tmp_path / "kept"
    flags = ("--flags", "--codec x264 --height 144 --display 144 --crf 30", "--policy", tmp_path / "policy.toml")
    builds = ("--candidate-ffmpeg", other, "--repeat", "2", "--save", kept)
    done = vqa("gate", clip, "--preset", "mobile", *flags, *builds)
    assert done.returncode == 0, done.stderr + done.stdout
    runs = [json.loads((kept / side / "run.json").read_text()) for side in ("baseline", "candidate")]
    assert [run["environment"]["encode_ffmpeg_path"] for run in runs] == [None, str(other)]
    (rung,) = runs[1]["sources"][0]["rungs"]
    assert [repeat["encode"]["sha256"] for repeat in rung["repeats"]] == [rung["encode"]["sha256"]]
    missing = vqa("gate", clip, "--preset", "mobile", "--candidate-ffmpeg", tmp_path / "nothing")
    assert missing.returncode == 4 and missing.stderr.startswith("error: ffmpeg not found"), (
        "before anything is encoded"
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("a.mp4", "--flags", "--codec x264"), "give --preset too"),
        (("a.mp4", "--preset", "mobile", "--flags", "--dry-run"), "cannot hold --dry-run"),
        (("a.mp4", "--preset", "mobile", "--baseline-flags", "b.mp4"), "flags of the baseline name a source: b.mp4"),
        (("a.mp4", "--preset", "mobile", "--flags", "'"), "--flags: No closing quotation"),
        (("a.mp4", "--preset", "mobile", "--metric", "vmfa"), "unknown metric: vmfa"),
        (("a.json", "b.json", "--repeat", "2"), "--repeat and --save are for sources"),
        (("a.json", "b.json", "--on", "ray"), "--on is for sources, which --preset encodes"),
        (("a.json",), "give two run documents, or sources with --preset"),
    ],
)
def test_what_cannot_be_meant_is_said(vqa: Vqa, args: tuple[str, ...], words: str) -> None:
    done = vqa("gate", *args)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
