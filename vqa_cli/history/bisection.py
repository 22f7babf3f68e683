"""Finding the first bad revision: which to try next, and when enough was measured to call one good or bad. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal

Verdict = Literal["good", "bad", "skip"]
# Chance of calling a good revision bad, and a bad one good.
_ERROR = 0.01
# What two encodes of one build may differ by without meaning anything, in percent.
FLOOR_PERCENT = 0.02
# Ends that differ by less than this many standard errors, or percent, do not differ.
_STANDARD_ERRORS = 4.0
LEAST_PERCENT = 0.1


@dataclass(frozen=True, slots=True)
class Ends:
    """What the good and the bad end measured, in percent against the good one's first run; ``sigma`` is one value's scatter."""

    good: float
    bad: float
    sigma: float

    @classmethod
    def of(cls, good: Sequence[float], bad: Sequence[float]) -> Ends:
        """From the values of their repeats."""
        spreads = [stdev(values) for values in (good, bad) if len(values) > 1]
        pooled = math.sqrt(mean(spread**2 for spread in spreads)) if spreads else 0.0
        return cls(mean(good), mean(bad), max(pooled, FLOOR_PERCENT))

    @property
    def change(self) -> float:
        return self.bad - self.good

    def differ(self, repeats: int) -> bool:
        """Whether the ends can be told apart, each measured so many times."""
        error = self.sigma * math.sqrt(2 / repeats)
        return abs(self.change) >= max(LEAST_PERCENT, _STANDARD_ERRORS * error)


def decide(values: Sequence[float], ends: Ends) -> Literal["good", "bad"] | None:
    """Whether a revision is like the good end or like the bad one; ``None`` while more must be measured.

    Wald's sequential probability ratio test between two normal means, 1 % for either error: values far on one side of the
    middle decide at once, values near it take more. Source: A. Wald, "Sequential Tests of Statistical Hypotheses", 1945.
    """
    middle = (ends.good + ends.bad) / 2
    ratio = ends.change / ends.sigma**2 * sum(value - middle for value in values)
    limit = math.log((1 - _ERROR) / _ERROR)
    return "bad" if ratio >= limit else "good" if ratio <= -limit else None


@dataclass(frozen=True, slots=True)
class Found:
    """How far the search is.

    Attributes:
        good, bad: numbers of the last revision that is known to be good and of the first that is known to be bad.
        next: the one to try, ``None`` when there is none left.
    """

    good: int
    bad: int
    next: int | None

    @property
    def suspects(self) -> range:
        """Numbers of the revisions of which one is the first bad one."""
        return range(self.good + 1, self.bad + 1)


def search(count: int, verdicts: Mapping[int, Verdict]) -> Found:
    """Where to go on among ``count`` revisions from the good end to the bad one.

    Of those that cannot be judged the neighbours are tried, nearest to the middle first.
    """
    good = max((n for n, verdict in verdicts.items() if verdict == "good"), default=0)
    bad = min((n for n, verdict in verdicts.items() if verdict == "bad" and n > good), default=count - 1)
    middle = (good + bad) / 2
    left = [n for n in range(good + 1, bad) if verdicts.get(n) is None]
    return Found(good, bad, min(left, key=lambda n: abs(n - middle), default=None))
