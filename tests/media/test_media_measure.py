"""Decoding, pairing and full-reference metrics on real encodes."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import FFMPEG, ffmpeg, make_clip
from hypothesis import given
from hypothesis import strategies as st

from vqa_cli.errors import InputError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv, build_measure_argv
from vqa_cli.media.encode import peak_kbps
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import frame_format, open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.prefetch import prefetch
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.metrics import METRICS
from vqa_cli.values import ColourTags, FrameFormat, Size

pytestmark = pytest.mark.ffmpeg


def compare(
    encode: Path, reference: Path, tmp_path: Path, metrics: tuple[str, ...]
) -> tuple[int, dict[str, np.ndarray]]:
    info, ours = probe(reference), probe(encode)
    order = MeasureOrder(info.size, metrics)
    pixels = frame_format(info.size, info.colour, info.size)
    with Runner() as runner:
        argv = build_measure_argv(find_ffmpeg(runner).path, SourceView.of(ours), SourceView.of(info), order)
        with open_frames(runner, argv, pixels, expected=info.frames, what="clip", cwd=tmp_path) as frames:
            count = sum(len(chunk) for chunk in prefetch(frames))
    return count, read_logs(tmp_path, metrics, frames=count, bit_depth=8).values


def test_a_clip_against_itself_is_perfect(clip: Path, tmp_path: Path) -> None:
    count, values = compare(
        clip, clip, tmp_path, tuple(name for name, metric in METRICS.items() if metric.least <= 180)
    )
    assert count == 60
    assert values["psnr"].min() == values["xpsnr"].min() == 60.0
    assert values["ssim"].min() == 1.0
    assert values["vmaf"].mean() > 97


def test_millisecond_timestamps_do_not_shift_the_pairs(clip: Path, media: Path, tmp_path: Path) -> None:
    """29.97 fps in Matroska against MP4: pairing by time gives a far too low VMAF, pairing by number does not."""
    lossless = media / "lossless.mkv"
    ffmpeg("-i", clip, "-c:v", "ffv1", lossless)
    good = media / "good.mp4"
    ffmpeg("-i", clip, "-c:v", "libx264", "-crf", "12", good)
    count, values = compare(good, lossless, tmp_path, ("vmaf", "psnr"))
    assert count == 60
    assert values["vmaf"].mean() > 95
    assert values["psnr"].min() > 35


def test_numbers_agree_with_ffmpeg_run_by_hand(clip: Path, media: Path, tmp_path: Path) -> None:
    coded = media / "coded.mp4"
    ffmpeg("-i", clip, "-c:v", "libx264", "-crf", "35", coded)
    _, values = compare(coded, clip, tmp_path, ("vmaf", "psnr", "ssim"))
    log = tmp_path / "hand.json"
    graph = f"[0:v][1:v]libvmaf=log_fmt=json:log_path={log}:feature=name=psnr|name=float_ssim"
    subprocess.run([FFMPEG, "-v", "error", "-i", coded, "-i", clip, "-lavfi", graph, "-f", "null", "-"], check=True)
    frames = [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]
    assert np.allclose(values["vmaf"], [f["vmaf"] for f in frames], atol=1e-3)
    assert np.allclose(values["psnr"], [f["psnr_y"] for f in frames], atol=0.011)


def test_missing_frames_are_an_error_not_an_end(clip: Path) -> None:
    info = probe(clip)
    pixels = FrameFormat(320, 180)
    with Runner() as runner:
        argv = build_frames_argv(find_ffmpeg(runner).path, SourceView.of(info), MeasureOrder(info.size))
        with (
            open_frames(runner, argv, pixels, expected=61, what="clip") as frames,
            pytest.raises(InputError, match="60 of 61"),
        ):
            list(prefetch(frames))


def test_every_nth_frame_is_what_it_says(clip: Path) -> None:
    info = probe(clip)
    with Runner() as runner:
        path = find_ffmpeg(runner).path

        def decode(every: int) -> np.ndarray:
            argv = build_frames_argv(path, SourceView.of(info), MeasureOrder(info.size, every=every))
            with open_frames(runner, argv, FrameFormat(320, 180), expected=None, what="clip") as frames:
                return np.concatenate(list(frames))

        assert np.array_equal(decode(1)[::7], decode(7))


def test_full_range_becomes_limited_range(media: Path) -> None:
    full = make_clip(
        media / "pc.mp4", args=("-vf", "scale=out_range=pc", "-pix_fmt", "yuvj420p", "-c:v", "libx264", "-qp", "0")
    )
    info = probe(full)
    with Runner() as runner:
        argv = build_frames_argv(find_ffmpeg(runner).path, SourceView.of(info), MeasureOrder(info.size))
        with open_frames(runner, argv, FrameFormat(320, 180), expected=30, what="clip") as frames:
            luma = np.concatenate(list(frames))[:, :180]
    assert luma.min() >= 16 and luma.max() <= 235


def test_untagged_video_gets_its_matrix_by_size() -> None:
    untagged = ColourTags()
    assert frame_format(Size(320, 180), untagged, Size(1280, 720)).matrix == "bt709"
    assert frame_format(Size(320, 180), untagged, Size(640, 480)).matrix == "bt601"
    assert frame_format(Size(320, 180), ColourTags(matrix="bt2020nc"), Size(640, 480)).matrix == "bt2020"


def test_peak_rate_is_the_densest_second() -> None:
    rate = Fraction(25)
    times = np.array([float(i / rate) for i in range(100)])
    sizes = np.array([1000 if 25 <= i < 50 else 100 for i in range(100)])
    assert peak_kbps(times, sizes, 4.0) == pytest.approx(25 * 1000 * 8 / 1000)
    assert peak_kbps(np.array([0.0, 0.04]), np.array([500, 500]), 0.08) == pytest.approx(1000 * 8 / 1000 / 0.08)


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 9999)), min_size=1, max_size=60), st.floats(1e-4, 3.0))
def test_peak_rate_is_the_most_of_all_windows(packets: list[tuple[int, int]], duration_s: float) -> None:
    """Against every window by itself; frames at one time are in one window."""
    packets.sort()
    times, sizes = np.array([ms / 1000 for ms, _ in packets]), np.array([size for _, size in packets])
    window = min(1.0, duration_s)
    found = max(
        sum(
            size
            for t, size in zip(times[: end + 1], sizes, strict=False)
            if t >= times[end] or times[end] - t < window - 5e-4
        )
        for end in range(len(times))
    )
    assert peak_kbps(times, sizes, duration_s) == pytest.approx(found * 8 / 1000 / window)
