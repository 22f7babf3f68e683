"""Remembered rungs: what was written comes back, and what is damaged is measured again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vqa_cli.document import EncodeResult
from vqa_cli.store.rungs import Measured, Rungs

MEASURED = Measured(
    encode=EncodeResult(
        bitrate_kbps=800, peak_kbps=900, video_bytes=1, file_bytes=2, frames=60, duration_s=2, wall_s=1, cpu_s=1, fps=60,
        sha256="0" * 64, simd="avx2",
    ),
    fidelity={},
)  # fmt: skip
KEY = "ab" * 32


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    psnr = np.linspace(30, 40, 60)
    Rungs(tmp_path).store(KEY, MEASURED, {"psnr": psnr})
    found = Rungs(tmp_path).load(KEY)
    assert found is not None and found[0] == MEASURED
    assert np.array_equal(found[1]["psnr"], psnr)


@pytest.mark.parametrize("name", ["frames.npz", "measured.json"])
@pytest.mark.parametrize("fault", ["cut", "empty", "garbled"])
def test_a_damaged_entry_is_a_miss(tmp_path: Path, name: str, fault: str) -> None:
    cache = Rungs(tmp_path)
    cache.store(KEY, MEASURED, {"psnr": np.random.default_rng(0).normal(size=60)})
    (file,) = tmp_path.rglob(name)
    data, middle = file.read_bytes(), file.stat().st_size // 2
    damaged = {"cut": data[:middle], "empty": b"", "garbled": data[: middle - 50] + bytes(100) + data[middle + 50 :]}
    file.write_bytes(damaged[fault])
    assert cache.load(KEY) is None
    assert cache.usage().entries == 0


@pytest.mark.parametrize("values", [[30.0, np.nan], []])
def test_frames_without_a_number_are_a_miss(tmp_path: Path, values: list[float]) -> None:
    cache = Rungs(tmp_path)
    cache.store(KEY, MEASURED, {"psnr": np.array(values)})
    assert cache.load(KEY) is None
