"""How far VMAF may lie from a score: intervals by conformal prediction over groups of footage. Pure.

Rungs of one source err alike, so a group counts once however many rungs it has, and a new clip is a new group.

Source: Y. Lee, R. F. Barber, R. Willett, "Distribution-free inference with hierarchical data", arXiv:2306.06342, sec. 3:
hierarchical conformal prediction.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.lite.agreement import Rung

Errors = dict[str, "np.ndarray[tuple[int], np.dtype[np.float64]]"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-width, and how often it held on groups that were left out of its making, each group counted once."""

    half_width: float
    coverage: float
    groups: int


def level_errors(rungs: Sequence[Rung]) -> Errors:
    """Distance of score and VMAF of the rungs of clean sources, by group."""
    found: dict[str, list[float]] = defaultdict(list)
    for rung in rungs:
        if rung.clean:
            found[rung.group].append(abs(rung.score - rung.vmaf))
    return {group: np.array(errors) for group, errors in found.items()}


def difference_errors(rungs: Sequence[Rung]) -> Errors:
    """Distance of what score and VMAF say of the difference of every two rungs of a source, by group."""
    found: dict[str, list[float]] = defaultdict(list)
    sources: dict[str, list[Rung]] = defaultdict(list)
    for rung in rungs:
        sources[rung.source].append(rung)
    for own in sources.values():
        bias = [rung.score - rung.vmaf for rung in own]
        found[own[0].group] += [abs(one - other) for one, other in itertools.combinations(bias, 2)]
    return {group: np.array(errors) for group, errors in found.items()}


def half_width(errors: Errors, level: float) -> float:
    """The least width that holds for a new group with the chance ``level``; infinite where there are too few groups."""
    values = np.concatenate(list(errors.values()))
    weights = np.concatenate([np.full(len(own), 1 / ((len(errors) + 1) * len(own))) for own in errors.values()])
    order = np.argsort(values)
    enough = np.cumsum(weights[order]) >= level - 1e-9
    return float(values[order][np.argmax(enough)]) if enough.any() else math.inf


def interval(errors: Errors, level: float) -> Interval:
    """Width from all groups; coverage with each group left out in turn."""
    held = []
    for group, own in errors.items():
        width = half_width({name: rest for name, rest in errors.items() if name != group}, level)
        held.append(float(np.mean(own <= width)))
    return Interval(half_width(errors, level), float(np.mean(held)), len(errors))
