"""What the analysis says about one title, ready to be shown: hulls, inversions, recommended ladders, sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vqa_cli.analysis.curves import (
    Inversion,
    Point,
    all_metrics,
    codec_name,
    default_metric,
    inversions,
    points,
)
from vqa_cli.analysis.hull import codec_hulls
from vqa_cli.analysis.limits import best_of, scale_of
from vqa_cli.analysis.recommend import Recommendation, recommend
from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.metrics import lower_is_better
from vqa_cli.report.bdtables import BdCell, BdTable, CurveName, bd_tables
from vqa_cli.report.labels import MINUS, POOLING_LABELS, MetricLabel, join_words, show_rate, show_ratio
from vqa_cli.student import spearman
from vqa_cli.text import plural

_EVEN_PERCENT = 1.0
# From here on an interval's ends need no decimals.
_WHOLE_PERCENT = 5.0
_LEAST_RANKED = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One source of one run. ``run_key`` is ``"A"``, ``"B"``, …; ``prefix`` is empty where the page shows one run."""

    run_key: str
    prefix: str
    run: Run
    source: SourceResult

    @property
    def alone(self) -> Run:
        """The run with this source only: the analysis names sources, and names may repeat."""
        return self.run.model_copy(update={"sources": (self.source,)})

    def rung(self, rung_id: str) -> RungResult:
        return next(rung for rung in self.source.rungs if rung.id == rung_id)


@dataclass(frozen=True, slots=True)
class LadderAdvice:
    """A recommended ladder with the entry that it belongs to."""

    entry: Entry
    advice: Recommendation

    @property
    def name(self) -> str:
        return f"{self.entry.prefix}{self.advice.codec}"

    @property
    def switches(self) -> str:
        """Where the hull changes size; where sizes alternate, only the range in which they do."""
        steps = self.advice.crossovers
        if any(step.lower > step.higher for step in steps):
            first, last = show_rate(steps[0].kbps), show_rate(steps[-1].kbps)
            return f"Sizes take turns on the hull between {first} and {last}: there they are about equal."
        spots = [f"{show_rate(step.kbps)} ({step.lower}p to {step.higher}p)" for step in steps]
        return f"Switch size at {join_words(spots)}." if spots else ""


@dataclass(frozen=True, slots=True)
class HullLine:
    """The hull over all sizes of one codec of one run."""

    run_key: str
    codec: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the page says beyond the measurements; rungs are named by (run key, rung id), hulls by (metric, pooling)."""

    metric: str
    hulls: dict[tuple[str, str], list[HullLine]]
    inversions: list[tuple[Entry, Inversion]]
    ladders: list[LadderAdvice]
    bd: list[BdTable]
    sentences: list[str]

    @property
    def headline_table(self) -> BdTable | None:
        """BD-rate by the primary metric: over all sizes where that has any, else at the largest size that has."""
        tables = [table for table in self.bd if table.metric == self.metric]
        return next((table for table in tables if table.has_any), tables[0] if tables else None)

    @property
    def has_bd(self) -> bool:
        return any(cell.percent is not None for cell in self._bd_cells)

    @property
    def bd_notes(self) -> list[str]:
        """Each reason or caveat of the tables once."""
        return list(dict.fromkeys(note for cell in self._bd_cells for note in cell.notes))

    @property
    def _bd_cells(self) -> list[BdCell]:
        return [cell for table in self.bd for row in table.rows for cell in row if cell is not None]

    @property
    def on_hull(self) -> set[tuple[str, str]]:
        """Rungs on their codec's hull by the primary metric."""
        lines = self.hulls.get((self.metric, "mean"), ())
        return {(line.run_key, point.rung) for line in lines for point in line.points}

    @property
    def chosen(self) -> set[tuple[str, str]]:
        """Measured rungs of a recommended ladder."""
        pairs = [(item.entry.run_key, point) for item in self.ladders for point in item.advice.chosen]
        return {(key, point.rung) for key, point in pairs if point.measured}

    @property
    def inverted(self) -> dict[tuple[str, str, str], Inversion]:
        """By run key, the rung that costs more, and metric."""
        return {(entry.run_key, item.higher, item.metric): item for entry, item in self.inversions}

    @property
    def beaten(self) -> dict[tuple[str, str], str]:
        """Rungs that another one beats, with that one's id."""
        pairs = [(item.entry.run_key, wasted) for item in self.ladders for wasted in item.advice.wasted]
        return {(key, wasted.rung): wasted.beaten_by for key, wasted in pairs}


def find(entries: Sequence[Entry], labels: dict[str, MetricLabel], metric: str | None) -> Findings:
    """Analyse one title over all its runs.

    Args:
        metric: what recommendations and the headline go by; ``None`` for each run's own choice.
    """
    primary = metric or default_metric(entries[0].run)
    names = tuple(dict.fromkeys(name for entry in entries for name in all_metrics(entry.run)))
    ladders = [LadderAdvice(entry, advice) for entry in entries for advice in _advice(entry, metric)]
    tables = bd_tables([(entry.prefix, entry.source) for entry in entries], names)
    turned = [(e, item) for e in entries for name in all_metrics(e.run) for item in inversions(e.alone, name)]
    hulls = {(name, pooling): _hulls(entries, name, pooling) for name in names for pooling in POOLING_LABELS}
    found = Findings(primary, hulls, turned, ladders, tables, [])
    found.sentences.extend(_sentences(entries, found, labels))
    return found


def _advice(entry: Entry, metric: str | None) -> list[Recommendation]:
    known = all_metrics(entry.run)
    if not known or (metric is not None and metric not in known):
        return []
    advice = recommend(entry.alone, entry.run.settings.recommend, metric)
    # One rung of an encoder is no ladder, and nothing to choose from.
    return [item for item in advice if len(item.hull) + len(item.wasted) > 1]


def _hulls(entries: Sequence[Entry], metric: str, pooling: str) -> list[HullLine]:
    if lower_is_better(metric):
        return []
    return [
        HullLine(entry.run_key, codec, tuple(line))
        for entry in entries
        for codec, line in codec_hulls(point for _, point in points(entry.source, metric, pooling)).items()
    ]


def _sentences(entries: Sequence[Entry], found: Findings, labels: dict[str, MetricLabel]) -> Iterator[str]:
    if not any(points(entry.source, found.metric) for entry in entries):
        reason = next((entry.source.reason for entry in entries if entry.source.reason), "every rung failed")
        yield f"Nothing was measured: {reason}."
        return
    yield from _savings(found, labels[found.metric])
    for entry in entries:
        yield from _best_rung(entry, found.metric, labels)
        yield from _agreement(entry, labels)
    yield from _waste(entries, found, labels)


def _savings(found: Findings, label: MetricLabel) -> Iterator[str]:
    """What each curve saves against the first; between runs, each codec against itself."""
    table = found.headline_table
    if table is None:
        return
    for anchor, test in table.comparisons():
        cell = table.cell(anchor, test)
        if cell.percent is not None:
            yield f"{saving(anchor, test, cell.percent)} for the same {label.name}{_within(cell.interval)}{price(cell.cpu_ratio)}."


def _within(interval: tuple[float, float] | None) -> str:
    """A BD-rate's 95 % interval beside a sentence that says less or more: `` (7 to 16 %)``, signed where it may be either."""
    low, high = interval or (0.0, 0.0)
    digits = 0 if max(abs(low), abs(high)) >= _WHOLE_PERCENT else 1
    signed = low < 0 < high
    ends = (low, high) if signed else sorted((abs(low), abs(high)))
    near, far = (f"{end:{'+' if signed else ''}.{digits}f}".replace("-", MINUS) for end in ends)
    return "" if near == far else f" ({near} to {far} %)"


def saving(anchor: CurveName, test: CurveName, percent: float) -> str:
    """What a BD-rate means: ``x265 needs 26 % less bitrate than x264``."""
    even = abs(percent) < _EVEN_PERCENT
    amount = "about the same bitrate" if even else f"{abs(percent):.0f} % {'less' if percent < 0 else 'more'} bitrate"
    if anchor.codec == test.codec:
        return f"{test.codec} needs {amount} in {test.prefix[:-2]} {'as' if even else 'than'} in {anchor.prefix[:-2]}"
    return f"{test.text} needs {amount} {'as' if even else 'than'} {anchor.text}"


def price(cpu_ratio: float | None) -> str:
    """What that costs in encoder time, as the end of the sentence."""
    return f", at {show_ratio(cpu_ratio)}" if cpu_ratio else ""


def _best_rung(entry: Entry, metric: str, labels: dict[str, MetricLabel]) -> Iterator[str]:
    pairs = points(entry.source, metric)
    if not pairs:
        return
    point = best_of([p for _, p in pairs], scale_of(entry.run, metric))
    rung = entry.rung(point.rung)
    start = f"In {entry.run_key} the" if entry.prefix else "The"
    text = f"{start} best rung, {rung_name(rung)} at {show_rate(point.kbps)}, reaches "
    text += f"{labels[metric].name} {labels[metric].show(point.quality)}"
    delta = rung.score.delta_to_source if rung.score else None
    if delta is not None:
        where = "" if metric == "model" else f" on {labels['model'].name}"
        text += f", {labels['model'].show(abs(delta))} {'below' if delta < 0 else 'above'} the source{where}"
    yield f"{text}."


def _agreement(entry: Entry, labels: dict[str, MetricLabel]) -> Iterator[str]:
    """Spearman's rank correlation of model and VMAF over the rungs: how far the model can be trusted on this source."""
    rungs = entry.source.rungs
    pairs = [(rung.quality("model"), rung.quality("vmaf")) for rung in rungs]
    known = [(model, vmaf) for model, vmaf in pairs if model is not None and vmaf is not None]
    if len(known) < _LEAST_RANKED:
        return
    models, vmafs = zip(*known, strict=True)
    correlation = spearman(models, vmafs)
    if correlation is not None:
        where = f" in {entry.run_key}" if entry.prefix else ""
        ranked = f"{plural(len(known), 'rung')} like {labels['vmaf'].name}"
        yield f"{labels['model'].name} ranks the {ranked} with a correlation of {correlation:.2f}{where} (Spearman)."


def _waste(entries: Sequence[Entry], found: Findings, labels: dict[str, MetricLabel]) -> Iterator[str]:
    total = sum(rung.status == "ok" for entry in entries for rung in entry.source.rungs)
    if found.beaten:
        yield (
            f"{len(found.beaten)} of {plural(total, 'rung')} can go: another rung of the same codec is at least as "
            "good for no more bitrate."
        )
    if found.inversions:
        names = join_words(sorted({labels[item.metric].name for _, item in found.inversions}))
        yield f"Quality falls although bitrate rises in {plural(len(found.inversions), 'place')} ({names}): see warnings."


def rung_name(rung: RungResult) -> str:
    """``libx264 medium 720p crf 23``."""
    return f"{codec_name(rung)} {min(rung.width, rung.height)}p {rung.rate.label}"


def point_name(entry: Entry, point: Point) -> str:
    """The same of a point on a curve, whether it was encoded or lies between rungs that were."""
    return rung_name(entry.rung(point.rung)) if point.measured else f"{point.codec} {point.height}p {point.setting}"
