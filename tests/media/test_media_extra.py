"""Further encoder options: what is the user's to set goes through, what makes a label untrue or names a file does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import FFMPEG, Vqa, ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_cli.document import RatePoint
from vqa_cli.errors import UsageError
from vqa_cli.media.command import rate_options, speed_options
from vqa_cli.media.encoders import ENCODERS, Encoder, Options
from vqa_cli.media.extra import nested, parse_extra
from vqa_cli.media.grain import ADDED, SYNTHESISED, carries_grain, synthesises_grain
from vqa_cli.media.listing import Option, parse_options

ANY = st.text(max_size=40)
# Text in which quoting, separators and the names that matter are as frequent as can be.
SLY = st.lists(
    st.sampled_from(
        [
            "stats",
            "crf",
            "aq-mode",
            "=",
            ":",
            "\\",
            "'",
            '"',
            "/",
            "x",
            "-",
            "_",
            " ",
            "\n",
            "no-",
            "=1",
            "qpfile",
            "\0",
            "CRF",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=400)
@given(st.lists(st.one_of(ANY, SLY, st.sampled_from(["-bf", "-x264-params", "-x265-params", "-x264opts"])), max_size=6))
def test_any_words_are_pairs_of_plain_names_or_a_usage_error(words: list[str]) -> None:
    try:
        pairs = parse_extra("libx264", words)
    except UsageError:
        return
    assert len(pairs) == len(words) / 2
    for (name, value), word in zip(pairs, words[::2], strict=True):
        assert word.lstrip("-").startswith(name) and value in words
        assert name.replace("-", "").replace("_", "").isalnum()


@settings(max_examples=400)
@given(SLY)
def test_no_spelling_gets_a_refused_key_through(text: str) -> None:
    try:
        parse_extra("libx264", ["-x264-params", text])
    except UsageError:
        return
    # Nothing is quoted, so ffmpeg splits it just so.
    keys = [part.split("=")[0].lower().replace("_", "-").removeprefix("no-") for part in text.split(":")]
    assert not {"stats", "crf", "qpfile"}.intersection(keys)
    assert "/" not in text and "\\" not in text and "'" not in text


KEYS = st.sampled_from(["aq-mode", "bframes", "no_mbtree", "deblock", "psy-rd"])
VALUES = st.sampled_from(["1", "-1,-1", "0.5", "auto"])


@given(st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=5))
def test_what_is_allowed_comes_through_unchanged(told: list[tuple[str, str]]) -> None:
    text = ":".join(f"{key}={value}" for key, value in told)
    words = ("-bf:v", "3", "-x264-params", text, "-partitions", "none")
    assert parse_extra("libx264", words) == (("bf", "3"), ("x264-params", text), ("partitions", "none"))
    assert list(nested("libx264", "x264-params", text)) == told
    assert list(nested("libx264", "x264opts", "no-mbtree:ref=2")) == [("no-mbtree", "1"), ("ref", "2")]


def ladders_own(encoder: Encoder) -> Options:
    """All options that a ladder sets for an encoder, in any mode of rate control."""
    low, _ = encoder.quality_range
    layers = [
        speed_options(encoder, "x", "y"),
        encoder.fixed,
        encoder.quality(low + 1),
        encoder.capped(low + 1, 1e6) if encoder.capped else {},
        rate_options(encoder, RatePoint(mode="bitrate", bitrate_kbps=1, maxrate_kbps=2, bufsize_kbps=3)),
        encoder.gop(25),
        encoder.threads(2),
        {
            "c:v": "x",
            "tag:v": "x",
            "r": "1",
            "fps_mode": "cfr",
            "map_metadata": "-1",
            "pass": "1",
            "passlogfile": "x",
            "f": "x",
        },
        dict.fromkeys(("colorspace", "color_primaries", "color_trc", "color_range"), "x"),
    ]
    return {f"{name}={value}": value for layer in layers for name, value in layer.items()}


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_what_the_ladder_sets_itself_cannot_be_set_again(name: str) -> None:
    for option, value in ladders_own(ENCODERS[name]).items():
        option = option.partition("=")[0]
        words = [f"-{option}", value]
        if not option.endswith("-params"):
            with pytest.raises(UsageError):
                parse_extra(name, words)
            continue
        for part in value.split(":"):
            with pytest.raises(UsageError):
                parse_extra(name, [f"-{option}", part])


REFUSED = {
    "-c:v libx265 -crf 40": "extra of libx264: -c names the encoder, which the label states",
    "-crf 40": "extra of libx264: -crf sets the rate control, which the label states",
    "-b:v 1M": "extra of libx264: -b sets the rate control, which the label states",
    "-preset slow": "extra of libx264: -preset sets the speed or the tune, which the label states",
    "-g 300": "extra of libx264: -g changes where key frames lie, which is the same for all rungs",
    "-threads 9": "extra of libx264: -threads sets the threads, which are the same for all rungs",
    "-s 64x64": "extra of libx264: -s changes the size, rate or format of the frames, which the label states",
    "-pix_fmt yuv444p": "extra of libx264: -pix_fmt changes the size, rate or format of the frames, which the label states",
    "-color_trc smpte2084": "extra of libx264: -color_trc sets the colour, which is that of the source",
    "-y /elsewhere/x.mp4": "extra of libx264: -y is about inputs, outputs or filters, which the ladder sets",
    "-vf hflip": "extra of libx264: -vf is about inputs, outputs or filters, which the ladder sets",
    "-map 0:a": "extra of libx264: -map is about inputs, outputs or filters, which the ladder sets",
    "-vstats_file /tmp/x": "extra of libx264: -vstats_file names a file",
    "-stats x": "extra of libx264: -stats names a file",
    "-x264-params stats=/tmp/x": "extra of libx264: stats in -x264-params names a file",
    "-x264-params aq-mode=1:qpfile=x": "extra of libx264: qpfile in -x264-params names a file",
    "-x264-params cqm=x.cfg": "extra of libx264: cqm in -x264-params names a file",
    "-x264-params nonsense=/etc/passwd": "extra of libx264: nonsense in -x264-params names a file",
    "-x264-params crf=40": "extra of libx264: crf in -x264-params sets the rate control, which the label states",
    "-x264-params QP=40": "extra of libx264: QP in -x264-params sets the rate control, which the label states",
    "-x264-params zones=0,9,q=51": "extra of libx264: zones in -x264-params sets the rate control, which the label states",
    "-x264-params vbv_maxrate=9": "extra of libx264: vbv_maxrate in -x264-params sets the rate control, which the label states",
    "-x264opts no-scenecut": "extra of libx264: no-scenecut in -x264opts changes where key frames lie, which is the same for all rungs",
    "-x264-params threads=4": "extra of libx264: threads in -x264-params sets the threads, which are the same for all rungs",
    "-x264-params a='x:stats=y'": "extra of libx264: no quotes or backslashes in -x264-params: a='x:stats=y'",
    "-x264-params st\\ats=y": "extra of libx264: no quotes or backslashes in -x264-params: st\\ats=y",
    "-x264-params :": "extra of libx264: -x264-params must be key=value:key=value, not ':'",
    "-x265-params analysis-save=x": "extra of libx264: analysis-save in -x265-params names a file",
    "-x265-params csv=x": "extra of libx264: csv in -x265-params names a file",
    "-x265-params film-grain=x": "extra of libx264: film-grain in -x265-params names a file",
    "-x265-params scaling-list=x": "extra of libx264: scaling-list in -x265-params names a file",
    "-svtav1-params rc=1": "extra of libx264: rc in -svtav1-params sets the rate control, which the label states",
    "-aom-params film-grain-table=x": "extra of libx264: film-grain-table in -aom-params names a file",
    "-vvenc-params rcstatsfile=x": "extra of libx264: rcstatsfile in -vvenc-params names a file",
    "-/x264-params /etc/passwd": "extra of libx264: '-/x264-params' is no option",
    "-bf:a 3": "extra of libx264: '-bf:a' is no option",
    "bf 3": "extra of libx264: 'bf' is no option",
    "-bf": "extra of libx264 must be pairs of -option and value: -bf",
}


@pytest.mark.parametrize("extra", REFUSED)
def test_refusals_name_the_option_and_why(extra: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_extra("libx264", extra.split())
    assert caught.value.message == REFUSED[extra]


@pytest.mark.parametrize(
    "extra",
    [
        "-bf 3 -refs 4 -aq-mode 2 -psy-rd 1.0:0.15 -profile:v high -qmin 10 -rc-lookahead 20",
        "-x264-params aq-mode=3:no-mbtree=1:deblock=-1,-1:cqm=flat:asm=SSE4:log-level=none",
        "-x265-params no-sao=1:scaling-list=default:aq-mode=3:psy-rd=2.0",
        "-svtav1-params film-grain=8:enable-variance-boost=1",
    ],
)
def test_what_encoders_are_tuned_by_is_allowed(extra: str) -> None:
    words = extra.split()
    assert [value for _, value in parse_extra("x", words)] == words[1::2]


def test_ffmpegs_help_is_read() -> None:
    text = """Encoder x:
  -preset            <int>        E..V....... Encoding preset (from -2 to 13) (default -2)
     fast            3            E..V....... quick
  -crf_max           <float>      E..V....... In CRF mode (from -1 to FLT_MAX) (default -1)
  -skip_frame        <int>        .D.V....... skip (from INT_MIN to INT_MAX)
     none            1            .D.V....... quick
  -ab                <int64>      E...A...... set bitrate (in bits/s) (from 0 to INT_MAX) (default 128000)
  -stats             <string>     E..V....... Filename for 2 pass stats
"""
    inf = float("inf")
    assert parse_options(text) == {
        "preset": Option("int", "Encoding preset (from -2 to 13) (default -2)", ("fast",), -2, 13),
        "crf_max": Option("float", "In CRF mode (from -1 to FLT_MAX) (default -1)", (), -1, inf),
        "stats": Option("string", "Filename for 2 pass stats", (), -inf, inf),
    }
    preset = parse_options(text)["preset"]
    assert [preset.takes(value) for value in ("fast", "13", "-2", "14", "fsat", "")] == [True] * 3 + [False] * 3


# Found before anything is encoded: one line, exit code 2.
RUNG = ("--height", "90", "--crf", "30", "--metric", "psnr", "--model", "none")
SAID: dict[tuple[str, ...], str] = {
    ("x264", "--encoder-preset", "slwo"): "error: unknown speed preset of libx264: slwo\n"
    "hint: did you mean slow? it has ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow, placebo\n",
    ("x265", "--tune", "film"): "error: unknown tune of libx265: film\n"
    "hint: it has psnr, ssim, grain, fastdecode, zerolatency, animation\n",
    ("x264", "--tune", "film+grain"): "error: libx264 does not take tune film+grain\n"
    "  x264 [warning]: only 1 psy tuning can be used: ignoring tune grain\n",
    ("av1", "--encoder-preset", "slow"): "error: unknown speed preset of libsvtav1: slow\nhint: it has -2 to 13\n",
    ("vp9", "--tune", "simm"): "error: unknown tune of libvpx-vp9: simm\nhint: did you mean ssim? it has psnr, ssim\n",
    ("vvc", "--tune", "psnr"): "error: libvvenc has no tunes: psnr\nhint: leave it out\n",
    ("av1", "--pix-fmt", "yuv444p"): "error: unknown pixel format of libsvtav1: yuv444p\n"
    "hint: did you mean yuv420p? it has yuv420p, yuv420p10le\n",
    ("x264", "--encoder-preset", "slow,x265=fast"): "error: slow is for no encoder: slow,x265=fast\n"
    "hint: ENCODER=VALUE,…; several tunes of one are joined by +\n",
    ("x264", "--extra", "-bff 3"): "error: extra of libx264: -bff is no option of this encoder\nhint: did you mean -bf?\n",
    ("x264", "--extra", "-svtav1-params film-grain=3"): "error: extra of libx264: -svtav1-params is no option of this encoder\n"
    "hint: `ffmpeg -h encoder=libx264` lists them\n",
    ("x264", "--extra", "-bf x"): "error: extra of libx264: -bf does not take 'x'\nhint: it takes -1 to inf\n",
    ("x264", "--extra", "-partitions /etc/passwd"): "error: extra of libx264: -partitions names a file\nhint: leave it out\n",
    ("x264", "--extra", "-x264-params nonsense=3"): "error: libx264 does not take extra -x264-params nonsense=3\n"
    "  Error parsing option 'nonsense = 3'.\n",
    ("x265", "--extra", "-x265-params sao=maybe"): "error: libx265 does not take extra -x265-params sao=maybe\n"
    "  Invalid value for sao: maybe.\n",
    ("av1", "--extra", "-svtav1-params bogus=2"): "error: libsvtav1 does not take extra -svtav1-params bogus=2\n"
    "  Error parsing option bogus: 2.\n",
}  # fmt: skip


@pytest.mark.ffmpeg
@pytest.mark.parametrize("args", SAID, ids=" ".join)
def test_what_an_encoder_does_not_have_is_found_before_anything_is_encoded(
    vqa: Vqa, clip: Path, tmp_path: Path, args: tuple[str, ...]
) -> None:
    codec, *flags = args
    common = (*RUNG, "--display", "90", "-o", tmp_path / "x")
    done = vqa("ladder", clip, "--codec", codec, *flags, *common)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", SAID[args])


@pytest.mark.ffmpeg
def test_a_preset_file_writes_nowhere(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    preset = tmp_path / "evil.toml"
    for extra in (["-y", str(victim)], ["-vstats_file", str(victim)], ["-x264-params", f"stats={victim}:pass=1"]):
        codec = f'[[codecs]]\nencoder = "libx264"\ncrf = [30]\nextra = {json.dumps(extra)}\n'
        preset.write_text(f'display = 90\nheights = [90]\nmetrics = ["psnr"]\nmodel = "none"\n{codec}')
        done = vqa("ladder", clip, "--preset", preset, "-o", tmp_path / "out")
        assert done.returncode == 2 and done.stderr.startswith("error: extra of libx264: "), done.stderr
        assert not victim.exists()
        assert vqa("presets", "validate", preset).stderr == done.stderr


@pytest.mark.ffmpeg
def test_the_hint_for_a_missing_encoder_names_only_those_that_run(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    lost.write_text(
        f'#!/bin/sh\ncase "$*" in *"-c:v libx264 "*) ;; *" -c:v "*) echo "[error] no device" >&2; exit 1;; esac\n'
        f'exec "{FFMPEG}" "$@"\n'
    )
    lost.chmod(0o755)
    common = (*RUNG, "-o", tmp_path / "x", "--ffmpeg", lost)
    done = vqa("ladder", clip, "--codec", "x265", *common)
    assert done.returncode == 4
    assert done.stderr == "error: encoder not available: libx265\n  no device\nhint: this ffmpeg has libx264\n"
    both = vqa("ladder", clip, "--codec", "x264,x265", *common)
    assert both.stderr.splitlines()[-1] == "hint: this ffmpeg has libx264; --skip-missing drops the others"


def test_which_options_have_the_decoder_add_grain() -> None:
    said = {
        "-svtav1-params film-grain=8": True,
        "-svtav1-params aq-mode=2:film-grain=0": False,
        "-svtav1-params film-grain-denoise=1": False,
        "-denoise-noise-level 20": True,
        "-denoise-noise-level 0": False,
        "-aom-params film-grain-test=3": True,
        "-bf 3": False,
    }
    assert {extra: synthesises_grain("x", parse_extra("x", extra.split())) for extra in said} == said


@pytest.mark.ffmpeg
def test_grain_is_said_in_table_document_and_report(vqa: Vqa, clip: Path, media: Path) -> None:
    folder, said = media / "synthetic", SYNTHESISED
    common = ("--codec", "svtav1", "--crf", "30,40", "--height", "90", "--display", "90", "--metric", "psnr", "--model", "none",
              "--encoder-preset", "10", "--keep-encodes", "-o", folder)  # fmt: skip
    done = vqa("ladder", clip, *common, "--extra", "-svtav1-params film-grain=20")
    assert done.returncode == 0, done.stderr
    assert f"warning: libsvtav1_90p_crf40, libsvtav1_90p_crf30: {said}" in done.stdout
    (source,) = json.loads((folder / "run.json").read_text())["sources"]
    assert all(rung["warnings"] == [said] for rung in source["rungs"])
    assert said.replace("'", "&#39;") in (folder / "report.html").read_text()
    (grainy, _) = sorted(folder.glob("encodes/*/*.mp4"))
    assert carries_grain(grainy, 0)
    onward = vqa("ladder", grainy, *common[:-2], "-o", media / "from grain")
    assert onward.returncode == 0 and f"warning: libsvtav1_90p_crf30.mp4: {ADDED}" in onward.stderr
    scored = vqa("score", grainy, "--reference", clip, "--metric", "psnr")
    assert scored.returncode == 0 and ADDED in scored.stderr
    plain = vqa("ladder", clip, *common)
    assert plain.returncode == 0 and "grain" not in plain.stdout
    assert not carries_grain(grainy, 0) and not carries_grain(clip, 0) and not carries_grain(media / "none.mp4", 0)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("level", ["0", "20"])
def test_grain_of_libaom_is_seen_in_the_file(media: Path, level: str) -> None:
    path = media / f"aom {level}.mp4"
    picture = "testsrc2=size=128x72:rate=25:duration=0.2,noise=alls=20:allf=t"
    ffmpeg("-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p", "-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "40",
           "-denoise-noise-level", level, path)  # fmt: skip
    assert carries_grain(path, 0) is (level == "20")
