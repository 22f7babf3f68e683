"""The recommended ladder is the best there is under its limits, and what was not measured is never shown as if it were."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import Vqa
from documents import crf_rung, make_run, make_rung, sweep
from hypothesis import given
from hypothesis import strategies as st

from vqa_cli.analysis.audience import LogUniform, measured
from vqa_cli.analysis.between import between
from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.limits import best_of, scale_of
from vqa_cli.analysis.optimum import Rules, affordable_ladder, best_ladder, expected, gains_of
from vqa_cli.analysis.recommend import recommend
from vqa_cli.settings import Constraints

AUDIENCE = LogUniform(100.0, 3000.0)


def point(kbps: float, quality: float, height: int = 360, *, cpu_s: float = 1.0) -> Point:
    return Point(f"{height}p_{kbps:g}", kbps, quality, height, "libx264", cpu_s)


def follows(a: Point, b: Point, rules: Rules) -> bool:
    ratio = b.kbps / a.kbps
    return (
        rules.min_ratio <= ratio <= rules.max_ratio
        and b.quality - a.quality >= rules.min_step
        and b.quality > a.quality
        and (not rules.growing or b.height >= a.height)
    )


def exhaustive(points: Sequence[Point], rules: Rules) -> float:
    """The best worth of all ladders, one by one."""
    ladders = (ladder for k in range(1, rules.rungs + 1) for ladder in itertools.combinations(points, k))
    return max(
        expected(ladder, AUDIENCE, 0.0)
        for ladder in ladders
        if all(follows(a, b, rules) for a, b in itertools.pairwise(ladder))
    )


@given(
    st.lists(
        st.tuples(st.integers(60, 4000), st.integers(1, 100), st.sampled_from((360, 540, 720))),
        min_size=1, max_size=9, unique_by=lambda p: p[0],
    ),
    st.integers(1, 4), st.sampled_from((0.0, 6.0)), st.sampled_from((1.0, 1.4)), st.sampled_from((2.2, math.inf)),
    st.booleans(),
)  # fmt: skip
def test_no_ladder_is_better(
    given_points: list[tuple[int, int, int]], rungs: int, step: float, least: float, most: float, growing: bool
) -> None:
    points = [point(float(r), float(q), h) for r, q, h in sorted(given_points)]
    rules = Rules(rungs, step, least, most, growing)
    best = best_ladder(gains_of(points, AUDIENCE, 0.0).under(rules), rungs)
    assert best is not None and len(best.chosen) <= rungs
    chosen = [points[j] for j in best.chosen]
    assert all(follows(a, b, rules) for a, b in itertools.pairwise(chosen))
    assert best.worth == pytest.approx(expected(chosen, AUDIENCE, 0.0)) == pytest.approx(exhaustive(points, rules))


@given(
    st.lists(
        st.tuples(st.integers(60, 4000), st.integers(1, 100), st.integers(1, 40)),
        min_size=1, max_size=8, unique_by=lambda p: p[0],
    ),
    st.integers(1, 4),
)  # fmt: skip
def test_no_ladder_that_the_budget_allows_is_better(given_points: list[tuple[int, int, int]], rungs: int) -> None:
    points = [point(float(r), float(q), cpu_s=float(c)) for r, q, c in sorted(given_points)]
    rules, times, budget = Rules(rungs), np.array([p.cpu_s for p in points]), 50.0
    best = affordable_ladder(gains_of(points, AUDIENCE, 0.0).under(rules), rungs, times, budget)
    assert best is not None and times[list(best.chosen)].sum() <= budget
    cheap = [s for k in range(1, rungs + 1) for s in itertools.combinations(points, k) if sum(p.cpu_s for p in s) <= 50]
    rising = [s for s in cheap if all(a.quality < b.quality for a, b in itertools.pairwise(s))]
    assert best.worth == pytest.approx(max(expected(s, AUDIENCE, 0.0) for s in rising))


def test_a_budget_that_pays_no_rung_has_no_ladder() -> None:
    points = [point(100, 50, cpu_s=9.0), point(200, 60, cpu_s=8.0)]
    worth = gains_of(points, AUDIENCE, 0.0).under(Rules(2))
    assert affordable_ladder(worth, 2, np.array([9.0, 8.0]), 7.9) is None


def test_expected_quality_is_what_viewers_play() -> None:
    ladder = [point(200, 50), point(400, 45), point(1000, 80)]
    rng = np.random.default_rng(1)
    rates = np.exp(rng.uniform(math.log(100), math.log(3000), 200_000))
    played = np.select([rates >= 1000, rates >= 200], [80, 50], 0)
    assert expected(ladder, AUDIENCE, 0.0) == pytest.approx(played.mean(), abs=0.2)


def test_an_audience_of_ones_own() -> None:
    audience = measured([(500, 2), (1000, 1), (500, 1), (9000, 0)], "a.csv")
    assert [audience.share(r) for r in (100, 500, 501, 1000, 1001)] == [1, 1, 0.25, 0.25, 0]
    assert audience.text == "throughput of a.csv: 500 to 1000 kb/s"
    with pytest.raises(ValueError, match="no share is above zero"):
        measured([(500, 0)], "a.csv")


def test_a_step_that_few_can_play_is_not_the_top_of_the_ladder() -> None:
    """As seen on a real clip: the last step cost 3.7 times the rate, although half of it bought nearly as much."""
    rungs = [(200, 31.5), (420, 54.9), (800, 70.8), (1300, 80.2), (2400, 93.6), (4800, 99.4)]
    run = make_run([make_rung("libx265", 720, r, q) for r, q in rungs])
    (found,) = recommend(run, Constraints(max_rungs=5))
    assert found.chosen[-1].quality == pytest.approx(93.6)


def test_what_lies_between_measured_crfs_is_said_to() -> None:
    run = make_run(sweep(20, 25, 30, 36))
    (found,) = recommend(run, Constraints(max_rungs=5))
    (known,) = recommend(run, Constraints(max_rungs=5, interpolate=False))
    rest = [p for p in found.chosen if not p.measured]
    assert rest and all(p.measured for p in known.chosen) and found.expected > known.expected
    for p in rest:
        truth = crf_rung(p.height, int(p.crf or 0))
        assert truth.encode is not None and truth.id == p.rung
        assert p.kbps == pytest.approx(truth.encode.bitrate_kbps, rel=0.01)
        assert p.quality == pytest.approx(truth.quality("vmaf"), abs=1)


def test_nothing_is_read_off_curves_that_turn_or_mix() -> None:
    turned = [Point(f"c{c}", r, q, 360, "x", 1.0, "x", "crf", c) for c, r, q in ((20, 9, 80), (30, 5, 85), (40, 2, 40))]
    assert {p.crf for p in between(turned)} == set(range(31, 40))
    rising = [Point(f"c{c}", r, 50, 360, "x", 1.0, "x", "crf", c) for c, r in ((20, 9), (30, 12), (40, 2))]
    assert between(rising) == []
    assert between([point(100, 20), point(200, 30), point(400, 40)]) == []


def test_limits_that_bind_are_named_with_what_they_cost() -> None:
    run = make_run(sweep(20, 25, 30, 36))
    (free,) = recommend(run, Constraints())
    (few,) = recommend(run, Constraints(max_rungs=2))
    assert few.bindings[0].limit == "max_rungs 2"
    (three,) = recommend(run, Constraints(max_rungs=3))
    # Wider steps of the rate are taken for so few rungs, and said.
    assert few.bindings[0].gain == pytest.approx(three.expected - few.expected, abs=1.0)
    (dear,) = recommend(run, Constraints(max_kbps=900))
    gains = {b.limit: b.gain for b in dear.bindings}
    assert gains["max_kbps 900"] == pytest.approx(free.expected - dear.expected, abs=0.1)


def test_a_limit_that_nothing_was_measured_for_is_said_not_to_apply() -> None:
    run = make_run(sweep(20, 25, 30, 36))
    (source,) = run.sources
    unscored = tuple(rung.model_copy(update={"score": None}) for rung in source.rungs)
    bare = run.model_copy(update={"sources": (source.model_copy(update={"rungs": unscored}),)})
    (found,) = recommend(bare, Constraints(max_delta_to_source=10))
    assert found.chosen == recommend(bare, Constraints())[0].chosen
    assert "max_delta_to_source 10 does not apply: no rung has a score beside its source's" in found.notes
    assert not any("does not apply" in said for said in recommend(run, Constraints(max_delta_to_source=10))[0].notes)


def test_cpu_time_of_the_whole_ladder_is_a_limit(vqa: Vqa, tmp_path: Path) -> None:
    run = make_run(sweep(20, 25, 30, 36))
    (source,) = run.sources
    each = max(rung.encode.cpu_s for rung in source.rungs if rung.encode) / source.source.duration_s
    (free,) = recommend(run, Constraints(max_rungs=5))
    (found,) = recommend(run, Constraints(max_rungs=5, max_ladder_s_per_s=2.5 * each))
    assert len(found.chosen) == 2 < len(free.chosen)
    gains = {b.limit: b.gain for b in found.bindings}
    assert gains[f"max_ladder_s_per_s {2.5 * each:g}"] == pytest.approx(free.expected - found.expected, abs=1.0)
    (tmp_path / "run.json").write_text(run.model_dump_json())
    done = vqa("recommend", tmp_path, "--max-ladder-s-per-s", f"{0.5 * each:g}")
    said = f"error: no ladder for clip.mp4 libx264 medium: max_ladder_s_per_s {0.5 * each:g} leaves no rung\n"
    assert (done.returncode, done.stderr) == (7, said)


def test_what_binds_and_what_is_said_of_wide_steps_agree() -> None:
    (found,) = recommend(make_run(sweep(20, 25, 30, 36)), Constraints(max_rungs=2))
    (note,) = [n for n in found.notes if n.startswith("max_ratio")]
    taken = found.chosen[1].kbps / found.chosen[0].kbps
    limit, cost = re.fullmatch(
        r"max_ratio is ([\d.]+) here: with 2\.2 so few rungs would cost viewers ([\d.]+)", note
    ).groups()  # type: ignore[union-attr]
    assert 2.2 < taken <= float(limit) * 1.01
    (usual,) = recommend(make_run(sweep(20, 25, 30, 36)), Constraints(max_rungs=2, max_ratio=2.2))
    assert float(cost) == pytest.approx(found.expected - usual.expected, abs=0.01)
    assert {b.limit.split()[1] for b in found.bindings if b.limit.startswith("max_ratio")} <= {limit}


def test_a_ladder_that_ends_low_says_where_the_ceiling_is() -> None:
    (found,) = recommend(make_run(sweep(20, 25, 30, 36)), Constraints(max_rungs=2))
    (note,) = [n for n in found.notes if n.startswith("ends at")]
    top = found.chosen[-1]
    assert note.startswith(f"ends at {top.quality:.2f}: 95 is reached from about ")
    reaching = [r.encode.bitrate_kbps for r in sweep(20, 25, 30, 36) if r.encode and (r.quality("vmaf") or 0) >= 95]
    assert top.kbps < float(note.split()[-3]) <= min(reaching) + 1


def test_sizes_only_grow_and_rates_keep_their_distance() -> None:
    (found,) = recommend(make_run(sweep(18, 21, 24, 27, 30, 33, 36, 39)), Constraints(max_rungs=8))
    heights = [p.height for p in found.chosen]
    ratios = [b.kbps / a.kbps for a, b in itertools.pairwise(found.chosen)]
    assert heights == sorted(heights) and all(1.4 <= ratio <= 2.2 for ratio in ratios)


def test_a_rung_above_the_source_is_told(vqa: Vqa, tmp_path: Path) -> None:
    run = make_run(sweep(20, 25, 30, 36))
    (source,) = run.sources
    low = source.model_copy(update={"source": source.source.model_copy(update={"video_bitrate_kbps": 1000.0})})
    poor = run.model_copy(update={"sources": (low,)})
    (found,) = recommend(poor, Constraints())
    assert found.above_source == tuple(p for p in found.chosen if p.kbps > 1000) != ()
    (tmp_path / "run.json").write_text(poor.model_dump_json())
    names = ", ".join(p.rung for p in found.above_source)
    assert f"above the source's own bitrate: {names}" in vqa("recommend", tmp_path).stdout.splitlines()


def test_best_is_the_cheapest_that_reaches_the_ceiling() -> None:
    run = make_run([make_rung("libx264", 720, r, q) for r, q in ((2000, 94.0), (3000, 96.0), (6000, 99.0))])
    scale = scale_of(run, "vmaf")
    points = [point(2000, 94.0), point(3000, 96.0), point(6000, 99.0)]
    assert best_of(points, scale).kbps == 3000
    assert best_of([point(5420, 91.0), point(6090, 91.0006)], scale).kbps == 5420


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_text(make_run(sweep(20, 25, 30, 36)).model_dump_json())
    return tmp_path


def test_a_ladder_in_every_format(vqa: Vqa, folder: Path) -> None:
    (told,) = json.loads(vqa("recommend", folder, "--format", "json").stdout)
    rungs = [p["rung"] for p in told["chosen"]]
    unmeasured = [p["rung"] for p in told["chosen"] if not p["measured"]]
    assert unmeasured
    rows = list(csv.DictReader(io.StringIO(vqa("recommend", folder, "--format", "csv").stdout)))
    assert [row["rung"] for row in rows] == rungs
    assert [row["rung"] for row in rows if row["measured"] == "no"] == unmeasured
    hls = vqa("recommend", folder, "--format", "hls").stdout
    assert [line.removesuffix(".m3u8") for line in hls.splitlines() if line.endswith(".m3u8")] == rungs
    assert hls.count("rates are estimates: it was not encoded") == len(unmeasured)
    manifest = ElementTree.fromstring(vqa("recommend", folder, "--format", "dash").stdout)
    space = "{urn:mpeg:dash:schema:mpd:2011}"
    assert [r.attrib["id"] for r in manifest.iter(f"{space}Representation")] == rungs
    table = vqa("recommend", folder).stdout
    assert sum(line.count("~") == 2 for line in table.splitlines()) == len(unmeasured)


def test_commands_are_those_that_a_person_would_paste(vqa: Vqa, folder: Path) -> None:
    lines = vqa("recommend", folder, "--format", "ffmpeg").stdout.splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    (told,) = json.loads(vqa("recommend", folder, "--format", "json").stdout)
    assert commands == [
        f"ffmpeg -i '/videos/a & b.mp4' -map 0:0 -vf scale=640:360:flags=lanczos,format=yuv420p -c:v libx264 "
        f"-crf {p['crf']:g} -flags +cgop -g 50 {p['rung']}.mp4"
        for p in told["chosen"]
    ]


def test_commands_of_several_sources_write_files_of_their_own(vqa: Vqa, folder: Path) -> None:
    run = make_run(sweep(20, 25, 30, 36))
    (one,) = run.sources
    prepared = (
        "/x/ffmpeg",
        "-nostdin",
        "-i",
        "file:/videos/a.mkv",
        "-vf",
        "bwdif",
        "-c:v",
        "ffv1",
        "prepared.mkv",
        "-y",
    )
    rungs = tuple(
        rung.model_copy(update={"encode_argv": tuple(
            tuple("file:prepared.mkv" if word.startswith("file:") else word for word in argv) for argv in rung.encode_argv
        )})
        for rung in one.rungs
    )  # fmt: skip
    sources = tuple(
        one.model_copy(update={"source": one.source.model_copy(update={"name": name, "prepare_argv": prepared}), "rungs": rungs})
        for name in ("a.mp4", "b.mp4")
    )  # fmt: skip
    (folder / "run.json").write_text(run.model_copy(update={"sources": sources}).model_dump_json())
    lines = [shlex.split(line) for line in vqa("recommend", folder, "--format", "ffmpeg").stdout.splitlines()]
    commands = [words for words in lines if words[0] == "ffmpeg"]
    written = [words[-1] for words in commands]
    assert len(set(written)) == len(written) and written[0] == "a_prepared.mkv"
    read = {words[2] for words in commands if "libx264" in words}
    assert read == {"a_prepared.mkv", "b_prepared.mkv"}


def test_no_ladder_within_the_limits(vqa: Vqa, folder: Path) -> None:
    done = vqa("recommend", folder, "--max-kbps", "10")
    assert done.returncode == 7
    assert done.stderr == "error: no ladder for clip.mp4 libx264 medium: max_kbps 10 leaves no rung\n"
    narrow = vqa("recommend", folder, "--min-kbps", "1900", "--max-kbps", "1990")
    said = "error: no ladder for clip.mp4 libx264 medium: min_kbps 1900, max_kbps 1990 leave no rung\n"
    assert (narrow.returncode, narrow.stderr) == (7, said)
    both = vqa("recommend", folder, "--min-kbps", "900", "--max-kbps", "800")
    assert (both.returncode, both.stderr) == (2, "error: nothing lies between --min-kbps 900 and --max-kbps 800\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("kbps,share\n500,1\nmany,2\n", "error: no number in line 3, column kbps: {}\n  it is many\n"),
        ("kbps,share\n500,1\n-5,2\n", "error: no rate in line 3: {}\n  it is -5; rates are above zero\n"),
        ("kbps,share\n500,-1\n", "error: no share in line 2: {}\n  it is -1; shares are not negative\n"),
        ("kbps,share\n500,0\n", "error: no share is above zero: {}\n"),
        ("rate,share\n500,0\n", "error: no column kbps: {}\n"),
    ],
)
def test_bad_throughput_tables(vqa: Vqa, folder: Path, rows: str, message: str) -> None:
    table = folder / "t.csv"
    table.write_text(rows)
    done = vqa("recommend", folder, "--throughput", table)
    assert done.returncode == 2 and done.stderr.startswith(message.format(table))


def test_throughput_of_ones_own_decides(vqa: Vqa, folder: Path) -> None:
    table = folder / "t.csv"
    table.write_text("kbps,share\n700,30\n2100,70\n")
    (told,) = json.loads(vqa("recommend", folder, "--throughput", table, "--format", "json").stdout)
    rates = [p["kbps"] for p in told["chosen"]]
    assert len(rates) <= 4 and 600 < rates[0] <= 700 and 1900 < rates[-1] <= 2100
