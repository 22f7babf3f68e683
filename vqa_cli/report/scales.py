"""Scales and ticks of the charts. ``templates/chart.js`` has the same, and a test draws both. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_STEPS = ((7.0710678, 10), (3.1622777, 5), (1.4142136, 2))  # geometric means of 1, 2, 5, 10
# Within less than this ratio 1, 2 and 5 leave too few ticks on a log axis.
_NARROW = 4.0
_WIDE = 1000.0
_NARROW_SPACE = "\u202f"
_MINUS = "\u2212"


def tick_step(low: float, high: float, count: int) -> float:
    """1, 2 or 5 times a power of ten, so that about ``count`` steps make the range."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    return power * next((step for limit, step in _STEPS if raw / power >= limit), 1)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of the tick step within the range."""
    step = tick_step(low, high, count)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def nice(low: float, high: float, count: int) -> tuple[float, float]:
    """The range widened to whole tick steps."""
    if not low < high:
        margin = abs(low) * 0.01 or 1.0
        low, high = low - margin, high + margin
    step = tick_step(low, high, count)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def rate_ticks(low: float, high: float) -> list[float]:
    """1-2-5 values for a log axis; of more than three decades the powers alone, of a narrow range even steps."""
    if high / low < _NARROW:
        return ticks(low, high, 4)
    steps = (1.0, 2.0, 5.0) if high / low < _WIDE else (1.0,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [value for power in powers for step in steps if low <= (value := step * 10.0**power) <= high]


def tick_text(value: float, step: float) -> str:
    """As many decimals as the step needs, thousands apart by narrow spaces."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}".replace(",", _NARROW_SPACE).replace("-", _MINUS)


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value in ``low``..``high`` to a place in ``start``..``end``."""

    low: float
    high: float
    start: float
    end: float
    transform: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        low, high = self.transform(self.low), self.transform(self.high)
        return self.start + (self.transform(value) - low) / (high - low) * (self.end - self.start)
