"""Writes a finished ladder: ``run.json`` (everything), ``rungs.csv`` and ``frames.csv`` (for spreadsheets and notebooks)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from vqa_cli.document import RUN_FILE, Run
from vqa_cli.files import write_text
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.notebook import rung_rows
from vqa_cli.store.rungs import FrameValues
from vqa_cli.text import csv_cell

# Columns of text from outside, in either table.
_TEXTS = frozenset({"source", "rung", "encoder_preset", "reason"})


def write_outcome(outcome: LadderOutcome, folder: Path) -> Path:
    """Write all three files; gives the path of ``run.json``.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_text(folder / "rungs.csv", rungs_csv(outcome.run))
    write_text(folder / "frames.csv", frames_csv(outcome))
    path = folder / RUN_FILE
    write_text(path, outcome.run.model_dump_json(indent=1))
    return path


def rungs_csv(run: Run) -> str:
    """One line per rung, units in the column names."""
    return _csv(rung_rows(run))


def frames_csv(outcome: LadderOutcome) -> str:
    """One line per frame: source, rung (``source`` for the source itself), frame, then the metrics."""
    columns = ("model", *outcome.run.metrics)

    def rows() -> Iterator[dict[str, object]]:
        for (index, rung), table in outcome.frames.items():
            yield from _frame_rows(outcome.run.sources[index].source.name, rung, table, columns)

    return _csv(rows(), ("source", "rung", "frame", *columns))


def _frame_rows(source: str, rung: str, table: FrameValues, columns: tuple[str, ...]) -> Iterator[dict[str, object]]:
    length = max((len(values) for values in table.values()), default=0)
    for frame in range(length):
        values = {name: f"{table[name][frame]:.6g}" for name in columns if name in table}
        yield {"source": source, "rung": rung, "frame": frame, **values}


def _csv(rows: Iterator[dict[str, object]], header: tuple[str, ...] | None = None) -> str:
    buffer = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(buffer, header or tuple(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: csv_cell(str(value)) if key in _TEXTS and value else value for key, value in row.items()})
    return buffer.getvalue()
