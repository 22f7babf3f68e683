"""Frame values: what is read, and what survives thinning."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from report_runs import make_run

from vqa_cli.errors import StorageError
from vqa_cli.ladder.output import frames_csv
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.report.frames import frames_from_rows, from_segments, parse_fps, points_per_trace, read_frames, thin

SERIES = arrays(np.float64, st.integers(1, 400), elements=st.floats(0, 100, width=32))


@given(SERIES, st.integers(4, 120))
def test_thinning_keeps_ends_and_extremes_in_order(values: np.ndarray, limit: int) -> None:
    trace = thin(values, limit)
    frames = trace.x if trace.x is not None else tuple(range(len(values)))
    assert len(trace.y) == len(frames) <= limit
    assert list(frames) == sorted(set(frames))
    assert frames[0] == 0
    assert frames[-1] == len(values) - 1
    assert np.allclose(trace.y, values[list(frames)], rtol=1e-4)
    assert np.isclose(min(trace.y), values.min(), rtol=1e-4)
    assert np.isclose(max(trace.y), values.max(), rtol=1e-4)


def test_a_dip_of_one_frame_survives_in_two_hours() -> None:
    values = np.full(216_000, 90.0)
    values[123_457] = 12.0
    trace = thin(values)
    assert trace.thinned
    assert trace.x is not None
    assert trace.y[trace.x.index(123_457)] == 12.0


def test_short_series_are_kept_whole() -> None:
    trace = thin(np.array([1.0, 2.0, 3.0]))
    assert (trace.x, trace.y, trace.thinned) == (None, (1.0, 2.0, 3.0), False)


def test_many_traces_share_the_page() -> None:
    assert points_per_trace(1) == 2000
    assert 100 <= points_per_trace(2000) < 2000


def test_what_the_ladder_writes_is_read_back(tmp_path: Path) -> None:
    run, frames = make_run(["a.mp4", "b, with comma.mp4"], frames=40)
    (tmp_path / "frames.csv").write_text(frames_csv(LadderOutcome(run, frames)), encoding="utf-8")
    read = read_frames(tmp_path / "run.json", run)
    assert read is not None
    assert read.keys() == frames.keys()
    for key, table in frames.items():
        assert read[key].keys() == table.keys()
        for metric, values in table.items():
            assert np.allclose(read[key][metric], values, rtol=1e-5)


def test_sources_of_one_name_are_told_apart_by_their_order(tmp_path: Path) -> None:
    run, frames = make_run(["same.mp4", "same.mp4"], frames=30, heights=[720], crfs=[23])
    (tmp_path / "frames.csv").write_text(frames_csv(LadderOutcome(run, frames)), encoding="utf-8")
    read = read_frames(tmp_path / "run.json", run)
    assert read is not None
    for key, table in frames.items():
        assert np.allclose(read[key]["model"], table["model"], rtol=1e-5)


def test_no_frames_file_is_no_error(tmp_path: Path) -> None:
    run, _ = make_run()
    assert read_frames(tmp_path / "run.json", run) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rung,frame,vmaf\n", "no column source"),
        ("source,rung,frame,vmaf\nclip.mp4,libx264_720p_crf20,0,good\n", "not a number in column vmaf"),
        ("source,rung,frame,vmaf\nclip.mp4,libx264_720p_crf20,0\n", "a line with other columns than the first"),
        ("", "no column source, rung, frame"),
    ],
)
def test_damaged_frames_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "frames.csv").write_text(text)
    run, _ = make_run()
    with pytest.raises(StorageError) as caught:
        read_frames(tmp_path / "run.json", run)
    assert says in caught.value.message
    assert "frames.csv" in caught.value.message


def test_a_metric_with_holes_is_not_drawn() -> None:
    run, _ = make_run(frames=3)
    text = "source,rung,frame,vmaf,psnr\n" + "".join(
        f"clip.mp4,libx264_720p_crf20,{frame},{vmaf},40.0\n" for frame, vmaf in enumerate(("1.0", "", "3.0"))
    )
    (table,) = frames_from_rows(csv.reader(io.StringIO(text)), run).values()
    assert list(table) == ["psnr"]


def test_one_second_means_stand_in_the_middle_of_their_seconds() -> None:
    run, _ = make_run(frames=90)
    score = run.sources[0].score
    assert score is not None
    trace = from_segments(score.series, 30.0)
    assert trace.coarse
    assert trace.x == (15, 45, 75)


def test_frame_rates() -> None:
    assert parse_fps("30000/1001") == pytest.approx(29.97, abs=1e-3)
    with pytest.raises(StorageError):
        parse_fps("fast")
