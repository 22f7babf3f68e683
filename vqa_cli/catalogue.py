"""A catalogue: a folder with a folder for each title, and an index of all their rungs that any tool of tables can read.

``catalogue.json`` is a run document without sources: what all titles have in common. ``index.parquet`` has a row per rung, and
one for each title without any. What recommendations and BD-rates need is in it; frame values and command lines lie in each
title's own run document.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from vqa_cli.document import (
    EncodeResult,
    ModelScore,
    RatePoint,
    Run,
    RungResult,
    Series,
    SourceInfo,
    SourceResult,
    read_run,
)
from vqa_cli.errors import StorageError
from vqa_cli.files import replacing
from vqa_cli.sealed import check_seal, sealed_table
from vqa_cli.text import csv_cell
from vqa_cli.values import StrPath

CATALOGUE_FILE, INDEX_FILE = "catalogue.json", "index.parquet"
Row = dict[str, Any]
_ROWS = 5000

# Columns and the fields that they hold.
_SOURCE = {
    "source": "name", "address": "path", "sha256": "sha256", "source_width": "width", "source_height": "height",
    "source_fps": "fps", "source_frames": "frames", "measured_s": "duration_s", "whole_s": "whole_s",
    "source_codec": "codec", "source_kbps": "video_bitrate_kbps",
}  # fmt: skip
_RUNG = {
    "rung": "id", "status": "status", "encoder": "encoder", "encoder_preset": "encoder_preset", "width": "width",
    "height": "height", "pix_fmt": "pix_fmt",
}  # fmt: skip
_RATE = {
    "rate_mode": "mode", "crf": "crf", "target_kbps": "bitrate_kbps", "maxrate_kbps": "maxrate_kbps",
    "bufsize_kbps": "bufsize_kbps",
}  # fmt: skip
_ENCODE = {
    "bitrate_kbps": "bitrate_kbps", "peak_kbps": "peak_kbps", "video_bytes": "video_bytes", "file_bytes": "file_bytes",
    "frames": "frames", "encode_wall_s": "wall_s", "encode_cpu_s": "cpu_s", "encode_fps": "fps",
    "encode_sha256": "sha256", "simd": "simd",
}  # fmt: skip
_POOLED = ("mean", "harmonic_mean", "min", "p1", "p5", "p10", "std")
_TEXTS = frozenset(
    ["title", "source", "address", "sha256", "source_fps", "source_codec", "title_status", "reason", "rung", "status",
     "encoder", "encoder_preset", "pix_fmt", "rate_mode", "encode_sha256", "simd"]
)  # fmt: skip
_WHOLE = frozenset(
    ["source_width", "source_height", "source_frames", "display_width", "display_height", "width", "height", "video_bytes",
     "file_bytes", "frames"]
)  # fmt: skip


def columns(metrics: Iterable[str]) -> list[str]:
    """Names of an index's columns."""
    figures = [f"{name}_{pooling}" for name in ("score_frame", *metrics) for pooling in _POOLED]
    sampled = [f"{name}_{end}" for name in _sampled(metrics) for end in ("low", "high")]
    return [
        "title", *_SOURCE, "display_width", "display_height", "title_status", "source_score", *_RUNG, *_RATE, *_ENCODE,
        "score", "score_raw", "score_delta_to_source", *figures, *sampled, "reason",
    ]  # fmt: skip


def kind(column: str) -> Literal["string", "integer", "number"]:
    """What a column holds, by JSON's names."""
    return "string" if column in _TEXTS else "integer" if column in _WHOLE else "number"


def _sampled(metrics: Iterable[str]) -> list[str]:
    """Figures that samples of a title leave an interval of."""
    return ["bitrate_kbps", "score", *(f"{name}_mean" for name in metrics)]


def index_rows(title: str, source: SourceResult, metrics: Iterable[str]) -> list[Row]:
    """The rows of a title: one per rung, or one that says why there is none."""
    own = {"title": title, **_fields(source.source, _SOURCE)}
    own |= {name: getattr(source, name) for name in ("display_width", "display_height")}
    own |= {"title_status": source.status, "source_score": source.score and source.score.score}
    if not source.rungs:
        return [own | {"reason": source.reason}]
    return [own | _rung_row(rung, tuple(metrics)) for rung in source.rungs]


def _fields(value: Any, names: Mapping[str, str]) -> Row:
    return {column: getattr(value, field) for column, field in names.items()}


def _rung_row(rung: RungResult, metrics: tuple[str, ...]) -> Row:
    row = {**_fields(rung, _RUNG), **_fields(rung.rate, _RATE), "reason": rung.reason}
    if rung.encode is not None:
        row |= _fields(rung.encode, _ENCODE)
    series = {name: rung.fidelity[name] for name in metrics if name in rung.fidelity}
    if (score := rung.score) is not None:
        row |= {"score": score.score, "score_raw": score.raw, "score_delta_to_source": score.delta_to_source}
        series["score_frame"] = score.series
    for name, found in series.items():
        row |= {f"{name}_{pooling}": getattr(found.pooled, pooling) for pooling in _POOLED}
    ends = {name: rung.intervals[name] for name in _sampled(metrics) if name in rung.intervals}
    return row | {f"{name}_{end}": pair[i] for name, pair in ends.items() for i, end in enumerate(("low", "high"))}


def write_index(folder: Path, rows: Iterable[Row], metrics: Iterable[str]) -> Path:
    """Write ``index.parquet`` and the same for spreadsheets; gives the former.

    Raises:
        StorageError: they cannot be written.
    """
    import pyarrow as pa

    names = columns(metrics)
    arrow = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    schema, path = pa.schema([(name, arrow[kind(name)]) for name in names]), folder / INDEX_FILE
    try:
        with (
            sealed_table(path, schema, compression="zstd") as table,
            replacing(path.with_suffix(".csv")) as sheet,
            sheet.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            for part in _batches(rows):
                table.write_table(pa.Table.from_pylist(part, schema))
                writer.writerows(_csv_rows(part, names))
    except OSError as err:
        raise StorageError(f"cannot write: {path}", detail=err.strerror or str(err)) from err
    return path


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """However many titles there are, so many rows are in memory."""
    waiting = iter(rows)
    while part := list(islice(waiting, _ROWS)):
        yield part


def _csv_rows(rows: Iterable[Row], names: list[str]) -> Iterator[list[Any]]:
    for row in rows:
        cells = [row.get(name) for name in names]
        yield [csv_cell(cell) if isinstance(cell, str) else cell for cell in cells]


def catalogue_folder(path: StrPath) -> Path | None:
    """The catalogue that a path means, its folder or a file of its index; ``None`` where it is none."""
    path = Path(path)
    folder = path.parent if path.name in (INDEX_FILE, CATALOGUE_FILE) else path
    return folder if (folder / CATALOGUE_FILE).is_file() else None


def read_document(path: StrPath) -> Run:
    """A run document, or all titles of a catalogue as one run.

    Raises:
        StorageError: as :func:`vqa_cli.document.read_run` and :func:`read_catalogue`.
    """
    folder = catalogue_folder(path)
    return read_run(path) if folder is None else read_catalogue(folder)


def read_catalogue(folder: Path) -> Run:
    """All titles of a catalogue as one run, by their index: without windows of seconds, frame values and command lines.

    Raises:
        StorageError: it cannot be read.
    """
    run = read_run(folder / CATALOGUE_FILE)
    titles: dict[str, list[Row]] = {}
    for row in read_index(folder, run.metrics):
        titles.setdefault(row["title"], []).append(row)
    try:
        sources = tuple(_source(title, rows, run.metrics) for title, rows in titles.items())
    except (ValidationError, TypeError) as err:
        raise _damaged(folder / INDEX_FILE, str(err)) from err
    return run.model_copy(update={"sources": sources})


def read_index(folder: Path, metrics: Iterable[str]) -> list[Row]:
    """The rows of an index.

    Raises:
        StorageError: it cannot be read, or lacks a column.
    """
    import pyarrow.parquet as pq

    path = folder / INDEX_FILE
    try:
        check_seal(path)
        table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
        missing = [name for name in columns(metrics) if name not in table.column_names]
        rows: list[Row] = table.to_pylist()
    except (OSError, ValueError, TypeError, RuntimeError, LookupError) as err:
        raise _damaged(path, str(err)) from err
    if missing:
        raise _damaged(path, f"no column {', '.join(missing)}")
    return rows


def _damaged(path: Path, detail: str) -> StorageError:
    hint = "`vqa ladder … --catalogue` on the same folder writes it again"
    return StorageError(f"cannot read index: {path}", detail=detail.split("\n", 1)[0], hint=hint)


def _source(title: str, rows: list[Row], metrics: tuple[str, ...]) -> SourceResult:
    first = rows[0]
    info = {field: first[column] for column, field in _SOURCE.items()} | {"name": title}
    info |= dict.fromkeys(("matrix", "primaries", "transfer", "range")) | dict.fromkeys(("container", "pix_fmt"), "")
    source = SourceInfo.model_validate(info | {"size_bytes": 0})
    own = first["source_score"]
    return SourceResult(
        source=source, display_width=first["display_width"], display_height=first["display_height"],
        status=first["title_status"], reason=None if first["rung"] else first["reason"],
        score=None if own is None else ModelScore(score=own, raw=own, series=_flat(own, info["frames"])),
        rungs=tuple(_rung(row, metrics) for row in rows if row["rung"]),
    )  # fmt: skip


def _rung(row: Row, metrics: tuple[str, ...]) -> RungResult:
    encode = None
    if row["bitrate_kbps"] is not None:
        made = {field: row[column] for column, field in _ENCODE.items()}
        encode = EncodeResult(**made, duration_s=row["measured_s"])
    score = None
    if row["score"] is not None:
        given = {"score": row["score"], "raw": row["score_raw"], "delta_to_source": row["score_delta_to_source"]}
        score = ModelScore(**given, series=_series(row, "score_frame"))
    ends = {name: (row[f"{name}_low"], row[f"{name}_high"]) for name in _sampled(metrics)}
    return RungResult(
        **{field: row[column] for column, field in _RUNG.items()},
        rate=RatePoint(**{field: row[column] for column, field in _RATE.items()}), reason=row["reason"], encode=encode,
        score=score, fidelity={name: _series(row, name) for name in metrics if row[f"{name}_mean"] is not None},
        intervals={name: pair for name, pair in ends.items() if pair[0] is not None},
    )  # fmt: skip


def _series(row: Row, name: str) -> Series:
    pooled = {pooling: row[f"{name}_{pooling}"] for pooling in _POOLED} | {"frames": row["frames"]}
    return Series.model_validate({"pooled": pooled, "segments": ()})


def _flat(value: float, frames: int) -> Series:
    """Of a title itself the index has the score alone."""
    pooled = dict.fromkeys(_POOLED, value) | {"std": 0.0, "frames": frames}
    return Series.model_validate({"pooled": pooled, "segments": ()})
