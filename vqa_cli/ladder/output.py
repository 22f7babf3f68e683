"""Writes a finished ladder: ``run.json`` (everything), ``frames.parquet`` (each frame's values), and both as CSV for others."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from vqa_cli.document import RUN_FILE, Run
from vqa_cli.errors import StorageError
from vqa_cli.files import replacing, write_text
from vqa_cli.frametable import FRAMES_FILE, FrameValues, length_of, write_frames
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.notebook import rung_columns, rung_rows
from vqa_cli.text import csv_cell

# Columns of text from outside, in either table.
_TEXTS = frozenset({"source", "rung", "encoder_preset", "reason"})


def write_outcome(outcome: LadderOutcome, folder: Path) -> Path:
    """Write all four files; gives the path of ``run.json``, which comes last: where it is, the others are.

    Raises:
        StorageError: the folder cannot be written.
    """
    run = outcome.run
    write_text(folder / "rungs.csv", rungs_csv(run))
    names = [source.source.name for source in run.sources]
    write_frames(folder / FRAMES_FILE, names, ("model", *run.metrics), outcome.frames)
    _write_lines(folder / "frames.csv", frames_csv(outcome))
    path = folder / RUN_FILE
    write_text(path, run.model_dump_json(indent=1))
    return path


def rungs_csv(run: Run) -> str:
    """One line per rung, units in the column names."""
    return "".join(_csv(rung_rows(run), rung_columns(run)))


def frames_csv(outcome: LadderOutcome) -> Iterator[str]:
    """Lines, one per frame: source, rung (``source`` for the source itself), frame, then the metrics to six digits.

    For other programs: nothing of ours reads it. ``frames.parquet`` has the values as they were measured.
    """
    columns = ("model", *outcome.run.metrics)

    def rows() -> Iterator[dict[str, object]]:
        for (index, rung), table in outcome.frames.items():
            yield from _frame_rows(outcome.run.sources[index].source.name, rung, table, columns)

    return _csv(rows(), ["source", "rung", "frame", *columns])


def _frame_rows(source: str, rung: str, table: FrameValues, columns: tuple[str, ...]) -> Iterator[dict[str, object]]:
    for frame in range(length_of(table)):
        values = {name: f"{table[name][frame]:.6g}" for name in columns if name in table}
        yield {"source": source, "rung": rung, "frame": frame, **values}


def _csv(rows: Iterator[dict[str, object]], header: list[str]) -> Iterator[str]:
    """Lines of a table; the header is there where no row is."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: csv_cell(str(value)) if key in _TEXTS and value else value for key, value in row.items()})
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    """A text that need not be in memory as a whole."""
    try:
        with replacing(path) as staged, staged.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except OSError as err:
        raise StorageError(f"cannot write: {path}", detail=err.strerror) from err
