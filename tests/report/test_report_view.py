"""What the page says: against runs whose truth is known."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from report_runs import SOURCE_SCORE, make_run

from vqa_cli.analysis.curves import points
from vqa_cli.analysis.hull import Crossover, envelope
from vqa_cli.document import Run
from vqa_cli.errors import UsageError
from vqa_cli.report.bdtables import BdCell
from vqa_cli.report.findings import _within
from vqa_cli.report.labels import show_argv, show_duration, show_rate, show_ratio, show_speed, tone
from vqa_cli.report.overview import compare_over
from vqa_cli.report.pairs import open_frames_on
from vqa_cli.report.payload import _bd_cell, page_data, panel_metrics, rate_data
from vqa_cli.report.view import build_page


def change_rung(run: Run, index: int, **changes: object) -> Run:
    """The run with one rung of its first source changed."""
    rungs = list(run.sources[0].rungs)
    rungs[index] = rungs[index].model_copy(update=changes)
    source = run.sources[0].model_copy(update={"rungs": tuple(rungs)})
    return run.model_copy(update={"sources": (source, *run.sources[1:])})


def test_one_run_becomes_one_title_with_all_rungs() -> None:
    run, _ = make_run()
    page = build_page([run])
    (title,) = page.titles
    assert title.codecs == ("libx264 medium", "libx265 medium")
    assert title.sizes == ("720p", "540p", "360p")
    assert [label.key for label in title.metrics] == ["model", "vmaf", "psnr", "ssim"]
    assert title.measured == len(title.rungs) == 24
    assert len({view.key for view in title.rungs}) == 24
    assert title.warnings == ()
    assert panel_metrics(title) == ["vmaf", "model"]
    assert [series.text for series in title.series] == ["libx264 medium", "libx265 medium"]


def test_runs_of_the_same_source_are_overlaid() -> None:
    one, _ = make_run(["clip.mp4", "other.mp4"])
    two, _ = make_run(["renamed.mp4"], rate_factor=0.8)
    page = build_page([one, two])
    assert [len(title.entries) for title in page.titles] == [2, 1]
    first = page.titles[0]
    assert first.run_keys == ("A", "B")
    chart = rate_data(first, "vmaf")
    assert chart.names == [f"{run}: {codec}" for run in "AB" for codec in first.codecs]
    assert {(p["series"], p["shape"]) for p in chart.points} == {(a, b) for a in range(4) for b in range(3)}


@pytest.mark.parametrize(
    ("factor", "words"), [(0.8, "20 % less"), (1.25, "25 % more"), (1.0, "about the same bitrate")]
)
def test_the_headline_is_the_factor_that_was_put_in(factor: float, words: str) -> None:
    one, _ = make_run()
    two, _ = make_run(rate_factor=factor)
    sentences = build_page([one, two]).titles[0].findings.sentences
    assert f"libx264 medium needs {words}" in sentences[0]
    assert "in B" in sentences[0]


def test_codecs_of_one_run_are_compared_with_the_first() -> None:
    run, _ = make_run(heights=[720])
    sentence = build_page([run]).titles[0].findings.sentences[0]
    # The model of rate and quality gives both codecs the same quality at half the bitrate.
    assert (
        sentence
        == "libx265 medium needs 50 % less bitrate than libx264 medium for the same VMAF, at 1.8 times the CPU time."
    )


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (None, ""),
        ((-16.45, -6.6), " (7 to 16 %)"),
        ((6.6, 16.45), " (7 to 16 %)"),
        ((-2.26, 0.9), " (−2.3 to +0.9 %)"),
        ((-50.01, -49.99), ""),
    ],
)
def test_what_few_points_leave_open_is_said_beside_the_saving(interval: tuple[float, float] | None, said: str) -> None:
    assert _within(interval) == said


def test_a_saving_that_may_be_none_has_no_colour() -> None:
    sure, unsure = (BdCell(-2.0, 0.1, 1.5, (), (-3.0, high)) for high in (-1.0, 0.5))
    assert _bd_cell(sure) == {
        "text": "−2.0\u202f%",
        "tone": "good",
        "small": ["[−3.0, −1.0]", "CPU ×1.5"],
        "notes": (),
    }
    assert _bd_cell(unsure)["tone"] == ""


@pytest.mark.parametrize(
    ("percent", "interval", "colour"),
    [(-2.0, None, "good"), (2.0, None, "bad"), (-2.0, (-3.0, -1.0), "good"), (2.6, (-2.9, 8.5), ""), (0.9, None, ""),
     (0.9, (0.5, 1.2), ""), (None, None, "")],
)  # fmt: skip
def test_what_may_be_for_the_better_or_the_worse_has_no_colour(
    percent: float | None, interval: tuple[float, float] | None, colour: str
) -> None:
    assert tone(percent, interval) == colour


def test_the_overview_colours_as_the_tables_of_each_source_do() -> None:
    run, _ = make_run(["a.mp4", "b.mp4"])
    page = build_page([run])
    (pair,) = compare_over(page.titles)
    for title in page.titles:
        table = title.findings.headline_table
        assert table is not None
        assert pair.tones[title.key] == _bd_cell(table.cell(pair.anchor, pair.test))["tone"]


@pytest.mark.parametrize(("speed", "said"), [(12.46, "12.5×"), (1.0, "1.0×"), (0.42, "0.4×"), (0.044, "0.04×")])
def test_a_speed_is_never_nothing(speed: float, said: str) -> None:
    assert show_speed(speed) == said


def test_the_source_is_the_ceiling_of_the_model_alone() -> None:
    run, _ = make_run()
    title = build_page([run]).titles[0]
    (ceiling,) = rate_data(title, "model").ceiling
    assert ceiling["q"] == pytest.approx(SOURCE_SCORE, abs=2)
    assert rate_data(title, "vmaf").ceiling == []


def test_sources_that_two_runs_score_differently_keep_both_lines() -> None:
    one, _ = make_run()
    score = one.sources[0].score
    assert score is not None
    source = one.sources[0].model_copy(update={"score": score.model_copy(update={"score": 60.0})})
    two = one.model_copy(update={"sources": (source,)})
    assert len(rate_data(build_page([one, one]).titles[0], "model").ceiling) == 1
    assert [c["side"] for c in rate_data(build_page([one, two]).titles[0], "model").ceiling] == ["left", "right"]


def test_an_inversion_is_marked_and_told() -> None:
    run, _ = make_run(heights=[720], codecs=["libx264"])
    better, worse = run.sources[0].rungs[1], run.sources[0].rungs[0]
    assert better.encode is not None
    assert worse.encode is not None
    run = change_rung(run, 0, fidelity=run.sources[0].rungs[2].fidelity)
    title = build_page([run]).titles[0]
    assert set(title.rungs[0].inverted) == {"vmaf", "psnr", "ssim"}
    # What decides is said at the top, the other metrics below.
    (alert,) = title.alerts
    assert "VMAF falls by" in alert
    assert "crf 25 → libx264 medium 720p crf 20" in alert
    assert [text.split(" falls by ")[0] for text in title.warnings] == ["PSNR", "SSIM"]
    marked = [p["key"] for p in rate_data(title, "vmaf").points if p["inverted"]]
    assert marked == [title.rungs[0].key]
    assert not any(p["inverted"] for p in rate_data(title, "model").points)


def test_failed_rungs_stay_in_the_table_and_are_told() -> None:
    run, _ = make_run()
    run = change_rung(run, 3, status="failed", reason="encoder crashed", encode=None, score=None, fidelity={})
    title = build_page([run]).titles[0]
    assert title.measured == 23
    assert title.rungs[3].rung.status == "failed"
    assert "libx264 medium 360p crf 36 failed: encoder crashed" in title.warnings
    assert title.alerts == ("1 of 24 rungs failed: libx264 medium 360p crf 36, encoder crashed",)
    assert title.rungs[3].key not in {p["key"] for p in rate_data(title, "vmaf").points}


def test_a_ladder_above_the_source_is_told_first() -> None:
    run, _ = make_run(heights=[720], codecs=["libx264"], crfs=(20, 25, 30, 36))
    source = run.sources[0]
    poor = source.model_copy(update={"source": source.source.model_copy(update={"video_bitrate_kbps": 2000.0})})
    title = build_page([run.model_copy(update={"sources": (poor,)})]).titles[0]
    dear = "libx264 medium 720p crf 24 at 2\u202f316 kb/s"
    assert title.alerts == (f"The source has 2\u202f000 kb/s; the ladder goes above it: {dear}.",)
    assert build_page([run]).titles[0].alerts == ()


def test_every_codec_has_a_hull_whatever_the_statistic() -> None:
    run, _ = make_run()
    title = build_page([run]).titles[0]
    for metric in ("model", "vmaf", "psnr", "ssim"):
        for pooling in ("mean", "p5", "min"):
            lines = title.findings.hulls[metric, pooling]
            assert {line.codec for line in lines} == set(title.codecs)
            assert len(lines) == 2
            for line in lines:
                mine = [point for _, point in points(run.sources[0], metric, pooling) if point.codec == line.codec]
                assert list(line.points) == envelope(mine)
    chart = rate_data(title, "vmaf")
    assert sorted(row["series"] for row in chart.hulls) == [0, 1]


def test_what_all_runs_say_of_a_source_is_said_once() -> None:
    run, _ = make_run()
    short, odd = "the clip lasts 2.0 s", "odd"
    runs = [
        run.model_copy(update={"sources": (run.sources[0].model_copy(update={"warnings": texts}),)})
        for texts in ((short, odd), (short,), (short, odd))
    ]
    assert build_page(runs).titles[0].alerts == (short, f"A and C: {odd}")
    assert build_page(runs[:1]).titles[0].alerts == (short, odd)


def test_a_repeated_warning_is_told_once() -> None:
    run, _ = make_run()
    for index in (0, 1):
        run = change_rung(run, index, warnings=("one-pass VBR",))
    assert build_page([run]).titles[0].warnings == ("one-pass VBR (2 rungs)",)


def test_runs_that_cannot_be_compared_say_so() -> None:
    one, _ = make_run()
    assert one.model is not None
    other_model = one.model_copy(update={"model": replace(one.model, sha256="00" * 32)})
    assert any("different models" in text for text in build_page([one, other_model]).warnings)
    source = one.sources[0].model_copy(update={"display_width": 1920, "display_height": 1080})
    assert any(
        "1920×1080" in text for text in build_page([one, one.model_copy(update={"sources": (source,)})]).warnings
    )
    assert build_page([one, one]).warnings == ()
    assert build_page([one, one.model_copy(update={"model": None})]).warnings == ("B has no model score.",)


def test_the_metric_asked_for_decides() -> None:
    run, _ = make_run()
    title = build_page([run], metric="psnr").titles[0]
    assert title.primary.name == "PSNR"
    assert "PSNR" in title.findings.sentences[0]
    assert {ladder.advice.metric for ladder in title.findings.ladders} == {"psnr"}
    with pytest.raises(UsageError, match="no run measured xpsnr"):
        build_page([run], metric="xpsnr")


@pytest.mark.parametrize(("model", "metrics"), [(False, ["vmaf"]), (True, []), (False, ["psnr", "ssim"])])
def test_runs_without_model_or_without_metrics(model: bool, metrics: list[str]) -> None:
    run, frames = make_run(model=model, metrics=metrics)
    page = build_page([run])
    assert len(panel_metrics(page.titles[0])) == min(2, len(metrics) + model)
    assert page_data(page, {"A": frames})[0]["traces"]


def test_the_frame_view_opens_with_two_codecs_at_one_bitrate_at_their_worst() -> None:
    run, frames = make_run()
    title = build_page([run]).titles[0]
    opening = open_frames_on(title, {"A": frames})
    first, second = opening.first, opening.second
    assert first is not None
    assert second is not None
    assert first.codec != second.codec
    assert first.encode is not None
    assert second.encode is not None
    assert abs(first.encode.bitrate_kbps / second.encode.bitrate_kbps - 1) < 0.25
    both = [frames[0, view.rung.id]["vmaf"] for view in (first, second)]
    assert opening.frame == int(np.argmin(np.minimum(*both)))
    # Of the frames that have pictures, the worst of these.
    kept = [3, 50, 100]
    assert open_frames_on(title, {"A": frames}, kept).frame == min(kept, key=lambda frame: min(v[frame] for v in both))


def test_one_codec_opens_with_two_sizes() -> None:
    run, frames = make_run(codecs=["libx264"])
    opening = open_frames_on(build_page([run]).titles[0], {"A": frames})
    assert opening.first is not None
    assert opening.second is not None
    assert opening.first.size != opening.second.size


def test_a_source_that_failed_is_a_title_with_its_reason() -> None:
    run, _ = make_run()
    source = run.sources[0].model_copy(
        update={"status": "failed", "reason": "no video stream", "rungs": (), "score": None}
    )
    title = build_page([run.model_copy(update={"sources": (source,)})]).titles[0]
    assert title.measured == 0
    assert title.best is None
    assert title.alerts == ("no video stream",)
    assert title.warnings == ()


def test_nothing_and_too_much_to_report() -> None:
    run, _ = make_run()
    with pytest.raises(UsageError):
        build_page([])
    with pytest.raises(UsageError):
        build_page([run] * 27)


def test_command_lines_lose_the_scratch_folder_only() -> None:
    argv = ("/opt/my ffmpeg", "-i", "file:/tmp/x/r1.mp4", "-vf", "scale=1/2", "/tmp/x/r1.mp4")
    assert show_argv(argv, "r1") == "'/opt/my ffmpeg' -i file:r1.mp4 -vf scale=1/2 r1.mp4"


def test_numbers_as_people_read_them() -> None:
    shown = ["–", "4.2 kb/s", "87 kb/s", "847 kb/s", "2\u202f410 kb/s"]
    assert [show_rate(v) for v in (None, 4.21, 87.4, 847.0, 2410.0)] == shown
    ratios = {1.04: "about the same CPU time", 0.5: "0.5 times the CPU time", 4.03: "4 times the CPU time"}
    assert {ratio: show_ratio(ratio) for ratio in ratios} == ratios
    assert [show_duration(v) for v in (5.28, 125, 3725)] == ["5.3 s", "2:05 min", "1:02:05 h"]


def test_sources_are_averaged_by_their_own_bd_rates() -> None:
    run, _ = make_run(["a.mp4", "b.mp4", "c.mp4", "d.mp4"], heights=[720])
    # Three points of the second codec are left, of which no curve can be made.
    lost = run.sources[3].model_copy(update={"rungs": run.sources[3].rungs[:7]})
    page = build_page([run.model_copy(update={"sources": (*run.sources[:3], lost)})])
    (pair,) = compare_over(page.titles)
    assert pair.mean == pytest.approx(-50, abs=1)
    assert [percent is None for percent in pair.percents.values()] == [False, False, False, True]
    assert pair.interval is not None
    assert pair.mean is not None
    assert pair.interval[0] <= pair.mean <= pair.interval[1]
    assert pair.sentence.startswith("Over 3 sources libx265 medium needs 50 % less bitrate than libx264 medium")
    assert pair.sentence.endswith("; 1 source gave no BD-rate.")


def test_the_overview_of_sources_without_a_pair_is_empty() -> None:
    run, _ = make_run(["a.mp4", "b.mp4"], codecs=["libx264"], heights=[720])
    assert compare_over(build_page([run]).titles) == []


def test_agreement_of_model_and_vmaf_is_told() -> None:
    run, _ = make_run(frames=60)
    told = [text for text in build_page([run]).titles[0].findings.sentences if "Spearman" in text]
    assert len(told) == 1
    pairs = [(rung.quality("model"), rung.quality("vmaf")) for rung in run.sources[0].rungs]
    ranks = [np.argsort(np.argsort(column)) for column in zip(*pairs, strict=True)]
    assert f"{np.asarray(np.corrcoef(ranks))[0, 1]:.2f}" in told[0]


def test_sizes_that_take_turns_are_not_called_a_switch() -> None:
    run, _ = make_run()
    ladder = build_page([run]).titles[0].findings.ladders[0]
    assert ladder.switches == "Switch size at 1\u202f678 kb/s (360p to 540p) and 2\u202f921 kb/s (540p to 720p)."
    advice = dataclasses.replace(
        ladder.advice,
        crossovers=tuple(Crossover(*step, True) for step in ((540, 720, 388.0), (720, 540, 540.0), (540, 720, 757.0))),
    )
    turns = dataclasses.replace(ladder, advice=advice).switches
    assert turns == "Sizes take turns on the hull between 388 kb/s and 757 kb/s: there they are about equal."


def test_runs_of_one_clip_each_read_like_one_run_of_many() -> None:
    both, _ = make_run(["a.mp4", "b.mp4"], heights=[720])
    runs = [both.model_copy(update={"sources": (source,)}) for source in both.sources]
    page, (pair,) = build_page(runs), compare_over(build_page([both]).titles)
    assert compare_over(page.titles) == [pair]
    assert page.titles[1].rungs[0].name == "libx264 medium 720p crf 20"
    assert page.warnings == ("A and B have no source in common.",)


def test_one_rung_is_no_ladder_and_no_curve() -> None:
    run, _ = make_run(heights=[720], crfs=[23])
    found = build_page([run]).titles[0].findings
    assert found.ladders == []
    assert not found.has_bd
    assert found.bd_notes == ["anchor: 1 usable points; at least 4 are needed"]
