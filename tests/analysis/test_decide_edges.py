"""Decisions at the edges: repeated points, thin overlap, limits, curves that changed speed, words that break formats."""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import Vqa
from documents import ladder, make_run, make_rung
from hypothesis import given
from hypothesis import strategies as st

from vqa_cli._version import MEASUREMENT
from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.analysis.comparable import refuse_other_judging
from vqa_cli.analysis.compare import between, refuse_other_footage, run_curves, summarise, within
from vqa_cli.analysis.gate import judge
from vqa_cli.analysis.policy import MetricPolicy, Policy, read_policy
from vqa_cli.analysis.recommend import recommend
from vqa_cli.document import Run, RungResult
from vqa_cli.errors import InputError, UsageError
from vqa_cli.report.comparability import differences
from vqa_cli.settings import Constraints

RATES, QUALITY = (100.0, 230.0, 520.0, 1300.0, 2600.0), (55.0, 71.0, 83.0, 91.5, 95.0)
CURVE = RatePoints(RATES, QUALITY)


@pytest.mark.parametrize("extra", [(520.0, 80.0), (600.0, 83.0)], ids=["equal rate", "equal quality"])
def test_the_worse_of_two_equal_points_does_not_count(extra: tuple[float, float]) -> None:
    doubled = RatePoints((*RATES, extra[0]), (*QUALITY, extra[1]))
    for one, two in ((CURVE, doubled), (doubled, CURVE)):
        assert bd(one, two).bd_rate == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=12), st.sampled_from(["pchip", "akima"]))
def test_any_points_give_a_finite_number_or_a_reason(points: list[tuple[int, int]], method: str) -> None:
    curve = RatePoints(tuple(100.0 * r for r, _ in points), tuple(10.0 * q for _, q in points))
    result = bd(CURVE, curve, method=method)  # type: ignore[arg-type]
    assert (result.bd_rate is not None and np.isfinite(result.bd_rate)) or result.notes


def test_bd_quality_needs_a_common_range_of_rate() -> None:
    dear = RatePoints(tuple(r * 6 for r in RATES[:3]) + (3200.0,), (*QUALITY[:3], 84.0))
    cheap = RatePoints((100.0, 230.0, 400.0, 520.0), (55.0, 71.0, 80.0, 83.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bd(cheap, dear)
    assert result.bd_rate is not None and result.bd_quality is None
    assert "share no range of rate" in result.notes[0]


def test_limits_come_before_the_hull() -> None:
    # 1400 kb/s lies under the line from 400 to 1600, but is the best that 1500 kb/s allow.
    rungs = [make_rung("libx264", 360, r, q) for r, q in ((100, 40.0), (400, 70.0), (1400, 80.0), (1600, 95.0))]
    (free,) = recommend(make_run(rungs), Constraints())
    assert [p.kbps for p in free.hull] == [100, 400, 1400, 1600]
    (found,) = recommend(make_run(rungs), Constraints(max_kbps=1500))
    assert [p.kbps for p in found.chosen] == [100, 400, 1400]
    assert found.notes[0] == "1 of 4 rungs are outside the limits on single rungs"


def faster(rungs: list[RungResult], speed: str) -> list[RungResult]:
    return [rung.model_copy(update={"encoder_preset": speed}) for rung in rungs]


def renamed(rungs: list[RungResult], speed: str) -> list[RungResult]:
    return [rung.model_copy(update={"encoder_preset": speed, "id": f"{speed}_{rung.id}"}) for rung in rungs]


def test_runs_that_differ_in_speed_are_compared() -> None:
    base, test = make_run(ladder()), make_run(faster(ladder(scale=1.5), "veryfast"))
    found = between(run_curves(base, "vmaf"), run_curves(test, "vmaf"), "vmaf", "pchip")
    assert [(c.anchor, c.test) for c in found] == [
        (f"libx264 medium {h}", f"libx264 veryfast {h}") for h in ("360p", "540p", "720p", "all sizes (hull)")
    ]
    assert [c.result.bd_rate for c in found[:3]] == [pytest.approx(50)] * 3


def test_several_speeds_in_a_run_are_kept_apart() -> None:
    both = make_run(renamed(ladder(), "slow") + renamed(ladder(scale=2.0), "veryfast"))
    policy = Policy(metrics={"vmaf": MetricPolicy(max_bd_rate=1.0)})
    verdict = judge(both, both, policy)
    assert verdict.outcome == "pass" and [c.value for c in verdict.checks] == [pytest.approx(0, abs=1e-9)] * 6


def test_files_of_one_name_are_not_one_source() -> None:
    with pytest.raises(InputError, match=r"clip\.mp4 is not the same file"):
        refuse_other_footage(make_run(ladder()), make_run(ladder(), sha256="9" * 64))
    refuse_other_footage(make_run(ladder()), make_run(ladder(), name="other.mp4", sha256="9" * 64))


def test_the_mean_says_how_many_sources_it_leaves_out(vqa: Vqa, tmp_path: Path) -> None:
    sources = []
    for number, factor in enumerate((0.5, 0.7, None)):
        test = ladder("libx265", scale=factor or 1.0)[: 12 if factor else 3]
        (source,) = make_run(ladder() + test, name=f"{number}.mp4", sha256=f"{number}" * 64).sources
        sources.append(source)
    run = make_run(ladder()).model_copy(update={"sources": tuple(sources)})
    first, *_ = summarise(within(run_curves(run, "vmaf"), "vmaf", "pchip"))
    assert (first.sources, first.compared, first.bd_rate) == pytest.approx((2, 3, -40))
    (tmp_path / "run.json").write_text(run.model_dump_json())
    assert "mean of 2 of 3 sources" in vqa("bdrate", tmp_path).stdout


BD_ONLY = Policy(metrics={"vmaf": MetricPolicy(max_bd_rate=1.0)})


def one_size(rate_scale: float = 1.0, lift: float = 0.0) -> Run:
    return make_run(
        [make_rung("libx264", 360, r * rate_scale, q + lift, name=f"r{r}") for r, q in zip(RATES, QUALITY, strict=True)]
    )


def test_a_pass_needs_overlap_and_a_failure_does_not() -> None:
    assert judge(one_size(), one_size(0.5), BD_ONLY).outcome == "pass"
    assert judge(one_size(), one_size(lift=30), BD_ONLY).outcome == "inconclusive"
    assert judge(one_size(), one_size(lift=-30), BD_ONLY).outcome == "fail"


def test_a_source_without_rungs_is_not_passed_over() -> None:
    run = one_size()
    empty = run.sources[0].model_copy(
        update={"rungs": (), "source": run.sources[0].source.model_copy(update={"name": "b.mp4", "sha256": "8" * 64})}
    )
    both = run.model_copy(update={"sources": (*run.sources, empty)})
    verdict = judge(both, both, BD_ONLY)
    assert verdict.outcome == "inconclusive" and verdict.checks[-1].source == "b.mp4"


def test_gate_refuses_another_way_of_judging() -> None:
    run = one_size()
    other = run.model_copy(update={"settings": run.settings.model_copy(update={"upscale": "lanczos"})})
    with pytest.raises(InputError, match="upscale is bicubic in one and lanczos in the other"):
        judge(run, other, BD_ONLY)
    mapped = run.sources[0].source.model_copy(update={"preparation": ("HDR tone-mapped",)})
    toned = run.model_copy(update={"sources": (run.sources[0].model_copy(update={"source": mapped}),)})
    with pytest.raises(
        InputError, match=r"preparation of clip\.mp4 is nothing in one and HDR tone-mapped in the other"
    ):
        judge(run, toned, BD_ONLY)


def test_a_baseline_of_older_arithmetic_is_refused_by_name(vqa: Vqa, tmp_path: Path) -> None:
    run = one_size()
    environment = run.environment.model_copy(update={"measurement": MEASUREMENT - 1})
    (tmp_path / "old.json").write_text(run.model_copy(update={"environment": environment}).model_dump_json())
    (tmp_path / "new.json").write_text(run.model_dump_json())
    for command in ("gate", "bdrate"):
        done = vqa(command, "old.json", "new.json", cwd=tmp_path)
        assert done.returncode == 3
        assert done.stderr.splitlines() == [
            f"error: the runs cannot be compared: measured by versions {MEASUREMENT - 1} and {MEASUREMENT} of vqa's own arithmetic",
            "hint: measure the older one again: `vqa ladder` with the same settings, then `vqa baseline save`",
        ]


def shown_at(height: int, downscale: str, *, rungs: int = 360, coded: int = 720) -> Run:
    run = make_run([make_rung("libx264", rungs, r, q, name=f"r{r}") for r, q in zip(RATES, QUALITY, strict=True)])
    source = run.sources[0].source.model_copy(update={"width": coded * 16 // 9, "height": coded})
    judged = {"source": source, "display_width": height * 16 // 9, "display_height": height}
    update = {"settings": run.settings.model_copy(update={"downscale": downscale})}
    return run.model_copy(update=update | {"sources": (run.sources[0].model_copy(update=judged),)})


@pytest.mark.parametrize(("height", "rungs", "coded"), [(360, 360, 720), (720, 1080, 720)], ids=["source", "rung"])
def test_gate_refuses_another_way_of_bringing_down_to_the_display(height: int, rungs: int, coded: int) -> None:
    runs = [shown_at(height, kernel, rungs=rungs, coded=coded) for kernel in ("lanczos", "bilinear")]
    with pytest.raises(InputError, match="downscale is lanczos in one and bilinear in the other"):
        judge(runs[0], runs[1], BD_ONLY)


@pytest.mark.parametrize("upscale", ["bicubic", "lanczos"])
def test_two_runs_that_were_judged_differently_have_no_bd_rate(vqa: Vqa, tmp_path: Path, upscale: str) -> None:
    run = make_run(ladder())
    other = run.model_copy(update={"settings": run.settings.model_copy(update={"upscale": upscale})})
    for name, document in (("a", run), ("b", other)):
        (tmp_path / f"{name}.json").write_text(document.model_dump_json())
    done, same = vqa("bdrate", tmp_path / "a.json", tmp_path / "b.json"), upscale == run.settings.upscale
    assert done.returncode == (0 if same else 3)
    assert done.stderr == ("" if same else f"error: the runs cannot be compared: upscale is {run.settings.upscale} in "
                           f"one and {upscale} in the other\n")  # fmt: skip
    said = " ".join(differences([("A", run), ("B", other)]))
    assert ("upscale by different filters" in said) is not same


def test_two_runs_of_sources_prepared_differently_have_no_bd_rate(vqa: Vqa, tmp_path: Path) -> None:
    run = make_run(ladder())
    (source,) = run.sources
    toned = source.source.model_copy(update={"preparation": ("HDR tone-mapped",)})
    other = run.model_copy(update={"sources": (source.model_copy(update={"source": toned}),)})
    for name, document in (("a", run), ("b", other)):
        (tmp_path / f"{name}.json").write_text(document.model_dump_json())
    done = vqa("bdrate", tmp_path / "a.json", tmp_path / "b.json")
    assert done.returncode == 3 and "preparation of clip.mp4 is nothing in one and HDR tone-mapped" in done.stderr
    assert any("prepared differently" in text for text in differences([("A", run), ("B", other)]))


def test_sources_of_one_run_alone_do_not_forbid_a_bd_rate() -> None:
    base, other = shown_at(720, "lanczos"), shown_at(720, "bilinear")
    (more,) = shown_at(360, "bilinear").sources
    more = more.model_copy(update={"source": more.source.model_copy(update={"name": "more.mp4", "sha256": "8" * 64})})
    refuse_other_judging(["vmaf"], base, other.model_copy(update={"sources": (*other.sources, more)}))


def test_a_candidate_may_make_its_small_rungs_by_another_filter() -> None:
    assert judge(shown_at(720, "lanczos"), shown_at(720, "bilinear"), BD_ONLY).outcome == "pass"


@pytest.mark.parametrize("limit", ["inf", "nan"])
def test_a_limit_is_a_number(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"[metrics.vmaf]\nmax_bd_rate = {limit}\n")
    with pytest.raises(UsageError, match=r"metrics\.vmaf\.max_bd_rate"):
        read_policy(path)


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, the second with a rung whose encoder said something ugly."""
    run = one_size()
    first, *rest = run.sources[0].rungs
    words = "line one\n\x1b[31m100% broken | really\x00"
    broken = first.model_copy(
        update={"status": "failed", "encode": None, "score": None, "fidelity": {}, "reason": words}
    )
    other = run.model_copy(update={"sources": (run.sources[0].model_copy(update={"rungs": (broken, *rest[:2])}),)})
    paths = tmp_path / "base.json", tmp_path / "test.json"
    for path, document in zip(paths, (run, other), strict=True):
        path.write_text(document.model_dump_json())
    return paths


def test_ugly_words_break_no_format(vqa: Vqa, crashed: tuple[Path, Path], tmp_path: Path) -> None:
    github = vqa("gate", *crashed, "--format", "github")
    assert github.returncode == 1
    *annotations, last = github.stdout.splitlines()
    assert all(line.startswith(("::error ", "::warning ")) for line in annotations) and last.startswith(
        "vqa gate: fail"
    )
    assert "line one \\x1b[31m100%25 broken | really\\x00" in annotations[0]
    rows = [row for row in vqa("gate", *crashed, "--format", "markdown").stdout.splitlines() if row.startswith("|")]
    assert len(rows) > 3 and len({row.replace("\\|", "").count("|") for row in rows}) == 1
    vqa("gate", *crashed, "--format", "junit", "-o", tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert int(suite.attrib["failures"]) == len(suite.findall(".//failure")) == 1
    assert int(suite.attrib["errors"]) == len(suite.findall(".//error")) > 0


def test_a_table_of_codecs_with_speeds(vqa: Vqa, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [f"s,{c},{r * f},{q}" for c, f in (("x264 slow", 1), ("x265 fast", 2)) for r, q in zip(RATES, QUALITY, strict=True)]  # fmt: skip
    table.write_text("\n".join(["source,codec,bitrate,quality", *rows, rows[-1]]) + "\n")
    done = vqa("bdrate", table)
    assert done.returncode == 0 and "+100.00%" in done.stdout, done.stdout + done.stderr
