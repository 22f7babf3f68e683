"""The streaming scorer: frames in, clip score out, for every model of the VSFA family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vqa_cli.errors import InputError, ModelError
from vqa_cli.identity import ModelIdentity
from vqa_cli.model.extractor import FeatureExtractor
from vqa_cli.model.heads import Head, HeadStream
from vqa_cli.model.pooling import BETA, TAU_FRAMES, Pooling, effective_tau, pool_clip
from vqa_cli.values import ClipScore, FeatureSink, FrameFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.model.order import ScorerOrder

# Cached features that are widened to float32 at once: memory stays flat in the length of the clip.
_FEATURE_FRAMES = 4096


@dataclass(frozen=True, slots=True)
class Calibration:
    """From the network's pooled number to published scores.

    ``raw`` = sigmoid(slope * sigmoid(x) + shift) for MDTVSFA (``bound`` set), x itself otherwise; the score is
    ``raw * gain + offset``, and each of ``others`` is a (gain, offset) of a further scale.
    Source: D. Li, T. Jiang, M. Jiang, "Unified Quality Assessment of In-the-Wild Videos with Mixed Datasets Training",
    IJCV 2021, sec. 3.3 (relative quality, nonlinear mapping, dataset-specific alignment).

    ``knee`` keeps an unbounded network within its scale: between ``knee`` and ``1 - knee`` the raw number stays as it is.
    """

    gain: float = 1.0
    offset: float = 0.0
    bound: tuple[float, float] | None = None
    others: tuple[tuple[str, float, float], ...] = ()
    knee: float = 0.0

    def score(self, raw: Tensor) -> Tensor:
        """``raw`` on the published scale; with a knee, a raw number beyond 0..1 approaches the scale's ends smoothly."""
        return _within(raw, self.knee) * self.gain + self.offset

    def raw(self, pooled: Tensor) -> Tensor:
        if self.bound is None:
            return pooled
        slope, shift = self.bound
        return torch.sigmoid(slope * torch.sigmoid(pooled) + shift)


@dataclass(frozen=True, slots=True)
class TemporalPooling:
    """How frame scores become one number; ``tau`` in frames of the unsampled clip, ``beta`` the weight of the present."""

    tau: int = TAU_FRAMES
    beta: float = BETA
    kind: Pooling = "hysteresis"

    def describe(self, every: int = 1) -> str:
        """Name and parameters as results record them; the window counts the frames that are scored."""
        sampled = f" at 1 in {every}" if every > 1 else ""
        if self.kind == "mean":
            return f"mean{sampled}"
        name = "temporal hysteresis" if self.kind == "hysteresis" else "temporal hysteresis (the paper's windows)"
        return f"{name}, tau {effective_tau(self.tau, every)} frames{sampled}, beta {self.beta:g}"

    def __call__(self, scores: Tensor, every: int = 1) -> Tensor:
        """Frame scores, shape (frames,), of each ``every``-th frame -> ()."""
        return pool_clip(scores, tau=effective_tau(self.tau, every), beta=self.beta, pooling=self.kind)


class StreamingScorer:
    """Implements :class:`vqa_cli.values.Scorer` for a backbone with a head.

    Attributes:
        order: how the same is loaded elsewhere; ``None`` where it was put together by hand.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        head: Head,
        calibration: Calibration,
        identity: ModelIdentity,
        *,
        device: torch.device,
        pooling: TemporalPooling | None = None,
        order: ScorerOrder | None = None,
    ) -> None:
        self.extractor = extractor
        self._head = head
        self._calibration = calibration
        self._identity = identity
        self._device = device
        self._pooling = pooling or TemporalPooling()
        self.order = order

    @property
    def identity(self) -> ModelIdentity:
        return self._identity

    def score(
        self,
        frames: Iterable[NDArray[np.uint8]] | Iterator[NDArray[np.uint8]],
        frame_format: FrameFormat,
        *,
        every: int = 1,
        sink: FeatureSink | None = None,
    ) -> ClipScore:
        """See :class:`vqa_cli.values.Scorer`."""
        if frame_format.layout != (wanted := self._identity.pixels.layout):
            raise InputError(f"{self._identity.name} is to be shown {wanted} frames, not {frame_format.layout}")
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
        return self._pool([torch.from_numpy(np.array(frame_outputs, dtype=np.float64))], every)

    def _pool(self, parts: list[Tensor], every: int) -> ClipScore:
        with torch.inference_mode():
            q = torch.cat([part.cpu().double() for part in parts])
            if not len(q):
                raise InputError("no frame to score")
            if not torch.isfinite(q).all():
                bad = int((~torch.isfinite(q)).nonzero()[0, 0])
                raise ModelError(f"the model gave a score that is no number: frame {bad}", hint="try --precision fp32")
            c = self._calibration
            raw = c.raw(self._pooling(q, every))
            score, per_frame = float(c.score(raw)), c.score(c.raw(q)).numpy()
        return ClipScore(
            score=score,
            raw=float(raw),
            frame_scores=per_frame,
            frame_outputs=q.numpy(),
            model=replace(self._identity, pooling=self._pooling.describe(every)),
            others={name: float(raw) * gain + offset for name, gain, offset in c.others},
        )


def _within(raw: Tensor, knee: float) -> Tensor:
    """Identity in the middle, tanh towards 0 and 1 in the outer ``knee``: strictly rising, so no rank changes."""
    if knee == 0:
        return raw
    low = knee + knee * torch.tanh((raw - knee) / knee)
    high = 1 - knee + knee * torch.tanh((raw - 1 + knee) / knee)
    return torch.where(raw < knee, low, torch.where(raw > 1 - knee, high, raw))
