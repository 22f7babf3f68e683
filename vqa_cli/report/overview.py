"""BD-rate over several sources: the mean of the sources' own values, never of pooled points. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vqa_cli.analysis.compare import mean_ratio
from vqa_cli.analysis.spread import mean_interval
from vqa_cli.report.bdtables import BdCell, CurveName
from vqa_cli.report.findings import price, saving
from vqa_cli.report.labels import show_percent, tone
from vqa_cli.report.view import TitleView
from vqa_cli.text import plural


@dataclass(frozen=True, slots=True)
class PairOverSources:
    """One curve against another over all sources.

    Attributes:
        percents: BD-rate by title key, ``None`` where it is not defined; titles that lack a curve are missing.
        tones: how each is coloured.
        ratios: CPU ratio at equal quality by title key.
        mean: of ``percents``, ``None`` where there is none.
        interval: 95 %, t over sources; ``None`` below three.
        sentence: the same in words.
    """

    anchor: CurveName
    test: CurveName
    percents: dict[str, float | None]
    tones: dict[str, str]
    ratios: dict[str, float | None]
    mean: float | None
    interval: tuple[float, float] | None
    sentence: str


def compare_over(titles: Sequence[TitleView]) -> list[PairOverSources]:
    """Every pair that the sources' headlines compare, by the first source's metric."""
    measured = [title for title in titles if title.findings.headline_table is not None]
    if not measured:
        return []
    metric = measured[0].findings.metric
    pairs: dict[tuple[CurveName, CurveName], dict[str, BdCell]] = {}
    for title in measured:
        table = title.findings.headline_table
        if table is None or table.metric != metric:
            continue
        for pair in table.comparisons():
            pairs.setdefault(pair, {})[title.key] = table.cell(*pair)
    name = measured[0].primary.name
    return [_pair(anchor, test, cells, name) for (anchor, test), cells in pairs.items()]


def _pair(anchor: CurveName, test: CurveName, cells: dict[str, BdCell], metric: str) -> PairOverSources:
    percents = {key: cell.percent for key, cell in cells.items()}
    tones = {key: tone(cell.percent, cell.interval) for key, cell in cells.items()}
    ratios = {key: cell.cpu_ratio for key, cell in cells.items()}
    values = [percent for percent in percents.values() if percent is not None]
    if not values:
        return PairOverSources(anchor, test, percents, tones, ratios, None, None, "")
    mean = sum(values) / len(values)
    interval = mean_interval(values)
    sentence = f"Over {plural(len(values), 'source')} {saving(anchor, test, mean)} for the same {metric}"
    if interval is not None:
        sentence += f" (95 % interval {show_percent(interval[0])} to {show_percent(interval[1])})"
    sentence += price(mean_ratio(ratios.values()))
    missing = len(percents) - len(values)
    sentence += f"; {plural(missing, 'source')} gave no BD-rate." if missing else "."
    return PairOverSources(anchor, test, percents, tones, ratios, mean, interval, sentence)
