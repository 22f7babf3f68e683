"""What was decoded once is not decoded again for another temporal pooling or head."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from conftest import FFMPEG, Vqa
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vqa_cli.errors import InputError
from vqa_cli.model.load import load_scorer
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.temporal import pool_clip
from vqa_cli.store.content import Entries, content_key
from vqa_cli.store.seen import Seen, Stream
from vqa_cli.values import FrameFormat

PIXELS = FrameFormat(96, 64)
STREAM = Stream("content", ("-i", "FILE"), PIXELS, "ffmpeg")
FRAMES = np.random.default_rng(0).integers(16, 235, (30, 96, 96)).astype(np.uint8)


def paper_pool(q: list[float], tau: int, beta: float) -> float:
    """Equations 6 to 10 of the paper, one frame at a time."""
    total = 0.0
    for t in range(len(q)):
        memory = min(q[max(0, t - tau) : t]) if t else q[0]
        ahead = np.array(q[t : t + tau + 1])
        weights = np.exp(-(ahead - ahead.min()))
        total += beta * float((weights * ahead).sum() / weights.sum()) + (1 - beta) * memory
    return total / len(q)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(1, 15), st.floats(0, 1))
def test_the_papers_windows(q: list[float], tau: int, beta: float) -> None:
    fast = float(pool_clip(np.array(q), tau=tau, beta=beta, pooling="paper"))
    assert fast == pytest.approx(paper_pool(q, tau, beta), abs=1e-9)


@pytest.mark.parametrize("pooling", ["hysteresis", "paper"])
def test_a_window_beyond_the_clip_is_the_clip(pooling: Literal["hysteresis", "paper"]) -> None:
    """And takes no more memory than that: as long as asked for it would be terabytes here."""
    q = np.array([0.5, 2.0, -1.0, 0.25])
    whole, beyond = (float(pool_clip(q, tau=tau, pooling=pooling)) for tau in (len(q), 10**12))
    assert whole == beyond
    padded = pool_batch(torch.from_numpy(np.stack((q, q))), torch.tensor([4, 2]), tau=10**12)
    assert padded.tolist() == pytest.approx([float(pool_clip(q)), float(pool_clip(q[:2]))])


def test_another_pooling_of_what_was_seen_is_exact(tmp_path: Path) -> None:
    seen = Seen(tmp_path)
    seen.score(STREAM, load_scorer(device="cpu"), [FRAMES])
    other = load_scorer(device="cpu", tau=5, beta=0.2)
    found = seen.find(STREAM, other)
    assert found is not None
    direct = other.score([FRAMES], PIXELS)
    assert (found.raw, found.score, found.model) == (direct.raw, direct.score, direct.model)
    mean = seen.find(STREAM, load_scorer(device="cpu", pooling="mean"))
    assert mean is not None and mean.raw == pytest.approx(direct.frame_outputs.mean())


def test_without_a_folder_the_last_few_clips_are_known() -> None:
    seen, scorer = Seen(None), load_scorer(device="cpu")
    streams = [replace(STREAM, content=f"{number:064x}") for number in range(40)]
    direct = seen.score(streams[0], scorer, [FRAMES])
    for stream in streams[1:]:
        seen.remember(stream, direct)
        found = seen.find(streams[0], scorer)
        assert found is not None and found.score == direct.score
    known = [stream for stream in streams if seen.find(stream, scorer) is not None]
    assert streams[-1] in known and 2 < len(known) < 40


def test_who_asks_for_the_same_waits_and_finds_it() -> None:
    seen, scorer, made = Seen(None), load_scorer(device="cpu"), []

    def frames() -> Iterator[NDArray[np.uint8]]:
        made.append("once more")
        yield FRAMES

    def ask(_: int) -> float:
        with seen.alone(STREAM, scorer):
            return (seen.find(STREAM, scorer) or seen.score(STREAM, scorer, frames())).score

    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(ask, range(8)))
    assert len(set(scores)) == len(made) == 1


def test_who_waits_goes_on_when_the_first_fails() -> None:
    seen, scorer = Seen(None), load_scorer(device="cpu")
    with pytest.raises(InputError), seen.alone(STREAM, scorer):
        seen.score(STREAM, scorer, [])
    with seen.alone(STREAM, scorer):
        assert seen.find(STREAM, scorer) is None


def test_another_head_starts_from_the_features(tmp_path: Path) -> None:
    seen, scorer = Seen(tmp_path), load_scorer(device="cpu")
    direct = seen.score(STREAM, scorer, [FRAMES[:7], FRAMES[7:]])
    seen.scores.clear()
    found = seen.find(STREAM, scorer)
    assert found is not None and found.raw == pytest.approx(direct.raw, abs=1e-3)


def test_a_damaged_entry_is_a_miss_and_a_failed_clip_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen, scorer = Seen(tmp_path), load_scorer(device="cpu")
    with pytest.raises(InputError):
        seen.score(STREAM, scorer, [])
    assert seen.scores.usage().entries == seen.features.usage().entries == 0
    seen.score(STREAM, scorer, [FRAMES])
    seen.scores.clear()
    file = next(tmp_path.rglob("features.f16"))
    file.write_bytes(bytes(file.stat().st_size))
    assert seen.find(STREAM, scorer) is None
    assert seen.features.usage().entries == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"warning: damaged cache entry, made again: {file.parent}"
    ]


@pytest.mark.parametrize("outputs", [np.array([np.nan, 1.0]), np.array([]), np.array(1.0)])
def test_what_is_no_score_is_not_believed(tmp_path: Path, outputs: NDArray[np.float64]) -> None:
    seen, scorer = Seen(tmp_path), load_scorer(device="cpu")
    with seen.scores.write(STREAM.key(scorer.identity.sha256, scorer.identity)) as folder:
        assert folder is not None
        np.save(folder / "outputs.npy", outputs)
    assert seen.find(STREAM, scorer) is None and seen.scores.usage().entries == 0


def test_the_least_used_entries_go_first(tmp_path: Path) -> None:
    import os

    entries = Entries(tmp_path, limit_bytes=300)
    keys = [content_key(n) for n in range(4)]
    for age, key in enumerate(keys[:3]):
        with entries.write(key) as folder:
            assert folder is not None
            (folder / "data").write_bytes(bytes(100))
        if found := entries.find(key):
            os.utime(found, (age, age))
    assert [entries.find(key) is not None for key in keys] == [False, True, True, False]


@pytest.fixture
def counted(tmp_path: Path) -> tuple[Path, Path]:
    """An ffmpeg that notes each command line, and where."""
    log, program = tmp_path / "calls.log", tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {FFMPEG} "$@"\n')
    program.chmod(0o755)
    return program, log


def decodes(log: Path) -> list[str]:
    """Command lines that decode more of the clip than a frame, to see what it is."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if "clip.mp4" in line and "-frames:v 1 " not in line]


@pytest.mark.ffmpeg
def test_score_decodes_once(vqa: Vqa, clip: Path, counted: tuple[Path, Path], tmp_path: Path) -> None:
    program, log = counted
    first = vqa("score", clip, "--ffmpeg", program, "--cache-dir", tmp_path / "c", "--format", "json")
    assert first.returncode == 0, first.stderr
    assert len(decodes(log)) == 2  # a look at the whole, and the model's
    log.unlink()
    again = vqa("score", clip, "--ffmpeg", program, "--cache-dir", tmp_path / "c", "--format", "json", "--tau", "3")
    assert again.returncode == 0
    assert decodes(log) == []
    fresh = vqa("score", clip, "--ffmpeg", program, "--no-cache", "--format", "json", "--tau", "3")
    assert json.loads(again.stdout) == json.loads(fresh.stdout) != json.loads(first.stdout)


@pytest.mark.ffmpeg
def test_another_tau_on_a_ladder_neither_encodes_nor_decodes(
    vqa: Vqa, clip: Path, counted: tuple[Path, Path], tmp_path: Path
) -> None:
    program, log = counted
    order = ("ladder", clip, "--codec", "x264", "--crf", "30,40", "--height", "180", "--display", "180", "--metric", "psnr", "--stills", "none",
             "--ffmpeg", program, "--cache-dir", tmp_path / "c", "-o")  # fmt: skip
    assert vqa(*order, tmp_path / "a").returncode == 0
    log.unlink()
    done = vqa(*order, tmp_path / "b", "--tau", "3", "--beta", "0.9")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("from the cache") == 2
    calls = [line for line in log.read_text().splitlines() if "clip.mp4" in line]
    assert not [line for line in calls if "rawvideo" in line or "libx264" in line]
    one, two = (json.loads((tmp_path / name / "run.json").read_text())["sources"][0]["rungs"][0] for name in "ab")
    assert one["encode"] == two["encode"] and one["score"]["score"] != two["score"]["score"]


@pytest.mark.ffmpeg
def test_a_search_counts_its_source_once(vqa: Vqa, clip: Path, counted: tuple[Path, Path]) -> None:
    program, log = counted
    done = vqa(
        "search", clip, "--metric", "psnr", "--target", "35", "--encoder-preset", "ultrafast", "--no-cache", "--ffmpeg", program,
        "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = log.read_text().splitlines()
    of_clip = [line for line in calls if "clip.mp4" in line]
    trials = json.loads(done.stdout)["trials"]
    assert len(trials) > 2
    encodes, measured = sum("c:v libx264" in line for line in of_clip), sum("psnr=stats_file" in line for line in calls)
    assert encodes == measured == len(trials)
    assert sum("reference.mkv" in line for line in of_clip) == 1
    assert sum("-f null" in line for line in decodes(log)) == 1
