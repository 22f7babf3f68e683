"""``vqa ladder --catalogue``: thousands of titles, each in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli.cli.console import emit, note, tell
from vqa_cli.cli.progress import Progress
from vqa_cli.errors import ExitCode, InputError, UsageError, VqaError
from vqa_cli.stills import STILLS_FOLDER
from vqa_cli.text import plural
from vqa_cli.values import Awaited, StrPath, origin_of

if TYPE_CHECKING:
    from vqa_cli.ladder.catalogue import Catalogue, TitleWritten
    from vqa_cli.ladder.job import LadderJob


def run_titles_of(job: LadderJob, folder: Path, options: dict[str, Any]) -> int:
    """Measure what is missing of a catalogue; gives the exit code."""
    from vqa_cli.ladder.catalogue import Catalogue, run_catalogue
    from vqa_cli.ladder.job import open_bench
    from vqa_cli.ladder.pipeline import describe_run

    if options["repeat"] > 1:
        raise UsageError("--repeat is not for a catalogue", hint="leave --repeat or --catalogue out")
    if options["stills_dir"]:
        raise UsageError(
            "--stills-dir is not for a catalogue", hint="leave it out: pictures lie in each title's folder"
        )
    sources: Sequence[StrPath] = job.sources  # type: ignore[assignment]  # never one alone, once the job is made
    addresses = [_address(source) for source in sources]
    tally = _Tally()
    with open_bench(job) as bench:
        catalogue = Catalogue.open(folder, describe_run(bench, job.settings, []), job.cutting)
        wanted = catalogue.missing(job.paths, addresses)
        if there := len(addresses) - len(wanted):
            note(f"{there} of {plural(len(addresses), 'title')} are there already")
        there_too = [addresses[number] for number in wanted]
        folders = [f"{catalogue.folder_of(address)}/encodes" for address in there_too]
        left = [sources[number] for number in wanted]
        part = replace(bench, job=replace(job, sources=left, folders=folders, keep=job.keep and folder))
        progress = Progress(quiet=options["quiet"])
        try:
            for title in run_catalogue(part, catalogue, there_too, progress):
                tally.count(title)
        finally:
            progress.close()
    _print(catalogue, options["output_format"])
    return tally.exit_code(measured_before=there)


def _address(source: StrPath) -> str:
    """What a title is known by from call to call."""
    if isinstance(source, Awaited):
        return source.key
    return origin_of(source) or os.path.abspath(source)


class _Tally:
    """How titles ended."""

    def __init__(self) -> None:
        self.good = self.partial = self.failed = self.at_fault = 0
        self.storage = False

    def count(self, written: TitleWritten) -> None:
        result, fault = written.title.result, written.title.fault
        self.good += result.status == "ok"
        self.partial += result.status == "partial"
        self.failed += result.status == "failed"
        self.at_fault += isinstance(fault, InputError)
        self.storage |= not _write_report(written)

    def exit_code(self, *, measured_before: int) -> int:
        """As `vqa ladder` has it, of all titles of the call."""
        if self.storage:
            return ExitCode.STORAGE
        if not self.failed and not self.partial:
            return ExitCode.OK
        if self.good or self.partial or measured_before:
            return ExitCode.PARTIAL
        return ExitCode.INPUT if self.at_fault == self.failed else ExitCode.TOOL


def _write_report(written: TitleWritten) -> bool:
    from vqa_cli.cli.pictures import page_album
    from vqa_cli.report.html import write_report

    if written.title.fault is not None:
        return True
    try:
        page = written.folder / "report.html"
        album = page_album([written.outcome.run], [written.folder / STILLS_FOLDER], page)
        write_report([written.outcome.run], page, [written.outcome.frames], album=album)
    except VqaError as err:
        note(f"error: {err.message}")
        return False
    return True


def _print(catalogue: Catalogue, output_format: str) -> None:
    import json

    from vqa_cli.catalogue import INDEX_FILE

    index = catalogue.folder / INDEX_FILE
    note(f"index: {index}")
    if output_format == "csv":
        emit(index.with_suffix(".csv").read_text(encoding="utf-8").rstrip("\n"))
    elif output_format == "json":
        emit(json.dumps(list(catalogue.rows()), indent=1))
    else:
        titles = list(catalogue.known.values())
        counts = {status: sum(known.status == status for known in titles) for status in ("ok", "partial", "failed")}
        tell(
            f"{plural(len(titles), 'title')}: "
            + ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        )
