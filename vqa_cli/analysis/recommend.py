"""From a measured ladder to the one to ship. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from vqa_cli.analysis.curves import Point, codec_name, default_metric, mixed_modes, points, refuse_doubled_names
from vqa_cli.analysis.hull import Crossover, convex_hull, crossovers
from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.errors import UsageError
from vqa_cli.settings import Constraints

_DEFAULT_RUNGS = 6


@dataclass(frozen=True, slots=True)
class Wasted:
    """A rung that another one beats: no better, and no cheaper."""

    rung: str
    beaten_by: str
    saves_kbps: float
    loses: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The ladder for one source and codec, lowest rung first.

    Attributes:
        codec: encoder and speed, or ``"all codecs"``.
        chosen: rungs to ship.
        hull: all rungs on the convex hull of those within the bitrate and time limits.
        wasted: dominated rungs with what beats them.
        crossovers: where the hull changes size.
        saves_kbps, saves_cpu_s: bitrate and encoder time of the wasted rungs: what dropping them saves.
        notes: what the constraints did.
    """

    source: str
    codec: str
    metric: str
    chosen: tuple[Point, ...]
    hull: tuple[Point, ...]
    wasted: tuple[Wasted, ...]
    crossovers: tuple[Crossover, ...]
    saves_kbps: float
    saves_cpu_s: float
    notes: tuple[str, ...]


ALL_CODECS = "all codecs"


def recommend(
    run: Run, constraints: Constraints, metric: str | None = None, *, across: bool = False
) -> list[Recommendation]:
    """One recommendation per source and codec (encoder and speed), or ``across`` all codecs one per source.

    Raises:
        UsageError: the run did not measure the metric.
        InputError: two sources of one name.
    """
    refuse_doubled_names(run)
    wanted = metric or constraints.metric or default_metric(run)
    if wanted != "model" and wanted not in run.metrics:
        raise UsageError(f"the run did not measure {wanted}; it has {', '.join(run.metrics) or 'the model alone'}")
    found = []
    for source in run.sources:
        every = points(source, wanted)
        for codec in [ALL_CODECS] if across else dict.fromkeys(codec_name(rung) for rung in source.rungs):
            pairs = [pair for pair in every if across or pair[1].codec == codec]
            if pairs:
                found.append(_one(source, codec, wanted, pairs, constraints))
    return found


def _one(
    source: SourceResult, codec: str, metric: str, pairs: list[tuple[RungResult, Point]], c: Constraints
) -> Recommendation:
    every = [point for _, point in pairs]
    notes: list[str] = []
    # The limits come before the hull: what only a forbidden rung beats is the best that may be shipped.
    allowed = [p for p in every if _allowed(p, source, c)]
    hull = convex_hull(allowed)
    if len(allowed) < len(every):
        notes.append(f"{len(every) - len(allowed)} of {len(every)} rungs are outside the bitrate or time limits")
    if mixed := mixed_modes(allowed):
        notes.append(mixed)
    usable = _until_top(hull, {point.rung: rung for rung, point in pairs}, c, notes)
    usable = _until_knee(usable, c, notes)
    usable = _spaced(usable, c.min_step)
    chosen = thin(usable, c.max_rungs or _DEFAULT_RUNGS)
    wasted = _wasted(allowed)
    dropped = [p for p in allowed if p.rung in {item.rung for item in wasted}]
    return Recommendation(
        source.source.name, codec, metric, tuple(chosen), tuple(hull), tuple(wasted),
        tuple(crossovers(hull, every)), sum(p.kbps for p in dropped), sum(p.cpu_s for p in dropped), tuple(notes),
    )  # fmt: skip


def _allowed(point: Point, source: SourceResult, c: Constraints) -> bool:
    duration = source.source.duration_s
    return (
        (c.min_kbps is None or point.kbps >= c.min_kbps)
        and (c.max_kbps is None or point.kbps <= c.max_kbps)
        and (c.max_encode_s_per_s is None or point.cpu_s <= c.max_encode_s_per_s * duration)
    )


def _until_top(usable: list[Point], rungs: dict[str, RungResult], c: Constraints, notes: list[str]) -> list[Point]:
    """Rungs up to the first that meets what is asked of the top: a quality, or nearness to the source."""
    if c.top_quality is None and c.max_delta_to_source is None:
        return usable
    for index, point in enumerate(usable):
        score = rungs[point.rung].score
        delta = score.delta_to_source if score else None
        good = c.top_quality is None or point.quality >= c.top_quality
        near = c.max_delta_to_source is None or (delta is not None and delta >= -c.max_delta_to_source)
        if good and near:
            return usable[: index + 1]
    notes.append("no rung reaches the quality asked for at the top")
    return usable


def _until_knee(usable: list[Point], c: Constraints, notes: list[str]) -> list[Point]:
    """End the ladder where one more point of quality costs more than the knee allows."""
    if c.knee_kbps_per_point is None:
        return usable
    for index, (a, b) in enumerate(itertools.pairwise(usable)):
        price = (b.kbps - a.kbps) / (b.quality - a.quality)
        if price > c.knee_kbps_per_point:
            notes.append(f"ends at {a.rung}: beyond it one point costs {price:.0f} kb/s")
            return usable[: index + 1]
    return usable


def _spaced(usable: list[Point], min_step: float | None) -> list[Point]:
    """Keep the top rung and, going down, only rungs at least ``min_step`` below the last kept."""
    if min_step is None or not usable:
        return usable
    kept = [usable[-1]]
    for point in reversed(usable[:-1]):
        if kept[-1].quality - point.quality >= min_step:
            kept.append(point)
    return kept[::-1]


def thin(usable: Sequence[Point], limit: int) -> list[Point]:
    """At most ``limit`` rungs: both ends, and between them those nearest to equal steps of quality."""
    if len(usable) <= limit:
        return list(usable)
    if limit == 1:
        return [usable[-1]]
    low, high = usable[0].quality, usable[-1].quality
    goals = [low + (high - low) * step / (limit - 1) for step in range(limit)]
    left = list(usable[1:-1])
    chosen = {usable[0].rung: usable[0], usable[-1].rung: usable[-1]}
    for goal in goals[1:-1]:
        nearest = min(left, key=lambda p: (abs(p.quality - goal), p.kbps), default=None)
        if nearest is not None:
            chosen[nearest.rung] = nearest
            left.remove(nearest)
    return sorted(chosen.values(), key=lambda p: p.kbps)


def _wasted(every: Sequence[Point]) -> list[Wasted]:
    """Rungs that another one beats, each with the cheapest that does; that one is beaten by none."""
    found = []
    for point in every:
        better = [other for other in every if _beats(other, point)]
        if better:
            best = min(better, key=lambda p: (p.kbps, -p.quality))
            found.append(Wasted(point.rung, best.rung, point.kbps - best.kbps, point.quality - best.quality))
    return found


def _beats(one: Point, other: Point) -> bool:
    """No dearer and at least as good, and one of them truly."""
    as_good = one.quality >= other.quality and one.kbps <= other.kbps
    return as_good and (one.quality, one.kbps) != (other.quality, other.kbps)
