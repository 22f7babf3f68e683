"""What a recommended ladder keeps to: constraints with the usual values filled in, and which rungs they leave. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vqa_cli.analysis.audience import Audience, LogUniform
from vqa_cli.analysis.curves import Point
from vqa_cli.analysis.hull import convex_hull, envelope, rate_at, undominated
from vqa_cli.analysis.optimum import Rules
from vqa_cli.document import Run
from vqa_cli.metrics import METRICS, Seen
from vqa_cli.settings import Constraints

_RUNGS = 6
# Apple, "HLS Authoring Specification for Apple Devices": "adjacent bit rates SHOULD be a factor of 1.5 to 2 apart"; practice
# takes a little more on both sides.
_MIN_RATIO, _MAX_RATIO = 1.4, 2.2
# Above twice the rate of an excellent picture nobody plays anything else.
_HEADROOM = 2.0
# Below this share of the scale no difference is worth a word.
_NOTHING = 0.002


@dataclass(frozen=True, slots=True)
class Scale:
    """The metric's scale, as far as a decision needs it.

    Attributes:
        floor: what viewers see for whom no rung fits.
        span: what a large difference is.
        seen: what its numbers are to viewers, where that is known.
    """

    floor: float
    span: float
    seen: Seen | None = None


def scale_of(run: Run, metric: str) -> Scale:
    """The scale of a metric that the run measured."""
    if metric == "model" and run.model is not None:
        scale = run.model.scale
        return Scale(scale.minimum, scale.maximum - scale.minimum)
    return metric_scale(metric)


def metric_scale(metric: str) -> Scale:
    """The scale of a full-reference metric."""
    row = METRICS[metric]
    return Scale(0.0, row.span, row.seen)


@dataclass(frozen=True, slots=True)
class Limits:
    """Constraints with the usual values filled in.

    Attributes:
        asked: what was asked for; the rest is in ``rules`` and ``ceiling``.
        ceiling: quality beyond which nothing is shipped.
        may_widen: whether rates may be farther apart than ``rules`` says where that serves viewers, as nobody asked for it.
    """

    asked: Constraints
    rules: Rules
    ceiling: float | None
    may_widen: bool


def limits_of(asked: Constraints, scale: Scale) -> Limits:
    """Fill in what was not asked for."""
    seen = scale.seen
    rules = Rules(
        rungs=asked.max_rungs or _RUNGS,
        min_step=_either(asked.min_step, seen.noticeable if seen else 0.0),
        min_ratio=_either(asked.min_ratio, _MIN_RATIO),
        max_ratio=_either(asked.max_ratio, _MAX_RATIO),
    )
    ceiling = asked.top_quality if asked.top_quality is not None else seen.excellent if seen else None
    return Limits(asked, rules, ceiling, asked.max_ratio is None)


def _either(asked: float | None, usual: float) -> float:
    return usual if asked is None else asked


def default_audience(points: Sequence[Point], scale: Scale) -> Audience:
    """Log-uniform over the rates at which a title is useful: from those of a poor picture to twice those of an excellent one.

    Where nothing is as poor or as excellent, the end of what there is stands for it. What a ladder must keep to changes no
    viewer.
    """
    front = undominated(points)
    low = rate_at(front, scale.seen.poor) if scale.seen else front[0].kbps
    high = rate_at(front, scale.seen.excellent) if scale.seen else front[-1].kbps
    return LogUniform(low, _HEADROOM * high)


def best_of(points: Sequence[Point], scale: Scale) -> Point:
    """The cheapest point that reaches what is excellent; where none does, the cheapest of those as good as the best."""
    most = max(p.quality for p in points)
    enough = min(most - _NOTHING * scale.span, scale.seen.excellent if scale.seen else most)
    return min((p for p in points if p.quality >= enough), key=lambda p: (p.kbps, -p.quality))


@dataclass(frozen=True, slots=True)
class Sieve:
    """One limit on single rungs: its name, and what it leaves of candidates by rising rate."""

    name: str
    leaves: Callable[[Sequence[Point]], list[Point]]


def sieves(limits: Limits, duration_s: float, deltas: Mapping[str, float]) -> list[Sieve]:
    """The limits on single rungs that were asked for, in the order in which they apply.

    Args:
        deltas: by rung, how far the model puts it from the source.
    """
    asked = limits.asked
    lowest, highest, cpu = asked.min_kbps, asked.max_kbps, asked.max_encode_s_per_s
    found = []
    if lowest is not None:
        found.append(Sieve(f"min_kbps {lowest:g}", lambda points: [p for p in points if p.kbps >= lowest]))
    if highest is not None:
        found.append(Sieve(f"max_kbps {highest:g}", lambda points: [p for p in points if p.kbps <= highest]))
    if cpu is not None:
        budget = cpu * duration_s
        found.append(Sieve(f"max_encode_s_per_s {cpu:g}", lambda points: [p for p in points if p.cpu_s <= budget]))
    if (near := asked.max_delta_to_source) is not None:
        found.append(Sieve(f"max_delta_to_source {near:g}", lambda points: _until_near(points, deltas, near)))
    if (knee := asked.knee_kbps_per_point) is not None:
        found.append(Sieve(f"knee_kbps_per_point {knee:g}", lambda points: _until_knee(points, knee)))
    return found


def _until_near(points: Sequence[Point], deltas: Mapping[str, float], near: float) -> list[Point]:
    """Up to the first rung of the hull that comes as near to the source as that."""
    hull = envelope([p for p in points if p.measured])
    return _up_to(points, next((p for p in hull if deltas.get(p.rung, -near - 1) >= -near), None))


def _until_knee(points: Sequence[Point], knee: float) -> list[Point]:
    """Up to where one more point of quality costs more than that on the hull."""
    for a, b in itertools.pairwise(convex_hull(points)):
        if (b.kbps - a.kbps) / (b.quality - a.quality) > knee:
            return _up_to(points, a)
    return list(points)


def under_ceiling(points: Sequence[Point], ceiling: float) -> list[Point]:
    """Up to the cheapest that reaches the ceiling; what it has beyond that counts for nothing."""
    first = next((p for p in sorted(points, key=lambda p: p.kbps) if p.quality >= ceiling), None)
    return [at_most(p, ceiling) for p in _up_to(points, first)]


def at_most(point: Point, ceiling: float) -> Point:
    """The point without the quality that it has beyond the ceiling."""
    return point if point.quality <= ceiling else replace(point, quality=ceiling)


def _up_to(points: Sequence[Point], last: Point | None) -> list[Point]:
    return [p for p in points if last is None or p.kbps <= last.kbps]
