"""Pictures of two runs against each other: the rungs that lost most, at the frames of which both have pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vqa_cli.report.comparison import RungRow, SourceComparison
from vqa_cli.report.frames import parse_fps
from vqa_cli.report.labels import MetricLabel
from vqa_cli.report.stills import Album, stills_data
from vqa_cli.report.view import RungView

_SHOWN = 6


def compared_stills(source: SourceComparison, label: MetricLabel, album: Album) -> dict[str, Any] | None:
    """A source's pictures for the page's script, ``None`` where not both runs have any.

    ``pairs`` are the same rung of both runs, the largest loss first; there are none where the pictures are of other frames.
    """
    if not source.panels:
        return None
    views = [view for panel in source.panels for view in panel.rungs]
    title = replace(source.panels[0], rungs=tuple(views))
    if not all(album.source(entry) for entry in title.entries) or len(title.entries) < 2:
        return None
    stills = stills_data(title, album)
    assert stills is not None  # both runs have some
    pairs = [pair for row in source.rungs if (pair := _pair(row, views, stills, label))]
    pairs.sort(key=lambda pair: -pair["loss"])
    common = sorted({frame for pair in pairs for frame in pair["frames"]})
    stills["why"] = {frame: stills["why"][frame] for frame in common}
    return {
        "key": source.key,
        "name": source.name,
        "fps": parse_fps(title.entries[0].source.source.fps),
        "rungs": {view.key: {"label": view.name} for view in views},
        "stills": stills,
        "pairs": pairs[:_SHOWN],
    }


def _pair(row: RungRow, views: list[RungView], stills: dict[str, Any], label: MetricLabel) -> dict[str, Any] | None:
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
    return {"a": sides[0], "b": sides[1], "frames": frames, "loss": value or 0.0, "text": row.name + told}
