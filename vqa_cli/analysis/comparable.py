"""Whether two runs measured the same thing in the same way. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vqa_cli.analysis.policy import Policy
from vqa_cli.document import Run, SourceResult
from vqa_cli.errors import InputError

# Of the whole; the rest is rounding.
_ALL = 0.9999
# What must be equal for two scores of a model to be comparable.
MODEL_FIELDS = ("name", "sha256", "precision", "pooling", "preprocessing")


def making_remarks(baseline: Run, candidate: Run) -> Iterator[str]:
    """Differences between the programs and CPUs that two runs were made with, which may be part of any difference."""
    one, two = baseline.environment, candidate.environment
    if one.ffmpeg_sha256 != two.ffmpeg_sha256:
        yield (
            f"measured by different ffmpeg builds ({one.ffmpeg_version} and {two.ffmpeg_version}): "
            "part of a difference may be the metric's"
        )
    if unlike := other_instructions(baseline, candidate):
        yield f"encoded with different CPU instructions ({unlike}): part of a difference may be theirs"


def other_instructions(baseline: Run, candidate: Run) -> str:
    """By which vector instructions each encoder of both runs worked in one and in the other; empty where by the same.

    Where they have no encoder in common, those of the CPUs.
    """
    used, theirs = _instructions(baseline), _instructions(candidate)
    if shared := [encoder for encoder in used if encoder in theirs]:
        return ", ".join(f"{e}: {used[e]} and {theirs[e]}" for e in shared if used[e] != theirs[e])
    one, two = baseline.environment.simd, candidate.environment.simd
    return f"{one} and {two}" if one != two else ""


def _instructions(run: Run) -> dict[str, str]:
    """Per encoder, ``avx2``, or ``avx2/avx512`` where the encodes came from several machines."""
    found: dict[str, set[str]] = {}
    for rung in (rung for source in run.sources for rung in source.rungs):
        if rung.encode is not None:
            found.setdefault(rung.encoder, set()).add(rung.encode.simd)
    return {encoder: "/".join(sorted(levels)) for encoder, levels in found.items()}


def refuse_unlike(baseline: Run, candidate: Run, policy: Policy) -> None:
    """Raise where two runs measured different things.

    Raises:
        InputError: different sources, sizes, ways of scaling, models or pooling, or a metric of the policy is missing.
    """
    for metric in policy.checked_metrics:
        for name, run in (("baseline", baseline), ("candidate", candidate)):
            if (metric != "model" and metric not in run.metrics) or (metric == "model" and run.model is None):
                raise InputError(f"the {name} did not measure {metric}")
    _refuse_missing_sources(baseline, candidate)
    refuse_other_judging(policy.checked_metrics, baseline, candidate)


def refuse_other_judging(metrics: Collection[str], baseline: Run, candidate: Run) -> None:
    """Raise where ``metrics`` came about in different ways.

    Raises:
        InputError: they were measured by different versions of vqa's arithmetic, sources were judged at different sizes,
            scaled or prepared differently, or the model's score is of different models or pooling.
    """
    old, new = baseline.environment.measurement, candidate.environment.measurement
    if old != new:
        raise InputError(
            f"the runs cannot be compared: measured by versions {old} and {new} of vqa's own arithmetic",
            hint="measure the older one again: `vqa ladder` with the same settings, then `vqa baseline save`",
        )
    if "model" in metrics and baseline.model and candidate.model:
        for field in MODEL_FIELDS:
            _same(f"model {field}", getattr(baseline.model, field), getattr(candidate.model, field))
    for one, two in in_both(baseline, candidate):
        sizes = [f"{s.display_width}x{s.display_height}" for s in (one, two)]
        if sizes[0] != sizes[1]:
            raise InputError(f"the runs cannot be compared: judged at {sizes[0]} and at {sizes[1]}")
        _same(f"preparation of {one.source.name}", preparation(one), preparation(two))
        _same(f"what was measured of {one.source.name}", _measured(one), _measured(two))
    _same("upscale", baseline.settings.upscale, candidate.settings.upscale)
    # Elsewhere it only makes small rungs, and is the candidate's to choose.
    if any(_shown_smaller(source) for pair in in_both(baseline, candidate) for source in pair):
        _same("downscale", baseline.settings.downscale, candidate.settings.downscale)


def in_both(baseline: Run, candidate: Run) -> Iterator[tuple[SourceResult, SourceResult]]:
    """The sources that two runs share, as the one and the other has them."""
    theirs = {source.source.sha256: source for source in candidate.sources if source.source.sha256}
    for source in baseline.sources:
        if (other := theirs.get(source.source.sha256)) is not None:
            yield source, other


def preparation(source: SourceResult) -> str:
    """What was done to a source before anything else; that counts, not what the settings would have done to another."""
    return "; ".join(source.source.preparation) or "nothing"


def _measured(source: SourceResult) -> str:
    """Segments are all of it, wherever they begin."""
    info = source.source
    parts = [f"{part.duration_s:.2f} s from {part.start_s:.2f} s" for part in info.measured]
    return ", ".join(parts) if parts and info.duration_s < info.whole_s * _ALL else "all of it"


def _shown_smaller(source: SourceResult) -> bool:
    """Whether judging brings the source or one of its rungs down to the display."""
    sides = [min(source.source.width, source.source.height), *(min(rung.width, rung.height) for rung in source.rungs)]
    return max(sides) > min(source.display_width, source.display_height)


def _refuse_missing_sources(baseline: Run, candidate: Run) -> None:
    found = {source.source.sha256 for source, _ in in_both(baseline, candidate)}
    for source in baseline.sources:
        if source.source.sha256 not in found:
            raise InputError(f"the runs cannot be compared: the candidate lacks source {source.source.name}")


def _same(what: str, one: object, two: object) -> None:
    if one != two:
        raise InputError(f"the runs cannot be compared: {what} is {one} in one and {two} in the other")


def remarks(baseline: Run, candidate: Run, policy: Policy) -> Iterator[str]:
    """Differences that do not forbid a comparison, but that its reader must know."""
    one, two = baseline.environment, candidate.environment
    yield from making_remarks(baseline, candidate)
    timed = policy.max_encode_time is not None or any(o.max_encode_time is not None for o in policy.sources.values())
    if timed and one.cpu != two.cpu:
        yield f"encode times come from different machines: {one.cpu} and {two.cpu}"
    known = {source.source.sha256 for source in baseline.sources}
    new = [source.source.name for source in candidate.sources if source.source.sha256 not in known]
    if new:
        yield f"not in the baseline and not judged: {', '.join(new)}"
