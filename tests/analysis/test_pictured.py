"""Which rungs are pictured: what is recommended, encoded or not, and two at one bitrate."""

from __future__ import annotations

import math

import pytest
from report_runs import make_run

from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.moments import StillsWish, choose_stills
from vqa_cli.analysis.pictured import matched_pair, pictured_rungs
from vqa_cli.analysis.recommend import recommend
from vqa_cli.report.pairs import open_frames_on
from vqa_cli.report.view import build_page


def a_point(rung: str, kbps: float, quality: float, codec: str = "x264", height: int = 720) -> Point:
    return Point(rung, kbps, quality, height, codec, 1.0, codec)


def test_a_rung_that_was_not_encoded_is_pictured_by_its_neighbour() -> None:
    run, _ = make_run(crfs=(20, 28, 36))
    (source,) = run.sources
    pictured = pictured_rungs(run, source, "vmaf")
    chosen = [point for item in recommend(run, run.settings.recommend) for point in item.chosen]
    assert any(not point.measured for point in chosen)
    for point in chosen:
        curve = [r for r in source.rungs if r.id.rpartition("_")[0] == point.rung.rpartition("_")[0]]
        near = min(curve, key=lambda r: abs(math.log(r.encode.bitrate_kbps / point.kbps)) if r.encode else 99)
        assert near.id in pictured
    assert pictured == [rung.id for rung in source.rungs if rung.id in pictured]


@pytest.mark.parametrize("crfs", [(20, 25, 30, 36), (20, 28, 36), (22, 27, 32, 37), (18, 26, 34)])
def test_the_view_opens_on_two_pictured_codecs_at_one_bitrate(crfs: tuple[int, ...]) -> None:
    run, frames = make_run(crfs=crfs)
    every = [r for r in run.sources[0].rungs if r.encode]
    closest = min(
        abs(math.log(a.encode.bitrate_kbps / b.encode.bitrate_kbps))
        for a in every
        for b in every
        if a.encode and b.encode and a.encoder != b.encoder
    )
    choice = choose_stills(run, 0, frames, [], StillsWish())
    title = build_page([run]).titles[0]
    keys = [view.key for view in title.rungs if view.rung.id in choice.rungs]
    opening = open_frames_on(title, {"A": frames}, [m.frame for m in choice.moments], keys)
    first, second = opening.first, opening.second
    assert first is not None and first.encode is not None
    assert second is not None and second.encode is not None
    assert first.codec != second.codec
    assert {first.rung.id, second.rung.id} <= set(choice.rungs)
    away = abs(math.log(first.encode.bitrate_kbps / second.encode.bitrate_kbps))
    assert away <= max(closest, 0.1)


def test_what_is_pictured_anyway_makes_the_pair_where_it_can() -> None:
    every = [
        a_point("a", 1000, 80), a_point("b", 2000, 90),
        a_point("c", 1000, 84, "x265"), a_point("d", 1950, 93, "x265"), a_point("e", 1500, 88, "x265"),
    ]  # fmt: skip
    assert set(matched_pair(every, {"b", "d", "e"})) == {"b", "d"}
    assert set(matched_pair(every, {"a", "d"})) == {"a", "c"}  # 4 points apart, b and d are 3
    assert set(matched_pair(every, {"b", "e"})) == {"b", "d"}


def test_one_codec_makes_a_pair_of_sizes_and_one_curve_none() -> None:
    sizes = [a_point("a", 1000, 80), a_point("b", 1040, 78, height=540), a_point("c", 3000, 95, height=540)]
    assert set(matched_pair(sizes, set())) == {"a", "b"}
    assert matched_pair([a_point("a", 1000, 80), a_point("b", 1010, 80.2)], {"a"}) == ()
    assert matched_pair([], set()) == ()
