"""What only a GPU can show; skipped where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vqa_cli.model.device import FULL_FP32
from vqa_cli.model.extractor import FeatureExtractor
from vqa_cli.model.fused import cudnn_fuses
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.load import load_scorer
from vqa_cli.model.scorer import StreamingScorer
from vqa_cli.values import FrameFormat

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
YUV = FrameFormat(256, 144)
RGB = FrameFormat(256, 144, full_range=True, layout="rgb24")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_additions_go_into_the_convolutions(dtype: torch.dtype) -> None:
    if torch.cuda.get_device_capability() >= (7, 0):
        assert cudnn_fuses(torch.device("cuda:0"), dtype)


def film(pixels: FrameFormat, frames: int = 27) -> np.ndarray[Any, Any]:
    """Smooth pictures that move, under a little noise."""
    rng = np.random.default_rng(5)
    height, width, *rest = pixels.shape
    across = np.add.outer(np.arange(height) * 0.7, np.arange(width))
    moved = np.stack([110 + 60 * np.sin((across + 3 * number) / 19) for number in range(frames)])
    moved = moved.reshape(frames, height, width, *([1] * len(rest)))
    noise = rng.normal(0, 6, (frames, *pixels.shape))
    return np.clip(moved + noise, 16, 235).astype(np.uint8)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from torchvision.models import resnet50

    from vqa_cli.model.vsfa import VsfaHead

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    torch.save(resnet50(weights=None).state_dict(), folder / "resnet50.pth")
    torch.save(VsfaHead(4096).state_dict(), folder / "head.pt")
    return {"backbone_weights": folder / "resnet50.pth", "head_weights": folder / "head.pt"}


def features(scorer: StreamingScorer, pixels: FrameFormat) -> torch.Tensor:
    return torch.cat([part.cpu() for part in scorer.extractor.features([film(pixels)], pixels)])


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def test_lite_sees_on_a_gpu_what_it_sees_on_a_cpu() -> None:
    assert apart(features(load_scorer(device="cuda"), YUV), features(load_scorer(device="cpu"), YUV)) < 1e-5


@pytest.mark.parametrize(("precision", "close"), [("fp32", 1e-5), ("fp16", 4e-3), ("bf16", 4e-2), ("auto", 4e-3)])
def test_resnet_sees_on_a_gpu_what_it_sees_on_a_cpu(seeded: dict[str, Any], precision: str, close: float) -> None:
    expected = features(load_scorer("vsfa", device="cpu", precision="fp32", **seeded), RGB)
    assert apart(features(load_scorer("vsfa", device="cuda", precision=precision, **seeded), RGB), expected) < close


def test_scores_of_a_gpu_and_a_cpu_are_the_same() -> None:
    on_cpu, on_gpu = (load_scorer(device=device).score([film(YUV)], YUV) for device in ("cpu", "cuda"))
    assert on_gpu.score == pytest.approx(on_cpu.score, abs=1e-3)


@pytest.mark.parametrize("batch", [1, 4, 9, 64])
def test_scores_on_a_gpu_do_not_depend_on_the_batch(seeded: dict[str, Any], batch: int) -> None:
    models: list[tuple[str, FrameFormat, dict[str, Any]]] = [("vsfa-lite", YUV, {}), ("vsfa", RGB, seeded)]
    for model, pixels, weights in models:
        options = {"device": "cuda", "precision": "fp32" if weights else "auto", **weights}
        whole = load_scorer(model, **options).score([film(pixels)], pixels)
        parts = load_scorer(model, **options, batch_size=batch)
        assert parts.score(iter(film(pixels)[:, None]), pixels).score == pytest.approx(whole.score, rel=1e-5)


def test_a_batch_that_gpu_memory_does_not_hold_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = load_scorer(device="cuda")
    expected = features(scorer, YUV)
    held = torch.cuda.memory_allocated()
    share = (held + (40 << 20)) / torch.cuda.get_device_properties(0).total_memory
    asked: list[int] = []
    forward = FeatureExtractor._forward

    def watched(self: FeatureExtractor, frames: torch.Tensor, pixels: FrameFormat, first: int) -> torch.Tensor:
        asked.append(len(frames))
        return forward(self, frames, pixels, first)

    monkeypatch.setattr(FeatureExtractor, "_forward", watched)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        found = features(scorer, YUV)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert min(asked) < max(asked)
    assert apart(found, expected) < 1e-5


def test_the_way_back_is_that_of_a_cpu() -> None:
    torch.manual_seed(3)
    frames, slopes = torch.from_numpy(film(YUV, 4)), []
    for device in ("cpu", "cuda"):
        torch.manual_seed(3)
        backbone = LiteBackbone().to(device)
        with FULL_FP32:
            backbone.judge(frames.to(device)[1:], frames.to(device)[:-1], YUV).sum().backward()
        slopes.append(
            torch.cat([weight.grad.cpu().flatten() for weight in backbone.parameters() if weight.grad is not None])
        )
    assert apart(slopes[1], slopes[0]) < 1e-3
