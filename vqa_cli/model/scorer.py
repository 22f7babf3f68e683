"""The streaming scorer: frames in, clip score out, for every model of the VSFA family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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
        self._memory_px: int | None = None

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
        for batch in rebatch(frames, lambda: self._batch(frame_format)):
            features = self._features(torch.from_numpy(batch), frame_format)
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

    def _features(self, frames: Tensor, frame_format: FrameFormat) -> Tensor:
        """Features of one batch; halves it, and every later one, when the GPU's memory does not hold it."""
        try:
            with torch.inference_mode():
                features: Tensor = self._backbone(frames.to(self._device, non_blocking=True), frame_format)
                return features
        except torch.cuda.OutOfMemoryError as err:
            if len(frames) == 1:
                raise ModelError("GPU memory does not hold one frame", hint="use --device cpu") from err
        torch.cuda.empty_cache()
        half = len(frames) // 2
        self._memory_px = half * frame_format.width * frame_format.height
        return torch.cat([self._features(part, frame_format) for part in (frames[:half], frames[half:])])

    def _batch(self, frame_format: FrameFormat) -> int:
        pixels = frame_format.width * frame_format.height
        if self._batch_size != "auto":
            size = self._batch_size
        else:
            budget = _CPU_BATCH_PX if self._device.type == "cpu" else _GPU_BATCH_PX
            size = max(1, budget // pixels)
        return size if self._memory_px is None else max(1, min(size, self._memory_px // pixels))

    def _pool(self, parts: list[Tensor], every: int) -> ClipScore:
        if not parts:
            raise InputError("no frame to score")
        with torch.inference_mode():
            q = torch.cat(parts).double().cpu()
            if not torch.isfinite(q).all():
                bad = int((~torch.isfinite(q)).nonzero()[0, 0])
                raise ModelError(f"the model gave a score that is no number: frame {bad}", hint="try --precision fp32")
            tau = effective_tau(self._tau, every)
            pooled = pool_clip(q, tau=tau, beta=self._beta)
            c = self._calibration
            raw = c.raw(pooled)
            score, per_frame = float(c.score(raw)), c.score(c.raw(q)).numpy()
        return ClipScore(
            score=score,
            raw=float(raw),
            frame_scores=per_frame,
            model=replace(self._identity, pooling=describe_pooling(tau, self._beta, every)),
            others={name: float(raw) * gain + offset for name, gain, offset in c.others},
        )


def _within(raw: Tensor, knee: float) -> Tensor:
    """Identity in the middle, tanh towards 0 and 1 in the outer ``knee``: strictly rising, so no rank changes."""
    if knee == 0:
        return raw
    low = knee + knee * torch.tanh((raw - knee) / knee)
    high = 1 - knee + knee * torch.tanh((raw - 1 + knee) / knee)
    return torch.where(raw < knee, low, torch.where(raw > 1 - knee, high, raw))


def describe_pooling(tau: int, beta: float, every: int = 1) -> str:
    """Name and parameters of the pooling, as results record it; ``tau`` counts the frames that are scored."""
    sampled = f" at 1 in {every}" if every > 1 else ""
    return f"temporal hysteresis, tau {tau} frames{sampled}, beta {beta:g}"


def rebatch(chunks: Iterable[NDArray[np.uint8]], size: Callable[[], int]) -> Iterator[NDArray[np.uint8]]:
    """The same frames in batches of ``size()``, asked anew for each; the last one may be smaller.

    Chunks as they come from a pipe are sized for the pipe; a GPU wants more at once, memory may want less.
    """
    waiting: list[NDArray[np.uint8]] = []
    count = 0
    for chunk in chunks:
        if not len(chunk):
            continue
        waiting.append(chunk)
        count += len(chunk)
        while count >= (wanted := size()):
            joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            yield np.ascontiguousarray(joined[:wanted])
            count -= wanted
            waiting = [joined[wanted:]] if count else []
    if count:
        yield np.ascontiguousarray(np.concatenate(waiting))


def prepare_backbone(backbone: Any, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Fold, convert and move a backbone for inference."""
    module: nn.Module = backbone.fold()
    return module.to(device=device, dtype=dtype).eval().requires_grad_(False)
