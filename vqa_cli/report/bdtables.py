"""BD-rate of every codec against every other, by metric and size, as tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.analysis.compare import HULL
from vqa_cli.analysis.curves import Point, codec_name, curves, points
from vqa_cli.analysis.hull import convex_hull
from vqa_cli.document import RungResult, SourceResult


@dataclass(frozen=True, slots=True)
class BdCell:
    """BD-rate of a column's curve against a row's.

    Attributes:
        percent: negative needs less bitrate; ``None`` where none is defined.
        quality: mean difference in the metric's unit.
        cpu_ratio: mean encoder CPU time per rung against the row's; ``None`` where it was not measured.
        notes: why there is no number, or what to beware of.
    """

    percent: float | None
    quality: float | None
    cpu_ratio: float | None
    notes: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class _Line:
    """A codec's curve and the CPU seconds that each of its rungs took."""

    points: RatePoints
    cpu_s: tuple[float, ...]


def bd_tables(entries: Sequence[tuple[str, SourceResult]], metrics: Sequence[str]) -> list[BdTable]:
    """All tables that have at least two curves, hulls before single sizes.

    Args:
        entries: (prefix of the curve names, source) of each run.
    """
    found = []
    for metric in metrics:
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


def _lines(source: SourceResult, metric: str, basis: str) -> dict[str, _Line]:
    """Curve of each codec in the run's order: its points of that size, or the hull of all its sizes."""
    measured = {point.rung: point for _, point in points(source, metric)}
    groups: dict[str, list[RungResult]] = {}
    for rung in source.rungs:
        if rung.id in measured and basis in (HULL, f"{measured[rung.id].height}p"):
            groups.setdefault(codec_name(rung), []).append(rung)
    return {codec: _line(rungs, measured, on_hull=basis == HULL) for codec, rungs in groups.items()}


def _line(rungs: Sequence[RungResult], measured: Mapping[str, Point], *, on_hull: bool) -> _Line:
    members = [measured[rung.id] for rung in rungs]
    kept = convex_hull(members) if on_hull else members
    cpu = tuple(rung.encode.cpu_s for rung in rungs if rung.encode)
    return _Line(RatePoints(tuple(p.kbps for p in kept), tuple(p.quality for p in kept)), cpu)


def _rows(lines: list[_Line], metric: str) -> tuple[tuple[BdCell | None, ...], ...]:
    return tuple(tuple(None if a is t else _cell(a, t, metric) for t in lines) for a in lines)


def _cell(anchor: _Line, test: _Line, metric: str) -> BdCell:
    result = bd(anchor.points, test.points, metric=metric)
    return BdCell(result.bd_rate, result.bd_quality, _ratio(anchor.cpu_s, test.cpu_s), result.notes)


def _ratio(anchor: tuple[float, ...], test: tuple[float, ...]) -> float | None:
    """Ratio of the means; ``None`` where the curves have different numbers of rungs or nothing was measured."""
    if len(anchor) != len(test) or sum(anchor) <= 0 or sum(test) <= 0:
        return None
    return sum(test) / sum(anchor)
