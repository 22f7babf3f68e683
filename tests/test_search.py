"""Target search: few encodes, the right answer, and an honest miss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Vqa
from hypothesis import given
from hypothesis import strategies as st

from vqa_cli.ladder.search import Found, Trial, search_crf


def run(target: float, slope: float, bend: float, *, low: float = 10, high: float = 46) -> tuple[Found, list[float]]:
    tried: list[float] = []

    def measure(crf: float) -> Trial:
        tried.append(crf)
        return Trial(crf, quality(crf, slope, bend), 5000 / (crf + 1))

    *_, last = search_crf(measure, target, low=low, high=high)
    return last, tried


def quality(crf: float, slope: float, bend: float) -> float:
    return 100 - slope * (crf - 10) - bend * (crf - 10) ** 2


@given(st.floats(5, 99.9), st.floats(0.05, 1.0), st.floats(0.0, 0.05))
def test_the_highest_crf_that_reaches_the_target(target: float, slope: float, bend: float) -> None:
    found, tried = run(target, slope, bend)
    fits = [crf for crf in range(10, 47) if quality(crf, slope, bend) >= target]
    assert found.best is not None and found.best.crf == max(fits)
    assert len(tried) == len(set(tried)) <= 12


def test_a_target_out_of_reach_names_the_nearest() -> None:
    found, tried = run(101, 0.5, 0.01)
    assert found.best is None and found.nearest.crf == 10 and len(tried) <= 3


@pytest.mark.ffmpeg
def test_search_on_a_real_clip(vqa: Vqa, clip: Path) -> None:
    done = vqa("search", clip, "--target", "35", "--metric", "psnr", "--encoder-preset", "veryfast", "--format", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["best"]["quality"] >= 35
    worse = [t for t in answer["trials"] if t["crf"] == answer["best"]["crf"] + 1]
    assert worse and worse[0]["quality"] < 35
    miss = vqa("search", clip, "--target", "99", "--metric", "psnr", "--min-crf", "40", "--encoder-preset", "veryfast")
    assert miss.returncode == 1 and "nothing reaches" in miss.stdout
