"""What a ladder is to be run on and how; and the bench on which it is run, once or many times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli.identity import PixelWish
from vqa_cli.ladder.attic import Attic
from vqa_cli.ladder.checks import check_encoders, check_metrics, check_models
from vqa_cli.ladder.executor import Executor, Place, ThisMachine
from vqa_cli.ladder.pieces import WHOLE, Cutting
from vqa_cli.ladder.prepared import PreparedSources
from vqa_cli.ladder.steps import Site
from vqa_cli.ladder.task import Conditions
from vqa_cli.machine import simd_level
from vqa_cli.measure.part import look_at_part
from vqa_cli.measure.program import known_ffmpeg
from vqa_cli.measure.source import Inspector, Source, unheard
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg, cpu_count, find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.scratch import scratch
from vqa_cli.settings import LadderSettings
from vqa_cli.store.inspections import Inspections
from vqa_cli.store.rungs import Rungs
from vqa_cli.store.seen import Seen
from vqa_cli.values import Awaited, Scorer, StrPath, optional_path, origin_of

if TYPE_CHECKING:
    from vqa_cli.ladder.stills import StillsOrder


@dataclass(frozen=True)
class LadderJob:
    """What to run.

    Attributes:
        sources: video files; one may be given alone.
        scorer: the no-reference model, ``None`` to measure full-reference metrics alone.
        workers: rungs in work at once; ``None`` fills the machine with ``settings.threads`` each.
        cache_dir: folder where what was measured is remembered, ``None`` to measure everything.
        keep: folder for the encodes, ``None`` to delete each once it is measured.
        folders: below ``keep``, one for each source; by their names, where none are given.
        skip_missing: drop the rungs of encoders that do not run here instead of refusing.
        command: the user's command line, for the record.
        cutting: which frames of each source are measured.
        stills: what pictures to take of the finished run, ``None`` for none.
        encode_ffmpeg: the program that encodes, where another one (``ffmpeg``) is to decode and measure: so two builds
            are compared by one yardstick, and one without libvmaf can still be judged.
        place: where rungs are carried out.
        on_unknown: see :class:`vqa_cli.measure.source.Inspector`; heard where this machine looks at sources.
    """

    sources: Sequence[StrPath] | StrPath
    settings: LadderSettings
    scorer: Scorer | None
    ffmpeg: str | None = None
    workers: int | None = None
    cache_dir: StrPath | None = None
    keep: StrPath | None = None
    skip_missing: bool = False
    command: tuple[str, ...] = ()
    scratch: StrPath | None = None
    encode_ffmpeg: str | None = None
    place: Place = field(default_factory=ThisMachine)
    cutting: Cutting = WHOLE
    folders: Sequence[str] = ()
    stills: StillsOrder | None = None
    on_unknown: Callable[[], None] = unheard

    def __post_init__(self) -> None:
        # One name is one source: else its letters would be sources.
        given = self.sources
        object.__setattr__(self, "sources", (given,) if isinstance(given, (str, os.PathLike)) else tuple(given))

    @property
    def at_once(self) -> int:
        """How many rungs this machine works on at once."""
        # Two at least: one encodes while the other measures, 1.1 to 1.2 times as fast as one alone even on two cores.
        return self.workers or max(2, cpu_count() // self.settings.threads)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The sources as paths."""
        return tuple(map(Path, self.sources))  # type: ignore[arg-type]

    @property
    def looks_here(self) -> bool:
        """Whether this machine looks at the first source as a whole, and it is at hand."""
        first = self.sources[0]  # type: ignore[index]  # a tuple, once the job is made
        return isinstance(self.place, ThisMachine) and not self.cutting.part and not isinstance(first, Awaited)

    @property
    def origins(self) -> tuple[str | None, ...]:
        """Where each source was fetched from, if it was."""
        return tuple(map(origin_of, self.sources))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Bench:
    """A machine made ready for ladders: programs found and encoders tried once, sources looked at once.

    Attributes:
        checks: which encoders run here.
    """

    job: LadderJob
    site: Site
    executor: Executor
    checks: dict[str, EncoderCheck]
    inspector: Inspector

    @property
    def ffmpeg(self) -> Ffmpeg:
        return self.site.ffmpeg

    def look(self, path: Path, settings: LadderSettings) -> Source:
        """The source, or the part that the job is about, as :meth:`vqa_cli.measure.source.Inspector.look` sees it."""
        if part := self.job.cutting.part:
            return look_at_part(self.inspector, path, settings.treatment, part)
        return (self.executor.look or self.inspector.look)(path, settings.treatment)


@contextmanager
def open_bench(job: LadderJob, *, ahead: bool = False) -> Iterator[Bench]:
    """Make everything ready that runs of the job's settings need; children are ended and files removed afterwards.

    Args:
        ahead: the first source will be looked at: begin while encoders are tried. Not for a catalogue, which may have it already.

    Raises:
        UsageError: an unknown encoder.
        ToolError: ffmpeg, an encoder or a metric is missing.
        StorageError: there is no room for temporary files.
    """
    # Programs end before their files are removed.
    with scratch(job.scratch) as workdir, Runner(bound=True) as runner:
        cache = optional_path(job.cache_dir)
        ffmpeg = known_ffmpeg(runner, job.ffmpeg, cache)
        encoding = find_ffmpeg(runner, job.encode_ffmpeg) if job.encode_ffmpeg else ffmpeg
        check_metrics(job.settings, ffmpeg)
        inspector = Inspector(runner, ffmpeg, workdir, Inspections(cache), job.on_unknown)
        if ahead and job.looks_here:
            inspector.expect(job.paths[0], job.settings.treatment)
        check_models(runner, job.settings, ffmpeg)
        checks = check_encoders(runner, encoding, job.settings, skip_missing=job.skip_missing)
        sources = PreparedSources(runner, ffmpeg, workdir)
        site = Site(
            runner, ffmpeg, encoding, job.scorer, Rungs(cache, machine=simd_level()), Seen(cache), workdir, sources,
            Attic(workdir) if job.stills else None,
        )  # fmt: skip
        with job.place.open(job, site) as executor:
            yield Bench(job, site, executor, checks, inspector)


def conditions(bench: Bench, settings: LadderSettings, keep: str | None = None) -> Conditions:
    """What all tasks of a run on this bench have in common; ``keep`` is a folder for the encodes."""
    site, checks = bench.site, bench.checks
    programs = dict.fromkeys((site.ffmpeg.sha256, site.encode_ffmpeg.sha256))
    return Conditions(
        settings=settings,
        wish=site.scorer.identity.pixels if site.scorer else PixelWish(),
        scored=site.scorer is not None,
        programs="+".join(programs),
        libraries={name: check.library for name, check in checks.items() if check.works},
        reasons={name: check.reason for name, check in checks.items() if not check.works},
        keep=keep,
    )
