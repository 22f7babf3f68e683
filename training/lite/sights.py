"""What the model sees of a ladder, in one array: one frame of three of every version, each with luma of the frame before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.lite.mill import FAULTS, Ladder, shown
from vqa_cli.files import replacing
from vqa_cli.values import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.media.process import Runner


def sights_path(data: Path, ladder: Ladder) -> Path:
    """Where the array of a ladder is."""
    return data / ladder.key / "sights.npy"


def seen_frames(count: int, hold: int) -> NDArray[np.int64]:
    """Which of ``count`` frames a model sees that holds each: see :meth:`vqa_cli.model.lite.LiteBackbone.forward`."""
    groups = np.arange(-(-count // hold))
    seen: NDArray[np.int64] = np.minimum(groups * hold + -groups % hold, count - 1)
    return seen


def write_sights(runner: Runner, ffmpeg: str, data: Path, ladder: Ladder, hold: int) -> None:
    """Decode a ladder: (versions, frames seen, height * 5 // 2, width) uint8.

    Versions are the encodes, the source, and the source with each fault; of each frame there is planar yuv420p, and under it
    the luma of the frame before.
    """
    folder, size = data / ladder.key, Size(ladder.width, ladder.height)
    files = [*(Path(encode.file).name for encode in ladder.encodes), "reference.mkv"]
    frames = shown(runner, ffmpeg, folder, files, size)
    versions = [*frames, *(fault(frames[-1], size.height) for fault in FAULTS.values())]
    at = seen_frames(frames.shape[1], hold)
    seen = [np.concatenate((v[at], v[np.maximum(at - 1, 0), : size.height]), axis=1) for v in versions]
    with replacing(sights_path(data, ladder)) as staged, staged.open("wb") as file:
        np.save(file, np.stack(seen))
