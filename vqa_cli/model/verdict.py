"""From a head's own numbers to a clip's score: temporal pooling and scales. Pure NumPy, so what is remembered needs no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError, ModelError
from vqa_cli.identity import ModelIdentity
from vqa_cli.model.temporal import TemporalPooling
from vqa_cli.values import ClipScore

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Frames = NDArray[np.float64]


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

    def score(self, raw: ArrayLike) -> Frames:
        """``raw`` on the published scale; with a knee, a raw number beyond 0..1 approaches the scale's ends smoothly."""
        return _within(np.asarray(raw, np.float64), self.knee) * self.gain + self.offset

    def raw(self, pooled: ArrayLike) -> Frames:
        """The network's number on the model's raw scale, any shape."""
        x = np.asarray(pooled, np.float64)
        if self.bound is None:
            return x
        slope, shift = self.bound
        return _sigmoid(slope * _sigmoid(x) + shift)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What makes one model's verdicts of frame outputs."""

    identity: ModelIdentity
    calibration: Calibration
    pooling: TemporalPooling

    def of(self, outputs: Frames, every: int = 1) -> ClipScore:
        """The verdict on a clip from the head's numbers, shape (frames,), for each ``every``-th frame.

        Raises:
            InputError: there is no frame.
            ModelError: one of them, or the score, is no number.
        """
        if not len(outputs):
            raise InputError("no frame to score")
        if not np.isfinite(outputs).all():
            raise _no_number(f"frame {int(np.flatnonzero(~np.isfinite(outputs))[0])}")
        c = self.calibration
        raw = float(c.raw(self.pooling(outputs, every)))
        score = float(c.score(raw))
        if not np.isfinite(score):
            raise _no_number("the clip's")
        return ClipScore(
            score=score,
            raw=raw,
            frame_scores=c.score(c.raw(outputs)),
            frame_outputs=outputs,
            model=replace(self.identity, pooling=self.pooling.describe(every)),
            others={name: raw * gain + offset for name, gain, offset in c.others},
        )


def _no_number(whose: str) -> ModelError:
    return ModelError(f"the model gave a score that is no number: {whose}", hint="try --precision fp32")


def _sigmoid(x: Frames) -> Frames:
    return 0.5 * (1 + np.tanh(x / 2))


def _within(raw: Frames, knee: float) -> Frames:
    """Identity in the middle, tanh towards 0 and 1 in the outer ``knee``: strictly rising, so no rank changes."""
    if knee == 0:
        return raw
    low = knee + knee * np.tanh((raw - knee) / knee)
    high = 1 - knee + knee * np.tanh((raw - 1 + knee) / knee)
    return np.where(raw < knee, low, np.where(raw > 1 - knee, high, raw))
