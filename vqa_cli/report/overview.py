"""BD-rate over several sources: the mean of the sources' own values, never of pooled points. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqa_cli.analysis.bdrate import bootstrap_mean
from vqa_cli.report.bdtables import CurveName
from vqa_cli.report.findings import saving
from vqa_cli.report.labels import plural, show_percent
from vqa_cli.report.view import TitleView


@dataclass(frozen=True, slots=True)
class PairOverSources:
    """One curve against another over all sources.

    Attributes:
        percents: BD-rate by title key; a title without one is missing.
        mean: of ``percents``, ``None`` where there is none.
        interval: 95 %, by bootstrap over sources.
        sentence: the same in words.
    """

    anchor: CurveName
    test: CurveName
    percents: dict[str, float]
    mean: float | None
    interval: tuple[float, float] | None
    sentence: str


def compare_over(titles: Sequence[TitleView]) -> list[PairOverSources]:
    """Every pair that the sources' headlines compare, by the first source's metric."""
    measured = [title for title in titles if title.findings.headline_table is not None]
    if not measured:
        return []
    metric = measured[0].findings.metric
    pairs: dict[tuple[CurveName, CurveName], dict[str, float]] = {}
    for title in measured:
        table = title.findings.headline_table
        if table is None or table.metric != metric:
            continue
        for anchor, test in table.comparisons():
            percent = table.cell(anchor, test).percent
            values = pairs.setdefault((anchor, test), {})
            if percent is not None:
                values[title.key] = percent
    name = measured[0].primary.name
    return [_pair(anchor, test, values, len(titles), name) for (anchor, test), values in pairs.items()]


def _pair(anchor: CurveName, test: CurveName, percents: dict[str, float], sources: int, metric: str) -> PairOverSources:
    values = list(percents.values())
    if not values:
        return PairOverSources(anchor, test, percents, None, None, "")
    mean = sum(values) / len(values)
    interval = bootstrap_mean(values)
    sentence = f"Over {plural(len(values), 'source')} {saving(anchor, test, mean)} for the same {metric}"
    if interval is not None:
        sentence += f" (95 % interval {show_percent(interval[0])} to {show_percent(interval[1])})"
    missing = sources - len(values)
    sentence += f"; {plural(missing, 'source')} gave no BD-rate." if missing else "."
    return PairOverSources(anchor, test, percents, mean, interval, sentence)
