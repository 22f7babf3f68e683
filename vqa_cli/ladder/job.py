"""What a ladder is to be run on and how, and its sources made ready for more than one run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vqa_cli.errors import InputError, StorageError, ToolError
from vqa_cli.ladder.source import ReadySource, ready_source
from vqa_cli.media.binaries import Ffmpeg, find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.settings import LadderSettings
from vqa_cli.values import Scorer, StrPath

Source = StrPath | ReadySource


class _Sources:
    """A field that takes one source or several and gives a tuple; else the letters of a name would be its sources."""

    def __get__(self, job: LadderJob | None, _owner: type[LadderJob]) -> tuple[Source, ...]:
        if job is None:
            raise AttributeError("sources")  # to a dataclass: the field has no default
        found: tuple[Source, ...] = job.__dict__["_sources"]
        return found

    def __set__(self, job: LadderJob, given: Source | Iterable[Source]) -> None:
        one = isinstance(given, str | os.PathLike | ReadySource)
        job.__dict__["_sources"] = (given,) if one else tuple(given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class LadderJob:
    """What to run.

    Attributes:
        sources: one video file or several, or what :func:`made_ready` made of them.
        scorer: the no-reference model, ``None`` to measure full-reference metrics alone.
        workers: rungs in work at once; ``None`` fills the machine with ``settings.threads`` each.
        cache_dir: folder where what was measured is remembered, ``None`` to measure everything.
        keep: folder for the encodes, ``None`` to delete each once it is measured.
        skip_missing: drop the rungs of encoders that do not run here instead of refusing.
        command: the user's command line, for the record.
        encode_ffmpeg: the program that encodes, where another one (``ffmpeg``) is to decode and measure: so two builds
            are compared by one yardstick, and one without libvmaf can still be judged.
    """

    sources: _Sources = _Sources()
    settings: LadderSettings  # type: ignore[misc]  # mypy takes the descriptor above for a default
    scorer: Scorer | None  # type: ignore[misc]
    ffmpeg: str | None = None
    workers: int | None = None
    cache_dir: StrPath | None = None
    keep: StrPath | None = None
    skip_missing: bool = False
    command: tuple[str, ...] = ()
    scratch: StrPath | None = None
    encode_ffmpeg: str | None = None


@contextmanager
def made_ready(job: LadderJob) -> Iterator[LadderJob]:
    """The same job for several runs: sources are decoded to be counted, hashed and prepared once. One that cannot be made
    ready stays a path, for each run to say so.

    Raises:
        ToolError: no ffmpeg.
    """
    with Runner() as runner, scratch(job.scratch) as workdir:
        ffmpeg = find_ffmpeg(runner, job.ffmpeg)
        sources: list[StrPath | ReadySource] = []
        for source in job.sources:
            try:
                sources.append(ready(runner, ffmpeg, source, job.settings, Path(tempfile.mkdtemp(dir=workdir))))
            except (InputError, ToolError):
                sources.append(source)
        yield replace(job, sources=tuple(sources))


def ready(
    runner: Runner, ffmpeg: Ffmpeg, source: StrPath | ReadySource, settings: LadderSettings, folder: Path
) -> ReadySource:
    """See :func:`vqa_cli.ladder.source.ready_source`; what is ready already stays as it is."""
    if isinstance(source, ReadySource):
        return source
    return ready_source(runner, ffmpeg, Path(source), settings, folder)


@contextmanager
def scratch(parent: StrPath | None) -> Iterator[Path]:
    """A temporary folder that is gone afterwards, whatever happens."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="vqa-", dir=parent, ignore_cleanup_errors=True)
    except OSError as err:
        raise StorageError("cannot make a temporary folder", detail=err.strerror, hint="set TMPDIR") from err
    with folder as path:
        yield Path(path)
