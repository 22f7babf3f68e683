"""What the page shows, computed from run documents: plain values, no markup. Pure."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vqa_cli.analysis.curves import all_metrics, codec_name
from vqa_cli.document import EncodeResult, ModelScore, Pooled, Run, RungResult
from vqa_cli.errors import UsageError
from vqa_cli.report.comparability import differences
from vqa_cli.report.findings import Entry, Findings, find, rung_name
from vqa_cli.report.labels import MetricLabel, metric_label, show_argv

POOLINGS = ("mean", "harmonic_mean", "p10", "p5", "p1", "min")


@dataclass(frozen=True, slots=True)
class RungView:
    """One row of the table and one point of the charts.

    ``key`` is unique on the page and safe as an HTML id. ``quality`` holds a value per metric and pooling.
    ``inverted`` names the metrics in which a cheaper rung of the same curve is better.
    """

    key: str
    entry: Entry
    rung: RungResult
    name: str
    codec: str
    size: str
    quality: Mapping[str, Mapping[str, float | None]]
    pooled: Mapping[str, Pooled]
    speed: float | None
    chosen: bool
    on_hull: bool
    beaten_by: str | None
    inverted: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]

    @property
    def encode(self) -> EncodeResult | None:
        return self.rung.encode

    @property
    def score(self) -> ModelScore | None:
        return self.rung.score


@dataclass(frozen=True, slots=True)
class TitleView:
    """One source over all runs that measured it. ``codecs``, ``sizes``, ``run_keys`` are the values to filter by."""

    key: str
    entries: tuple[Entry, ...]
    metrics: tuple[MetricLabel, ...]
    codecs: tuple[str, ...]
    sizes: tuple[str, ...]
    run_keys: tuple[str, ...]
    rungs: tuple[RungView, ...]
    findings: Findings
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.entries[0].source.source.name

    @property
    def measured(self) -> int:
        return sum(view.rung.status == "ok" for view in self.rungs)

    @property
    def primary(self) -> MetricLabel:
        return self.label(self.findings.metric)

    @property
    def source_scores(self) -> list[tuple[str, ModelScore]]:
        """The source's own score, named; once where all runs agree."""
        known = [(e.prefix + "source itself", e.source.score) for e in self.entries if e.source.score is not None]
        agree = len({score.score for _, score in known}) == 1
        return [("source itself", known[0][1])] if agree else known

    def label(self, metric: str) -> MetricLabel:
        return next(label for label in self.metrics if label.key == metric)

    @property
    def best(self) -> RungView | None:
        """The rung of the highest quality in the primary metric."""
        known = [
            (q, view) for view in self.rungs if (q := view.quality.get(self.primary.key, {}).get("mean")) is not None
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run document; ``key`` is ``"A"``, ``"B"``, …"""

    key: str
    label: str
    run: Run


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page."""

    runs: tuple[RunView, ...]
    titles: tuple[TitleView, ...]
    warnings: tuple[str, ...]


def build_page(runs: Sequence[Run], labels: Sequence[str] | None = None, metric: str | None = None) -> Page:
    """Arrange run documents for the page; the same source in several runs becomes one title.

    Args:
        labels: what to call each run, e.g. its file; default is preset and time.
        metric: what the headline and the recommendation go by.

    Raises:
        UsageError: no run or too many, or none of them measured ``metric``.
    """
    _check(runs, metric)
    names = labels or [f"{run.settings.name}, {run.created[:16].replace('T', ' ')}" for run in runs]
    views = tuple(RunView(key, name, run) for key, name, run in zip(string.ascii_uppercase, names, runs, strict=False))
    titles = tuple(
        _title(f"t{index}", entries, metric if _has(entries, metric) else None)
        for index, entries in enumerate(_group(views))
    )
    prefixed = len(views) > 1
    own = (f"{view.key}: {text}" if prefixed else text for view in views for text in view.run.warnings)
    return Page(views, titles, (*differences([(v.key, v.run) for v in views]), *own))


def _check(runs: Sequence[Run], metric: str | None) -> None:
    if not runs or len(runs) > len(string.ascii_uppercase):
        raise UsageError(f"a report shows 1 to {len(string.ascii_uppercase)} runs, not {len(runs)}")
    known = dict.fromkeys(name for run in runs for name in all_metrics(run))
    if metric is not None and metric not in known:
        raise UsageError(f"no run measured {metric}", hint=f"measured: {', '.join(known) or 'nothing'}")


def _has(entries: tuple[Entry, ...], metric: str | None) -> bool:
    return any(metric in all_metrics(entry.run) for entry in entries)


def _group(views: Sequence[RunView]) -> Iterator[tuple[Entry, ...]]:
    """Entries of the same content: by hash, the n-th of a run with the n-th of the others.

    Runs are told apart only where a source has several, so that runs of one clip each read like one run of many.
    """
    groups: dict[tuple[str, int], list[Entry]] = {}
    for view in views:
        seen: dict[str, int] = defaultdict(int)
        for source in view.run.sources:
            identity = source.source.sha256 or source.source.name
            groups.setdefault((identity, seen[identity]), []).append(Entry(view.key, f"{view.key}: ", view.run, source))
            seen[identity] += 1
    for group in groups.values():
        yield tuple(group) if len(group) > 1 else (replace(group[0], prefix=""),)


def _title(key: str, entries: tuple[Entry, ...], metric: str | None) -> TitleView:
    labels = {
        name: metric_label(name, entry.run.model)
        for entry in reversed(entries)
        for name in reversed(all_metrics(entry.run))
    }
    ordered = dict(reversed(labels.items()))
    findings = find(entries, ordered, metric)
    rungs = tuple(_rungs(key, entries, findings, ordered))
    return TitleView(
        key=key,
        entries=entries,
        metrics=tuple(ordered.values()),
        codecs=tuple(dict.fromkeys(view.codec for view in rungs)),
        sizes=tuple(sorted(dict.fromkeys(view.size for view in rungs), key=lambda size: -int(size[:-1]))),
        run_keys=tuple(dict.fromkeys(entry.run_key for entry in entries)),
        rungs=rungs,
        findings=findings,
        warnings=tuple(_title_warnings(entries, findings, ordered)),
    )


def _rungs(
    title: str, entries: Sequence[Entry], findings: Findings, labels: Mapping[str, MetricLabel]
) -> Iterator[RungView]:
    hull = set(findings.hulls.get(findings.metric, ()))
    for entry in entries:
        for number, rung in enumerate(entry.source.rungs):
            spot = entry.run_key, rung.id
            yield RungView(
                key=f"{title}{entry.run_key}{number}",
                entry=entry,
                rung=rung,
                name=entry.prefix + rung_name(rung),
                codec=codec_name(rung),
                size=f"{min(rung.width, rung.height)}p",
                quality={m: {p: rung.quality(m, p) for p in POOLINGS} for m in labels if rung.quality(m) is not None},
                pooled=_pooled(rung),
                speed=_speed(rung, entry),
                chosen=spot in findings.chosen,
                on_hull=spot in hull,
                beaten_by=_beaten_by(entry, findings.beaten.get(spot)),
                inverted=tuple(m for m in labels if (*spot, m) in findings.inverted),
                commands=tuple(_commands(entry, rung)),
            )


def _pooled(rung: RungResult) -> dict[str, Pooled]:
    model = {"model": rung.score.series.pooled} if rung.score else {}
    return model | {metric: series.pooled for metric, series in rung.fidelity.items()}


def _speed(rung: RungResult, entry: Entry) -> float | None:
    """Seconds of video encoded in a second of wall time."""
    if rung.encode is None or rung.encode.wall_s <= 0:
        return None
    return entry.source.source.duration_s / rung.encode.wall_s


def _beaten_by(entry: Entry, rung_id: str | None) -> str | None:
    return None if rung_id is None else rung_name(entry.rung(rung_id))


def _commands(entry: Entry, rung: RungResult) -> Iterator[tuple[str, str]]:
    if entry.source.source.prepare_argv:
        yield "prepare the source", show_argv(entry.source.source.prepare_argv, "prepared")
    for number, argv in enumerate(rung.encode_argv, 1):
        name = "encode" if len(rung.encode_argv) == 1 else f"encode, pass {number}"
        yield name, show_argv(argv, rung.id)
    if rung.measure_argv:
        yield "decode and measure", show_argv(rung.measure_argv, rung.id)


def _title_warnings(entries: Sequence[Entry], findings: Findings, labels: Mapping[str, MetricLabel]) -> Iterator[str]:
    for entry in entries:
        source = entry.source
        if source.status != "ok" and source.reason:
            yield f"{entry.prefix}{source.reason}"
        for text in (*source.source.preparation, *source.source.notes, *source.warnings):
            yield f"{entry.prefix}{text}"
        for rung in source.rungs:
            if rung.status != "ok":
                yield f"{entry.prefix}{rung_name(rung)} {rung.status}: {rung.reason or 'no reason recorded'}"
    for entry, item in findings.inversions:
        label = labels[item.metric]
        yield (
            f"{entry.prefix}{label.name} falls by {label.show(item.drop)} although bitrate rises: "
            f"{rung_name(entry.rung(item.lower))} → {rung_name(entry.rung(item.higher))}. "
            "Read this as the metric's limit, not as a gain."
        )
    yield from _per_rung_warnings(entries)


def _per_rung_warnings(entries: Sequence[Entry]) -> Iterator[str]:
    """Each text once, with the number of rungs that it applies to."""
    for entry in entries:
        counts: dict[str, int] = defaultdict(int)
        for rung in entry.source.rungs:
            for text in rung.warnings:
                counts[text] += 1
        for text, count in counts.items():
            yield f"{entry.prefix}{text} ({count} rung{'' if count == 1 else 's'})"
