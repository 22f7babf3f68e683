"""What the page of two runs shows: the verdict, what changed, and per source what the change costs. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vqa_cli.analysis.changes import Change, changes
from vqa_cli.analysis.comparable import refuse_other_judging
from vqa_cli.analysis.compare import Comparison, between, run_curves, summarise
from vqa_cli.analysis.curves import all_metrics
from vqa_cli.analysis.digest import OUTCOMES, word
from vqa_cli.analysis.figures import Estimate, Pair, bd_estimate, drop_estimates, lines
from vqa_cli.analysis.gate import Check, Verdict, pairs
from vqa_cli.analysis.hull import HULL
from vqa_cli.document import Run, RungResult
from vqa_cli.errors import InputError
from vqa_cli.frametable import RunFrames
from vqa_cli.report.findings import price, rung_name
from vqa_cli.report.labels import MetricLabel
from vqa_cli.report.view import RungView, RunView, Series, TitleView, build_page
from vqa_cli.text import plural

BASELINE, CANDIDATE = "baseline", "candidate"
_EVEN_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A curve of the candidate against the baseline's. ``outcome`` is the gate's, empty where it did not ask."""

    name: str
    bd: Estimate
    cpu_ratio: float | None
    notes: tuple[str, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class RungRow:
    """A rung that both sides measured. ``losses`` at equal bitrate go by metric; positive is worse."""

    name: str
    base_kbps: float
    test_kbps: float
    quality: float | None
    losses: Mapping[str, Estimate]
    outcome: str
    rung: str = ""

    @property
    def rate_change(self) -> float:
        """In percent of the baseline's bitrate."""
        return 100 * (self.test_kbps / self.base_kbps - 1)


@dataclass(frozen=True, slots=True)
class SourceComparison:
    """One source: a chart for each encoder, and its figures. ``lonely`` tells of rungs that one side alone has."""

    key: str
    name: str
    sentences: tuple[str, ...]
    panels: tuple[TitleView, ...]
    curves: tuple[CurveRow, ...]
    rungs: tuple[RungRow, ...]
    lonely: str


@dataclass(frozen=True, slots=True)
class OpenFigure:
    """A figure of a source that did not pass ``count`` of ``of`` times; ``worst`` is the check that is furthest off."""

    outcome: str
    count: int
    of: int
    worst: Check


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """The whole page. ``open`` is what did not pass, the tables below have it one by one; ``sentences`` hold over all sources."""

    runs: tuple[RunView, ...]
    verdict: Verdict
    open: tuple[OpenFigure, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    changed: tuple[Change, ...]
    metrics: tuple[MetricLabel, ...]
    primary: MetricLabel
    sources: tuple[SourceComparison, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks had each outcome."""
        words = [word(check) for check in self.verdict.checks]
        return {name: words.count(name) for name in OUTCOMES if name in words}


def compare_runs(
    baseline: Run,
    candidate: Run,
    verdict: Verdict,
    metric: str,
    frames: tuple[RunFrames | None, RunFrames | None] = (None, None),
    names: tuple[str, str] = (BASELINE, CANDIDATE),
) -> ComparisonPage:
    """Arrange two runs that a gate has judged.

    Args:
        metric: what curves and sentences go by.
        names: what to call the documents.

    Raises:
        InputError: a source of the baseline is missing, or its name stands for several.
    """
    page = build_page([baseline, candidate], names, metric)
    titles = {title.entries[0].source.source.sha256: title for title in page.titles}
    known = {label.key: label for title in page.titles for label in title.metrics}
    metrics, dropped = _comparable(baseline, candidate, known)
    curves = _between(baseline, candidate, metric)
    sources = tuple(
        _source(pair, titles[pair.first[0].source.sha256], curves, verdict, [label.key for label in metrics], metric)
        for pair in pairs(baseline, candidate, frames)
    )
    return ComparisonPage(
        runs=tuple(replace(view, key=key) for view, key in zip(page.runs, (BASELINE, CANDIDATE), strict=True)),
        verdict=verdict,
        open=tuple(_open(verdict)),
        sentences=tuple(_overall(curves, known[metric])) if len(sources) > 1 else sources[0].sentences,
        notes=(*verdict.notes, *dropped),
        changed=tuple(changes(baseline, candidate)),
        metrics=metrics,
        primary=known[metric],
        sources=sources,
    )


def _open(verdict: Verdict) -> Iterator[OpenFigure]:
    of = Counter((check.source, check.figure) for check in verdict.checks)
    groups: dict[tuple[object, ...], list[Check]] = {}
    for check in verdict.checks:
        if word(check) != "pass":
            reason = check.note if check.value is None else ""
            groups.setdefault((check.source, check.figure, word(check), check.allowed, reason), []).append(check)
    for alike in sorted(groups.values(), key=lambda found: OUTCOMES.index(word(found[0]))):
        worst = max(alike, key=lambda check: -math.inf if check.value is None else check.value - check.limit)
        yield OpenFigure(word(worst), len(alike), of[worst.source, worst.figure], worst)


def _between(baseline: Run, candidate: Run, metric: str) -> list[Comparison]:
    try:
        return between(run_curves(baseline, metric), run_curves(candidate, metric), metric, "pchip")
    except InputError:  # no encoder and size in common: the checks say what is missing
        return []


def _comparable(
    baseline: Run, candidate: Run, known: Mapping[str, MetricLabel]
) -> tuple[tuple[MetricLabel, ...], tuple[str, ...]]:
    """Metrics that both sides measured in the same way, and why another one is left out."""
    kept, dropped = [], []
    for metric in all_metrics(baseline):
        if metric not in all_metrics(candidate):
            continue
        try:
            refuse_other_judging([metric], baseline, candidate)
        except InputError as err:
            dropped.append(f"{known[metric].name} is left out: {err.message}")
        else:
            kept.append(known[metric])
    return tuple(kept), tuple(dropped)


def _source(
    pair: Pair, title: TitleView, curves: Sequence[Comparison], verdict: Verdict, metrics: Sequence[str], metric: str
) -> SourceComparison:
    name = pair.first[0].source.name
    mine = [item for item in curves if item.source == name]
    checks = [check for check in verdict.checks if check.source == name]
    rungs = tuple(_rungs(pair, checks, metrics, metric))
    return SourceComparison(
        key=title.key,
        name=name,
        sentences=tuple(_sentences(mine, title.label(metric))),
        panels=tuple(_panels(title)),
        curves=tuple(_curves(pair, mine, checks, metric)),
        rungs=rungs,
        lonely=_lonely(pair, len(rungs)),
    )


def _panels(title: TitleView) -> Iterator[TitleView]:
    """A chart for each encoder; its speed is no second codec but part of what changed."""
    for number, encoder in enumerate(dict.fromkeys(view.rung.encoder for view in title.rungs)):
        views = [view for view in title.rungs if view.rung.encoder == encoder]
        # The candidate is drawn solid in the first colour, the baseline dashed and hollow in the second.
        spots = sorted({(view.entry.run_key, view.codec) for view in views}, reverse=True)
        numbers = {spot: index for index, spot in enumerate(spots)}
        hulls = {
            key: [line for line in found if (line.run_key, line.codec) in numbers]
            for key, found in title.findings.hulls.items()
        }
        yield replace(
            title,
            key=f"{title.key}e{number}",
            rungs=tuple(_named(view, numbers[view.entry.run_key, view.codec]) for view in views),
            series=tuple(Series(key, codec, f"{_side(key)}: {codec}") for key, codec in spots),
            findings=replace(title.findings, hulls=hulls, ladders=[]),
        )


def _named(view: RungView, series: int) -> RungView:
    side = _side(view.entry.run_key)
    return replace(
        view, name=f"{side}: {rung_name(view.rung)}", series=series, hollow=side == BASELINE, chosen=False, beaten_by=None
    )  # fmt: skip


def _side(run_key: str) -> str:
    return BASELINE if run_key == "A" else CANDIDATE


def _sentences(curves: Sequence[Comparison], label: MetricLabel) -> Iterator[str]:
    """One for each encoder: over all its sizes, or at the first size that has a BD-rate."""
    for encoder in dict.fromkeys(item.test.split(" ")[0] for item in curves):
        mine = [item for item in curves if item.test.split(" ")[0] == encoder]
        mine.sort(key=lambda item: (item.result.bd_rate is None, not item.test.endswith(HULL)))
        percent, notes = mine[0].result.bd_rate, mine[0].result.notes
        if percent is None:
            yield f"No BD-rate of {encoder}: {'; '.join(notes)}."
        else:
            yield f"{_saving(mine[0].anchor, mine[0].test, percent)} for the same {label.name}{price(mine[0].result.cpu_ratio)}."


def _overall(curves: Sequence[Comparison], label: MetricLabel) -> Iterator[str]:
    hulls = [item for item in curves if item.test.endswith(HULL)]
    for summary in summarise(hulls or curves):
        if summary.bd_rate is not None:
            told = f"{_saving(summary.anchor, summary.test, summary.bd_rate)} for the same {label.name}{price(summary.cpu_ratio)}"
            yield f"Over {plural(summary.sources, 'source')} {told}."


def _saving(anchor: str, test: str, percent: float) -> str:
    one, two = (name.removesuffix(f" {HULL}") for name in (anchor, test))
    against = "the baseline" if one == two else one
    if abs(percent) < _EVEN_PERCENT:
        return f"{two} needs about the same bitrate as {against}"
    return f"{two} needs {abs(percent):.0f} % {'less' if percent < 0 else 'more'} bitrate than {against}"


def _curves(pair: Pair, curves: Sequence[Comparison], checks: Sequence[Check], metric: str) -> Iterator[CurveRow]:
    """Sizes with the interval that windows of the clip give, hulls without one."""
    found = {line.subject: line for line in lines(pair, metric) if line.test is not None}
    outcomes = {check.subject: word(check) for check in checks if check.figure == f"{metric} BD-rate"}
    for item in curves:
        subject = f"{item.test.split(' ')[0]} {item.test.rsplit(' ', 1)[-1]}"
        line = None if item.test.endswith(HULL) else found.get(subject)
        estimate = bd_estimate(pair, line, metric)[0] if line else Estimate(item.result.bd_rate)
        yield CurveRow(
            item.test, estimate, item.result.cpu_ratio, item.result.notes, outcomes.get(subject, "") if line else ""
        )


def _rungs(pair: Pair, checks: Sequence[Check], metrics: Sequence[str], primary: str) -> Iterator[RungRow]:
    base, test = ({rung.id: rung for rung in side.rungs} for side in pair.first)
    losses: dict[str, dict[str, Estimate]] = {}
    for metric in metrics:
        for line in lines(pair, metric):
            for name, estimate in drop_estimates(pair, line, metric, "mean").items():
                losses.setdefault(name, {})[metric] = estimate
    for rung_id, rung in base.items():
        other = test.get(rung_id)
        if other is None or rung.encode is None or other.encode is None:
            continue
        mine = sorted((word(c) for c in checks if c.subject == rung_id), key=OUTCOMES.index)
        yield RungRow(
            _both_names(rung, other), rung.encode.bitrate_kbps, other.encode.bitrate_kbps, rung.quality(primary),
            losses.get(rung_id, {}), mine[0] if mine else "", rung_id,
        )  # fmt: skip


def _both_names(rung: RungResult, other: RungResult) -> str:
    """Without the speed where that is what changed."""
    if rung.encoder_preset == other.encoder_preset:
        return rung_name(rung)
    return rung_name(rung.model_copy(update={"encoder_preset": None}))


def _lonely(pair: Pair, paired: int) -> str:
    counts = [sum(rung.encode is not None for rung in side.rungs) - paired for side in pair.first]
    told = [
        f"{plural(count, 'rung')} of the {side}"
        for count, side in zip(counts, (BASELINE, CANDIDATE), strict=True)
        if count
    ]
    return f"{' and '.join(told)} have no counterpart." if told else ""
