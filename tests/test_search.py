"""Target search: few encodes, the right answer, an honest miss, and samples that stand for the whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Vqa, ffmpeg, make_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_cli.ladder.samples import choose_samples, weighted
from vqa_cli.ladder.search import Found, Trial, bitrate_scale, confirm, crf_scale, search

CRFS = crf_scale(10, 46, 1)


def run(quality: Callable[[float], float], target: float, scale: list[float]) -> tuple[Found, list[float]]:
    tried: list[float] = []

    def measure(point: float) -> Trial:
        tried.append(point)
        return Trial(point, quality(point), 5000 / (point + 1))

    *_, last = search(measure, target, scale)
    return last, tried


def bent(slope: float, bend: float) -> Callable[[float], float]:
    return lambda crf: 100 - slope * (crf - 10) - bend * (crf - 10) ** 2


@settings(max_examples=50)
@given(st.floats(5, 99.9), st.floats(0.05, 1.0), st.floats(0.0, 0.05))
def test_the_highest_crf_that_reaches_the_target(target: float, slope: float, bend: float) -> None:
    quality = bent(slope, bend)
    found, tried = run(quality, target, CRFS)
    fits = [crf for crf in CRFS if quality(crf) >= target]
    assert found.best is not None and found.best.point == max(fits) and found.settled
    assert len(tried) == len(set(tried)) <= 12


@settings(max_examples=50)
@given(st.floats(60, 97))
def test_the_lowest_bitrate_that_reaches_the_target(target: float) -> None:
    scale = bitrate_scale(100, 10_000, 3)
    assert scale[0] == 10_000 and 100 <= scale[-1] < 103

    def quality(kbps: float) -> float:
        return 100 - 6000 / (kbps + 80)

    found, tried = run(quality, target, scale)
    assert found.best is not None and found.best.point == min(rate for rate in scale if quality(rate) >= target)
    assert len(tried) <= 9


def test_a_target_out_of_reach_names_the_nearest() -> None:
    found, tried = run(bent(0.5, 0.01), 101, CRFS)
    assert found.best is None and found.nearest.point == 10 and len(tried) <= 3


def test_a_search_that_runs_out_says_so() -> None:
    found, tried = run(lambda point: 100.0 if point < 5000 else 0.0, 50, [float(i) for i in range(10_000)])
    assert len(tried) == 12 and not found.settled


def test_confirming_goes_up_until_the_target_is_reached() -> None:
    def measure(crf: float) -> Trial:
        return Trial(crf, 120 - crf, 1000)

    *_, last = confirm(measure, 94, CRFS, 28)
    assert [trial.point for trial in last.trials] == [28, 27, 26] and last.best is not None and last.settled
    *_, never = confirm(measure, 119, CRFS, 12)
    assert [trial.point for trial in never.trials] == [12, 11, 10] and never.best is None


@settings(max_examples=50)
@given(
    st.integers(600, 20_000), st.lists(st.integers(1, 19_999), max_size=12), st.integers(1, 8), st.sampled_from([25, 48])
)  # fmt: skip
def test_samples_stand_for_every_frame_once(frames: int, cuts: list[int], count: int, gop: int) -> None:
    known = sorted({cut for cut in cuts if cut < frames})
    samples = choose_samples(frames, known, count, 2 * gop, gop)
    if 4 * count * gop > frames:
        assert samples == ()
        return
    assert len(samples) == count and sum(sample.weight for sample in samples) == frames
    for sample in samples:
        assert sample.start % gop == 0 and 0 <= sample.start <= frames - sample.frames and sample.weight > 0
    assert all(a.start < b.start for a, b in itertools.pairwise(samples))


def test_samples_follow_the_scenes() -> None:
    # A short scene among long ones: the strata end where scenes do, the samples lie inside the long ones.
    samples = choose_samples(1000, [480, 520], 2, 50, 25)
    assert [(s.start, s.weight) for s in samples] == [(225, 480), (725, 520)]


def test_samples_are_weighted_by_their_frames() -> None:
    assert weighted([90.0, 60.0], [300, 100]) == 82.5
    # Three frames of 9 and one of 4: libvmaf's harmonic mean of all four.
    assert weighted([9.0, 4.0], [3, 1], "harmonic_mean") == pytest.approx(4 / (3 / 10 + 1 / 5) - 1)


@pytest.mark.ffmpeg
def test_search_on_a_real_clip(vqa: Vqa, clip: Path) -> None:
    common = ("search", clip, "--metric", "psnr", "--encoder-preset", "veryfast")
    done = vqa(*common, "--target", "35", "--format", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["best"]["quality"] >= 35 and answer["settled"] and not answer["estimated"]
    worse = [t for t in answer["trials"] if t["point"] == answer["best"]["point"] + 1]
    assert worse and worse[0]["quality"] < 35
    rate = vqa(*common, "--target", "33", "--over", "bitrate", "--min-kbps", "200", "--max-kbps", "2000", "--step", "20", "--format", "json")  # fmt: skip
    assert rate.returncode == 0, rate.stderr
    found = json.loads(rate.stdout)
    assert found["best"]["quality"] >= 33 and "-b:v" in " ".join(found["commands"])
    miss = vqa(*common, "--target", "99", "--min-crf", "40")
    assert miss.returncode == 1 and "nothing reaches" in miss.stdout


QUICK = ("--metric", "psnr", "--encoder-preset", "ultrafast", "--target", "30", "--min-crf", "28", "--max-crf", "32",
         "--step", "4", "--format", "json")  # fmt: skip


@pytest.mark.ffmpeg
def test_a_height_above_the_source_changes_nothing_but_what_is_said(vqa: Vqa, clip: Path) -> None:
    own, above = (vqa("search", clip, *QUICK, "--height", height) for height in ("180", "720"))
    assert json.loads(own.stdout) == json.loads(above.stdout)
    said = "warning: rungs above the source's size (720p) are encoded at 180p"
    assert above.stderr.count(said) == 1 and said not in own.stderr


@pytest.mark.ffmpeg
def test_what_was_done_to_the_source_is_said_once(vqa: Vqa, media: Path) -> None:
    path = media / "vfr-search.mp4"
    drop = "select='if(lt(n,30),1,not(mod(n,3)))'"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30:duration=3", "-vf", drop, "-fps_mode", "vfr", path)
    done = vqa("search", path, *QUICK, "--target", "99")
    assert done.returncode == 1 and len(json.loads(done.stdout)["trials"]) > 1
    assert done.stderr.count("variable frame rate brought to 30 fps") == 1


@pytest.mark.ffmpeg
def test_the_size_is_that_of_the_frames_that_are_shown(vqa: Vqa, clip: Path, media: Path) -> None:
    cut = media / "edit list.mp4"
    # A copy that starts between key frames: the packets before are in the file, and an edit list hides them.
    ffmpeg("-ss", "1.0", "-i", clip, "-c", "copy", cut)
    done = vqa("search", cut, *QUICK)
    answer = json.loads(done.stdout)
    kept = media / "edit list"
    again = vqa("ladder", cut, "--codec", "x264", "--crf", str(answer["nearest"]["point"]), "--height", "180", "--display", "180",
                "--encoder-preset", "ultrafast", "--metric", "psnr", "--model", "none", "-o", kept)  # fmt: skip
    assert again.returncode == 0, again.stderr
    (rung,) = json.loads((kept / "run.json").read_text())["sources"][0]["rungs"]
    assert answer["video_mb"] == pytest.approx(rung["encode"]["video_bytes"] / 1e6)


@pytest.mark.ffmpeg
def test_samples_of_a_long_clip(vqa: Vqa, media: Path) -> None:
    long = media / "two scenes.mkv"
    if not long.exists():
        picture = "testsrc2=size=160x90:rate=25:duration=12[a];mandelbrot=size=160x90:rate=25,trim=duration=12[b];[a][b]concat=n=2"
        ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-crf", "8", "-preset", "ultrafast", "-pix_fmt", "yuv420p", long)  # fmt: skip
    args = ("search", long, "--metric", "psnr", "--target", "34", "--samples", "2", "--sample-s", "2")
    done = vqa(*args, "--min-crf", "20", "--max-crf", "36", "--step", "4", "--encoder-preset", "veryfast", "--confirm")
    assert done.returncode == 0, done.stderr
    assert "2 samples from 2 scenes, 4 of 24 s" in done.stderr
    assert "the samples' bias at crf" in done.stdout
    refused = vqa(*args, "--statistic", "min")
    assert refused.returncode == 2 and "say nothing of the min" in refused.stderr


@pytest.mark.ffmpeg
@pytest.mark.parametrize("name", ["12:30.mp4", "-dash.mp4"])
def test_samples_of_a_source_whose_name_looks_like_something_else(vqa: Vqa, media: Path, name: str) -> None:
    path = make_clip(media / name, size="128x72", rate="25", seconds=6)
    done = vqa("search", "--target", "30", "--metric", "psnr", "--samples", "1", "--sample-s", "1", "--height", "72",
               "--encoder-preset", "ultrafast", "--model", "none", "--min-crf", "20", "--max-crf", "30", "--", path.name, cwd=media)  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "6 s" in done.stdout or "of 6" in done.stdout
