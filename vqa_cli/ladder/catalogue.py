"""A ladder over thousands of titles: each its own folder as soon as it is finished; a second call does only what is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vqa_cli.catalogue import CATALOGUE_FILE, INDEX_FILE, Row, index_rows, write_index
from vqa_cli.document import Run, read_run
from vqa_cli.errors import StorageError, UsageError
from vqa_cli.events import OnEvent
from vqa_cli.files import write_text
from vqa_cli.ladder.job import Bench
from vqa_cli.ladder.output import write_outcome
from vqa_cli.ladder.pieces import Cutting
from vqa_cli.ladder.pipeline import LadderOutcome, TitleOutcome, describe_run, pictured, run_titles
from vqa_cli.names import title_folder
from vqa_cli.stills import STILLS_FOLDER
from vqa_cli.text import as_text
from vqa_cli.values import StrPath

TITLE_FILE = "title.json"
_CUTTING_FILE = ".cutting.json"
_RESERVED = frozenset({CATALOGUE_FILE, INDEX_FILE, "index.csv", "report.html"})
# Between two times that the index is written while titles are still in work.
_INDEX_EVERY_S = 60.0


@dataclass(frozen=True)
class Known:
    """What ``title.json`` says of a title beside its rows of the index: which file it was, and how it ended."""

    folder: str
    address: str
    size_bytes: int
    modified_ns: int
    status: str


@dataclass
class Catalogue:
    """The folder, and the titles that are in it."""

    folder: Path
    known: dict[str, Known] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=lambda: set(_RESERVED))
    _named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, described: Run, cutting: Cutting) -> Catalogue:
        """Begin a catalogue, or go on with one that was made the same way.

        Raises:
            UsageError: it was made with other settings, another model, another ffmpeg, or of other parts.
            StorageError: it cannot be read or written.
        """
        path = folder / CATALOGUE_FILE
        if path.exists():
            _refuse_others(folder, read_run(path), described, cutting)
        else:
            if (folder / "run.json").exists():
                raise UsageError(f"holds a run, not a catalogue: {folder}", hint="-o another folder")
            write_text(path, described.model_dump_json(indent=1))
            write_text(folder / _CUTTING_FILE, json.dumps(_cutting_values(cutting)))
        found = cls(folder)
        for title in sorted(folder.glob(f"*/{TITLE_FILE}")):
            if (known := _read_title(title)[0]) is not None:
                found.known[known.address] = known
                found._taken.add(known.folder)
        return found

    def missing(self, paths: Sequence[Path], addresses: Sequence[str]) -> list[int]:
        """Places of the sources that are not measured yet, failed in whole or part, or are other files by now."""
        return [i for i, path in enumerate(paths) if not _is_done(self.known.get(addresses[i]), path)]

    def folder_of(self, address: str) -> str:
        """The name of a title's folder: the one that it has, or a new one."""
        if (known := self.known.get(address)) is not None:
            return known.folder
        if address not in self._named:
            self._named[address] = title_folder(address, self._taken)
            self._taken.add(self._named[address])
        return self._named[address]

    def rows(self) -> Iterator[Row]:
        """The rows of all titles, by title."""
        for known in sorted(self.known.values(), key=lambda known: known.folder):
            yield from _read_title(self.folder / known.folder / TITLE_FILE)[1]


def run_catalogue(
    bench: Bench, catalogue: Catalogue, addresses: Sequence[str], on_event: OnEvent
) -> Iterator[TitleWritten]:
    """Measure the sources of the job, and write each title when it is finished; the index is whole at the end, also of an
    interrupted call.

    Raises:
        VqaError: as :func:`vqa_cli.ladder.pipeline.run_titles`; a source that fails is a row of the index.
    """
    settings, written = bench.job.settings, time.monotonic()
    try:
        for title in run_titles(bench, settings, on_event, alone=False):
            yield _write_title(bench, catalogue, addresses[title.number], title, on_event)
            if time.monotonic() - written > _INDEX_EVERY_S:
                write_index(catalogue.folder, catalogue.rows(), settings.metrics)
                written = time.monotonic()
    finally:
        write_index(catalogue.folder, catalogue.rows(), settings.metrics)


@dataclass(frozen=True)
class TitleWritten:
    """A title whose folder is there."""

    folder: Path
    outcome: LadderOutcome
    title: TitleOutcome


def _write_title(
    bench: Bench, catalogue: Catalogue, address: str, title: TitleOutcome, on_event: OnEvent
) -> TitleWritten:
    name, path = catalogue.folder_of(address), bench.job.paths[title.number]
    folder = catalogue.folder / name
    result = title.result
    run = describe_run(bench, bench.job.settings, [result])
    outcome = LadderOutcome(run, {(0, rung): values for rung, values in title.frames.items()})
    write_outcome(outcome, folder)
    _picture(bench, outcome, title.number, folder, on_event)
    size, modified = _state(path)
    rows = index_rows(name, result, run.metrics)
    known = Known(name, as_text(address), size, modified, result.status)
    write_text(folder / TITLE_FILE, json.dumps({"title": asdict(known), "rows": rows}))
    catalogue.known[address] = known
    return TitleWritten(folder, outcome, title)


def _picture(bench: Bench, outcome: LadderOutcome, number: int, folder: Path, on_event: OnEvent) -> None:
    """Take the pictures of a title, where any are wanted, and let its encodes go."""
    job = bench.job
    if job.stills is None:
        return
    order = replace(job.stills, folder=folder / STILLS_FOLDER)
    sources: Sequence[StrPath] = job.sources  # type: ignore[assignment]  # never one alone, once the job is made
    alone = replace(job, sources=[sources[number]], folders=job.folders[number : number + 1], stills=order)
    pictured(replace(bench, job=alone), outcome, on_event)
    if bench.site.attic is not None:
        for rung in outcome.run.sources[0].rungs:
            if rung.encode is not None:
                for sha256 in rung.encode.pieces or (rung.encode.sha256,):
                    bench.site.attic.drop(sha256)


def _read_title(path: Path) -> tuple[Known | None, list[Row]]:
    """What is known of a title and its rows; nothing where that cannot be understood, and the title is measured again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows: list[Row] = [dict(row) for row in found["rows"]]
        return replace(Known(**found["title"]), folder=path.parent.name), rows
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None, []


def _is_done(known: Known | None, path: Path) -> bool:
    return known is not None and known.status == "ok" and _state(path) == (known.size_bytes, known.modified_ns)


def _state(path: Path) -> tuple[int, int]:
    try:
        now = path.stat()
    except OSError:
        return 0, 0
    return now.st_size, now.st_mtime_ns


def _refuse_others(folder: Path, there: Run, wanted: Run, cutting: Cutting) -> None:
    try:
        cut = json.loads((folder / _CUTTING_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise StorageError(f"damaged catalogue: {folder}", detail=str(err), hint="-o another folder") from err
    pairs: Iterable[tuple[str, Any, Any]] = (
        ("settings", there.settings, wanted.settings),
        ("another model", there.model and there.model.sha256, wanted.model and wanted.model.sha256),
        ("another ffmpeg", _builds(there), _builds(wanted)),
        ("another version of vqa", there.environment.measurement, wanted.environment.measurement),
        ("other parts of its titles", cut, _cutting_values(cutting)),
    )
    for what, one, two in pairs:
        if one != two:
            detail = _differences(there, wanted) if what == "settings" else None
            what = "other settings" if what == "settings" else what
            raise UsageError(f"the catalogue was made with {what}: {folder}", detail=detail, hint="-o another folder")


def _builds(run: Run) -> tuple[str, str | None]:
    return run.environment.ffmpeg_sha256, run.environment.encode_ffmpeg_sha256


def _differences(there: Run, wanted: Run) -> str:
    one, two = there.settings.model_dump(), wanted.settings.model_dump()
    return "what differs: " + ", ".join(name for name in one if one[name] != two[name])


def _cutting_values(cutting: Cutting) -> list[Any]:
    part = cutting.part
    return [part.start_s, part.duration_s, cutting.samples, cutting.sample_s, cutting.segments_s]
