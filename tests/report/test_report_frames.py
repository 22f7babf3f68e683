"""Frame values on the page: what survives thinning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from report_runs import make_run

from vqa_cli.errors import StorageError
from vqa_cli.report.frames import from_segments, parse_fps, points_per_trace, thin

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
