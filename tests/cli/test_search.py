"""Target search: few encodes, the right answer, an honest miss, and samples that stand for the whole."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Vqa, ffmpeg, make_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from test_media_command import source

from vqa_cli.errors import UsageError
from vqa_cli.identity import ScoreScale
from vqa_cli.ladder.samples import choose_samples, weighted
from vqa_cli.ladder.scales import bitrate_scale, crf_scale, crfs_of, goal_of, rates_of
from vqa_cli.ladder.search import Found, Goal, Trial, confirm, most_encodes, search
from vqa_cli.media.encoders import ENCODERS

CRFS = crf_scale(0, 51, 1)
VMAF: dict[str, Any] = {"span": 100.0, "best": 100.0}


def run(quality: Callable[[float], float], goal: Goal, scale: list[float]) -> tuple[Found, list[float]]:
    tried: list[float] = []

    def measure(point: float) -> Trial:
        tried.append(point)
        return Trial(point, quality(point), 5000 / (point + 1))

    *_, last = search(measure, goal, scale)
    return last, tried


def falling(drops: list[float], top: float) -> Callable[[float], float]:
    """Quality that starts at ``top`` and falls by a drop, which may be 0, at every CRF."""
    values = [top - lost for lost in itertools.accumulate(drops)]
    return lambda crf: values[int(crf)]


# A curve of any shape: flat stretches, cliffs, saturation.
DROPS = st.lists(st.one_of(st.just(0.0), st.floats(0.0, 0.2), st.floats(0.0, 12.0)), min_size=52, max_size=52)


@settings(max_examples=300)
@given(DROPS, st.floats(0, 100), st.booleans())
def test_the_highest_crf_that_reaches_the_target_whatever_the_curve(
    drops: list[float], target: float, bounded: bool
) -> None:
    quality = falling(drops, 100.0)
    found, tried = run(quality, Goal(target, best=100.0 if bounded else None), CRFS)
    fits = [crf for crf in CRFS if quality(crf) >= target]
    assert (found.best.point if found.best else None) == max(fits, default=None)
    assert len(tried) == len(set(tried)) <= most_encodes(52) == 8
    # Nothing cheaper was left untried: the next point of the scale is known to miss.
    assert found.best is None or found.best.point == 51 or found.best.point + 1 in tried


@settings(max_examples=100)
@given(DROPS, st.floats(0, 100))
def test_a_model_whose_low_scores_are_good(drops: list[float], target: float) -> None:
    quality = falling([-drop for drop in drops], 0.0)
    found, _ = run(quality, Goal(target, higher_is_better=False), CRFS)
    fits = [crf for crf in CRFS if quality(crf) <= target]
    assert (found.best.point if found.best else None) == max(fits, default=None)


@pytest.mark.parametrize("step", [5e-324, 1e-176, 1e-12])
@pytest.mark.parametrize("target", [90.0, 0.0, -1e-12, -90.0])
def test_qualities_that_hardly_differ(step: float, target: float) -> None:
    """No slope between them is worth a guess, and some would be infinite."""

    def quality(crf: float) -> float:
        return -step * crf - (7.0 if crf > 40 else 0.0)

    found, tried = run(quality, Goal(target), CRFS)
    fits = [crf for crf in CRFS if quality(crf) >= target]
    assert (found.best.point if found.best else None) == max(fits, default=None)
    assert len(tried) <= most_encodes(52)


@settings(max_examples=50)
@given(st.floats(60, 97))
def test_the_lowest_bitrate_that_reaches_the_target(target: float) -> None:
    scale = bitrate_scale(100, 10_000, 3)

    def quality(kbps: float) -> float:
        return 100 - 6000 / (kbps + 80)

    found, tried = run(quality, Goal(target, best=100.0), scale)
    assert found.best is not None and found.best.point == min(rate for rate in scale if quality(rate) >= target)
    assert len(tried) <= 8


# VMAF of one second of footage (davis_goat at 360p, x264 veryfast) at CRF 0, 1, 2, …: saturated, bent and flat at the end.
GOAT = (
    100.0, 100.0, 99.99, 99.99, 99.99, 99.98, 99.98, 99.97, 99.96, 99.95, 99.94, 99.92, 99.91, 99.88, 99.86, 99.82, 99.78,
    99.71, 99.63, 99.53, 99.39, 99.2, 98.94, 98.6, 98.2, 97.62, 96.93, 95.76, 91.5, 87.82, 83.99, 80.2, 76.0, 70.9, 65.33,
    59.9, 54.2, 48.64, 43.66, 38.4, 33.44, 28.24, 23.12, 20.0, 18.1, 16.6, 15.6, 14.9, 14.9, 14.9, 14.9, 14.99,
)  # fmt: skip


@pytest.mark.parametrize(("target", "most"), [(99.9, 6), (99, 5), (95, 4), (90, 4), (80, 5), (50, 6), (10, 4)])
def test_few_encodes_do_on_a_real_curve(target: float, most: int) -> None:
    found, tried = run(lambda crf: GOAT[int(crf)], Goal(target, **VMAF), CRFS)
    assert found.best is not None and found.best.point == max(crf for crf in CRFS if GOAT[int(crf)] >= target)
    assert len(tried) <= most


@pytest.mark.parametrize("edge", [0, 1, 8, 20, 30, 45, 50, 51])
def test_where_quality_saturates_it_bisects(edge: int) -> None:
    found, tried = run(lambda crf: 100.0 if crf <= edge else 100 - 1.5 * (crf - edge), Goal(100.0, **VMAF), CRFS)
    assert found.best is not None and found.best.point == edge
    assert len(tried) <= 7


def test_a_target_out_of_reach_names_the_nearest() -> None:
    found, tried = run(lambda crf: 73.9 - crf, Goal(80, **VMAF), CRFS)
    assert found.best is None and found.nearest.point == 0 and len(tried) <= 4


def test_a_curve_that_rises_is_said_and_what_is_too_little_is_not() -> None:
    # A rise of 1 from CRF 30 on, and one of 0.1 from 40 on, which is within what VMAF cannot tell.
    def quality(crf: float) -> float:
        return 90 - crf + (11 if crf >= 30 else 0) + (1.1 if crf >= 45 else 0)

    found, tried = run(quality, Goal(67.5, **VMAF), CRFS)
    order = sorted(tried)
    assert found.inversions == tuple((a, b) for a, b in itertools.pairwise(order) if quality(b) - quality(a) > 0.2)
    flat, _ = run(lambda crf: 90 - 0.01 * crf if crf < 30 else 90.0, Goal(95, **VMAF), CRFS)
    assert flat.inversions == ()
    bent, tried = run(lambda crf: 50.0 + crf / 10, Goal(60, **VMAF), CRFS)
    assert bent.best is None and len(bent.inversions) == len(tried) - 1
    assert bent.nearest.point == max(tried)


def test_confirming_searches_better_points_where_the_estimate_misses() -> None:
    def measure(crf: float) -> Trial:
        return Trial(crf, 120 - crf, 1000)

    *_, held = confirm(measure, Goal(90), CRFS, 28)
    assert [trial.point for trial in held.trials] == [28] and held.best is not None
    *_, last = confirm(measure, Goal(110), CRFS, 28)
    assert last.best is not None and last.best.point == 10 and last.trials[0].point == 28
    assert len(last.trials) <= most_encodes(29)
    *_, never = confirm(measure, Goal(130), CRFS, 12)
    assert never.best is None and never.trials[0].point == 12 and never.nearest.point == 0


def test_both_ends_of_a_scale_are_tried_whatever_the_step() -> None:
    assert crf_scale(10, 13, 1) == [10, 11, 12, 13]
    assert crf_scale(18, 27, 4) == [18, 22, 26, 27]
    assert crf_scale(20, 21, 0.25) == [20, 20.25, 20.5, 20.75, 21]
    assert bitrate_scale(400, 1000, 50) == [1000, 500, 400]
    rates = bitrate_scale(3, 5.5, 3)
    assert rates == [5.5, 5, 4, 3]


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_without_bounds_a_search_has_the_encoders_whole_scale(name: str) -> None:
    encoder = ENCODERS[name]
    scale = crfs_of(encoder, None, None, None)
    assert (min(scale), max(scale)) == encoder.quality_range
    assert scale == sorted(scale, reverse=name.endswith("_videotoolbox"))


def test_bounds_are_kept() -> None:
    x264 = ENCODERS["libx264"]
    assert crfs_of(x264, 12.5, 14, 0.5) == [12.5, 13, 13.5, 14]
    assert crfs_of(x264, 48, None, None) == [48, 49, 50, 51]
    assert rates_of(source(), 360, 100, 200, 50) == [200, 100]
    everything = rates_of(source(), 360, None, None, None)
    # A thousandth of a bit for each pixel, and 12 bits, at 640x360 and 29.97 fps.
    assert (everything[-1], everything[0]) == (6, 82862)


@pytest.mark.parametrize(
    ("name", "low", "high", "step", "said"),
    [
        ("libx264", 30, 20, None, "no CRFs of libx264 from 30 to 20: it takes 0 to 51"),
        ("libx264", 30, 30, None, "no CRFs of libx264 from 30 to 30: it takes 0 to 51"),
        ("libx264", None, 60, None, "no CRFs of libx264 from 0 to 60: it takes 0 to 51"),
        ("libsvtav1", 0, None, None, "no CRFs of libsvtav1 from 0 to 63: it takes 1 to 63"),
        ("libsvtav1", None, None, 0.5, "libsvtav1 takes whole CRFs"),
        ("libvpx-vp9", 20.5, None, None, "libvpx-vp9 takes whole CRFs"),
    ],
)
def test_bounds_that_an_encoder_does_not_have_are_refused(
    name: str, low: float | None, high: float | None, step: float | None, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        crfs_of(ENCODERS[name], low, high, step)
    assert caught.value.message == said


MODEL = ScoreScale("MOS", 0, 5, True, "five is best")


@pytest.mark.parametrize(
    ("metric", "target", "depth", "model", "said"),
    [
        ("vmaf", 100.1, 8, None, "--target 100.1: vmaf goes from 0 to 100"),
        ("vmaf_neg", -1, 8, None, "--target -1: vmaf_neg goes from 0 to 100"),
        ("ssim", 95, 8, None, "--target 95: ssim goes from 0 to 1"),
        ("psnr", 61, 8, None, "--target 61: psnr goes from 0 to 60"),
        ("psnr", 73, 10, None, "--target 73: psnr goes from 0 to 72"),
        ("model", 50, 8, MODEL, "--target 50: model goes from 0 to 5"),
    ],
)
def test_a_target_that_the_metric_cannot_have_is_refused(
    metric: str, target: float, depth: int, model: ScoreScale | None, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        goal_of(metric, target, depth, model)
    assert caught.value.message == said


def test_targets_at_the_ends_of_what_there_is() -> None:
    assert goal_of("psnr", 61, 10, None) == Goal(61, 40.0, None)
    assert goal_of("ssim", 1, 8, None) == Goal(1, 1.0, 1.0)
    assert goal_of("model", 5, 8, MODEL) == Goal(5, 5.0)


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
    common = ("search", clip, "--metric", "psnr", "--encoder-preset", "veryfast", "--judged-at", "coded")
    done = vqa(*common, "--target", "35", "--format", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["best"]["quality"] >= 35 and not answer["estimated"] and answer["bounds"] == [0, 51]
    assert answer["judged_at"] == answer["size"] == {"width": 320, "height": 180}
    worse = [t for t in answer["trials"] if t["point"] == answer["best"]["point"] + 1]
    assert worse and worse[0]["quality"] < 35 and len(answer["trials"]) <= 6
    rate = vqa(*common, "--target", "33", "--over", "bitrate", "--min-kbps", "200", "--max-kbps", "2000", "--step", "20", "--format", "json")  # fmt: skip
    assert rate.returncode == 0, rate.stderr
    found = json.loads(rate.stdout)
    assert found["best"]["quality"] >= 33 and "-b:v" in " ".join(found["commands"])
    miss = vqa(*common, "--target", "59", "--min-crf", "40")
    assert miss.returncode == 1, miss.stderr
    pasted = shlex.split(miss.stdout.splitlines()[-1])
    assert pasted[:3] == ["ffmpeg", "-i", str(clip)] and pasted[-1] == "libx264_180p_crf40.mp4"
    assert not {"-progress", "-benchmark", "-y", "-nostdin", "-filter_complex"} & set(pasted)
    assert "nothing from crf 40 to 51 reaches psnr 59; nearest: crf 40 with" in miss.stdout


@pytest.mark.ffmpeg
@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_search_and_ladder_give_one_number_for_one_encode(started: Vqa, clip: Path, media: Path, codec: str) -> None:
    both = ("--codec", codec, "--height", "90", "--encoder-preset", "ultrafast", "--extra", "-bf 1", "--preset", "web")
    done = started("search", clip, *both, "--target", "20", "--min-crf", "33", "--max-crf", "34", "--format", "json")
    answer = json.loads(done.stdout)
    folder = media / f"as search {codec}"
    crfs = ",".join(f"{trial['point']:g}" for trial in answer["trials"])
    ladder = started("ladder", clip, *both, "--crf", crfs, "--metric", "vmaf", "--model", "none", "-o", folder)
    assert ladder.returncode == 0, ladder.stderr
    (result,) = json.loads((folder / "run.json").read_text())["sources"]
    rungs = {rung["rate"]["crf"]: rung for rung in result["rungs"]}
    for trial in answer["trials"]:
        rung = rungs[trial["point"]]
        assert trial["quality"] == rung["fidelity"]["vmaf"]["pooled"]["mean"]
        assert trial["kbps"] == rung["encode"]["bitrate_kbps"]
    shown = answer["judged_at"]
    assert (shown["width"], shown["height"]) == (result["display_width"], result["display_height"]) == (1920, 1080)


@pytest.mark.ffmpeg
def test_where_a_search_judges_is_printed(vqa: Vqa, clip: Path) -> None:
    common = ("search", clip, "--metric", "psnr", "--target", "20", "--encoder-preset", "ultrafast", "--height", "90",
              "--min-crf", "40", "--max-crf", "41")  # fmt: skip
    heads = {
        "64": "clip.mp4  libx264 160x90  judged at 114x64",
        "source": "clip.mp4  libx264 160x90  judged at 320x180",
        "coded": "clip.mp4  libx264 160x90  judged at 160x90",
    }
    said = {where: vqa(*common, "--judged-at", where).stdout.splitlines()[0] for where in heads}
    assert said == heads
    assert vqa(*common).stdout.splitlines()[0] == "clip.mp4  libx264 160x90  judged at 1280x720"


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--target", "nan"), "error: --target is no finite number: nan\n"),
        (("--target", "inf"), "error: --target is no finite number: inf\n"),
        (("--target", "90", "--over", "bitrate", "--min-kbps", "nan"), "error: --min-kbps is no finite number: nan\n"),
        (("--target", "90", "--step", "nan"), "error: --step is no finite number: nan\n"),
        (("--target", "101"), "error: --target 101: vmaf goes from 0 to 100\n"),
        (
            ("--target", "90", "--over", "bitrate", "--min-kbps", "50", "--max-kbps", "50"),
            "error: no bitrates from 50 to 50 kb/s\nhint: --min-kbps is the lowest, --max-kbps the highest\n",
        ),
        (
            ("--target", "90", "--min-crf", "-1"),
            "error: no CRFs of libx264 from -1 to 51: it takes 0 to 51\n"
            "hint: --min-crf is the best one allowed, --max-crf the worst\n",
        ),
        (
            ("--target", "90", "--judged-at", "small"),
            "error: --judged-at is no size: small\nhint: a short side such as 720, source, or coded\n",
        ),
        (
            ("--target", "3", "--metric", "model", "--model", "none"),
            "error: --metric model with --model none leaves nothing to measure\n",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_encoded(
    vqa: Vqa, clip: Path, args: tuple[str, ...], said: str
) -> None:
    done = vqa("search", clip, *args)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


QUICK = ("--metric", "psnr", "--encoder-preset", "ultrafast", "--judged-at", "coded", "--target", "30",
         "--min-crf", "28", "--max-crf", "32", "--step", "4", "--format", "json")  # fmt: skip


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
    done = vqa("search", path, *QUICK, "--target", "59")
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
    args = (
        "search",
        long,
        "--metric",
        "psnr",
        "--target",
        "34",
        "--samples",
        "2",
        "--sample-s",
        "2",
        "--judged-at",
        "coded",
    )
    done = vqa(*args, "--min-crf", "20", "--max-crf", "36", "--step", "4", "--encoder-preset", "veryfast", "--confirm")
    assert done.returncode == 0, done.stderr
    assert "2 samples from 2 scenes, 4 of 24 s" in done.stderr
    assert "the samples' bias at crf" in done.stdout
    assert "two scenes.mkv  libx264 160x90  judged at 160x90" in done.stdout
    refused = vqa(*args, "--statistic", "min")
    assert refused.returncode == 2 and "say nothing of the min" in refused.stderr


@pytest.mark.ffmpeg
@pytest.mark.parametrize("name", ["12:30.mp4", "-dash.mp4", "n" * 250 + ".mp4"], ids=["colon", "dash", "long"])
def test_samples_of_a_source_of_any_name(vqa: Vqa, media: Path, name: str) -> None:
    path = make_clip(media / name, size="128x72", rate="25", seconds=6)
    done = vqa("search", "--target", "30", "--metric", "psnr", "--samples", "1", "--sample-s", "1", "--height", "72",
               "--encoder-preset", "ultrafast", "--model", "none", "--min-crf", "20", "--max-crf", "30", "--", path.name, cwd=media)  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "6 s" in done.stdout or "of 6" in done.stdout


@pytest.mark.ffmpeg
def test_the_commands_found_are_for_the_source_as_all_of_it_is(vqa: Vqa, media: Path) -> None:
    """Interlaced from the middle on, which its header and first frame do not tell."""
    source = media / "turns.mkv"
    fields = "[1]interlace=scan=tff,setfield=tff[b];[0]setfield=prog[a];[a][b]concat"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1")
    coder = ("-c:v", "libx264", "-x264-params", "fake-interlaced=1", "-flags", "+ildct+ilme", "-crf", "10")
    ffmpeg(
        *picture, *picture[:3], "testsrc2=size=320x180:rate=50:duration=1", "-filter_complex", fields, *coder, source
    )
    done = vqa(
        "search", source, "--target", "60", "--metric", "vmaf", "--deinterlace", "--format", "json", "--step", "16"
    )
    assert done.returncode == 0, done.stderr
    assert "deinterlaced" in done.stderr and "bwdif" in json.loads(done.stdout)["commands"][0]
