"""The network of integers: the same maps everywhere, and features as near floating point's as eight bits allow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqa_cli.model import integer
from vqa_cli.model.integer import KERNEL_MOST, IntegerBackbone, IntegerConv
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.values import FrameFormat

SHOWN = FrameFormat(96, 64)


def made(seed: int = 0, **config: object) -> IntegerBackbone:
    """A small network of random kernels, of which every second byte is silent."""
    torch.manual_seed(seed)
    net = IntegerBackbone(widths=(8, 12), halve=(False, True), taps=(0, 1), **config).eval()
    for block in net.blocks:
        assert isinstance(block, IntegerConv)
        block.kernel.copy_(torch.randint(-KERNEL_MOST, KERNEL_MOST + 1, block.kernel.shape))
        block.scale.uniform_(0.5, 2.0).mul_(60 / (KERNEL_MOST * 128 * block.kernel[0].numel() ** 0.5))
        block.bias.uniform_(-40, 80)
    net.steps.uniform_(0.01, 0.1)
    return net


def frames(count: int, shape: FrameFormat = SHOWN, seed: int = 0) -> torch.Tensor:
    drawn = np.random.default_rng(seed).integers(0, 256, (count, *shape.shape), dtype=np.uint8)
    return torch.from_numpy(drawn)


def literally(block: IntegerConv, x: torch.Tensor, padding: int) -> torch.Tensor:
    """By sums of 64-bit integers, one output after another."""
    padded = np.pad(x.numpy().astype(np.int64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kernel, stride = block.kernel.numpy().astype(np.int64), block.stride
    rows, cols = ((side - 3) // stride + 1 for side in padded.shape[2:])
    sums = np.zeros((len(x), len(kernel), rows, cols), np.int64)
    for row in range(rows):
        for col in range(cols):
            window = padded[:, None, :, row * stride : row * stride + 3, col * stride : col * stride + 3]
            sums[:, :, row, col] = (window * kernel).sum((2, 3, 4))
    told = sums * block.scale.double().numpy()[:, None, None] + block.bias.double().numpy()[:, None, None]
    return torch.from_numpy(np.clip(np.rint(told), 0, 255).astype(np.uint8))


@pytest.mark.numeric
@pytest.mark.parametrize(("before", "after", "stride", "padding"), [(40, 32, 1, 0), (32, 48, 2, 1), (7, 5, 1, 1)])
def test_a_block_is_what_integers_say(before: int, after: int, stride: int, padding: int) -> None:
    torch.manual_seed(1)
    block = IntegerConv(before, after, stride, padding, (24, 44))
    # Bytes and kernels at their limits: where a CPU adds products in 16 bits, this is where it would overflow.
    block.kernel.copy_(torch.where(torch.rand(block.kernel.shape) < 0.7, KERNEL_MOST, -KERNEL_MOST))
    block.scale.uniform_(0.5, 1.5).mul_(128 / (before * 9 * KERNEL_MOST * 255 * 0.4))
    block.bias.uniform_(-30, 30)
    x = torch.where(torch.rand(2, before, 13, 18) < 0.7, 255, 0).to(torch.uint8)
    x = x.contiguous(memory_format=torch.channels_last)
    expected = literally(block, x, padding)
    assert float((expected > 0).float().mean()) > 0.2 and float((expected == 255).float().mean()) < 0.9
    for got in (block(x), block.exact(x)):
        # Halves may fall to either side: scales are of single precision.
        assert (got.int() - expected.int()).abs().max() <= 1
        assert (got != expected).float().mean() < 1e-3


@pytest.mark.numeric
def test_both_ways_to_compute_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net, shown = made(tile=(64, 96), hold=2), frames(5)
    found = net(shown, SHOWN)
    monkeypatch.setattr(integer, "has_native", lambda: False)
    assert torch.allclose(net(shown, SHOWN), found, rtol=0, atol=1e-5)


def test_full_range_is_seen_as_limited_range() -> None:
    net, limited = made(), frames(3).clamp(16, 235)
    height = SHOWN.height
    full = limited.double()
    full[:, :height] = (full[:, :height] - 16) * (255 / 219)
    full[:, height:] = 128 + (full[:, height:] - 128) * (255 / 224)
    found = net(full.round().clamp(0, 255).to(torch.uint8), FrameFormat(96, 64, full_range=True))
    expected = net(limited, SHOWN)
    assert torch.allclose(found, expected, rtol=0.02, atol=0.02)


def test_beyond_a_tile_there_is_grey() -> None:
    net = made(tile=(64, 96))
    grey = torch.full((2, *SHOWN.shape), 128, dtype=torch.uint8)
    seen = net.tiles(grey[1:], grey[:1], SHOWN)
    assert seen.shape == (1, 18, 26, 40)
    assert bool((seen == 128).all())


def test_a_change_of_luma_that_leaves_the_byte_is_as_large_as_can_be() -> None:
    net = made()
    dark, bright = (
        torch.zeros(1, *SHOWN.shape, dtype=torch.uint8),
        torch.full((1, *SHOWN.shape), 255, dtype=torch.uint8),
    )
    assert net.tiles(bright, dark, SHOWN)[0, 1, 1, 24:].tolist() == [255] * 16
    assert net.tiles(dark, bright, SHOWN)[0, 1, 1, 24:].tolist() == [0] * 16
    assert net.tiles(dark + 7, dark, SHOWN)[0, 1, 1, 24:].tolist() == [135] * 16


def test_it_is_said_which_arithmetic_it_has() -> None:
    with pytest.raises(ValueError, match="no arithmetic of a network of integers: bf16"):
        made().lower("bf16")


def test_cells_are_those_of_floating_point() -> None:
    """Bytes less the grey, in steps of a code, are what :class:`LiteBackbone` sees."""
    shown = frames(2)
    seen = made(tile=(64, 96)).tiles(shown[1:], shown[:1], SHOWN)[:, 1:-1, 1:-1].double()
    exact = LiteBackbone(tile=(64, 96)).tiles(shown[1:], shown[:1], SHOWN).double()
    assert torch.allclose((seen[..., :16] - 125.5) / 109.5, exact[..., :16], atol=1e-6)
    assert torch.allclose((seen[..., 16:24] - 128) / 112, exact[..., 16:24], atol=1e-6)
    small = (seen[..., 24:] - 128).abs() < 127
    assert torch.allclose(((seen[..., 24:] - 128) * 4 / 109.5)[small], exact[..., 24:][small], atol=1e-6)
