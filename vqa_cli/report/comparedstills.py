"""Pictures of two runs against each other: the rungs that lost most, at the frames of which both have pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vqa_cli.frametable import RunFrames
from vqa_cli.metrics import lower_is_better
from vqa_cli.report.comparison import RungRow, SourceComparison
from vqa_cli.report.findings import Entry
from vqa_cli.report.frames import parse_fps
from vqa_cli.report.labels import MetricLabel
from vqa_cli.report.stills import Album, stills_data
from vqa_cli.report.view import RungView

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN = 6


def compared_stills(
    source: SourceComparison, label: MetricLabel, album: Album, frames: Sequence[RunFrames | None] = (None, None)
) -> dict[str, Any] | None:
    """A source's pictures for the page's script, ``None`` where not both runs have any.

    ``pairs`` are the same rung of both runs, the largest loss first, with the frame at which it is largest; those that lost
    nothing only where none did. There are no pairs where the pictures are of other frames.
    """
    if not source.panels:
        return None
    views = [view for panel in source.panels for view in panel.rungs]
    title = replace(source.panels[0], rungs=tuple(views))
    if not all(album.source(entry) for entry in title.entries) or len(title.entries) < 2:
        return None
    stills = stills_data(title, album)
    assert stills is not None  # both runs have some
    values = [_values(entry, known or {}, label.key) for entry, known in zip(title.entries, frames, strict=True)]
    pairs = [pair for row in source.rungs if (pair := _pair(row, views, stills, label, values))]
    pairs.sort(key=lambda pair: -pair["loss"])
    lost = [pair for pair in pairs if pair["loss"] > 0 and label.show_change(pair["loss"]) != label.show(0.0)]
    common = sorted({frame for pair in pairs for frame in pair["frames"]})
    stills["why"] = {frame: stills["why"][frame] for frame in common}
    return {
        "key": source.key,
        "name": source.name,
        "fps": parse_fps(title.entries[0].source.source.fps),
        "rungs": {view.key: {"label": view.name} for view in views},
        "stills": stills,
        "pairs": (lost or pairs)[:_SHOWN],
    }


def _values(entry: Entry, frames: RunFrames, metric: str) -> dict[str, NDArray[np.float64]]:
    """Frame values of an entry's rungs."""
    number = next(i for i, source in enumerate(entry.run.sources) if source is entry.source)
    tables = {rung.id: frames.get((number, rung.id), {}) for rung in entry.source.rungs}
    return {rung: table[metric] for rung, table in tables.items() if metric in table}


def _pair(
    row: RungRow, views: list[RungView], stills: dict[str, Any], label: MetricLabel,
    values: Sequence[Mapping[str, NDArray[np.float64]]],
) -> dict[str, Any] | None:  # fmt: skip
    """A rung of both runs and the frames of which both have pictures."""
    keys = {view.entry.run_key: view.key for view in views if view.rung.id == row.rung}
    sides = [keys.get(run_key, "") for run_key in ("A", "B")]
    held = [set(stills["pictures"].get(key, {})) for key in sides]
    frames = sorted(held[0] & held[1])
    if not frames:
        return None
    loss = row.losses.get(label.key)
    value = loss.value if loss is not None else None
    told = "" if value is None else f", {'loses' if value >= 0 else 'gains'} {label.show(abs(value))} {label.name}"
    one, two = (side.get(row.rung) for side in values)
    sign = -1.0 if lower_is_better(label.key) else 1.0
    worst = frames[0]
    if one is not None and two is not None:
        worst = max(frames, key=lambda frame: sign * float(one[frame] - two[frame]))
    return {
        "a": sides[0],
        "b": sides[1],
        "frames": frames,
        "frame": worst,
        "loss": value or 0.0,
        "text": row.name + told,
    }
