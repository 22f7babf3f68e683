"""What every backbone is, so that none of the code around it asks which one it has."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from vqa_cli.model.device import DTYPES
from vqa_cli.values import FrameFormat


class Backbone(nn.Module):
    """Frames to features; subclasses say what differs.

    Attributes:
        dim: features per frame.
        looks_back: how many frames before the first one :meth:`forward` is shown; before a clip's first frame that is the
            first frame itself.
        arithmetic: the only one that it has; ``None`` where that is chosen.
        cpu_batch_px: pixels that go through at once on a CPU: beyond this the maps leave the cache and nothing is won.
    """

    dim: int
    looks_back = 0
    arithmetic: str | None = None
    cpu_batch_px = 4 * 960 * 540

    def forward(self, frames: Tensor, frame_format: FrameFormat, first: int = 0) -> Tensor:
        """(looks_back + n, *frame_format.shape) uint8 -> (n, dim) float32; ``first`` is the first one's number in its clip."""
        raise NotImplementedError

    def together(self, frame_format: FrameFormat) -> int:
        """Of so many frames one frame's worth is computed; a batch begins at a multiple of it, from the clip's first frame on."""
        return 1

    def fold(self) -> Self:
        """Bring the network to the shape in which it is fastest, for inference."""
        return self

    def lower(self, precision: str) -> None:
        """Bring the folded network to an arithmetic of :data:`vqa_cli.model.device.DTYPES`."""
        self.to(DTYPES[precision])
