"""The best ladder of one title and codec under its limits, and which of these cost viewers something. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.limits import Limits, Scale, Sieve, at_most, sieves, under_ceiling
from vqa_cli.analysis.optimum import Gains, Rules, Worth, affordable_ladder, expected, gains_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Below this share of the scale a gain is not worth a word, nor a rung that nobody measured, nor rates far apart.
_LITTLE = 0.0005
# The share that wider steps of the rate must gain before they are taken.
_WIDEN = 0.005
_WIDER = 1.05


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit that the answer runs into; ``gain`` is what viewers would get without it, or with one rung more."""

    limit: str
    gain: float

    def text(self, gain: str) -> str:
        """The sentence to people, with the gain as they read it."""
        without = (
            "one more rung would gain viewers" if self.limit.startswith("max_rungs") else "without it viewers gain"
        )
        return f"{self.limit} binds: {without} {gain}"


@dataclass(frozen=True, slots=True)
class Ladder:
    """The best ladder.

    Attributes:
        rungs: by rising rate; none where the limits leave nothing.
        expected: mean quality that viewers get.
        bindings: limits that cost something, those without which there would be a ladder where there is none.
        max_ratio: how far rates may be apart in it.
        widening: what viewers gain because that is more than usual.
    """

    rungs: tuple[Point, ...]
    expected: float
    bindings: tuple[Binding, ...]
    max_ratio: float
    widening: float = 0.0


@dataclass(frozen=True, slots=True)
class _Field:
    """Candidates by rising rate, of which ``gains``, ``unmeasured`` and ``cpu_s`` tell those up to the ceiling."""

    points: Sequence[Point]
    gains: Gains
    unmeasured: NDArray[np.bool_]
    cpu_s: NDArray[np.float64]
    _worths: dict[Rules, Worth] = field(default_factory=dict)

    def worth(self, rules: Rules) -> Worth:
        """What candidates add under these rules, worked out once: several prices are tried under the same."""
        if rules not in self._worths:
            self._worths[rules] = self.gains.under(rules)
        return self._worths[rules]


@dataclass(frozen=True)
class Choice:
    """Everything that decides a ladder; candidates in any order."""

    points: Sequence[Point]
    audience: Audience
    scale: Scale
    limits: Limits
    duration_s: float
    deltas: Mapping[str, float]

    def best(self) -> Ladder:
        """The answer with what binds it."""
        rules, rungs = self._widened()
        value = self.value(rungs)
        usual = self._usual()
        gain = value - self.value(self._solve(usual)) if rules.max_ratio > usual.max_ratio else 0.0
        return Ladder(tuple(rungs), value, tuple(self._bindings(rules, rungs, value)), rules.max_ratio, gain)

    def allowed(self, without: Sieve | None = None) -> list[Point]:
        """Candidates by rising rate that no limit on single rungs forbids, the ceiling apart."""
        points = sorted(self.points, key=lambda p: p.kbps)
        for sieve in self._sieves():
            if without is None or sieve.name != without.name:
                points = sieve.leaves(points)
        return points

    def _sieves(self) -> list[Sieve]:
        return sieves(self.limits, self.duration_s, self.deltas)

    def solved(self, price: float = _LITTLE) -> list[Point]:
        """The best ladder alone; a rung that was not measured must gain ``price`` times the scale."""
        _, rungs = self._widened(price)
        return rungs

    def _solve(self, rules: Rules, without: Sieve | None = None, price: float = _LITTLE) -> list[Point]:
        candidates = self._field if without is None else self._field_of(self.allowed(without))
        worth = candidates.worth(rules)
        if price:
            # Of two ladders that are as good the measured one is known to be.
            prices = price * self.scale.span * candidates.unmeasured
            worth = Worth(worth.first - prices, worth.added - prices[None, :])
        best = affordable_ladder(worth, rules.rungs, candidates.cpu_s, rules.cpu_s)
        return [candidates.points[j] for j in best.chosen] if best else []

    @cached_property
    def _field(self) -> _Field:
        """All candidates, which are judged under one rule after another."""
        return self._field_of(self.allowed())

    def _field_of(self, points: Sequence[Point]) -> _Field:
        ceiling = self.limits.ceiling
        judged = points if ceiling is None else under_ceiling(points, ceiling)
        gains = gains_of(judged, self.audience, self.scale.floor)
        unmeasured, cpu_s = np.array([not p.measured for p in judged]), np.array([p.cpu_s for p in judged])
        return _Field(points, gains, unmeasured, cpu_s)

    def value(self, rungs: Sequence[Point]) -> float:
        """What viewers get of rungs by rising rate, where what is beyond the ceiling does not count."""
        ceiling = self.limits.ceiling
        judged = rungs if ceiling is None else [at_most(p, ceiling) for p in rungs]
        return expected(judged, self.audience, self.scale.floor)

    def _widened(self, price: float = _LITTLE) -> tuple[Rules, list[Point]]:
        """The rules with the least steps of the rate with which few rungs can serve this title, and its best ladder."""
        rules = self._usual()
        rungs = self._solve(rules, price=price)
        if not self.limits.may_widen:
            return rules, rungs
        free = self.value(self._solve(replace(rules, max_ratio=np.inf), price=price))
        while self.value(rungs) < free - _WIDEN * self.scale.span:
            rules = replace(rules, max_ratio=rules.max_ratio * _WIDER)
            rungs = self._solve(rules, price=price)
        return rules, rungs

    def _usual(self) -> Rules:
        """The rules before any of them is loosened."""
        asked = self.limits.asked.max_ladder_s_per_s
        return self.limits.rules if asked is None else replace(self.limits.rules, cpu_s=asked * self.duration_s)

    def _bindings(self, rules: Rules, rungs: Sequence[Point], value: float) -> Iterator[Binding]:
        """Each limit without which viewers would get more."""
        others = {
            f"max_rungs {rules.rungs}": replace(rules, rungs=rules.rungs + 1),
            f"min_step {rules.min_step:g}": replace(rules, min_step=0.0),
            f"min_ratio {rules.min_ratio:g}": replace(rules, min_ratio=1.0),
            f"max_ratio {rules.max_ratio:.3g}": replace(rules, max_ratio=np.inf),
            "sizes that only grow": replace(rules, growing=False),
        }
        found = [(name, self._solve(other)) for name, other in others.items()] if rungs else []
        if (asked := self.limits.asked.max_ladder_s_per_s) is not None:
            found.append((f"max_ladder_s_per_s {asked:g}", self._solve(replace(rules, cpu_s=np.inf))))
        found += [(sieve.name, self._solve(rules, sieve)) for sieve in self._sieves()]
        for name, better in found:
            gain = self.value(better) - value
            if gain > _LITTLE * self.scale.span:
                yield Binding(name, gain)
