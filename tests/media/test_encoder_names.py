"""Everyday names of encoders mean the same wherever a codec is named; numbers that an encoder does not take are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Vqa
from documents import ladder, make_run
from test_media_command import argvs, option, settings, source

from vqa_cli.errors import UsageError
from vqa_cli.ladder.overrides import Overrides, apply_overrides
from vqa_cli.media.encoders import ENCODERS, find_encoder, full_name

SHORT = {
    "x264": "libx264", "H264": "libx264", "avc": "libx264", "x265": "libx265", "hevc": "libx265", "svtav1": "libsvtav1",
    "av1": "libsvtav1", "vp9": "libvpx-vp9", "aom": "libaom-av1", "vvc": "libvvenc",
}  # fmt: skip


def test_short_names() -> None:
    assert {name: find_encoder(name).name for name in SHORT} == SHORT
    assert {name: full_name(name) for name in ENCODERS} == {name: name for name in ENCODERS}
    assert full_name("x265 medium 480p") == "libx265 medium 480p"
    assert full_name("x265", known=["x265"]) == "x265"
    assert full_name("my encoder") == "my encoder"


def test_an_unknown_encoder_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_encoder("svtv1")
    assert caught.value.message == "unknown encoder: svtv1"
    assert caught.value.hint == "did you mean svtav1? vqa doctor lists those that run here"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run.json"
    path.write_text(make_run(ladder() + ladder("libx265", scale=0.5)).model_dump_json())
    return path


@pytest.mark.parametrize("short", ["x265", "hevc", "x265 medium"])
def test_every_command_that_takes_a_codec_knows_short_names(vqa: Vqa, run: Path, short: str) -> None:
    full = full_name(short)
    asked = [vqa("recommend", run, "--codec", name, "--format", "json") for name in (short, full)]
    assert asked[0].returncode == 0 and asked[0].stdout == asked[1].stdout
    assert {entry["codec"] for entry in json.loads(asked[0].stdout)} == {"libx265 medium"}
    turned = [vqa("bdrate", run, "--anchor", name, "--format", "json").stdout for name in (short, full)]
    assert turned[0] == turned[1]
    assert {entry["anchor"].split()[0] for entry in json.loads(turned[0])["comparisons"]} == {"libx265"}


def test_a_codec_that_is_not_there_is_named_as_it_was_given(vqa: Vqa, run: Path) -> None:
    done = vqa("recommend", run, "--codec", "vp9")
    assert (done.returncode, done.stderr) == (2, "error: no such codec: vp9\nhint: libx264 medium, libx265 medium\n")


def test_curves_of_a_table_keep_the_names_that_they_have_there(vqa: Vqa, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    points = [
        (codec, rate * factor, 50 + 10 * i)
        for codec, factor in (("x264", 1), ("x265", 2))
        for i, rate in enumerate((1, 2, 4, 8))
    ]
    table.write_text("source,codec,bitrate,quality\n" + "".join(f"s,{c},{r},{q}\n" for c, r, q in points))
    (found,) = json.loads(vqa("bdrate", table, "--anchor", "x265", "--format", "json").stdout)["comparisons"]
    assert (found["anchor"], found["test"]) == ("x265", "x264")


def test_a_fraction_is_refused_where_the_encoder_would_round_it() -> None:
    for name in ("libsvtav1", "libvpx-vp9", "libaom-av1", "libvvenc", "hevc_qsv"):
        with pytest.raises(UsageError) as caught:
            argvs(source(), settings(codecs=[{"encoder": name, "crf": [30.5]}]))
        assert (caught.value.message, caught.value.hint) == (f"{name} takes whole CRFs: 30.5", "30 or 31")
    (argv,) = argvs(source(), settings(heights=(360,), codecs=[{"encoder": "libx264", "crf": [30.5]}]))
    assert option(argv, "-crf") == "30.5"


def test_frames_go_to_a_device_in_their_own_depth() -> None:
    for pix_fmt, uploaded in (("yuv420p", "format=nv12,hwupload"), ("yuv420p10le", "format=p010le,hwupload")):
        (argv,) = argvs(
            source(), settings(heights=(360,), codecs=[{"encoder": "hevc_vaapi", "crf": [30], "pix_fmt": pix_fmt}])
        )
        graph = option(argv, "-filter_complex")
        assert [part.split("]")[1].split("[")[0] for part in graph.split(";")[-2:]] == [
            f"format={uploaded.split('=')[1].split(',')[0]}",
            "hwupload",
        ]


def test_an_encoder_of_10_bit_alone_gets_10_bit_without_asking() -> None:
    values = apply_overrides({"codecs": []}, Overrides(codecs=("vvc", "x264"), heights=(360,), crf=(30,)))
    assert [(entry["encoder"], entry["pix_fmt"]) for entry in values["codecs"]] == [
        ("libvvenc", "yuv420p10le"), ("libx264", "yuv420p"),
    ]  # fmt: skip
