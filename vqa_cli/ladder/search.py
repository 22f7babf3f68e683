"""Finds the highest CRF whose quality still reaches a target, in few encodes: interpolation inside a shrinking bracket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_TRIES = 12


@dataclass(frozen=True, slots=True)
class Trial:
    """One encode that was measured."""

    crf: float
    quality: float
    kbps: float


@dataclass(frozen=True, slots=True)
class Found:
    """The answer.

    Attributes:
        best: the highest CRF that reaches the target, ``None`` when even the lowest does not.
        nearest: the trial nearest below the target otherwise.
        trials: everything that was tried, in order.
    """

    best: Trial | None
    nearest: Trial
    trials: tuple[Trial, ...]


def search_crf(
    measure: Callable[[float], Trial], target: float, *, low: float, high: float, step: float = 1.0
) -> Iterator[Found]:
    """Yield the state after each encode; the last one is the answer.

    Quality is taken to fall with CRF. The bracket holds a CRF that reaches the target and one that does not; the next
    one tried is where a line through both meets the target, kept at least one step inside.

    Args:
        measure: encodes at a CRF and measures it.
        low, high: best and worst CRF allowed, multiples of ``step`` apart.
    """
    trials: list[Trial] = []

    def attempt(crf: float) -> Found:
        trials.append(measure(crf))
        return conclude(trials, target)

    yield attempt(_snap((low + high) / 2, low, step))
    while (crf := next_crf(trials, target, low=low, high=high, step=step)) is not None and len(trials) < MAX_TRIES:
        yield attempt(crf)


def conclude(trials: list[Trial], target: float) -> Found:
    """What is known so far."""
    reached = [trial for trial in trials if trial.quality >= target]
    best = max(reached, key=lambda trial: trial.crf, default=None)
    nearest = max(trials, key=lambda trial: trial.quality) if best is None else best
    return Found(best, nearest, tuple(trials))


def next_crf(trials: list[Trial], target: float, *, low: float, high: float, step: float) -> float | None:
    """The CRF to try next, ``None`` when the answer is known."""
    reached = [trial for trial in trials if trial.quality >= target]
    missed = [trial for trial in trials if trial.quality < target]
    good = max(reached, key=lambda trial: trial.crf, default=None)
    bad = min((t for t in missed if good is None or t.crf > good.crf), key=lambda trial: trial.crf, default=None)
    if good is None:
        return low if bad is not None and bad.crf > low else None
    if bad is None:
        return high if good.crf < high else None
    if bad.crf - good.crf <= step + 1e-9:
        return None
    share = (good.quality - target) / (good.quality - bad.quality)
    guess = _snap(good.crf + share * (bad.crf - good.crf), low, step)
    return min(max(guess, good.crf + step), bad.crf - step)


def _snap(crf: float, low: float, step: float) -> float:
    return low + round((crf - low) / step) * step
