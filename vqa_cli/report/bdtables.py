"""BD-rate of every codec against every other, by metric and size, as tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.analysis.compare import rate_points
from vqa_cli.analysis.curves import Point, codec_name, curves, points
from vqa_cli.analysis.hull import HULL, codec_hulls
from vqa_cli.document import SourceResult
from vqa_cli.metrics import lower_is_better


@dataclass(frozen=True, slots=True)
class BdCell:
    """BD-rate of a column's curve against a row's.

    Attributes:
        percent: negative needs less bitrate; ``None`` where none is defined.
        quality: mean difference in the metric's unit.
        cpu_ratio: encoder CPU time at equal quality against the row's, see :func:`vqa_cli.analysis.bdrate.bd`.
        notes: why there is no number, or what to beware of.
        interval: 95 %, of what curves through so few points may be off by.
    """

    percent: float | None
    quality: float | None
    cpu_ratio: float | None
    notes: tuple[str, ...]
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class CurveName:
    """A codec of a run; ``prefix`` is empty where the page shows one run."""

    prefix: str
    codec: str

    @property
    def text(self) -> str:
        return self.prefix + self.codec


@dataclass(frozen=True, slots=True)
class BdTable:
    """One table: rows are anchors, columns are tested against them; the diagonal is ``None``."""

    metric: str
    basis: str
    names: tuple[CurveName, ...]
    rows: tuple[tuple[BdCell | None, ...], ...]

    @property
    def has_any(self) -> bool:
        """Whether there is any BD-rate in it."""
        return any(cell is not None and cell.percent is not None for row in self.rows for cell in row)

    def cell(self, anchor: CurveName, test: CurveName) -> BdCell:
        """The cell of two different curves."""
        found = self.rows[self.names.index(anchor)][self.names.index(test)]
        if found is None:
            raise KeyError(f"{anchor.text} against itself")
        return found

    def comparisons(self) -> list[tuple[CurveName, CurveName]]:
        """(anchor, test) worth a sentence: between runs each codec with itself, else the first curve with all others."""
        first = self.names[0].prefix
        mine = [name for name in self.names if name.prefix == first]
        others = [name for name in self.names if name.prefix != first]
        same = [(a, b) for a, b in product(mine, others) if a.codec == b.codec]
        return same or [(self.names[0], name) for name in self.names[1:]]


def bd_tables(entries: Sequence[tuple[str, SourceResult]], metrics: Sequence[str]) -> list[BdTable]:
    """All tables that have at least two curves, hulls before single sizes.

    Args:
        entries: (prefix of the curve names, source) of each run.
    """
    found = []
    for metric in (m for m in metrics if not lower_is_better(m)):
        for basis in _bases(entries, metric):
            lines = {
                CurveName(prefix, codec): line
                for prefix, source in entries
                for codec, line in _lines(source, metric, basis).items()
            }
            if len(lines) >= 2:
                found.append(BdTable(metric, basis, tuple(lines), _rows(list(lines.values()), metric)))
    return found


def _bases(entries: Sequence[tuple[str, SourceResult]], metric: str) -> list[str]:
    sizes = list(dict.fromkeys(curve.size for _, source in entries for curve in curves(source, metric)))
    sizes.sort(key=lambda size: -int(size[:-1]))
    return [HULL, *sizes] if len(sizes) > 1 else sizes


def _lines(source: SourceResult, metric: str, basis: str) -> dict[str, RatePoints]:
    """Curve of each codec in the run's order: its points of that size, or the hull of all its sizes."""
    measured = [point for _, point in points(source, metric)]
    hulls = codec_hulls(measured) if basis == HULL else {}
    found: dict[str, Sequence[Point]] = {}
    for codec in dict.fromkeys(map(codec_name, source.rungs)):
        members = hulls.get(codec) or [p for p in measured if p.codec == codec and f"{p.height}p" == basis]
        if members:
            found[codec] = members
    return {codec: rate_points(members, hull=basis == HULL) for codec, members in found.items()}


def _rows(lines: list[RatePoints], metric: str) -> tuple[tuple[BdCell | None, ...], ...]:
    return tuple(tuple(None if a is t else _cell(a, t, metric) for t in lines) for a in lines)


def _cell(anchor: RatePoints, test: RatePoints, metric: str) -> BdCell:
    result = bd(anchor, test, metric=metric)
    return BdCell(result.bd_rate, result.bd_quality, result.cpu_ratio, result.notes, result.interval)
