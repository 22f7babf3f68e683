"""What the published backbone sees is what ``ffmpeg -pix_fmt rgb24`` gives; and the scorer under memory pressure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FFMPEG, ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_cli.errors import ModelError, UsageError
from vqa_cli.model.device import pick_precision
from vqa_cli.model.extractor import FeatureExtractor, rebatch
from vqa_cli.model.registry import load_scorer
from vqa_cli.model.resnet import yuv_to_rgb
from vqa_cli.model.scorer import Calibration, StreamingScorer
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.types import FrameFormat

WIDTH, HEIGHT = 128, 96


def raw(path: Path, pix_fmt: str) -> np.ndarray:
    argv = [FFMPEG, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", pix_fmt, "-"]
    return np.frombuffer(subprocess.run(argv, check=True, capture_output=True).stdout, np.uint8).copy()


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("tag", "matrix", "colour_range"),
    [("bt709", "bt709", "tv"), ("smpte170m", "bt601", "tv"), (None, "bt601", "tv"), ("bt2020nc", "bt2020", "tv"),
     ("bt709", "bt709", "pc")],
)  # fmt: skip
def test_pixels_are_those_of_rgb24(tmp_path: Path, tag: str | None, matrix: str, colour_range: str) -> None:
    """Noise reaches all colours; the untagged clip is read as BT.601, as the authors' reader does."""
    full = colour_range == "pc"
    pix_fmt = "yuvj420p" if full else "yuv420p"
    low, high = (0, 256) if full else (16, 236)
    noise = np.random.default_rng(4).integers(low, high, (3, HEIGHT * 3 // 2, WIDTH)).astype(np.uint8)
    (tmp_path / "noise.yuv").write_bytes(noise.tobytes())
    tags = ("-colorspace", tag, "-color_range", colour_range) if tag else ()
    shape = ("-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", f"{WIDTH}x{HEIGHT}")
    clip = tmp_path / "clip.mp4"
    ffmpeg(*shape, *tags, "-i", tmp_path / "noise.yuv", "-c:v", "libx264", "-qp", "0", *tags, clip)
    frames = torch.from_numpy(raw(clip, pix_fmt).reshape(-1, HEIGHT * 3 // 2, WIDTH))
    want = raw(clip, "rgb24").reshape(-1, HEIGHT, WIDTH, 3)
    pixels = FrameFormat(WIDTH, HEIGHT, matrix=matrix, full_range=full)  # type: ignore[arg-type]
    got = yuv_to_rgb(frames, pixels).permute(0, 2, 3, 1).numpy()
    assert len(want) == 3
    assert np.abs(got - want).max() <= 1


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(1, 7), min_size=1, max_size=5))
@settings(deadline=None)
def test_rebatching_keeps_every_frame_in_order(chunks: list[int], sizes: list[int]) -> None:
    frames = np.arange(sum(chunks), dtype=np.uint8)[:, None, None]
    asked = iter(sizes * 100)
    parts = np.split(frames, np.cumsum(chunks)[:-1]) if chunks else []
    batches = list(rebatch(parts, lambda: next(asked)))
    assert max(map(len, batches), default=0) <= max(sizes)
    assert np.array_equal(np.concatenate([frames[:0], *batches]), frames)


class SmallMemory(torch.nn.Module):
    """A backbone whose device holds ``room`` frames."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.seen = room, list[int]()

    def forward(self, frames: torch.Tensor, frame_format: FrameFormat) -> torch.Tensor:
        self.seen.append(len(frames))
        if len(frames) > self.room:
            raise torch.cuda.OutOfMemoryError
        return frames.float().flatten(1)[:, :8] / 255


def scorer(backbone: torch.nn.Module, tmp: StreamingScorer) -> StreamingScorer:
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    extractor = FeatureExtractor(backbone, cpu, 16)
    return StreamingScorer(extractor, VsfaHead(8).eval(), Calibration(), tmp.identity, device=cpu)


@pytest.fixture
def any_model(tmp_path: Path) -> StreamingScorer:
    """Only its identity is used."""
    return load_scorer(device="cpu", precision="fp32")


def test_memory_that_runs_out_halves_the_batch_and_changes_nothing(any_model: StreamingScorer) -> None:
    clip = np.random.default_rng(0).integers(0, 255, (50, 96, 64)).astype(np.uint8)
    pixels = FrameFormat(64, 64)
    small = SmallMemory(5)
    squeezed = scorer(small, any_model).score([clip], pixels)
    assert squeezed.raw == pytest.approx(scorer(SmallMemory(99), any_model).score([clip], pixels).raw, abs=1e-6)
    assert small.seen[:3] == [16, 8, 4]
    assert set(small.seen[7:]) <= {4, 2}


def test_memory_for_not_even_one_frame_is_an_error(any_model: StreamingScorer) -> None:
    with pytest.raises(ModelError, match="does not hold one frame"):
        scorer(SmallMemory(0), any_model).score([np.zeros((3, 96, 64), np.uint8)], FrameFormat(64, 64))


@pytest.mark.parametrize("count", [1, 2, 11, 13])
def test_the_window_in_use_is_recorded(any_model: StreamingScorer, count: int) -> None:
    clip = np.full((count, 96, 64), 100, np.uint8)
    result = scorer(SmallMemory(99), any_model).score([clip], FrameFormat(64, 64), every=3)
    assert "tau 4 frames at 1 in 3" in result.model.pooling
    assert len(result.frame_scores) == count


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_taken_unasked_only_where_it_is_native_and_close(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr("vqa_cli.model.device.cpu_has_bf16", lambda: native)
    cpu = torch.device("cpu")
    assert pick_precision("auto", cpu, bf16_is_close=True) == ("bf16" if native else "fp32")
    assert pick_precision("auto", cpu, bf16_is_close=False) == "fp32"
    assert pick_precision("bf16", cpu, bf16_is_close=False) == "bf16"
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        pick_precision("fp16", cpu, bf16_is_close=True)
