"""Runs a ladder: sources x rungs as one queue of tasks over all sources, and puts the outcomes together as a run."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from vqa_cli.document import Run, SourceResult
from vqa_cli.errors import InputError, ToolError, VqaError
from vqa_cli.events import Note, OnEvent, Planned, unwatched
from vqa_cli.ladder.forecast import LONG_S, Forecast
from vqa_cli.ladder.job import Bench, LadderJob, conditions, open_bench
from vqa_cli.ladder.outcome import Outcome
from vqa_cli.ladder.pieces import cut
from vqa_cli.ladder.plan import LadderPlan, plan_ladder
from vqa_cli.ladder.record import describe_environment
from vqa_cli.ladder.stills import take_stills
from vqa_cli.ladder.task import Conditions, LadderTask, RungTask
from vqa_cli.ladder.title import InWork, Title, failed_source
from vqa_cli.measure.source import Source
from vqa_cli.media.probe import check_unchanged
from vqa_cli.names import folder_names, source_names
from vqa_cli.settings import LadderSettings
from vqa_cli.store.rungs import FrameValues
from vqa_cli.values import Awaited


@dataclass(frozen=True)
class TitleOutcome:
    """A source that is finished.

    Attributes:
        number: its place in the job.
        frames: frame values by rung id; ``"source"`` is the source itself.
        fault: why it could not be measured at all.
    """

    number: int
    result: SourceResult
    frames: dict[str, FrameValues]
    fault: VqaError | None = None


@dataclass
class LadderOutcome:
    """The run document and what it does not hold.

    Attributes:
        frames: frame values by (source index, rung id); ``"source"`` is the source itself.
        faults: why sources could not be begun at all, by their index.
    """

    run: Run
    frames: dict[tuple[int, str], FrameValues] = field(default_factory=dict)
    faults: dict[int, VqaError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run.keep_frames(self.frames)


def run_ladder(job: LadderJob, on_event: OnEvent = unwatched) -> LadderOutcome:
    """Encode and measure everything.

    A source or rung that fails becomes a result with a reason; the rest goes on.

    Raises:
        UsageError: settings that cannot be carried out, or a source given twice.
        InputError: the only source cannot be used.
        ToolError: ffmpeg, an encoder or a metric is missing.
        Interrupted, KeyboardInterrupt: stopped; finished rungs are in the cache.
    """
    with open_bench(job, ahead=True) as bench:
        return pictured(bench, run_on(bench, job.settings, on_event), on_event)


def pictured(bench: Bench, outcome: LadderOutcome, on_event: OnEvent) -> LadderOutcome:
    """The same, after the pictures that the job asks for were taken."""
    order = bench.job.stills
    if order is not None:
        take_stills(bench, outcome.run.settings, outcome.run, outcome.frames, order, on_event)
    return outcome


def run_on(
    bench: Bench, settings: LadderSettings, on_event: OnEvent = unwatched, *, keep: bool = True
) -> LadderOutcome:
    """As :func:`run_ladder`, on a bench that is ready, with other settings of the same encoders and metrics.

    Args:
        keep: whether the encodes go where the job says.
    """
    found = sorted(run_titles(bench, settings, on_event, keep=keep), key=lambda title: title.number)
    run = describe_run(bench, settings, [title.result for title in found])
    frames = {(title.number, rung): values for title in found for rung, values in title.frames.items()}
    return LadderOutcome(run, frames, {title.number: title.fault for title in found if title.fault})


def run_titles(
    bench: Bench,
    settings: LadderSettings,
    on_event: OnEvent = unwatched,
    *,
    keep: bool = True,
    alone: bool | None = None,
) -> Iterator[TitleOutcome]:
    """Each source as soon as it is finished, in whatever order; nothing is kept of it here afterwards.

    Args:
        alone: whether a source that cannot be measured ends everything; by default where it is the only one.

    Raises:
        VqaError: as :func:`run_ladder`.
    """
    ladder = _Ladder(bench, settings, on_event, keep, len(bench.job.paths) == 1 if alone is None else alone)
    with closing(bench.executor.run(ladder.tasks(), ladder.on_progress, ladder.on_note)) as outcomes:  # type: ignore[type-var]
        for outcome in outcomes:
            ladder.take(outcome)
            yield from ladder.finished()
    yield from ladder.finished()


def describe_run(bench: Bench, settings: LadderSettings, sources: list[SourceResult]) -> Run:
    """The run document of these sources."""
    scorer = bench.site.scorer
    return Run(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=bench.job.command,
        environment=describe_environment(bench.site.ffmpeg, bench.site.encode_ffmpeg, bench.checks),
        settings=settings,
        model=scorer.identity if scorer else None,
        metrics=settings.metrics,
        sources=tuple(sources),
    )


class _Ladder:
    """One run: gives tasks out, takes outcomes in."""

    def __init__(self, bench: Bench, settings: LadderSettings, on_event: OnEvent, keep: bool, alone: bool) -> None:
        self._bench, self._settings, self._on_event = bench, settings, on_event
        self._paths = bench.job.paths
        self._names = source_names(list(self._paths))
        self._keep = Path(bench.job.keep) if bench.job.keep and keep else None
        self._folders = bench.job.folders or folder_names(self._names)
        self._alone = alone
        self._in_work: dict[int, InWork] = {}
        self._finished: deque[TitleOutcome] = deque()

    def tasks(self) -> Iterator[LadderTask]:
        """The tasks of one source after the other; each is looked at when its turn comes."""
        for number, path in enumerate(self._paths):
            try:
                title = self._title(number, path)
            except (InputError, ToolError) as err:
                self._on_event(Planned(self._names[number], {}, len(self._paths)))
                self._fail(number, err)
                continue
            yield from self._begin(title)

    def _title(self, number: int, path: Path) -> Title:
        source = self._look(number, path)
        plan = plan_ladder(source.info, self._settings)
        on = (self._bench.job.cutting, self._settings)
        site = self._bench.site
        pieces = cut(site.runner, site.ffmpeg, source, plan, on, site.scratch)
        return Title(number, self._names[number], source, plan, tuple(pieces))

    def _look(self, number: int, path: Path) -> Source:
        origin = self._bench.job.origins[number]
        if isinstance(given := self._bench.job.sources[number], Awaited):  # type: ignore[index]
            given.bring()
        try:
            source = self._bench.look(path, self._settings)
        except VqaError as err:
            raise err.about(str(path), origin or str(path)) from err
        return replace(source, origin=origin)

    def _begin(self, title: Title) -> Iterator[LadderTask]:
        for text in remarks(title.source, title.plan):
            self._on_event(Note(f"{title.name}: {text}", warning=True))
        if (cutting := self._bench.job.cutting).in_pieces:
            self._on_event(Note(f"{title.name}: {cutting.told(title.source, title.pieces)}"))
        on = self._conditions(title.number)
        self._on_event(planned := title.planned(on, len(self._paths)))
        lasts_s = float(title.source.frames / title.source.info.fps)
        told = lasts_s >= LONG_S and not cutting.samples
        forecast = Forecast(lasts_s, planned.work) if told else None
        self._in_work[title.number] = begun = InWork(title, on, forecast=forecast)
        yield from begun.begin()
        self._finish(title.number)  # where there was nothing to do

    def _conditions(self, number: int) -> Conditions:
        keep = str(self._keep / self._folders[number]) if self._keep else None
        return conditions(self._bench, self._settings, keep)

    def on_progress(self, task: LadderTask, share: float) -> None:
        if isinstance(task, RungTask) and (begun := self._in_work.get(task.source.number)):
            self._on_event(begun.progress(task.blank.id, share))

    def on_note(self, text: str) -> None:
        self._on_event(Note(text, warning=True))

    def take(self, outcome: Outcome) -> None:
        """File an outcome and tell of it."""
        number = outcome.task.source.number
        for event in self._in_work[number].take(outcome):
            self._on_event(event)
        self._finish(number)

    def finished(self) -> Iterator[TitleOutcome]:
        """Sources that were finished since the last call. Copies of what was fetched for them alone are gone then."""
        while self._finished:
            title = self._finished.popleft()
            if isinstance(given := self._bench.job.sources[title.number], Awaited):  # type: ignore[index]
                given.path.unlink(missing_ok=True)
            yield title

    def _finish(self, number: int) -> None:
        """Hand a source on when nothing of it is left to do.

        What was measured of one that is not the same any more is thrown out: it is at fault, not the encoder.
        """
        begun = self._in_work.get(number)
        if begun is None or begun.left:
            return
        del self._in_work[number]
        try:
            check_unchanged(begun.title.source.info)
        except InputError as err:
            self._fail(number, err)
            return
        begun.join_kept(self._bench.site)
        result, frames = begun.result(self._bench.ffmpeg), begun.ordered_frames()
        self._finished.append(TitleOutcome(number, result, frames))

    def _fail(self, number: int, err: VqaError) -> None:
        """A source is at fault: the end where it is the only one, else a result with a reason."""
        if self._alone:
            raise err
        name = self._names[number]
        self._on_event(Note(f"{name}: {err.message}", warning=True))
        address = self._bench.job.origins[number] or str(self._paths[number].absolute())
        self._finished.append(TitleOutcome(number, failed_source(address, name, err), {}, err))


def remarks(source: Source, plan: LadderPlan) -> tuple[str, ...]:
    """What users are told of a source before its rungs are encoded."""
    return (*source.remarks, *plan.warnings)
