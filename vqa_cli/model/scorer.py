"""The streaming scorer: frames in, clip score out, for every model of the VSFA family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vqa_cli.errors import InputError, ModelError
from vqa_cli.model.pooling import effective_tau, pool_clip
from vqa_cli.model.vsfa import VsfaHead, stream_scores
from vqa_cli.types import ClipScore, FeatureSink, FrameFormat, ModelIdentity

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pixels of luma that go through the backbone at once on a CPU: beyond this the maps leave the cache and nothing is won.
_CPU_BATCH_PX = 4 * 960 * 540
_GPU_BATCH_PX = 24 * 1920 * 1080


@dataclass(frozen=True, slots=True)
class Calibration:
    """From the network's pooled number to published scores.

    ``raw`` = sigmoid(slope * sigmoid(x) + shift) for MDTVSFA (``bound`` set), x itself otherwise; the score is
    ``raw * gain + offset``, and each of ``others`` is a (gain, offset) of a further scale.
    Source: D. Li, T. Jiang, M. Jiang, "Unified Quality Assessment of In-the-Wild Videos with Mixed Datasets Training",
    IJCV 2021, sec. 3.3 (relative quality, nonlinear mapping, dataset-specific alignment).
    """

    gain: float = 1.0
    offset: float = 0.0
    bound: tuple[float, float] | None = None
    others: tuple[tuple[str, float, float], ...] = ()

    def raw(self, pooled: Tensor) -> Tensor:
        if self.bound is None:
            return pooled
        slope, shift = self.bound
        return torch.sigmoid(slope * torch.sigmoid(pooled) + shift)


class StreamingScorer:
    """Implements :class:`vqa_cli.types.Scorer` for a backbone with a VSFA head.

    Args:
        backbone: folded module; ``backbone(frames, frame_format)`` gives (n, dim) float32.
        batch_size: frames per forward pass, or ``"auto"`` by picture size.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: VsfaHead,
        calibration: Calibration,
        identity: ModelIdentity,
        *,
        device: torch.device,
        tau: int,
        beta: float,
        batch_size: int | Literal["auto"] = "auto",
    ) -> None:
        self._backbone = backbone
        self._head = head
        self._calibration = calibration
        self._identity = identity
        self._device = device
        self._tau = tau
        self._beta = beta
        self._batch_size = batch_size
        self._cap: int | None = None

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
        """See :class:`vqa_cli.types.Scorer`."""
        state: Tensor | None = None
        scores: list[Tensor] = []
        for chunk in frames:
            for features in self._features(chunk, frame_format):
                if sink is not None:
                    sink.append(features.cpu().numpy().astype(np.float16))
                part, state = stream_scores(self._head, features, state)
                scores.append(part)
        return self._pool(scores, every)

    def score_features(self, features: NDArray[np.float16], *, every: int = 1) -> ClipScore:
        """See :class:`vqa_cli.types.Scorer`."""
        values = torch.from_numpy(features.astype(np.float32)).to(self._device)
        scores, _ = stream_scores(self._head, values, None)
        return self._pool([scores], every)

    def _features(self, chunk: NDArray[np.uint8], frame_format: FrameFormat) -> Iterator[Tensor]:
        frames = torch.from_numpy(np.ascontiguousarray(chunk))
        start = 0
        while start < len(frames):
            size = self._batch(frame_format)
            try:
                with torch.inference_mode():
                    batch = frames[start : start + size].to(self._device, non_blocking=True)
                    features = self._backbone(batch, frame_format)
            except torch.cuda.OutOfMemoryError as err:
                if size == 1:
                    raise ModelError("GPU memory does not hold one frame", hint="use --device cpu") from err
                torch.cuda.empty_cache()
                self._cap = size // 2
                continue
            start += size
            yield features

    def _batch(self, frame_format: FrameFormat) -> int:
        if self._batch_size != "auto":
            size = self._batch_size
        else:
            budget = _CPU_BATCH_PX if self._device.type == "cpu" else _GPU_BATCH_PX
            size = max(1, budget // (frame_format.width * frame_format.height))
        return size if self._cap is None else min(size, self._cap)

    def _pool(self, parts: list[Tensor], every: int) -> ClipScore:
        if not parts:
            raise InputError("no frame to score")
        with torch.inference_mode():
            q = torch.cat(parts).double().cpu()
            if not torch.isfinite(q).all():
                bad = int((~torch.isfinite(q)).nonzero()[0, 0])
                raise ModelError(f"the model gave a score that is no number: frame {bad}", hint="try --precision fp32")
            pooled = pool_clip(q, tau=effective_tau(self._tau, every), beta=self._beta)
            raw = float(self._calibration.raw(pooled))
            per_frame = self._calibration.raw(q).numpy()
        c = self._calibration
        return ClipScore(
            score=raw * c.gain + c.offset,
            raw=raw,
            frame_scores=per_frame * c.gain + c.offset,
            model=self._identity,
            others={name: raw * gain + offset for name, gain, offset in c.others},
        )


def prepare_backbone(backbone: Any, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Fold, convert and move a backbone for inference."""
    module: nn.Module = backbone.fold()
    return module.to(device=device, dtype=dtype).eval().requires_grad_(False)
