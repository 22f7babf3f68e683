"""The streaming scorer: frames in, clip score out, for every model of the VSFA family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vqa_cli.errors import InputError
from vqa_cli.identity import ModelIdentity
from vqa_cli.model.extractor import FeatureExtractor
from vqa_cli.model.heads import Head, HeadStream
from vqa_cli.model.verdict import Verdicts
from vqa_cli.values import ClipScore, FeatureSink, FrameFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.model.order import ScorerOrder

# Cached features that are widened to float32 at once: memory stays flat in the length of the clip.
_FEATURE_FRAMES = 4096


class StreamingScorer:
    """Implements :class:`vqa_cli.values.Scorer` for a backbone with a head.

    Attributes:
        order: how the same is loaded elsewhere; ``None`` where it was put together by hand.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        head: Head,
        verdicts: Verdicts,
        *,
        device: torch.device,
        order: ScorerOrder | None = None,
    ) -> None:
        self.extractor = extractor
        self._head = head
        self._verdicts = verdicts
        self._device = device
        self.order = order

    @property
    def identity(self) -> ModelIdentity:
        return self._verdicts.identity

    def expect(self) -> None:
        """See :class:`vqa_cli.values.Scorer`; everything is loaded."""

    def score(
        self,
        frames: Iterable[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]],
        frame_format: FrameFormat,
        *,
        every: int = 1,
        sink: FeatureSink | None = None,
    ) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        if frame_format.layout != (wanted := self.identity.pixels.layout):
            raise InputError(f"{self.identity.name} is to be shown {wanted} frames, not {frame_format.layout}")
        stream = HeadStream(self._head)
        scores: list[Tensor] = []
        for features in self.extractor.features(frames, frame_format):
            if sink is not None:
                sink.append(features.cpu().numpy().astype(np.float16))
            scores.append(stream.push(features))
        return self._pool([*scores, stream.end()], every)

    def score_features(self, features: NDArray[np.float16], *, every: int = 1) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        stream = HeadStream(self._head)
        scores: list[Tensor] = []
        for start in range(0, len(features), _FEATURE_FRAMES):
            part = torch.from_numpy(features[start : start + _FEATURE_FRAMES].astype(np.float32))
            scores.append(stream.push(part.to(self._device)))
        return self._pool([*scores, stream.end()], every)

    def pool(self, frame_outputs: NDArray[np.float64], *, every: int = 1) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        return self._verdicts.of(np.array(frame_outputs, dtype=np.float64), every)

    def _pool(self, parts: list[Tensor], every: int) -> ClipScore:
        with torch.inference_mode():
            outputs: NDArray[np.float64] = torch.cat([part.cpu().double() for part in parts]).numpy()
        return self._verdicts.of(outputs, every)
