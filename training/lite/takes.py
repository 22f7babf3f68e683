"""Takes as they lie on disk: one array of frames a take, and one line of labels."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.lite.recipes import Recipe
from vqa_cli.errors import InputError, first_line
from vqa_cli.values import FrameFormat, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 12
WINDOW = Size(352, 192)
WINDOW_FORMAT = FrameFormat(WINDOW.width, WINDOW.height)
_REFERENCE_VMAF = 100.0


@dataclass(frozen=True)
class Take:
    """All versions of one take.

    Attributes:
        clean: see :class:`~training.lite.material.LiteSource`.
        recipes: one per version.
        labels: per metric, for each version its value in each frame (VMAF and VMAF NEG 0..100, PSNR in dB, SSIM 0..1).
    """

    key: str
    group: str
    split: str
    kind: str
    clean: bool
    recipes: tuple[Recipe, ...]
    labels: dict[str, list[tuple[float, ...]]]

    @cached_property
    def vmaf(self) -> NDArray[np.float32]:
        """(versions + 1, FRAMES) in 0..1; the last row is the reference itself."""
        rows = [*self.labels["vmaf"], (_REFERENCE_VMAF,) * FRAMES]
        return (np.array(rows) / 100).astype(np.float32)

    def frames(self, folder: Path) -> NDArray[np.uint8]:
        """(versions + 1, FRAMES, height * 3 // 2, width) planar yuv420p, memory-mapped; the last is the reference."""
        frames: NDArray[np.uint8] = np.load(frames_path(folder, self.key), mmap_mode="r")
        return frames


def frames_path(folder: Path, key: str) -> Path:
    """Where the frames of a take are."""
    return folder / "frames" / f"{key}.npy"


def append_take(folder: Path, take: Take) -> None:
    """Add a line to the labels."""
    with (folder / "labels.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(take)) + "\n")


def read_takes(folder: Path, split: str | None = None) -> list[Take]:
    """Everything labelled so far, or one side of the split.

    Raises:
        InputError: the folder holds no labels, or a line of them is damaged.
    """
    path = folder / "labels.jsonl"
    if not path.exists():
        raise InputError(f"no labels: {path}", hint="make them with `python -m training.lite make-data`")
    takes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            recipes = tuple(Recipe(**{**recipe, "speed": tuple(recipe["speed"])}) for recipe in row["recipes"])
            takes.append(Take(**{**row, "recipes": recipes}))
        except (ValueError, KeyError, TypeError) as err:
            raise InputError(
                f"damaged label: line {number} of {path}",
                detail=first_line(err),
                hint="delete the line; make-data makes its take again",
            ) from err
    return sorted((take for take in takes if split in (None, take.split)), key=lambda take: take.key)
