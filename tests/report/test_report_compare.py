"""The page of two runs: what it says, and in a real browser that it works."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import NO_AXE, Chromium, axe_script
from click.testing import CliRunner
from report_runs import make_run

from vqa_cli.analysis.changes import Change, changes
from vqa_cli.analysis.figures import drop_estimates, lines
from vqa_cli.analysis.gate import judge, pairs
from vqa_cli.analysis.policy import Policy, default_policy
from vqa_cli.cli.gate import command as gate
from vqa_cli.cli.report import command as report
from vqa_cli.document import Run
from vqa_cli.errors import InputError, UsageError
from vqa_cli.report.compare_page import render_comparison, write_comparison
from vqa_cli.report.comparison import ComparisonPage, compare_runs
from vqa_cli.settings import CodecSettings


def faster(run: Run, encoder: str = "libx264") -> Run:
    """The same run as if one encoder had been told another speed."""
    codecs = tuple(
        CodecSettings(**codec.model_dump() | {"preset": "veryfast"}) if codec.encoder == encoder else codec
        for codec in run.settings.codecs
    )
    sources = tuple(
        source.model_copy(
            update={
                "rungs": tuple(
                    rung.model_copy(update={"encoder_preset": "veryfast"}) if rung.encoder == encoder else rung
                    for rung in source.rungs
                )
            }
        )
        for source in run.sources
    )
    return run.model_copy(update={"sources": sources, "settings": run.settings.model_copy(update={"codecs": codecs})})


def compared(baseline: Run, candidate: Run, policy: Policy | None = None) -> ComparisonPage:
    limits = policy or default_policy("vmaf")
    return compare_runs(baseline, candidate, judge(baseline, candidate, limits), "vmaf")


@pytest.fixture(scope="module")
def base() -> Run:
    return make_run(["a.mp4", "b & c.mp4"], frames=120)[0]


@pytest.fixture(scope="module")
def worse() -> Run:
    return faster(make_run(["a.mp4", "b & c.mp4"], frames=120, rate_factor=1.25)[0])


def test_the_verdict_is_the_gates_and_sums_up_what_did_not_pass(base: Run, worse: Run) -> None:
    page = compared(base, worse)
    assert page.verdict == judge(base, worse, default_policy("vmaf"))
    assert sum(page.counts.values()) == len(page.verdict.checks)
    shown = {
        (item.worst.source, item.worst.figure, item.count, item.of) for item in page.open if item.outcome == "fail"
    }
    assert ("a.mp4", "vmaf BD-rate", 6, 6) in shown
    for item in page.open:
        alike = [
            c.value
            for c in page.verdict.checks
            if (c.source, c.figure, c.outcome) == (item.worst.source, item.worst.figure, item.outcome)
        ]
        assert item.worst.value == max(value for value in alike if value is not None)


def test_a_speed_is_no_second_codec(base: Run, worse: Run) -> None:
    (first, second) = compared(base, worse).sources
    assert [panel.rungs[0].rung.encoder for panel in first.panels] == ["libx264", "libx265"]
    x264 = first.panels[0]
    assert [series.text for series in x264.series] == ["candidate: libx264 veryfast", "baseline: libx264 medium"]
    assert {(view.series, view.hollow) for view in x264.rungs} == {(0, False), (1, True)}
    assert {line.codec for line in x264.findings.hulls["vmaf", "mean"]} == {"libx264 veryfast", "libx264 medium"}
    names = [row.name for row in first.rungs]
    assert names[0] == "libx264 360p crf 20"  # the speed is what changed
    assert names[-1] == "libx265 medium 720p crf 36"
    assert len(set(names)) == len(names) == 24
    assert len({panel.key for source in (first, second) for panel in source.panels}) == 4


def test_sentences_and_curves_are_the_factor_that_was_put_in(base: Run, worse: Run) -> None:
    page = compared(base, worse)
    assert page.sentences == (
        "Over 2 sources libx264 veryfast needs 25 % more bitrate than libx264 medium for the same VMAF, at about the same CPU time.",
        "Over 2 sources libx265 medium needs 25 % more bitrate than the baseline for the same VMAF, at about the same CPU time.",
    )
    assert page.sources[0].sentences[0].startswith("libx264 veryfast needs 25 % more bitrate than libx264 medium")
    assert [row.outcome for row in page.sources[0].curves] == ["fail"] * 6 + ["", ""]
    assert all(row.bd.value == pytest.approx(25, abs=0.1) for row in page.sources[0].curves)
    assert all(row.bd.interval for row in page.sources[0].curves[:6])


def test_rungs_lose_what_the_gate_says(base: Run, worse: Run) -> None:
    page = compared(base, worse)
    (pair, _) = pairs(base, worse)
    for metric in ("model", "vmaf", "psnr", "ssim"):
        truth = [e for line in lines(pair, metric) for e in drop_estimates(pair, line, metric, "mean").values()]
        found = [row.losses[metric] for row in page.sources[0].rungs]
        assert sorted(e.value or 0 for e in found) == sorted(e.value or 0 for e in truth)
    assert [row.rate_change for row in page.sources[0].rungs] == [pytest.approx(25)] * 24


def test_settings_that_differ_are_all_that_is_told(base: Run, worse: Run) -> None:
    assert changes(base, worse) == [Change("libx264 preset", "medium", "veryfast")]
    assert changes(base, base) == []
    environment = base.environment.model_copy(
        update={"encode_ffmpeg_version": "8.0", "encoder_libraries": {"libx264": "x264 - core 166"}}
    )
    settings = worse.settings.model_copy(update={"gop_s": 4.0, "codecs": worse.settings.codecs[:1]})
    other = worse.model_copy(update={"environment": environment, "settings": settings})
    assert changes(base, other) == [
        Change("gop s", "2", "4"),
        Change("libx264 preset", "medium", "veryfast"),
        Change("libx265", "medium", "–"),
        Change("libx264 library", "x264 - core 165", "x264 - core 166"),
        Change("ffmpeg that encodes", "7.0.2", "8.0"),
    ]


def test_options_that_differ_read_as_they_are_typed(base: Run) -> None:
    codecs = tuple(
        codec.model_copy(update={"extra": ("-qcomp", "0.65", "-x264-params", "a=1:b c")})
        for codec in base.settings.codecs
    )
    other = base.model_copy(update={"settings": base.settings.model_copy(update={"codecs": codecs})})
    (first, _) = compared(base, other).changed
    assert (first.what, first.baseline, first.candidate) == ("libx264 extra", "–", "-qcomp 0.65 -x264-params 'a=1:b c'")


def test_a_metric_of_another_model_is_left_out_and_said(base: Run) -> None:
    assert base.model is not None
    other = base.model_copy(update={"model": replace(base.model, sha256="9" * 64)})
    page = compared(base, other)
    assert [label.key for label in page.metrics] == ["vmaf", "psnr", "ssim"]
    assert page.notes == (
        f"vsfa-lite is left out: the runs cannot be compared: model sha256 is {'ef' * 32} in one and {'9' * 64} in the other",
    )


def test_runs_without_a_curve_in_common_still_have_a_page(base: Run) -> None:
    x264, _ = make_run(["a.mp4"], codecs=["libx264"], frames=60)
    x265, _ = make_run(["a.mp4"], codecs=["libx265"], frames=60)
    page = compared(x264, x265)
    assert page.verdict.outcome == "inconclusive"
    (source,) = page.sources
    assert (source.rungs, source.curves, page.sentences) == ((), (), ())
    assert source.lonely == "12 rungs of the baseline and 12 rungs of the candidate have no counterpart."
    assert (page.open[0].count, page.open[0].worst.note) == (12, "the candidate has no such rung")
    assert "INCONCLUSIVE" in render_comparison(x264, x265, page.verdict, "vmaf")


@pytest.fixture
def folder(base: Run, worse: Run, tmp_path: Path) -> Path:
    for name, run in (("base", base), ("cand", worse), ("other", make_run(["elsewhere.mp4"])[0])):
        (tmp_path / name).mkdir()
        changed = (
            run
            if name != "other"
            else run.model_copy(
                update={
                    "sources": (
                        run.sources[0].model_copy(
                            update={"source": run.sources[0].source.model_copy(update={"sha256": "9" * 64})}
                        ),
                    )
                }
            )
        )
        (tmp_path / name / "run.json").write_text(changed.model_dump_json(), encoding="utf-8")
    return tmp_path


def test_two_documents_are_compared_where_they_can_be(folder: Path) -> None:
    def run(*args: str | Path) -> str:
        result = CliRunner().invoke(report, [str(arg) for arg in args], catch_exceptions=False, standalone_mode=False)
        if result.exception:
            raise result.exception
        return (folder / "page.html").read_text(encoding="utf-8")

    out = ("-o", folder / "page.html")
    page = run(folder / "base", folder / "cand", *out)
    assert re.search(r'<span class="outcome fail">FAIL</span> Candidate against baseline', page)
    assert str(folder / "cand/run.json") in page
    assert "against baseline" not in run(folder / "base", folder / "cand", "--overlay", *out)
    assert "2 runs, 3 sources" in run(folder / "base", folder / "other", *out)
    with pytest.raises(InputError, match=r"the candidate lacks source a\.mp4"):
        run("--compare", folder / "base", folder / "other", *out)
    with pytest.raises(UsageError, match="--compare and --policy need two run documents and a page"):
        run("--compare", folder / "base", *out)
    (folder / "lax.toml").write_text("[metrics.vmaf]\nmax_bd_rate = 40\n")
    lax = run("--policy", folder / "lax.toml", folder / "base", folder / "cand", *out)
    assert '<span class="outcome pass">PASS</span>' in lax


def test_the_gate_writes_the_same_page(folder: Path) -> None:
    args = [str(folder / "base"), str(folder / "cand"), "--report", str(folder / "gate.html")]
    CliRunner().invoke(gate, args, standalone_mode=False, catch_exceptions=False)
    page = (folder / "gate.html").read_text(encoding="utf-8")
    assert '<span class="outcome fail">FAIL</span> Candidate against baseline' in page


@pytest.fixture(scope="module")
def page(base: Run, worse: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "page.html"
    write_comparison(base, worse, judge(base, worse, default_policy("vmaf")), "vmaf", path)
    return path


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1024, True), (390, False)])
def test_the_page_works_at_any_width(browser: Chromium, page: Path, width: int, dark: bool) -> None:
    browser.problems.clear()
    browser.open(page, width=width, dark=dark)
    browser.run("document.querySelector('.panel').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.querySelector('.panel .chart.ready') !== null")
    assert browser.run("document.documentElement.scrollWidth") <= width
    hollow = "[...document.querySelectorAll('.panel .pt')].filter(p => p.getAttribute('fill') === 'var(--card)').length"
    browser.wait(f"{hollow} > 0")
    assert browser.problems == []
    if width > 640:
        fits = "[...document.querySelectorAll('.scroll')].every(s => s.scrollWidth <= s.clientWidth + 1)"
        assert browser.run(fits)
    tallest = (
        "Math.max(...[...document.querySelectorAll('.wraps tbody tr')].map(r => r.getBoundingClientRect().height))"
    )
    assert width <= 640 or browser.run(tallest) < 80


@pytest.mark.browser
def test_the_page_shuts_nobody_out(browser: Chromium, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('.panel').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.querySelector('.panel .chart.ready') !== null")
    assert browser.violations(axe_script() or pytest.skip(NO_AXE)) == []


@pytest.mark.browser
def test_metrics_change_and_rungs_sort(browser: Chromium, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('.panel').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.querySelector('.panel .chart.ready') !== null")
    browser.run(
        "(() => { const s = document.querySelector('.panel select'); s.value = 'ssim'; s.dispatchEvent(new Event('change')); })()"
    )
    assert browser.run("document.querySelector('.panel .pt').getAttribute('aria-label')").count("SSIM 0.") == 1
    browser.run(
        "[...document.querySelectorAll('.compared thead button')].find(b => b.textContent === 'Loses VMAF').click()"
    )
    values = browser.run(
        "[...document.querySelector('.compared').tBodies[0].rows].map(r => Number(r.cells[6].dataset.v))"
    )
    assert values == sorted(values)
    fragment = browser.run("location.hash")
    browser.open(page, fragment=fragment)
    again = "[...document.querySelector('.compared').tBodies[0].rows].map(r => Number(r.cells[6].dataset.v))"
    assert browser.run(again) == values
    assert browser.run("document.querySelector('.panel select').value") == "ssim"
