"""From a measured ladder to the one to ship. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.between import between
from vqa_cli.analysis.curves import (
    Point,
    codec_name,
    default_metric,
    mixed_modes,
    points,
    refuse_doubled_names,
    refuse_undecided,
)
from vqa_cli.analysis.hull import Crossover, crossovers, envelope, rate_at, undominated
from vqa_cli.analysis.ladders import Binding, Choice, Ladder
from vqa_cli.analysis.limits import default_audience, limits_of, scale_of
from vqa_cli.analysis.wasted import Wasted, wasted_of
from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.errors import UsageError
from vqa_cli.settings import Constraints


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The ladder for one source and codec, lowest rung first.

    Attributes:
        codec: encoder and speed, or ``"all codecs"``.
        chosen: rungs to ship; those that are not ``measured`` lie between measured CRFs.
        hull: all measured rungs on the hull of those within the limits on single rungs.
        wasted: dominated rungs with what beats them.
        crossovers: where the hull changes size.
        saves_kbps, saves_cpu_s: bitrate and encoder time of the wasted rungs: what dropping them saves.
        expected: mean quality that viewers get, where what is beyond the ceiling does not count.
        audience: the throughput of viewers, as text.
        above_source: rungs to ship at more bitrate than the source itself has.
        bindings: limits without which viewers would get more.
        notes: what else there is to know.
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
    expected: float
    audience: str
    above_source: tuple[Point, ...]
    bindings: tuple[Binding, ...]
    notes: tuple[str, ...]


ALL_CODECS = "all codecs"


def recommend(
    run: Run,
    constraints: Constraints,
    metric: str | None = None,
    *,
    across: bool = False,
    audience: Audience | None = None,
) -> list[Recommendation]:
    """One recommendation per source and codec (encoder and speed), or ``across`` all codecs one per source.

    It is the ladder from which viewers expect the most quality: see :mod:`vqa_cli.analysis.optimum`.

    Args:
        audience: throughputs of viewers; each title's own rates where nobody knows them.

    Raises:
        UsageError: the run did not measure the metric.
        InputError: two sources of one name.
    """
    wanted = chosen_metric(run, constraints, metric)
    found = []
    for source in run.sources:
        every = points(source, wanted)
        for codec in [ALL_CODECS] if across else dict.fromkeys(codec_name(rung) for rung in source.rungs):
            pairs = [pair for pair in every if across or pair[1].codec == codec]
            if pairs:
                choice = choose(run, source, pairs, constraints, wanted, audience)
                found.append(_one(source, codec, wanted, pairs, choice))
    return found


def chosen_metric(run: Run, constraints: Constraints, metric: str | None) -> str:
    """The metric that decides.

    Raises:
        UsageError: the run did not measure it.
        InputError: two sources of one name.
    """
    refuse_doubled_names(run)
    wanted = metric or constraints.metric or default_metric(run)
    refuse_undecided(wanted)
    if wanted != "model" and wanted not in run.metrics:
        raise UsageError(f"the run did not measure {wanted}; it has {', '.join(run.metrics) or 'the model alone'}")
    return wanted


def choose(
    run: Run,
    source: SourceResult,
    pairs: Sequence[tuple[RungResult, Point]],
    constraints: Constraints,
    metric: str,
    audience: Audience | None,
) -> Choice:
    """Everything that decides the ladder of one source and codec, whose rungs ``pairs`` are."""
    measured = [point for _, point in pairs]
    scale = scale_of(run, metric)
    curves = between(measured)
    return Choice(
        points=[*measured, *curves] if constraints.interpolate else measured,
        audience=audience or default_audience([*measured, *curves], scale),
        scale=scale,
        limits=limits_of(constraints, scale),
        duration_s=source.source.duration_s,
        deltas={r.id: r.score.delta_to_source for r, _ in pairs if r.score and r.score.delta_to_source is not None},
    )


def _one(
    source: SourceResult, codec: str, metric: str, pairs: Sequence[tuple[RungResult, Point]], choice: Choice
) -> Recommendation:
    every = [point for _, point in pairs]
    ladder = choice.best()
    allowed = [p for p in choice.allowed() if p.measured]
    hull = envelope(allowed)
    wasted = wasted_of(allowed)
    own = source.source.video_bitrate_kbps
    dropped = [p for p in allowed if p.rung in {item.rung for item in wasted}]
    return Recommendation(
        source.source.name, codec, metric, ladder.rungs, tuple(hull), tuple(wasted), tuple(crossovers(hull, every)),
        sum(p.kbps for p in dropped), sum(p.cpu_s for p in dropped), ladder.expected, choice.audience.text,
        tuple(p for p in ladder.rungs if p.kbps > own > 0), ladder.bindings, tuple(_notes(every, allowed, ladder, choice)),
    )  # fmt: skip


def _notes(every: Sequence[Point], allowed: Sequence[Point], ladder: Ladder, choice: Choice) -> Iterator[str]:
    if len(allowed) < len(every):
        yield f"{len(every) - len(allowed)} of {len(every)} rungs are outside the limits on single rungs"
    if mixed := mixed_modes(allowed):
        yield mixed
    if (near := choice.limits.asked.max_delta_to_source) is not None and not choice.deltas:
        yield f"max_delta_to_source {near:g} does not apply: no rung has a score beside its source's"
    ceiling, usual = choice.limits.ceiling, choice.limits.rules.max_ratio
    if ladder.rungs and ceiling is not None:
        top = ladder.rungs[-1]
        if top.quality >= ceiling:
            yield f"ends at {top.rung}: the cheapest that reaches {ceiling:g}"
        elif all(p.quality < ceiling for p in choice.points):
            yield f"no rung that was encoded reaches {ceiling:g}"
        elif (seen := choice.scale.seen) and ceiling - top.quality > seen.noticeable / 2:
            reached = rate_at(undominated(choice.points), ceiling)
            yield f"ends at {top.quality:.2f}: {ceiling:g} is reached from about {reached:.0f} kb/s on"
    if ladder.max_ratio > usual:
        cost = f"with {usual:g} so few rungs would cost viewers {ladder.widening:.2f}"
        yield f"max_ratio is {ladder.max_ratio:.3g} here: {cost}"
