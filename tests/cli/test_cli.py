"""End to end: the installed ``vqa`` with real ffmpeg on real, short clips."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE_S, Vqa, ffmpeg, make_clip

from vqa_cli.metrics import METRICS

pytestmark = pytest.mark.ffmpeg
SMALL = (
    "--codec",
    "x264",
    "--crf",
    "20,35",
    "--height",
    "180",
    "--display",
    "180",
    "--encoder-preset",
    "veryfast",
    "-q",
)


@pytest.fixture(scope="module")
def ladder(started: Vqa, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ladder of two codecs."""
    out = tmp_path_factory.mktemp("ladder")
    done = started("ladder", clip, "--codec", "x264,x265", "--crf", "18,28,38", "--height", "120,180", "--display", "180",
               "--encoder-preset", "veryfast", "--metric", "all", "-o", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def document(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())


def test_a_ladder_measures_every_rung(ladder: Path) -> None:
    (source,) = document(ladder)["sources"]
    assert len(source["rungs"]) == 12
    for rung in source["rungs"]:
        assert rung["status"] == "ok"
        assert rung["encode"]["frames"] == 60
        assert rung["score"]["series"]["pooled"]["frames"] == 60
        assert set(rung["fidelity"]) == {name for name, metric in METRICS.items() if not metric.least}
        assert rung["score"]["delta_to_source"] == pytest.approx(rung["score"]["score"] - source["score"]["score"])
        assert rung["encode"]["peak_kbps"] >= rung["encode"]["bitrate_kbps"] * 0.99


def test_full_reference_quality_rises_with_rate(ladder: Path) -> None:
    curves: dict[tuple[str, int], list[Any]] = {}
    for rung in document(ladder)["sources"][0]["rungs"]:
        key = (rung["encoder"], rung["height"])
        curves.setdefault(key, []).append((rung["encode"]["bitrate_kbps"], rung["fidelity"]["psnr"]["pooled"]["mean"]))
    for points in curves.values():
        assert [q for _, q in sorted(points)] == sorted(q for _, q in points)


def test_provenance_is_complete(ladder: Path) -> None:
    run = document(ladder)
    assert set(run["environment"]["encoder_libraries"]) == {"libx264", "libx265"}
    assert (
        len(run["environment"]["ffmpeg_sha256"])
        == len(run["model"]["sha256"])
        == len(run["sources"][0]["source"]["sha256"])
        == 64
    )
    assert run["model"]["files"] == {"model": {"name": "vsfa_lite.safetensors", "sha256": run["model"]["sha256"]}}
    assert run["command"][:2] == ["vqa", "ladder"]
    for rung in run["sources"][0]["rungs"]:
        assert rung["encode_argv"][0][0].endswith(Path(run["environment"]["ffmpeg_path"]).name)


def test_the_document_keeps_to_its_schema(ladder: Path) -> None:
    import jsonschema

    from vqa_cli.document import json_schema

    jsonschema.validate(document(ladder), json_schema())


def test_tables_agree_with_the_document(ladder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((ladder / "rungs.csv").read_text())))
    assert len(rows) == 12
    frames = list(csv.DictReader(io.StringIO((ladder / "frames.csv").read_text())))
    assert len(frames) == 13 * 60
    first = document(ladder)["sources"][0]["rungs"][0]
    mine = [float(row["vmaf"]) for row in frames if row["rung"] == first["id"]]
    assert sum(mine) / 60 == pytest.approx(first["fidelity"]["vmaf"]["pooled"]["mean"], abs=1e-3)


def test_the_report_is_one_file_without_a_network(ladder: Path, started: Vqa, tmp_path: Path) -> None:
    page = (ladder / "report.html").read_text()
    assert "<link" not in page and 'src="http' not in page
    again = started("report", ladder / "run.json", "-o", tmp_path / "again.html")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.html").stat().st_size > 100_000


def test_finished_rungs_are_not_measured_again(started: Vqa, clip: Path, tmp_path: Path) -> None:
    first = started("ladder", clip, *SMALL[:-1], "-o", tmp_path / "a")
    second = started("ladder", clip, *SMALL[:-1], "-o", tmp_path / "b")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert second.stderr.count("from the cache") == 2
    one, two = (document(tmp_path / name)["sources"] for name in "ab")
    assert one == two


def test_results_do_not_depend_on_the_number_of_workers(started: Vqa, clip: Path, tmp_path: Path) -> None:
    for jobs in "13":
        done = started("ladder", clip, *SMALL, "--no-cache", "--jobs", jobs, "-o", tmp_path / jobs)
        assert done.returncode == 0, done.stderr
    one, three = (document(tmp_path / jobs)["sources"][0]["rungs"] for jobs in "13")
    for a, b in zip(one, three, strict=True):
        assert (a["id"], a["encode"]["sha256"], a["score"]) == (b["id"], b["encode"]["sha256"], b["score"])
        assert a["fidelity"] == b["fidelity"]


def test_two_pass_reaches_its_bitrate(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    done = vqa("ladder", clip, "--codec", "x264", "--bitrate", "300k", "--height", "180", "--display", "180", "--metric", "psnr",
               "--model", "none", "-q", "-o", tmp_path, "--keep-encodes")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (rung,) = document(tmp_path)["sources"][0]["rungs"]
    assert rung["encode"]["bitrate_kbps"] == pytest.approx(300, rel=0.15)
    assert len(rung["encode_argv"]) == 2
    assert Path(rung["encode"]["path"]).stat().st_size == rung["encode"]["file_bytes"]
    assert document(tmp_path)["model"] is None and rung["score"] is None


def test_variable_rate_is_prepared_once_and_said(vqa: Vqa, media: Path, tmp_path: Path) -> None:
    path = media / "vfr-ladder.mp4"
    drop = "select='if(lt(n,30),1,not(mod(n,3)))'"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=3", "-vf", drop, "-fps_mode", "vfr", path)
    done = vqa("ladder", path, *SMALL, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    (source,) = document(tmp_path)["sources"]
    assert source["source"]["preparation"] and source["source"]["prepare_argv"]
    assert all(r["encode"]["frames"] == source["source"]["frames"] for r in source["rungs"])


def test_odd_sizes_and_strange_names(vqa: Vqa, media: Path, tmp_path: Path) -> None:
    strange = make_clip(
        media / '-odd it\'s "%03d" <b>.mp4', size="322x182", args=("-vf", "crop=321:181", "-c:v", "mpeg4")
    )
    done = vqa("ladder", "-q", *SMALL[:-1], "-o", tmp_path, "--", strange.name, cwd=media)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "<b>.mp4" not in page


def test_one_bad_source_among_good_ones(vqa: Vqa, clip: Path, media: Path, tmp_path: Path) -> None:
    bad = media / "bad.mp4"
    bad.write_bytes(b"no video")
    done = vqa("ladder", clip, bad, *SMALL, "-o", tmp_path)
    assert done.returncode == 8
    assert [s["status"] for s in document(tmp_path)["sources"]] == ["ok", "failed"]
    # Of what could not be looked at nothing is known, so nothing is said.
    assert f"\n\nbad.mp4\n\nfailed: cannot read as video: {bad}\n" in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert "cannot read as video" in page and "0×0" not in page


def test_several_bad_sources_end_like_one(vqa: Vqa, breaks_on_bad: Path, clip: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("bad.mp4", "worse.mp4")]
    for path in paths:
        path.write_bytes(b"no video")
    assert vqa("ladder", *paths, *SMALL, "--repeat", "2", "-o", tmp_path / "run").returncode == 3
    assert [s["status"] for s in document(tmp_path / "run")["sources"]] == ["failed"] * 2
    # A source of which ffmpeg decodes no frame is at fault itself.
    paths[0].write_bytes(clip.read_bytes())
    assert vqa("ladder", *paths, *SMALL, "--ffmpeg", breaks_on_bad, "-o", tmp_path / "run").returncode == 3


def test_an_ffmpeg_that_breaks_on_one_source_ends_no_ladder(
    vqa: Vqa, clip: Path, breaks_on_bad: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(clip.read_bytes())
    done = vqa("ladder", bad, clip, *SMALL, "--ffmpeg", breaks_on_bad, "--no-cache", "-o", tmp_path / "run")
    assert done.returncode == 8, done.stderr
    first, second = document(tmp_path / "run")["sources"]
    assert (first["status"], second["status"]) == ("failed", "ok")
    assert first["reason"] == f"no frame can be decoded: {bad}"


def test_show_config_says_who_set_what(vqa: Vqa, clip: Path) -> None:
    done = vqa("ladder", clip, "--preset", "web", "--display", "540", "--show-config", env={"VQA_LADDER_GOP_S": "3"})
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "540" in lines["display"] and "command line" in lines["display"]
    assert "3" in lines["gop-s"] and "environment" in lines["gop-s"]
    assert "preset web" in lines["metric"] and "default" in lines["jobs"]


def test_show_config_tells_each_codecs_own_values(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    preset = tmp_path / "p.toml"
    preset.write_text(
        "display = 360\nheights = [360]\n[recommend]\nmin_step = 2.0\n"
        '[[codecs]]\nencoder = "libx264"\npreset = "veryslow"\ntune = "film"\nextra = ["-bf", "3"]\nbitrate = ["300k", "1M"]\n'
        '[[codecs]]\nencoder = "libx265"\ncrf = [22, 30.5]\nmaxrate = "2M"\n'
    )
    done = vqa("ladder", clip, "--preset", preset, "--show-config", "--encoder-preset", "libx265=fast")
    lines = [tuple(re.split(r"  +", line)) for line in done.stdout.splitlines()]
    whose = f"preset {preset}"
    assert [line for line in lines if " libx" in line[0]] == [
        ("bitrate libx264", "300, 1000", whose), ("bufsize-ratio libx264", "2", "default"), ("crf libx265", "22, 30.5", whose),
        ("encoder-preset libx264", "veryslow", whose), ("encoder-preset libx265", "fast", "command line"),
        ("extra libx264", "-bf, 3", whose), ("maxrate libx265", "2000", whose), ("maxrate-ratio libx264", "1.5", "default"),
        ("pix-fmt libx264", "yuv420p", "default"), ("pix-fmt libx265", "yuv420p", "default"), ("tune libx264", "film", whose),
    ]  # fmt: skip
    assert ("recommend.min_step", "2", whose) in lines and ("display", "360", whose) in lines
    speed = vqa("ladder", clip, "--codec", "x265,av1", "--show-config").stdout
    assert re.search(r"encoder-preset libsvtav1 +8 +default\n", speed) and "libx264" not in speed
    rungs = vqa("ladder", clip, "--preset", "live", "--show-config").stdout
    assert re.search(r"rungs +360p crf 23 ≤800k \(bufsize 800k\), 540p crf 23 ≤1800k .* preset live\n", rungs)


def test_dry_run_prints_commands_and_encodes_nothing(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    done = vqa("ladder", clip, "--preset", "mobile", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8  # 320x180: all sizes clamp to 180p, two codecs with four points each
    assert all("-filter_complex" in line for line in done.stdout.splitlines())
    assert not list(tmp_path.iterdir())
    assert done.stderr.startswith("note: judged by headers and first frames alone; a run decodes every source first")


def test_a_clip_on_which_every_rung_is_alike_warns_of_nothing_but_itself(vqa: Vqa, media: Path, tmp_path: Path) -> None:
    black = media / "black.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=black:size=320x180:rate=30:duration=1", "-pix_fmt", "yuv420p", black)
    done = vqa(
        "ladder", black, "--codec", "x264", "--crf", "20,30,35", "--height", "180", "--display", "180", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("[", "black.mp4: source scores", "r"))]
    assert lines == [
        "warning: black.mp4: the clip lasts 1.0 s: bitrates of so short a clip are dominated by its first frame"
    ]


def test_score_prints_one_number(started: Vqa, clip: Path) -> None:
    done = started("score", clip)
    assert done.returncode == 0, done.stderr
    assert 0 <= float(done.stdout.strip()) <= 110
    piped = started("score", "-", stdin=clip.read_bytes())
    assert piped.stdout == done.stdout


def test_score_formats_and_reference(vqa: Vqa, clip: Path, media: Path) -> None:
    worse = media / "worse.mp4"
    ffmpeg("-i", clip, "-c:v", "libx264", "-crf", "40", worse)
    done = vqa("score", worse, "--reference", clip, "--format", "json", "--per-frame")
    result = json.loads(done.stdout)
    assert result["frames"] == 60 and len(result["per_frame"]["vmaf"]) == 60
    assert result["model"]["name"] == "vsfa-lite" and result["model"]["verified"]
    assert result["fidelity"]["vmaf"]["mean"] < 90
    lines = vqa("score", clip, worse, "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["frames"] for line in lines] == [60, 60]
    assert vqa("score", clip, "--min-score", "1000").returncode == 1


def test_score_goes_on_after_a_bad_file(vqa: Vqa, clip: Path, media: Path) -> None:
    bad = media / "bad2.mp4"
    bad.write_bytes(b"x" * 100)
    done = vqa("score", bad, clip)
    assert done.returncode == 8
    assert "error" in done.stdout.splitlines()[1]


BAD = [
    (("score", "missing.mp4"), 3, "error: no such file: missing.mp4"),
    (("score", "http://example.com/a.mp4"), 3, "error: only local files can be read: http://example.com/a.mp4"),
    (("score", "concat:a.mp4|b.mp4"), 3, "error: only local files can be read: concat:a.mp4|b.mp4"),
    (("ladder", "{clip}", "--preset", "mobil"), 2, "error: unknown preset: mobil"),
    (("ladder", "{clip}", "--crf", "20", "--bitrate", "1M"), 2, "error: --crf and --bitrate contradict each other"),
    (("ladder", "{clip}", "--codec", "x266"), 2, "error: unknown encoder: x266"),
    (("ladder", "{clip}", "--codec", "h264_nvenc", "-o", "{tmp}"), 4, "error: encoder not available: h264_nvenc"),
    (("ladder", "{clip}", "--ffmpeg", "/no/ffmpeg", "-o", "{tmp}"), 4, "error: ffmpeg not found: /no/ffmpeg"),
    (("score", "{clip}", "--model", "nonsense"), 5, "error: no such model: nonsense"),
    (("report", "{clip}"), 6, "error: not a JSON document"),
    (("frobnicate",), 2, "error: no such command: frobnicate"),
    (("score",), 2, "error: Missing argument 'FILE...'"),
]


@pytest.mark.parametrize(
    ("args", "code", "message"), BAD, ids=lambda v: " ".join(v)[:40] if isinstance(v, tuple) else None
)
def test_bad_input_gets_one_line_and_a_code(
    vqa: Vqa, clip: Path, tmp_path: Path, args: tuple[str, ...], code: int, message: str
) -> None:
    if "h264_nvenc" in args and Path("/dev/nvidia0").exists():
        pytest.skip("this machine may have that encoder")
    done = vqa(*(a.format(clip=clip, tmp=tmp_path) for a in args))
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[0].startswith(message)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_first_use_of_a_model_fetches_it_or_says_the_way_out(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    done = vqa("score", clip, "--model", "vsfa", "--model-dir", tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    said, error, reason, hint = done.stderr.splitlines()
    assert said.startswith("fetching https://download.pytorch.org/models/resnet50-0676ba61.pth (102.5 MB")
    assert error == f"error: weights of vsfa are not here: resnet50-0676ba61.pth and VSFA.pt in {tmp_path}"
    assert reason.startswith("  cannot download resnet50-0676ba61.pth: ")
    assert all(way in hint for way in ("vqa models pull vsfa", "by hand", "--model vsfa-lite"))


def test_nothing_is_fetched_for_a_command_that_cannot_work(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    model = ("--model", "vsfa", "--model-dir", tmp_path / "new")
    for args, code, error in (
        ((clip, "--device", "cuda:77"), 2, "no such device on this machine: cuda:77"),
        (("none.mp4",), 3, "no such file: none.mp4"),
        ((clip, "--head-weights", "none.pt"), 5, "no such weight file: none.pt"),
    ):
        done = vqa("score", *args, *model)
        assert (done.returncode, done.stderr.splitlines()[0]) == (code, f"error: {error}")
    assert vqa("ladder", "none.mp4", *SMALL, *model, "-o", tmp_path / "out").stderr == "error: no such file: none.mp4\n"
    assert not (tmp_path / "new").exists()


def test_weights_that_cannot_be_written_have_the_way_out_too(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    (taken := tmp_path / "file").write_text("")
    done = vqa("score", clip, "--model", "vsfa", "--model-dir", taken)
    assert done.returncode == 5 and "cannot write" in done.stderr and "--model vsfa-lite" in done.stderr


def test_unwritable_output(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    done = vqa("ladder", clip, *SMALL, "-o", taken / "out")
    assert done.returncode == 6
    assert done.stderr.startswith("error: cannot write output directory")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_being_stopped_ends_children_and_keeps_finished_rungs(media: Path, tmp_path: Path, how: signal.Signals) -> None:
    long = make_clip(media / "long.mp4", size="640x360", seconds=20, args=("-c:v", "libx264", "-preset", "ultrafast"))
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    program = [
        str(Path(sys.executable).with_name("vqa")),
        "ladder",
        str(long),
        "--codec",
        "x265",
        "--height",
        "360",
        "-o",
        str(tmp_path / "out"),
    ]
    child = subprocess.Popen(
        program, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while not list(tmp_path.glob("vqa-*/**/*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.1)  # until an encoder is writing: imports may swallow an early signal
    child.send_signal(how)
    _, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 130
    assert b"interrupted" in err and b"Traceback" not in err
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("vqa-")]
    left = subprocess.run(["pgrep", "-f", str(long)], capture_output=True, text=True, check=False).stdout
    assert left == ""


SWALLOWED = """
import os, signal, sys, time, weakref
import click
from vqa_cli.cli.boundary import run_command

class Passing:
    pass

@click.command()
def command():
    passing = Passing()
    watch = weakref.ref(passing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del passing
    time.sleep(60)
    print("went on")

run_command(command, "vqa", [])
"""


TURNED = """
import os, signal
import click
from vqa_cli.cli.boundary import run_command

@click.command()
def command():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt as err:
        raise RuntimeError("Error building `model` serializer: KeyboardInterrupt") from None

signal.signal(signal.SIGINT, signal.default_int_handler)
run_command(command, "vqa", [])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("script", [SWALLOWED, TURNED], ids=["swallowed in a callback", "made another error"])
def test_a_signal_is_not_lost_where_its_exception_is(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_doctor_and_lists(started: Vqa) -> None:
    facts = json.loads(started("doctor", "--format", "json").stdout)
    assert facts["models"]["vsfa-lite"] == "bundled"
    assert "libx264" in facts["ffmpeg"]["encoders"]
    assert "mobile" in started("presets", "list").stdout
    assert started("presets", "validate", "mobile", "web").returncode == 0
    assert "mdtvsfa" in started("models", "list").stdout


def test_models_state_what_they_are(vqa: Vqa) -> None:
    for name, data, pixels in (
        ("mdtvsfa", "of KoNViD-1k, CVD2014, LIVE-Qualcomm\n", "ffmpeg's rgb24"),
        ("vsfa-lite", "VMAF", "yuv420p"),
    ):
        facts = vqa("models", "info", name).stdout
        assert data in facts and pixels in facts and "sha256" in facts
    first, use, *_ = vqa("models", "info", "vsfa-lite").stdout.splitlines()[1].split(". ")
    assert first == "No-reference estimate of VMAF: 100 looks like a clean source, 0 is ruined"
    assert use == "Use it to order the encodes of one source and to see that an encode got worse"


def test_weights_that_are_missing_do_not_verify(vqa: Vqa, tmp_path: Path) -> None:
    done = vqa("models", "verify", "mdtvsfa", "--model-dir", tmp_path)
    assert done.returncode == 5
    assert done.stderr.startswith("error: weights of mdtvsfa are not here: resnet50-0676ba61.pth and MDTVSFA.pt in")
    assert vqa("models", "verify", "--model-dir", tmp_path).returncode == 0
    assert vqa("models", "info", "resnet50").stderr.splitlines()[-1] == "hint: one of vsfa, mdtvsfa"


def test_doctor_looks_where_weights_were_put(vqa: Vqa, tmp_path: Path) -> None:
    for name in ("resnet50-0676ba61.pth", "VSFA.pt"):
        (tmp_path / name).write_bytes(b"")
    facts = json.loads(vqa("doctor", "--format", "json", env={"VQA_MODEL_DIR": str(tmp_path)}).stdout)
    assert (facts["models"]["vsfa"], facts["models"]["mdtvsfa"]) == ("installed", "not installed")


def test_weights_are_installed_by_hand_and_checked(vqa: Vqa, tmp_path: Path) -> None:
    page = tmp_path / "VSFA.pt"
    page.write_text("<!doctype html><html>sign in</html>")
    done = vqa("models", "pull", "vsfa", "--from", page, "--model-dir", tmp_path / "models")
    assert done.returncode == 5
    assert "it is a web page" in done.stderr
    assert not (tmp_path / "models").exists()


def test_a_small_encode_is_judged_at_the_references_size(vqa: Vqa, clip: Path, media: Path) -> None:
    small = media / "small.mp4"
    ffmpeg("-i", clip, "-vf", "scale=160:90", "-c:v", "libx264", "-crf", "18", small)
    result = json.loads(vqa("score", small, "--reference", clip, "--metric", "psnr", "--format", "json").stdout)
    assert (result["width"], result["height"]) == (320, 180)
    other = json.loads(
        vqa("score", small, "--reference", clip, "--metric", "psnr", "--format", "json", "--score-at", "160x90").stdout
    )
    assert (other["width"], other["height"]) == (160, 90)
    short = media / "short.mp4"
    ffmpeg("-i", clip, "-frames:v", "40", short)
    done = vqa("score", short, "--reference", clip)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: frames do not match: {short} has 40, reference {clip} has 60")


LOADED = """
import atexit, sys
import vqa_cli.cli

def ended(argv=None):
    sys.modules["torch"] = sys
    atexit.register(print, "done by others", flush=True)
    print("said", end=" ")  # and left in the buffer
    sys.exit({code})

vqa_cli.cli.main = ended
vqa_cli.cli.program()
"""


@pytest.mark.parametrize("code", [0, 8])
def test_a_program_that_ends_early_has_said_and_done_everything(code: int) -> None:
    """Python's own end of the program is left out where torch is loaded; nothing else is."""
    unending = "class Unending:\n    def __del__(self): print('taken apart')\nkept = Unending()\n"
    done = subprocess.run(
        [sys.executable, "-c", unending + LOADED.replace("{code}", str(code))],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (code, "said done by others\n", "")


@pytest.mark.ffmpeg
def test_the_program_itself_with_a_network_gives_its_code_and_words(clip: Path, tmp_path: Path) -> None:
    argv = [str(Path(sys.executable).with_name("vqa")), "score", "--no-cache", str(clip), str(tmp_path / "none.mp4")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 8
    assert "clip.mp4  " in done.stdout and done.stdout.count("\n") == 3 and "[2/2] FAILED: no such file" in done.stderr
