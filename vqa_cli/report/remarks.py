"""What there is to beware of on one title: first what touches the settings that a reader will take away. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from vqa_cli.analysis.curves import Inversion
from vqa_cli.report.findings import Entry, Findings, point_name, rung_name
from vqa_cli.report.labels import MetricLabel, join_words, show_rate
from vqa_cli.text import plural


def alerts_of(entries: Sequence[Entry], findings: Findings, labels: Mapping[str, MetricLabel]) -> Iterator[str]:
    """Failures, rungs of the ladder that cost more than the source, inversions that decide, and how the source was taken."""
    for entry in entries:
        if entry.source.status != "ok" and entry.source.reason:
            yield f"{entry.prefix}{entry.source.reason}"
        yield from _failures(entry)
        yield from _above_source(entry, findings)
    yield from _once([(entry, text) for entry in entries for text in entry.source.warnings], entries)
    yield from _inversions([pair for pair in findings.inversions if pair[1].metric == findings.metric], labels)


def _once(told: Sequence[tuple[Entry, str]], entries: Sequence[Entry]) -> Iterator[str]:
    """Each text once, with the runs that say it unless all do."""
    for text in dict.fromkeys(text for _, text in told):
        keys = list(dict.fromkeys(entry.run_key for entry, other in told if other == text))
        yield text if len(keys) == len(entries) else f"{join_words(keys)}: {text}"


def _failures(entry: Entry) -> Iterator[str]:
    lost = [rung for rung in entry.source.rungs if rung.status == "failed"]
    if lost:
        counts = f"{len(lost)} of {plural(len(entry.source.rungs), 'rung')} failed"
        yield f"{entry.prefix}{counts}: {rung_name(lost[0])}, {lost[0].reason or 'no reason recorded'}"


def _above_source(entry: Entry, findings: Findings) -> Iterator[str]:
    """Rungs that are to be shipped at more bitrate than the source itself has."""
    limit = entry.source.source.video_bitrate_kbps
    for item in findings.ladders:
        dear = item.advice.above_source
        if item.entry is entry and dear:
            names = join_words([f"{point_name(entry, point)} at {show_rate(point.kbps)}" for point in dear])
            yield f"{entry.prefix}The source has {show_rate(limit)}; the ladder goes above it: {names}."


def _inversions(found: Sequence[tuple[Entry, Inversion]], labels: Mapping[str, MetricLabel]) -> Iterator[str]:
    for entry, item in found:
        label = labels[item.metric]
        yield (
            f"{entry.prefix}{label.name} falls by {label.show(item.drop)} although bitrate rises: "
            f"{rung_name(entry.rung(item.lower))} → {rung_name(entry.rung(item.higher))}. "
            "Read this as the metric's limit, not as a gain."
        )


def warnings_of(entries: Sequence[Entry], findings: Findings, labels: Mapping[str, MetricLabel]) -> Iterator[str]:
    """Everything that was remarked on; a text that holds for several rungs once, with their number."""
    of_source = [(e, text) for e in entries for text in (*e.source.source.preparation, *e.source.source.notes)]
    yield from _once(of_source, entries)
    for entry in entries:
        for rung in entry.source.rungs:
            if rung.status != "ok":
                yield f"{entry.prefix}{rung_name(rung)} {rung.status}: {rung.reason or 'no reason recorded'}"
    yield from _inversions(findings.inversions, labels)
    for entry in entries:
        counts = Counter(text for rung in entry.source.rungs for text in rung.warnings)
        for text, count in counts.items():
            yield f"{entry.prefix}{text} ({plural(count, 'rung')})"
