"""Pooling statistics, segments, settings and presets against independent references."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vqa_cli.cli.options import parse_numbers
from vqa_cli.errors import UsageError
from vqa_cli.ladder.overrides import Overrides, apply_overrides
from vqa_cli.ladder.preset import build_settings, find_preset, list_presets, read_preset
from vqa_cli.series import make_series, pool, segment_means
from vqa_cli.settings import parse_kbps

values = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=200)


@given(values)
def test_statistics_agree_with_scipy(numbers: list[float]) -> None:
    data = np.array(numbers)
    got = pool(data)
    assert got.harmonic_mean == pytest.approx(stats.hmean(data + 1) - 1, abs=1e-9)
    assert got.mean == pytest.approx(np.mean(data))
    assert got.p5 == pytest.approx(np.quantile(data, 0.05))
    assert got.min <= got.p1 + 1e-9 <= got.p5 + 2e-9 <= got.p10 + 3e-9
    assert got.harmonic_mean is not None and got.harmonic_mean <= got.mean + 1e-9


def test_harmonic_mean_is_none_where_it_means_nothing() -> None:
    assert pool(np.array([3.0, -1.0])).harmonic_mean is None


@given(values, st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(1)]))
def test_segments_cover_every_frame_once(numbers: list[float], fps: Fraction) -> None:
    data = np.array(numbers)
    means = segment_means(data, fps)
    step = round(fps)
    assert len(means) == max(
        1, round(len(data) / step + 1e-9 if len(data) % step * 2 != step else len(data) // step + 1)
    )
    assert min(data) - 1e-9 <= min(means) and max(means) <= max(data) + 1e-9


def test_a_document_keeps_both() -> None:
    series = make_series(np.arange(50.0), Fraction(25))
    assert series.segments == (12.0, 37.0)
    assert series.pooled.frames == 50


@pytest.mark.parametrize(("text", "kbps"), [("300k", 300), ("1.5M", 1500), ("800000", 800), (250.0, 250)])
def test_bitrates(text: object, kbps: float) -> None:
    assert parse_kbps(text) == kbps


@pytest.mark.parametrize("text", ["", "fast", "-3k", "0", "3G"])
def test_what_is_no_bitrate(text: str) -> None:
    with pytest.raises(ValueError, match="bitrate"):
        parse_kbps(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("18,23,28", (18, 23, 28)),
        ("18:38:4", (18, 22, 26, 30, 34, 38)),
        ("20:29:5", (20, 25)),
        ("1:2:0.25", (1, 1.25, 1.5, 1.75, 2)),
    ],
)
def test_number_lists(text: str, numbers: tuple[float, ...]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["a", "1:2", "5:1:1", "1:9:0", "1,,2", "1:9:-1"])
def test_what_is_no_number_list(text: str) -> None:
    with pytest.raises(ValueError):
        parse_numbers(text)


@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 9))
def test_ranges_hold_their_bounds(start: int, length: int, step: int) -> None:
    numbers = parse_numbers(f"{start}:{start + length}:{step}")
    assert numbers[0] == start and numbers[-1] <= start + length
    assert {round(b - a, 6) for a, b in zip(numbers, numbers[1:], strict=False)} <= {step}


PRESET = {"name": "p", "heights": (360,), "codecs": [{"encoder": "libx264", "preset": "fast", "crf": [20, 30]}]}


def test_flags_lie_over_the_preset() -> None:
    got = build_settings(
        apply_overrides(PRESET, Overrides(codecs=("x264", "av1"), crf=(25.0,), speed="libsvtav1=6")), "test"
    )
    assert [(c.encoder, c.preset, c.crf) for c in got.codecs] == [
        ("libx264", "fast", (25.0,)),
        ("libsvtav1", "6", (25.0,)),
    ]


def test_a_new_codec_brings_a_sweep_and_bitrate_replaces_crf() -> None:
    assert len(build_settings(apply_overrides(PRESET, Overrides(codecs=("vp9",))), "t").codecs[0].crf) == 4
    (codec,) = build_settings(apply_overrides(PRESET, Overrides(bitrate=(300.0,))), "t").codecs
    assert (codec.crf, codec.bitrate) == ((), (300.0,))


def test_fixed_rungs_give_way_to_rates_but_keep_sizes() -> None:
    fixed = {
        "rungs": [{"height": 360, "bitrate": "300k"}, {"height": 720, "bitrate": "2M"}],
        "codecs": [{"encoder": "libx264"}],
    }
    got = build_settings(apply_overrides(fixed, Overrides(crf=(23.0,))), "t")
    assert (got.heights, got.rungs, got.codecs[0].crf) == ((360, 720), (), (23.0,))


@pytest.mark.parametrize(
    "flags", [Overrides(crf=(1.0,), bitrate=(2.0,)), Overrides(bitrate=(2.0,), maxrate=3.0), Overrides(bufsize=3.0)]
)
def test_contradictions_are_usage_errors(flags: Overrides) -> None:
    with pytest.raises(UsageError):
        apply_overrides(PRESET, flags)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"displai": 720}, "unknown key in p.toml: displai; did you mean display?"),
        ({"codecs": []}, "p.toml: codecs is missing or empty"),
        ({"codecs": [], "codec": "x264"}, "unknown key in p.toml: codec; did you mean codecs?"),
        ({"codecs": [{"encoder": "x264", "crff": [20]}]}, "unknown key in p.toml: codecs.0.crff; did you mean crf?"),
        ({"codecs": [{"encoder": "x264", "crf": [20], "bitrate": ["1M"]}]}, "p.toml: x264: name either crf or bitrate"),
        ({"rungs": [{"height": 360, "crf": 20}]}, "p.toml: rungs names sizes and rates together: leave heights out"),
    ],
)
def test_preset_errors_name_the_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        build_settings({**PRESET, **change}, "p.toml")
    assert error.value.message == message


def test_user_presets_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    mine = tmp_path / "vqa" / "presets" / "mobile.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text('display = 540\nheights = [360]\n[[codecs]]\nencoder = "libx264"\ncrf = [30]\n')
    if sys.platform == "linux":
        assert list_presets()["mobile"] == mine
    with pytest.raises(UsageError, match="unknown preset: mobil"):
        find_preset("mobil")


def test_bundled_presets_are_there() -> None:
    assert {"mobile", "web", "hls-abr", "archive", "hevc-vs-avc", "av1-vs-hevc", "live"} <= set(list_presets())
    for name, path in list_presets().items():
        assert build_settings(read_preset(path), name).name == name


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv=['vqa','--help']\nfrom vqa_cli.cli import main\ntry: main()\nexcept SystemExit: pass\nprint(sorted({'torch','pandas','numpy','av','altair','pydantic'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
