"""Bringing the network from floating point to integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.lite.integers import Sample, convert, integers
from training.lite.weights import FLOATING, read_floating
from vqa_cli.errors import InputError, ModelError
from vqa_cli.model.checkpoint import load_model
from vqa_cli.model.integer import KERNEL_MOST
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.registry import lite_path
from vqa_cli.values import FrameFormat

SHOWN = FrameFormat(176, 96)


def moving(count: int, seed: int) -> torch.Tensor:
    """Frames of soft shapes that move, some noise on them: (count, height * 3 // 2, width) uint8."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SHOWN.shape[0], : SHOWN.width]
    waves = rng.uniform(0.02, 0.4, (4, 2))
    drawn = [
        125 + sum(24 * np.sin(a * rows + b * cols + 0.6 * at) for a, b in waves) + rng.normal(0, 3, rows.shape)
        for at in range(count)
    ]
    return torch.from_numpy(np.clip(np.rint(drawn), 16, 235).astype(np.uint8))


def samples(*seeds: int) -> list[Sample]:
    found = []
    for seed in seeds:
        frames = moving(4, seed)
        found.append(Sample(frames[1:], frames[:-1], SHOWN))
    return found


@pytest.fixture(scope="module")
def trained() -> LiteBackbone:
    _, network, _, _ = read_floating(FLOATING)
    return network.fold().requires_grad_(False)


@pytest.mark.numeric
def test_features_are_near_those_of_floating_point(trained: LiteBackbone) -> None:
    found, unseen = convert(trained, samples(1, 2, 3, 4)), samples(5, 6, 7)
    with torch.inference_mode():
        exact, got = (torch.cat([n.judge(s.now, s.before, s.shape) for s in unseen]) for n in (trained, found))
    size = exact.square().mean(0).sqrt()
    heard = size > 0.01 * size.max()
    away = ((got - exact).square().mean(0).sqrt() / size)[heard]
    assert float(away.median()) < 0.03
    assert float(away.quantile(0.9)) < 0.15


def test_kernels_keep_sums_of_two_within_sixteen_bits(trained: LiteBackbone) -> None:
    kernels = [value for name, value in convert(trained, samples(1)).state_dict().items() if name.endswith("kernel")]
    assert len(kernels) == 7
    assert {kernel.dtype for kernel in kernels} == {torch.int8}
    assert {int(kernel.abs().max()) for kernel in kernels} == {KERNEL_MOST}


def test_what_ships_is_made_of_the_weights_in_floating_point() -> None:
    card, _, sha256 = load_model(FLOATING)
    shipped, tensors, _ = load_model(lite_path())
    assert shipped.training["integers"]["of"] == sha256
    assert shipped.backbone_config == card.backbone_config
    assert shipped.scale == card.scale
    assert {value.dtype for name, value in tensors.items() if name.endswith("kernel")} == {torch.int8}


def test_without_ladders_or_with_integers_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match="no ladders: "):
        integers(FLOATING, tmp_path, out, "training")
    with pytest.raises(ModelError, match="no network in floating point: "):
        integers(lite_path(), tmp_path, out, "training")
    assert not out.exists()
