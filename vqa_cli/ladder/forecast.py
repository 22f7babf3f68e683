"""How long a long source will take, told once, when its first rung is finished and there is still time to choose otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vqa_cli.events import RungDone

LONG_S = 600.0
_SAMPLES = 12
_SAMPLE_S = 4.0


@dataclass
class Forecast:
    """Watches the rungs of one source.

    Attributes:
        lasts_s: length of the source.
        work: cost of each rung, as :class:`vqa_cli.events.Planned` has it.
        shares: how far each rung is, 0..1.
    """

    lasts_s: float
    work: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    shares: dict[str, float] = field(default_factory=dict)
    _begun: float | None = None
    _silent: bool = False

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def told(self, event: RungDone) -> str | None:
        """A warning when the first rung is finished that had to be encoded; nothing where it was the only one.

        What comes from the cache costs nothing and says nothing.
        """
        if event.cached:
            self._forget(event.rung)
        if event.cached or event.reason or self._silent or len(self.work) < 2:
            return None
        self._silent = True
        self.shares[event.rung] = 1.0
        done = sum(self.work.get(rung, 0.0) * share for rung, share in self.shares.items())
        total = sum(self.work.values())
        if not done or self._begun is None:
            return None
        left_s = (self.clock() - self._begun) * (total / done - 1)
        return (
            f"lasts {in_words(self.lasts_s)}, and its rungs will take about {in_words(left_s)} more; "
            f"--samples {_SAMPLES} would measure {_SAMPLES * _SAMPLE_S:.0f} s that stand for all of it"
        )

    def _forget(self, rung: str) -> None:
        self.work = {name: cost for name, cost in self.work.items() if name != rung}
        self.shares.pop(rung, None)


def in_words(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
