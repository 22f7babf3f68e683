"""What the page shows, computed from run documents: plain values, no markup. Pure."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vqa_cli.analysis.curves import all_metrics, codec_name, points, refuse_undecided
from vqa_cli.analysis.limits import best_of, scale_of
from vqa_cli.document import EncodeResult, ModelScore, Pooled, Run, RungResult
from vqa_cli.errors import UsageError
from vqa_cli.report.comparability import differences
from vqa_cli.report.findings import Entry, Findings, LadderAdvice, find, rung_name
from vqa_cli.report.labels import POOLING_LABELS, MetricLabel, metric_label, show_argv
from vqa_cli.report.remarks import alerts_of, warnings_of


@dataclass(frozen=True, slots=True)
class Series:
    """What has a colour and a dash of its own: a codec, in each run where there are several."""

    run_key: str
    codec: str
    text: str


@dataclass(frozen=True, slots=True)
class RungView:
    """One row of the table and one point of the charts.

    ``key`` is unique on the page and safe as an HTML id. ``quality`` holds a value per metric and pooling.
    ``inverted`` names the metrics in which a cheaper rung of the same curve is better. ``series`` and ``shape`` number what
    tells it apart in charts: its codec, and its size; ``hollow`` ones are the baseline's.
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
    series: int = 0
    shape: int = 0
    hollow: bool = False

    @property
    def encode(self) -> EncodeResult | None:
        return self.rung.encode

    @property
    def score(self) -> ModelScore | None:
        return self.rung.score


@dataclass(frozen=True, slots=True)
class TitleView:
    """One source over all runs that measured it. ``codecs``, ``sizes``, ``run_keys`` are the values to filter by.

    ``alerts`` are what nobody should miss who takes settings from this page; ``warnings`` is the rest.
    """

    key: str
    entries: tuple[Entry, ...]
    metrics: tuple[MetricLabel, ...]
    codecs: tuple[str, ...]
    sizes: tuple[str, ...]
    run_keys: tuple[str, ...]
    rungs: tuple[RungView, ...]
    findings: Findings
    alerts: tuple[str, ...]
    warnings: tuple[str, ...]
    series: tuple[Series, ...]

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

    @property
    def planned(self) -> bool:
        """Whether anything is recommended that was not encoded."""
        return any(not point.measured for ladder in self.findings.ladders for point in ladder.advice.chosen)

    def number(self, ladder: LadderAdvice) -> int:
        """Which series a recommended ladder belongs to."""
        spot = ladder.entry.run_key, ladder.advice.codec
        return [(series.run_key, series.codec) for series in self.series].index(spot)

    def label(self, metric: str) -> MetricLabel:
        return next(label for label in self.metrics if label.key == metric)

    @property
    def best(self) -> RungView | None:
        """The cheapest rung that reaches the primary metric's ceiling, or else the best; of what the first run knows first."""
        found = []
        for entry in self.entries:
            pairs = points(entry.source, self.primary.key)
            found += [(replace(point, rung=f"{entry.run_key} {rung.id}"), entry, rung) for rung, point in pairs]
        if not found:
            return None
        best = best_of([point for point, _, _ in found], scale_of(self.entries[0].run, self.primary.key))
        entry, rung = next((entry, rung) for point, entry, rung in found if point.rung == best.rung)
        return next(view for view in self.rungs if view.entry is entry and view.rung is rung)


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
    if metric is not None:
        refuse_undecided(metric)


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
    views = list(_rungs(key, entries, findings, ordered))
    sizes = tuple(sorted({view.size for view in views}, key=lambda size: -int(size[:-1])))
    series = dict.fromkeys((view.entry.run_key, view.codec, view.entry.prefix + view.codec) for view in views)
    numbers = {(run_key, codec): number for number, (run_key, codec, _) in enumerate(series)}
    alerts = tuple(alerts_of(entries, findings, ordered))
    return TitleView(
        key=key,
        entries=entries,
        metrics=tuple(ordered.values()),
        codecs=tuple(dict.fromkeys(view.codec for view in views)),
        sizes=sizes,
        run_keys=tuple(dict.fromkeys(entry.run_key for entry in entries)),
        rungs=tuple(replace(v, series=numbers[v.entry.run_key, v.codec], shape=sizes.index(v.size)) for v in views),
        findings=findings,
        alerts=alerts,
        warnings=tuple(text for text in warnings_of(entries, findings, ordered) if text not in alerts),
        series=tuple(Series(*names) for names in series),
    )


def _rungs(
    title: str, entries: Sequence[Entry], findings: Findings, labels: Mapping[str, MetricLabel]
) -> Iterator[RungView]:
    hull, inverted = findings.on_hull, findings.inverted
    chosen, beaten = findings.chosen, findings.beaten
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
                quality={
                    m: {p: rung.quality(m, p) for p in POOLING_LABELS} for m in labels if rung.quality(m) is not None
                },
                pooled=_pooled(rung),
                speed=_speed(rung, entry),
                chosen=spot in chosen,
                on_hull=spot in hull,
                beaten_by=_beaten_by(entry, beaten.get(spot)),
                inverted=tuple(m for m in labels if (*spot, m) in inverted),
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
