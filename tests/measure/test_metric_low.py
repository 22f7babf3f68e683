"""CAMBI, of which a low value is good: measured, gated and searched in that direction, and refused where it decides nothing."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium
from conftest import Vqa, ffmpeg
from documents import ladder, make_run
from numpy.typing import NDArray

from vqa_cli.analysis.curves import default_metric, inversions
from vqa_cli.analysis.gate import judge
from vqa_cli.analysis.policy import read_policy
from vqa_cli.document import Run, RungResult
from vqa_cli.errors import UsageError
from vqa_cli.ladder.scales import goal_of
from vqa_cli.metrics import known_metric
from vqa_cli.report.html import write_report
from vqa_cli.report.view import build_page
from vqa_cli.series import make_series

REFUSED = "cambi decides no ladder and has no BD-rate: low is good, and more bitrate may raise it"


def banding(number: int, more: float) -> NDArray[np.float64]:
    """Frames of a rung: worst at frame 100, the more the higher its number."""
    values = 1.0 + 0.3 * number + more + 0.1 * np.sin(np.arange(150) / 5.0)
    values[100] += 3.0
    return values


def banded(*, more: float = 0.0, metrics: tuple[str, ...] = ("vmaf", "cambi")) -> Run:
    """A run with CAMBI beside VMAF, which rises with the rate."""

    def with_cambi(number: int, rung: RungResult) -> RungResult:
        return rung.model_copy(
            update={"fidelity": rung.fidelity | {"cambi": make_series(banding(number, more), Fraction(25))}}
        )

    run = make_run(ladder())
    (source,) = run.sources
    both = source.model_copy(update={"rungs": tuple(with_cambi(n, rung) for n, rung in enumerate(source.rungs))})
    return run.model_copy(update={"metrics": metrics, "sources": (both,)})


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text("[metrics.cambi]\nmax_drop_mean = 1.0\n")
    return path


@pytest.mark.parametrize(("more", "outcome"), [(2.0, "fail"), (-2.0, "pass"), (0.0, "pass")])
def test_the_gate_fails_more_banding_and_passes_less(policy: Path, more: float, outcome: str) -> None:
    verdict = judge(banded(), banded(more=more), read_policy(policy))
    assert verdict.outcome == outcome
    assert {check.figure for check in verdict.checks} == {"cambi mean drop"}
    for check in verdict.checks:
        assert check.value is not None and check.interval is not None
        assert check.value == pytest.approx(more)
        assert check.interval[0] <= check.value <= check.interval[1]


@pytest.mark.parametrize("limit", ["max_bd_rate", "max_mean_bd_rate", "max_drop_p5", "max_drop_min"])
def test_a_policy_has_no_other_limit_on_it(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"[metrics.cambi]\nmax_drop_mean = 1.0\n{limit} = 1.0\n")
    with pytest.raises(UsageError) as refused:
        read_policy(path)
    said = "of cambi, of which low is good, only max_drop_mean can be checked"
    assert refused.value.message == f"policy {path}: {said}"


def test_no_ladder_and_no_bd_rate_go_by_it(vqa: Vqa, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(banded().model_dump_json())
    for command in ("recommend", "bdrate", "report"):
        done = vqa(command, tmp_path, "--metric", "cambi")
        assert (command, done.returncode, done.stderr) == (command, 2, f"error: {REFUSED}\n")
    two = vqa("report", tmp_path, tmp_path, "--metric", "cambi")
    assert (two.returncode, two.stderr) == (2, f"error: {REFUSED}\n")
    assert vqa("recommend", tmp_path).returncode == 0


def test_it_is_nobodys_default(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    run = banded()
    assert default_metric(banded(metrics=("cambi", "vmaf"))) == "vmaf"
    assert default_metric(run.model_copy(update={"metrics": ("cambi", "psnr"), "model": None})) == "psnr"
    assert inversions(run, "cambi") == []
    with pytest.raises(UsageError, match=REFUSED):
        default_metric(run.model_copy(update={"metrics": ("cambi",), "model": None}))
    alone = vqa("ladder", clip, "--model", "none", "--metric", "cambi", "-o", tmp_path / "out")
    said = "error: cambi alone decides no ladder: name another metric beside it\n"
    assert (alone.returncode, alone.stderr) == (2, said)


def test_the_low_tail_of_its_frames_is_shown_as_no_statistic() -> None:
    (title,) = build_page([banded()]).titles
    view = title.rungs[0]
    assert view.quality["cambi"]["mean"] is not None
    assert {view.quality["cambi"][name] for name in ("p10", "p5", "p1", "min")} == {None}
    assert title.findings.hulls["cambi", "mean"] == [] != title.findings.hulls["vmaf", "mean"]


@pytest.mark.browser
def test_the_worst_frame_of_the_page_is_the_highest(tmp_path: Path) -> None:
    run = banded()
    named = {(0, rung.id): n for n, rung in enumerate(run.sources[0].rungs)}
    frames = {key: {"cambi": banding(n, 0.0), "vmaf": np.full(150, 50.0)} for key, n in named.items()}
    write_report([run], tmp_path / "page.html", [frames])
    with Chromium(tmp_path) as browser:
        browser.open(tmp_path / "page.html")
        browser.wait("document.querySelectorAll('.panel .chart.ready').length === 2")
        pick = "document.querySelector('.pick-metric')"
        browser.run(f"{pick}.value = 'cambi', {pick}.dispatchEvent(new Event('change'))")
        assert "at 4.00 s" in browser.run("document.querySelector('.worst').textContent")


@pytest.mark.parametrize("name", ["ssimulacra2", "butteraugli", "vmaf_b", "cvvdp"])
def test_what_nothing_measures_is_said_to_be_missing(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"^{name} cannot be measured here: docs/decide.md says why, and what there is$"
    ):
        known_metric(name)


def test_a_search_goes_down_to_it() -> None:
    goal = goal_of("cambi", 5.0, 8, None)
    assert goal.reached(4.9) and not goal.reached(5.1)
    assert goal.worth(1.0) > goal.worth(5.0) > goal.worth(9.0)
    assert goal.gain(6.0, 4.0) == 2.0 and goal.gain(4.0, 6.0) == 0.0
    assert goal.saturated(0.0) and not goal.saturated(24.0)


def test_a_search_by_its_tail_is_refused(vqa: Vqa, clip: Path) -> None:
    done = vqa("search", clip, "--target", "5", "--metric", "cambi", "--statistic", "p5")
    assert (done.returncode, done.stderr) == (
        2,
        "error: of cambi, of which low is good, there is the mean alone, not p5\n",
    )


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dithered slope, and an encode of it that bands."""
    folder = tmp_path_factory.mktemp("sky")
    slope = "nullsrc=s=640x360:r=10:d=0.6,geq=lum='40+20*X/W+2*random(1)':cb=128:cr=128,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", slope, "-c:v", "ffv1", folder / "sky.mkv")
    ffmpeg("-i", folder / "sky.mkv", "-c:v", "libx264", "-crf", "40", folder / "banded.mp4")
    return folder / "sky.mkv", folder / "banded.mp4"


def test_banding_is_measured_as_libvmaf_measures_it(vqa: Vqa, sky: tuple[Path, Path], tmp_path: Path) -> None:
    source, encode = sky
    found = {}
    for path in (source, encode):
        done = vqa("score", path, "--reference", source, "--metric", "cambi,vmaf", "--format", "json")
        assert done.returncode == 0, done.stderr
        found[path] = json.loads(done.stdout)["fidelity"]["cambi"]["mean"]
    assert found[encode] > found[source] + 1
    log = tmp_path / "own.json"
    graph = f"[0:v][1:v]libvmaf=feature=name=cambi:log_fmt=json:log_path={log}"
    ffmpeg("-i", encode, "-i", source, "-lavfi", graph, "-f", "null", "-")
    assert found[encode] == pytest.approx(json.loads(log.read_text())["pooled_metrics"]["cambi"]["mean"], abs=1e-5)


def test_pictures_that_are_too_large_are_refused(vqa: Vqa, tmp_path: Path) -> None:
    wide = tmp_path / "wide.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=4320x2160:r=5:d=0.4", "-c:v", "libx264", "-preset", "ultrafast", wide)
    done = vqa("ladder", wide, "--codec", "x264", "--height", "180", "--crf", "40", "--display", "2160", "--metric",
               "vmaf,cambi", "--model", "none", "-o", tmp_path / "out")  # fmt: skip
    assert done.returncode == 3
    assert "cambi cannot measure pictures as large as 4320x2160" in done.stderr
