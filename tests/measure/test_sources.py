"""Sources out of the ordinary: what a ladder makes of them, frame by frame and level by level."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FFMPEG, Vqa, ffmpeg

from vqa_cli.media.probe import probe

pytestmark = pytest.mark.ffmpeg
# The second half at half the rate.
UNEVEN = "select='if(lt(n,16),1,not(mod(n,2)))'"
LOSSLESS = ("-c:v", "libx264", "-qp", "0")


def luma(path: Path, height: int, width: int) -> np.ndarray:
    """8-bit luma as it is stored, shape (frames, height, width)."""
    run = [
        FFMPEG,
        "-v",
        "error",
        "-i",
        str(path),
        "-vf",
        "extractplanes=y",
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    ]
    done = subprocess.run(run, check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width).astype(float)


def ladder(vqa: Vqa, source: Path, out: Path, *more: str) -> tuple[dict[str, Any], list[Path]]:
    """The source's part of the run document, and the encodes: one near lossless, at the source's own size."""
    done = vqa("ladder", source, "--codec", "x264", "--crf", "1", "--height", "96", "--display", "96", "--model", "none",
               "--metric", "psnr", "--encoder-preset", "ultrafast", "--no-cache", "--keep-encodes", "-q", "-o", out, *more)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (source_result,) = json.loads((out / "run.json").read_text())["sources"]
    return source_result, sorted((out / "encodes").rglob("*.mp4"))


@pytest.mark.parametrize("steady", [True, False], ids=["constant", "variable"])
@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuv420p10le"])
def test_full_range_is_brought_to_limited_range_once(vqa: Vqa, tmp_path: Path, pix_fmt: str, *, steady: bool) -> None:
    """A luma ramp from darkest to brightest must run from 16 to 235, prepared or not."""
    source, step = tmp_path / "ramp.mkv", 4 if "10" in pix_fmt else 1
    ramp = f"geq=lum=X*{(256 * step - 1) / 255}:cb={128 * step}:cr={128 * step},setparams=range=pc"
    picture = f"nullsrc=size=256x96:rate=30:duration=1,format={pix_fmt},{ramp}{'' if steady else ',' + UNEVEN}"
    ffmpeg("-f", "lavfi", "-i", picture, "-fps_mode", "vfr", *LOSSLESS, "-color_range", "pc", source)
    result, (encode,) = ladder(vqa, source, tmp_path / "run")
    assert bool(result["source"]["preparation"]) is not steady
    row = luma(encode, 96, 256)[10, 48]
    expected = 16 + np.arange(256) * 219 / 255
    assert np.abs(row - expected).max() <= 3
    assert result["rungs"][0]["fidelity"]["psnr"]["pooled"]["mean"] > 40


def test_dry_run_and_ladder_run_the_same_lines(vqa: Vqa, tmp_path: Path) -> None:
    """Of a source that must be prepared: variable rate, fields, full range and ten bits at once."""
    source = tmp_path / "uneven.mkv"
    picture = f"testsrc2=size=256x96:rate=30:duration=1,format=yuv420p10le,setparams=range=pc:field_mode=tff,{UNEVEN}"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        picture,
        "-fps_mode",
        "vfr",
        "-flags",
        "+ildct+ilme",
        *LOSSLESS,
        "-color_range",
        "pc",
        source,
    )
    result, _ = ladder(vqa, source, tmp_path / "run", "--deinterlace")
    (rung,) = result["rungs"]
    done = vqa("ladder", source, "--codec", "x264", "--crf", "1", "--height", "96", "--display", "96",
               "--encoder-preset", "ultrafast", "--deinterlace", "--dry-run")  # fmt: skip
    expected = [result["source"]["prepare_argv"], *rung["encode_argv"]]
    assert [shlex.split(line) for line in done.stdout.splitlines()] == expected
    assert "file:prepared.mkv" in expected[1]


@pytest.mark.parametrize(
    ("coder", "pix_fmt", "short"),
    [
        ("ffv1", "bgr0", 96),
        ("libx264rgb", "rgb24", 96),
        ("png", "rgb24", 96),
        ("ffv1", "gbrp10le", 96),
        ("ffv1", "bgr0", 720),
    ],
)
@pytest.mark.parametrize("steady", [True, False], ids=["constant", "variable"])
def test_rgb_keeps_its_colours(vqa: Vqa, tmp_path: Path, coder: str, pix_fmt: str, short: int, *, steady: bool) -> None:
    """Bars of pure colours: a player that goes by the encode's tags must show them again."""
    source, size = tmp_path / "bars.mkv", f"256x{short}" if short == 96 else "1280x720"
    colours = [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 0),
        (255, 255, 255),
        (10, 20, 30),
        (128, 64, 32),
        (0, 0, 0),
    ]
    table = np.repeat(np.array(colours, np.uint8), 4, axis=0)[None].repeat(2, 0)
    picture = tmp_path / "bars.rgb"
    picture.write_bytes(table.tobytes() * 12)
    ffmpeg("-f", "rawvideo", "-s", "32x2", "-pix_fmt", "rgb24", "-r", "24", "-i", picture, "-vf",
           f"{'null' if steady else UNEVEN.replace('16', '4')},scale={size.replace('x', ':')}:flags=neighbor",
           "-fps_mode", "vfr", "-c:v", coder, "-qp", "0", "-pix_fmt", pix_fmt, source)  # fmt: skip
    result, (encode,) = ladder(vqa, source, tmp_path / "run", "--height", str(short), "--display", str(short))
    assert result["source"]["matrix"] == "gbr"
    matrix = probe(encode).colour.matrix
    assert matrix == ("bt709" if short == 720 else "smpte170m")
    shown = tmp_path / "shown.rgb"
    ffmpeg("-i", encode, "-frames:v", "1", "-vf", f"scale=flags=accurate_rnd+full_chroma_int:in_color_matrix={matrix}",
           "-pix_fmt", "rgb24", "-f", "rawvideo", shown)  # fmt: skip
    frame = np.fromfile(shown, np.uint8).reshape(short, -1, 3).astype(int)
    width = frame.shape[1] // 8
    middles = frame[short // 2, width // 2 :: width]
    assert np.abs(middles - np.array(colours)).max() <= 4
    assert result["rungs"][0]["fidelity"]["psnr"]["pooled"]["mean"] > 40


@pytest.fixture(scope="module")
def late_fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 progressive frames, then 25 interlaced ones of a picture that moves between its fields."""
    folder = tmp_path_factory.mktemp("fields")
    parts = folder / "first.m2v", folder / "second.m2v"
    how = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "12")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=192x96:rate=25:duration=0.48", *how, parts[0])
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=192x96:rate=50:duration=1", "-vf", "tinterlace=interleave_top,setfield=tff",
           *how, "-flags", "+ildct+ilme", parts[1])  # fmt: skip
    both = folder / "both.m2v"
    both.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    return both


def test_fields_that_begin_later_are_refused(vqa: Vqa, late_fields: Path, tmp_path: Path) -> None:
    done = vqa("ladder", late_fields, "--codec", "x264", "--crf", "30", "-o", tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"error: interlaced source: {late_fields}"


def test_fields_that_begin_later_are_deinterlaced_and_frames_are_not(
    vqa: Vqa, late_fields: Path, tmp_path: Path
) -> None:
    result, (encode,) = ladder(vqa, late_fields, tmp_path / "run", "--deinterlace")
    assert any("bwdif" in step for step in result["source"]["preparation"])
    assert "interlaced from frame 12 on" in result["source"]["notes"]
    before, after = luma(late_fields, 96, 192), luma(encode, 96, 192)
    change = np.abs(before - after).mean((1, 2))
    assert len(after) == 37
    assert change[:12].max() < 1 < change[12:].max()


def test_progressive_sources_are_left_alone(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    result, _ = ladder(vqa, clip, tmp_path / "run", "--deinterlace")
    assert result["source"]["preparation"] == [] and result["source"]["notes"] == []


@pytest.mark.parametrize("output", ["text", "json", "csv"])
def test_a_name_that_is_no_text_is_refused_and_the_others_go_on(clip: Path, tmp_path: Path, output: str) -> None:
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    shutil.copyfile(clip, bad)

    def run(*args: str) -> subprocess.CompletedProcess[bytes]:
        program = Path(sys.executable).with_name("vqa")
        return subprocess.run([str(program), *args], capture_output=True, check=False)

    line = f"error: file name is not valid UTF-8: {tmp_path}/caf\\udce9.mp4".encode()
    done = run("score", bad, str(clip), "--format", output, "--no-cache")
    assert (done.returncode, done.stderr.splitlines()[0]) == (8, line.replace(b"error:", b"[1/2] FAILED:"))
    assert clip.name.encode() in done.stdout  # a table for 80 columns shortens folders
    alone = run("score", bad)
    assert (alone.returncode, alone.stdout, alone.stderr.splitlines()[0]) == (3, b"", line)
    ladder = run("ladder", str(tmp_path), "-o", str(tmp_path / "run"), "--codec", "x264", "--crf", "30")
    assert (ladder.returncode, ladder.stderr.splitlines()[0]) == (3, line)


@pytest.mark.parametrize(
    ("rate", "keep", "expected"),
    [
        ("50", "if(lt(n,40),not(mod(n,2)),1)", "50/1"),
        ("30000/1001", "if(lt(n,30),1,not(mod(n,3)))", "30000/1001"),
        ("60", "if(lt(n,9),not(mod(n,5)),not(mod(n,2)))", "30/1"),
    ],
)
def test_uneven_frames_are_all_kept_and_the_rate_is_said(
    vqa: Vqa, tmp_path: Path, rate: str, keep: str, expected: str
) -> None:
    source = tmp_path / "uneven.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=256x96:rate={rate}:duration=1.6", "-vf", f"select='{keep}'", "-fps_mode", "vfr",
           *LOSSLESS, source)  # fmt: skip
    result, (encode,) = ladder(vqa, source, tmp_path / "run")
    made = result["source"]
    assert made["fps"] == expected
    assert made["preparation"] == [
        f"variable frame rate brought to {float(Fraction(expected)):.6g} fps by repeating and dropping frames"
    ]
    assert made["frames"] == pytest.approx(1.6 * Fraction(expected), abs=2)
    before, after = luma(source, 96, 256), luma(encode, 96, 256)
    nearest = [int(np.abs(after - frame).mean((1, 2)).argmin()) for frame in before]
    assert len(set(nearest)) >= len(before) * 0.95


def test_frames_that_no_rate_keeps_are_counted_aloud(vqa: Vqa, tmp_path: Path) -> None:
    """In pairs half a millisecond apart: of each pair one is left, and the ladder and the score both say so."""
    source = tmp_path / "pairs.mp4"
    pairs = "settb=1/90000,setpts='(floor(N/2)/120+mod(N,2)/2000)/TB'"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=60:duration=1", "-vf", pairs, "-fps_mode", "passthrough",
           "-enc_time_base", "1/90000", "-c:v", "libx264", "-bf", "0", source)  # fmt: skip
    said = "30 of 60 frames lie too close together for 480 fps and are dropped"
    result, _ = ladder(vqa, source, tmp_path / "run")
    assert said in result["source"]["notes"]
    done = vqa("score", source, "--no-cache")
    assert done.returncode == 0, done.stderr
    assert f"warning: {said}" in done.stderr.splitlines()
