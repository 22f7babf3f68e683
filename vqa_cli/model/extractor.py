"""From frames to features: any backbone, fed in batches that fit the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from vqa_cli.model.backbone import Backbone
from vqa_cli.model.device import FULL_FP32, is_out_of_memory, short_of_memory
from vqa_cli.values import FrameFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GPU_BATCH_PX = 24 * 1920 * 1080


class FeatureExtractor:
    """Features of a stream of frames.

    Args:
        backbone: folded, see :func:`prepare_backbone`.
        batch_size: frames per forward pass, or ``"auto"`` by picture size.
    """

    def __init__(self, backbone: Backbone, device: torch.device, batch_size: int | Literal["auto"] = "auto") -> None:
        self._backbone = backbone
        self._device = device
        self._batch_size = batch_size
        self._memory_px: int | None = None

    def features(self, frames: Iterable[NDArray[np.uint8]], frame_format: FrameFormat) -> Iterator[Tensor]:
        """Features in batches of shape (n, dim), on the device.

        Raises:
            ModelError: memory does not hold one frame.
        """
        first = 0
        room = _reused() if self._device.type == "cpu" else self._empty
        for batch in rebatch(frames, lambda: self._batch(frame_format), self._backbone.looks_back, room):
            yield self._forward(batch, frame_format, first)
            first += len(batch) - self._backbone.looks_back

    def _forward(self, frames: Tensor, frame_format: FrameFormat, first: int) -> Tensor:
        """Features of one batch; halves it, and every later one, when memory does not hold it."""
        try:
            with torch.inference_mode(), FULL_FP32:
                features: Tensor = self._backbone(frames.to(self._device, non_blocking=True), frame_format, first)
                return features
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            if len(frames) - self._backbone.looks_back <= self._backbone.together(frame_format):
                raise short_of_memory(f"one frame of {frame_format.width}x{frame_format.height}", self._device) from err
        torch.cuda.empty_cache()
        half = self._whole((len(frames) - self._backbone.looks_back) // 2, frame_format)
        self._memory_px = half * frame_format.width * frame_format.height
        one, other = frames[: half + self._backbone.looks_back], frames[half:]
        return torch.cat((self._forward(one, frame_format, first), self._forward(other, frame_format, first + half)))

    def _empty(self, shape: Sequence[int]) -> Tensor:
        """Room for a batch, for a GPU page-locked, so that the copy of one batch and the filling of the next run beside
        the work on the one before; torch gives such memory out again only when its copy has ended.
        """
        return torch.empty(tuple(shape), dtype=torch.uint8, pin_memory=self._device.type == "cuda")

    def _batch(self, frame_format: FrameFormat) -> int:
        pixels = frame_format.width * frame_format.height
        if self._batch_size != "auto":
            size = self._batch_size
        else:
            budget = self._backbone.cpu_batch_px if self._device.type == "cpu" else _GPU_BATCH_PX
            size = max(1, budget * self._backbone.together(frame_format) // pixels)
        return self._whole(size if self._memory_px is None else min(size, self._memory_px // pixels), frame_format)

    def _whole(self, frames: int, frame_format: FrameFormat) -> int:
        """So many frames, or what is computed together at least, without a part of that."""
        together = self._backbone.together(frame_format)
        return max(1, frames // together) * together


def _reused() -> Callable[[Sequence[int]], Tensor]:
    """The same room for each batch, which is done with when the next one comes: memory that is touched first costs most."""
    rooms: list[Tensor] = []

    def room(shape: Sequence[int]) -> Tensor:
        if not rooms or rooms[0].shape != tuple(shape):
            rooms[:] = [torch.empty(tuple(shape), dtype=torch.uint8)]
        return rooms[0]

    return room


def rebatch(
    chunks: Iterable[NDArray[np.uint8]],
    size: Callable[[], int],
    looks_back: int,
    empty: Callable[[Sequence[int]], Tensor],
) -> Iterator[Tensor]:
    """The same frames in batches of ``size()``, asked anew for each; the last one may be smaller.

    Chunks as they come from a pipe are sized for the pipe; a GPU wants more at once, memory may want less.

    Args:
        looks_back: 1 where a batch begins with the frame before it; before the first frame that is the first frame itself.
        empty: makes room for frames of a shape.
    """
    batch: Tensor | None = None
    end, before = 0, None
    for chunk in chunks:
        rest = chunk
        while len(rest):
            if batch is None:
                batch, end = empty((looks_back + size(), *rest.shape[1:])), looks_back
                batch.numpy()[:end] = rest[:1] if before is None else before
            count = min(len(batch) - end, len(rest))
            batch.numpy()[end : end + count] = rest[:count]
            rest, end = rest[count:], end + count
            if end == len(batch):
                before = batch.numpy()[end - 1 :].copy()
                yield batch
                batch = None
    if batch is not None:
        yield batch[:end]


def prepare_backbone(backbone: Backbone, device: torch.device, precision: str) -> Backbone:
    """Fold, convert and move a backbone for inference."""
    module = backbone.fold().requires_grad_(False)
    module.lower(precision)
    return module.to(device).eval()
