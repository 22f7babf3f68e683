"""Parts, samples and segments of a source: the frames that they name, and figures that the whole would have."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Vqa, ffmpeg
from documents import ladder as rungs_of
from documents import make_run

from vqa_cli.analysis.comparable import refuse_other_judging
from vqa_cli.cli.ladder import command
from vqa_cli.document import MeasuredPart, SourceResult
from vqa_cli.errors import InputError, UsageError
from vqa_cli.events import Event, Note, RungDone
from vqa_cli.ladder.forecast import Forecast
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.joining import Weights
from vqa_cli.ladder.pieces import Cutting, segment_spans
from vqa_cli.ladder.pipeline import LadderOutcome, run_ladder
from vqa_cli.measure.part import Part
from vqa_cli.media.probe import probe
from vqa_cli.settings import LadderSettings

SETTINGS = LadderSettings.model_validate(
    {"display": 64, "heights": [64], "metrics": ["psnr"], "gop_s": 1.0,
     "codecs": [{"encoder": "libx264", "preset": "ultrafast", "crf": [24, 36]}]}
)  # fmt: skip
FPS = 25


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds that become harder to encode, with key frames every second."""
    path = tmp_path_factory.mktemp("pieces") / "film.mp4"
    picture = f"testsrc2=size=96x64:rate={FPS}:duration=10,noise=alls=25:allf=t:all_seed=7,fade=out:0:250:color=gray"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-crf", "8", "-g", str(FPS), "-pix_fmt", "yuv420p", path)
    return path


def measured(path: Path, cutting: Cutting | None = None, keep: Path | None = None) -> tuple[LadderOutcome, list[str]]:
    """The outcome, and what was told."""
    told: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Note):
            told.append(event.text)

    job = LadderJob(path, SETTINGS, None, cutting=cutting or Cutting(), keep=keep)
    return run_ladder(job, hear), told


def only(outcome: LadderOutcome) -> SourceResult:
    (source,) = outcome.run.sources
    assert source.status == "ok", source.reason
    return source


@pytest.mark.ffmpeg
def test_a_part_is_measured_as_if_it_were_a_file(film: Path, tmp_path: Path) -> None:
    """Far from the beginning it is sought, near to it it is counted: the frames are the same."""
    for number, (start, frames) in enumerate(((0.4, 50), (6.44, 60))):
        alone = tmp_path / f"{number}.mkv"
        ffmpeg("-i", film, "-vf", f"trim=start_frame={round(start * FPS)}:end_frame={round(start * FPS) + frames},setpts=N/25/TB",
               "-c:v", "ffv1", alone)  # fmt: skip
        part, _ = measured(film, Cutting(Part(start, frames / FPS)))
        whole, _ = measured(alone)
        for one, two in zip(only(part).rungs, only(whole).rungs, strict=True):
            assert one.encode is not None and two.encode is not None
            assert (one.encode.frames, one.encode.video_bytes) == (two.encode.frames, two.encode.video_bytes)
            assert np.array_equal(part.frames[0, one.id]["psnr"], whole.frames[0, two.id]["psnr"])
        info = only(part).source
        assert (info.frames, info.duration_s, info.whole_s) == (frames, frames / FPS, 10.0)
        assert info.measured == (MeasuredPart(start_s=start, duration_s=frames / FPS, stands_for_s=frames / FPS),)
        assert f"measured from {start:.2f} s on, {frames / FPS:.2f} of 10.00 s" in only(part).warnings


@pytest.mark.ffmpeg
def test_segments_are_the_whole(film: Path, tmp_path: Path) -> None:
    whole, _ = measured(film)
    joined, told = measured(film, Cutting(segments_s=3.0), tmp_path)
    assert "film.mp4: 3 segments of about 3 s, encoded apart" in told
    for one, two in zip(only(joined).rungs, only(whole).rungs, strict=True):
        assert one.encode is not None and two.encode is not None and one.encode.path is not None
        assert one.encode.frames == 250 and len(joined.frames[0, one.id]["psnr"]) == 250
        assert one.fidelity["psnr"].pooled.mean == pytest.approx(joined.frames[0, one.id]["psnr"].mean())
        assert one.fidelity["psnr"].pooled.mean == pytest.approx(two.fidelity["psnr"].pooled.mean, abs=0.2)
        assert one.encode.bitrate_kbps == pytest.approx(one.encode.video_bytes * 8 / 1000 / 10)
        assert one.encode.bitrate_kbps == pytest.approx(two.encode.bitrate_kbps, rel=0.05)
        assert len(one.encode.segments_kbps) == len(one.fidelity["psnr"].segments) == 10
        kept = probe(Path(one.encode.path))
        # Joining repeats what the decoder needs at each border.
        assert kept.frames == 250 and kept.video_bytes == pytest.approx(one.encode.video_bytes, rel=0.01)
        assert one.intervals == {}
    assert sorted(path.name for path in (tmp_path / "film").iterdir()) == [
        "libx264_64p_crf24.mp4",
        "libx264_64p_crf36.mp4",
    ]
    assert [part.start_s for part in only(joined).source.measured] == [0.0, 3.0, 7.0]
    assert only(joined).source.frames == only(whole).source.frames


@pytest.mark.ffmpeg
def test_samples_stand_for_the_whole(film: Path) -> None:
    whole, _ = measured(film)
    outcome, told = measured(film, Cutting(samples=3, sample_s=1.0))
    assert "film.mp4: measured on 3 samples of 1.0 s, 3 of 10 s" in told
    source = only(outcome)
    parts = source.source.measured
    assert sum(part.stands_for_s for part in parts) == pytest.approx(10.0) and source.source.frames == 75
    for rung, true in zip(source.rungs, only(whole).rungs, strict=True):
        assert rung.encode is not None and true.encode is not None
        values = np.split(outcome.frames[0, rung.id]["psnr"], 3)
        mean = sum(v.mean() * part.stands_for_s for v, part in zip(values, parts, strict=True)) / 10
        assert rung.fidelity["psnr"].pooled.mean == pytest.approx(mean)
        assert set(rung.intervals) == {"bitrate_kbps", "psnr_mean", "psnr_harmonic_mean"}
        low, high = rung.intervals["psnr_mean"]
        assert low < rung.fidelity["psnr"].pooled.mean < high and low < true.fidelity["psnr"].pooled.mean < high
        low, high = rung.intervals["bitrate_kbps"]
        assert low < rung.encode.bitrate_kbps < high and low < true.encode.bitrate_kbps < high
    # The first sample is what that part gives alone.
    alone, _ = measured(film, Cutting(Part(parts[0].start_s, parts[0].duration_s)))
    first = source.rungs[0].id
    assert np.array_equal(alone.frames[0, first]["psnr"], outcome.frames[0, first]["psnr"][:25])


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("cutting", "says"),
    [
        (Cutting(samples=6, sample_s=1.0), "the samples would hold half of the source or more: the whole is measured"),
        (Cutting(samples=9, sample_s=60.0), "the samples would hold half of the source or more: the whole is measured"),
        (Cutting(segments_s=60.0), "too short for two segments: the whole is measured"),
        (Cutting(segments_s="auto"), "too short for two segments: the whole is measured"),
    ],
)
def test_what_is_too_short_is_measured_whole(film: Path, cutting: Cutting, says: str) -> None:
    outcome, told = measured(film, cutting)
    assert f"film.mp4: {says}" in told
    assert only(outcome).source.measured == () and only(outcome).source.frames == 250


@pytest.mark.ffmpeg
def test_what_cannot_be_sought_is_not_cut_into_many(film: Path, tmp_path: Path) -> None:
    """Of a film every segment would be decoded from the beginning."""
    stream = tmp_path / "film.ts"
    ffmpeg("-i", film, "-c", "copy", stream)
    with pytest.raises(InputError) as caught:
        measured(stream, Cutting(segments_s=2.0))
    assert caught.value.message == f"cannot be cut into segments: {stream}"
    few, _ = measured(stream, Cutting(segments_s=5.0))
    assert len(only(few).source.measured) == 2


@pytest.mark.ffmpeg
def test_a_part_that_is_not_there_is_named(film: Path) -> None:
    with pytest.raises(InputError) as caught:
        measured(film, Cutting(Part(11.0)))
    assert caught.value.message == f"nothing to measure in the part asked for: {film} lasts 10.00 s"
    with pytest.raises(InputError) as caught:
        measured(film, Cutting(Part(1.0, 0.04)))
    assert caught.value.message == f"a clip needs at least 2 frames: the part asked for has 1: {film}"


@pytest.mark.ffmpeg
def test_the_command_line_takes_a_part(vqa: Vqa, film: Path, tmp_path: Path) -> None:
    flags = (
        "--codec",
        "x264",
        "--height",
        "64",
        "--display",
        "64",
        "--crf",
        "30",
        "--model",
        "none",
        "--metric",
        "psnr",
    )
    done = vqa("ladder", film, *flags, "--samples", "3", "--sample-s", "1", "--gop-s", "1", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: film.mp4: measured on 3 samples of 1.0 s, 3 of 10 s" in done.stderr
    assert "±" in done.stdout
    header = (tmp_path / "rungs.csv").read_text().split("\n")[0]
    assert header.endswith(
        ",reason,bitrate_kbps_low,bitrate_kbps_high,psnr_mean_low,psnr_mean_high,psnr_harmonic_mean_low,psnr_harmonic_mean_high"
    )
    dry = vqa("ladder", film, *flags, "--start", "2", "--duration", "1", "--dry-run")
    assert dry.returncode == 0 and "trim=end_frame=75:start_frame=50" in dry.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ("--samples", "3", "--segments", "20"),
            "--samples, --segments and --start with --duration are three ways to measure a source: name one of them",
        ),
        (
            ("--segments", "auto", "--start", "3"),
            "--samples, --segments and --start with --duration are three ways to measure a source: name one of them",
        ),
        (
            ("--segments", "20", "--codec", "x264", "--height", "64", "--bitrate", "300k,1M"),
            "--segments cannot share out a target bitrate over a whole film: libx264 at 300 kb/s",
        ),
        (
            ("--samples", "4", "--preset", "hls-abr"),
            "--samples cannot share out a target bitrate over a whole film: libx264 at 145 kb/s",
        ),
        (("--samples", "4", "--keep-encodes"), "--samples leaves no encode of the whole to keep"),
    ],
)
def test_flags_that_cannot_be_meant_together_are_refused(tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    arguments = [str(tmp_path / "clip.mp4"), *flags, "--model", "none", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(done.exception, UsageError) and done.exception.message == says


@pytest.mark.parametrize("text", ["often", "1", "inf", "nan", "-3"])
def test_a_length_of_segments_is_a_length(text: str) -> None:
    done = CliRunner().invoke(command, ["clip.mp4", "--segments", text])
    assert f"{text} is neither auto nor a length of 2 s or more." in done.output


@pytest.mark.parametrize(
    ("frames", "length", "gop"), [(1000, 100, 50), (1013, 100, 48), (10_000, 777, 60), (103, 50, 25)]
)
def test_segments_cover_every_frame_and_begin_at_key_frames(frames: int, length: float, gop: int) -> None:
    spans = segment_spans(frames, length, gop)
    assert [span.first % gop for span in spans] == [0] * len(spans)
    assert [span.first for span in spans] == [0, *np.cumsum([span.frames for span in spans])[:-1]]
    assert sum(span.frames for span in spans) == frames
    assert len(spans) == round(frames / length)
    assert all(span.frames >= 2 for span in spans)


def test_what_cannot_be_cut_is_not() -> None:
    assert segment_spans(100, 80, 50) == segment_spans(100, 10, 200) == segment_spans(51, 25, 50) == []


def test_the_interval_is_that_of_a_mean_of_strata() -> None:
    """Equal weights, nearly nothing sampled: Student's t; half of it sampled: narrower by the root of that half."""
    values = [10.0, 12.0, 17.0, 9.0]
    spread = np.std(values, ddof=1) / math.sqrt(4) * 3.182446
    low, high = Weights((1, 1, 1, 1), (10**9,) * 4).interval(values) or (0, 0)
    assert (low, high) == pytest.approx((12.0 - spread, 12.0 + spread), rel=1e-6)
    low, high = Weights((50,) * 4, (100,) * 4).interval(values) or (0, 0)
    assert high - low == pytest.approx(2 * spread * math.sqrt(0.5), rel=1e-6)
    assert Weights((5,), (9,)).interval([3.0]) is None
    assert Weights((1, 1), (3, 1)).mean([2.0, 6.0]) == 3.0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Strata whose levels differ, one sample from each: conservative, never below 95 %."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        levels = rng.normal(90, 4, 8)
        film = levels[:, None] + rng.normal(0, 2, (8, 50))
        low, high = Weights((10,) * 8, (500,) * 8).interval([float(rng.choice(row)) for row in film]) or (0, 0)
        held += low <= film.mean() <= high
    assert held / 400 >= 0.95


def test_a_long_source_is_told_of_by_its_first_rung() -> None:
    now = iter([100.0, 160.0, 220.0])
    forecast = Forecast(7200.0, {"a": 1.0, "b": 2.0, "c": 3.0}, clock=lambda: next(now))
    forecast.shares["b"] = 0.5
    remembered = RungDone("film", "c", 1.0, None, None, cached=True)
    assert forecast.told(remembered) is None
    first = RungDone("film", "a", 1.0, None, None, cached=False)
    # 2 of 3 are done after 60 s.
    assert forecast.told(first) == (
        "lasts 2 h 0 min, and its rungs will take about 30 s more; --samples 12 would measure 48 s that stand for all of it"
    )
    assert forecast.told(first) is None


def test_runs_of_other_parts_are_not_compared() -> None:
    whole = make_run(rungs_of())
    info = whole.sources[0].source.model_copy(
        update={"measured": (MeasuredPart(start_s=2.0, duration_s=3.0, stands_for_s=3.0),), "whole_s": 60.0}
    )
    part = whole.model_copy(update={"sources": (whole.sources[0].model_copy(update={"source": info}),)})
    refuse_other_judging(["vmaf"], part, part)
    with pytest.raises(InputError) as caught:
        refuse_other_judging(["vmaf"], whole, part)
    assert caught.value.message == (
        "the runs cannot be compared: what was measured of clip.mp4 is all of it in one and 3.00 s from 2.00 s in the other"
    )
