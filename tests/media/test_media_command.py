"""Command lines are data: what must be in them, for every encoder and every preset."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from vqa_cli.errors import InputError, UsageError
from vqa_cli.ladder.plan import gop_frames, plan_ladder
from vqa_cli.ladder.preset import build_settings, list_presets, read_preset
from vqa_cli.measure.treatment import plan_preparation
from vqa_cli.media.command import build_encode_argv
from vqa_cli.media.encoders import ENCODERS, find_encoder
from vqa_cli.media.graph import SourceView
from vqa_cli.settings import LadderSettings
from vqa_cli.values import ColourTags, MediaInfo, Size, Treatment


def source(width: int = 1920, height: int = 1080, **changes: object) -> MediaInfo:
    values = dict(
        path=Path("/videos/in put's %03d.mp4"), stream_index=0, container="mov", codec="h264", coded=Size(width, height),
        size=Size(width, height), fps=Fraction(30000, 1001), frames=300, duration_s=10.01, pix_fmt="yuv420p", bit_depth=8,
        colour=ColourTags("bt709", "bt709", "bt709", "tv"), rotation_deg=0, sar=Fraction(1), interlaced=False, vfr=False,
        alpha=False, size_bytes=10, video_bytes=10,
    )  # fmt: skip
    return MediaInfo(**{**values, **changes})  # type: ignore[arg-type]


def settings(**values: object) -> LadderSettings:
    return build_settings({"display": 720, "heights": (360, 720), **values}, "test")


def argvs(info: MediaInfo, ladder: LadderSettings) -> list[tuple[str, ...]]:
    plan = plan_ladder(info, ladder)
    return [
        a for rung in plan.rungs for a in build_encode_argv(Path("ffmpeg"), SourceView.of(info), rung.order, "out.mp4")
    ]


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_encoder_takes_quality_and_bitrate(name: str) -> None:
    low, high = ENCODERS[name].quality_range
    crf = argvs(source(), settings(codecs=[{"encoder": name, "crf": [(low + high) // 2]}]))
    assert len(crf) == 2
    for argv in crf:
        assert option(argv, "-c:v") == name
        assert int(option(argv, "-g")) % ENCODERS[name].gop_multiple == 0
        assert option(argv, "-color_primaries") == "bt709"
    rate = argvs(source(), settings(codecs=[{"encoder": name, "bitrate": ["800k"]}]))
    assert len(rate) == (4 if ENCODERS[name].two_pass else 2)
    assert all(option(argv, "-b:v") == "800000" for argv in rate)


def test_two_pass_has_both_passes_and_vbv() -> None:
    first, second = argvs(source(), settings(heights=(360,), codecs=[{"encoder": "x264", "bitrate": ["1M"]}]))
    assert (option(first, "-pass"), option(second, "-pass")) == ("1", "2")
    assert option(first, "-f") == "null"
    assert (option(second, "-maxrate"), option(second, "-bufsize")) == ("1500000", "2000000")


def test_capped_crf_and_what_cannot_cap() -> None:
    (argv,) = argvs(source(), settings(heights=(360,), codecs=[{"encoder": "x265", "crf": [24], "maxrate": "2M"}]))
    assert (option(argv, "-crf"), option(argv, "-maxrate"), option(argv, "-bufsize")) == ("24", "2000000", "4000000")
    with pytest.raises(UsageError, match="libvvenc has no capped CRF"):
        argvs(source(), settings(codecs=[{"encoder": "vvc", "crf": [30], "maxrate": "2M"}]))


def test_crf_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="CRF out of range for libx264: 60"):
        argvs(source(), settings(codecs=[{"encoder": "libx264", "crf": [60]}]))


def test_gop_is_the_same_time_for_all_codecs() -> None:
    assert gop_frames(2.0, Fraction(30000, 1001), 1) == 60
    assert gop_frames(2.0, Fraction(30000, 1001), 32) == 64
    assert gop_frames(0.001, Fraction(25), 1) == 1


def test_rungs_above_the_source_are_clamped_once() -> None:
    plan = plan_ladder(source(640, 360), settings(heights=(240, 540, 720), codecs=[{"encoder": "x264", "crf": [23]}]))
    assert [rung.id for rung in plan.rungs] == ["libx264_240p_crf23", "libx264_360p_crf23"]
    assert any("encoded at 360p" in text for text in plan.warnings)


def test_portrait_sizes_go_by_the_short_side() -> None:
    plan = plan_ladder(source(1080, 1920), settings(heights=(540,), codecs=[{"encoder": "x264", "crf": [23]}]))
    assert plan.rungs[0].order.size == Size(540, 960)
    assert plan.display == Size(720, 1280)


def test_same_encoder_twice_gets_distinct_ids() -> None:
    twice = [{"encoder": "x264", "preset": p, "crf": [23]} for p in ("fast", "slow")]
    ids = [rung.id for rung in plan_ladder(source(), settings(heights=(360,), codecs=twice)).rungs]
    assert ids == ["libx264-fast_360p_crf23", "libx264-slow_360p_crf23"]


def test_file_names_reach_ffmpeg_unchanged() -> None:
    (argv,) = argvs(source(), settings(heights=(360,), codecs=[{"encoder": "x264", "crf": [23]}]))
    assert option(argv, "-i") == "file:/videos/in put's %03d.mp4"


def test_hdr_and_interlaced_need_a_word() -> None:
    hdr = source(colour=ColourTags("bt2020nc", "bt2020", "smpte2084", "tv"))
    with pytest.raises(InputError, match="HDR source"):
        plan_preparation(hdr, Treatment())
    assert plan_preparation(hdr, Treatment(tonemap=True)).tonemap
    with pytest.raises(InputError, match="interlaced source"):
        plan_preparation(source(interlaced=True), Treatment())
    assert plan_preparation(source(interlaced=True), Treatment(deinterlace=True)).deinterlace


@pytest.mark.parametrize("name", sorted(list_presets()))
def test_bundled_presets_plan(name: str) -> None:
    ladder = build_settings(read_preset(list_presets()[name]), name)
    plan = plan_ladder(source(), ladder)
    assert ladder.description
    assert len({rung.id for rung in plan.rungs}) == len(plan.rungs) >= 4
    for codec in ladder.codecs:
        assert find_encoder(codec.encoder)
