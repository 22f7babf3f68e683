"""Runs a ladder: sources x rungs as one queue of tasks over all sources, and puts the outcomes together as a run."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from vqa_cli.document import ModelScore, Run, RungResult, SourceInfo, SourceResult
from vqa_cli.errors import InputError, ToolError, VqaError
from vqa_cli.events import EncodeProgress, Note, OnEvent, Planned, RungDone, SourceScored, unwatched
from vqa_cli.identity import PixelWish
from vqa_cli.ladder.job import Bench, LadderJob, open_bench
from vqa_cli.ladder.outcome import Outcome, RungOutcome, SourceOutcome
from vqa_cli.ladder.plan import LadderPlan, plan_ladder
from vqa_cli.ladder.record import describe_environment
from vqa_cli.ladder.task import (
    Conditions,
    LadderTask,
    RungTask,
    SourceRef,
    plan_tasks,
    skipped_rungs,
    source_ref,
)
from vqa_cli.measure.source import Source
from vqa_cli.media.probe import check_unchanged
from vqa_cli.names import folder_names, source_names
from vqa_cli.settings import LadderSettings
from vqa_cli.store.rungs import FrameValues


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
    with open_bench(job) as bench:
        return run_on(bench, job.settings, on_event)


def run_on(
    bench: Bench, settings: LadderSettings, on_event: OnEvent = unwatched, *, keep: bool = True
) -> LadderOutcome:
    """As :func:`run_ladder`, on a bench that is ready, with other settings of the same encoders and metrics.

    Args:
        keep: whether the encodes go where the job says.
    """
    ladder = _Ladder(bench, settings, on_event, keep)
    with closing(bench.executor.run(ladder.tasks(), ladder.on_progress, ladder.on_note)) as outcomes:  # type: ignore[type-var]
        for outcome in outcomes:
            ladder.take(outcome)
    return ladder.outcome()


@dataclass
class _Begun:
    """A source in work: what came of it so far."""

    ref: SourceRef
    source: Source
    plan: LadderPlan
    rungs: dict[str, RungResult]
    score: ModelScore | None = None
    fault: str | None = None


class _Ladder:
    """One run: gives tasks out, takes outcomes in."""

    def __init__(self, bench: Bench, settings: LadderSettings, on_event: OnEvent, keep: bool) -> None:
        self._bench, self._settings, self._on_event = bench, settings, on_event
        self._paths = bench.job.paths
        self._names = source_names(list(self._paths))
        self._keep = Path(bench.job.keep) if bench.job.keep and keep else None
        self._folders = folder_names(self._names)
        self._begun: dict[int, _Begun] = {}
        self._frames: dict[tuple[int, str], FrameValues] = {}
        self._faults: dict[int, VqaError] = {}

    def tasks(self) -> Iterator[LadderTask]:
        """The tasks of one source after the other; each is looked at when its turn comes."""
        for number, path in enumerate(self._paths):
            try:
                source = self._look(number, path)
                plan = plan_ladder(source.info, self._settings)
            except (InputError, ToolError) as err:
                if len(self._paths) == 1:
                    raise
                self._on_event(Note(f"{self._names[number]}: {err.message}", warning=True))
                self._on_event(Planned(self._names[number], {}, len(self._paths)))
                self._faults[number] = err
                continue
            yield from self._begin(number, source, plan)

    def _look(self, number: int, path: Path) -> Source:
        origin = self._bench.job.origins[number]
        try:
            source = self._bench.look(path, self._settings)
        except VqaError as err:
            raise err.about(str(path), origin or str(path)) from err
        return replace(source, origin=origin)

    def _begin(self, number: int, source: Source, plan: LadderPlan) -> Iterator[LadderTask]:
        name = self._names[number]
        for text in remarks(source, plan):
            self._on_event(Note(f"{name}: {text}", warning=True))
        conditions = self._conditions(number)
        self._on_event(Planned(name, _work(source, plan, conditions), len(self._paths)))
        ref = source_ref(source, number, name)
        rungs = {rung.id: rung for rung in skipped_rungs(plan, conditions)}
        self._begun[number] = _Begun(ref, source, plan, rungs)
        yield from plan_tasks(source, ref, plan, conditions)

    def _conditions(self, number: int) -> Conditions:
        site, checks = self._bench.site, self._bench.checks
        programs = dict.fromkeys((site.ffmpeg.sha256, site.encode_ffmpeg.sha256))
        return Conditions(
            settings=self._settings,
            wish=site.scorer.identity.pixels if site.scorer else PixelWish(),
            scored=site.scorer is not None,
            programs="+".join(programs),
            libraries={name: check.library for name, check in checks.items() if check.works},
            reasons={name: check.reason for name, check in checks.items() if not check.works},
            keep=str(self._keep / self._folders[number]) if self._keep else None,
        )

    def on_progress(self, task: LadderTask, share: float) -> None:
        if isinstance(task, RungTask):
            self._on_event(EncodeProgress(task.source.name, task.blank.id, share))

    def on_note(self, text: str) -> None:
        self._on_event(Note(text, warning=True))

    def take(self, outcome: Outcome) -> None:
        """File an outcome and tell of it."""
        ref = outcome.task.source
        begun = self._begun[ref.number]
        if isinstance(outcome, SourceOutcome):
            begun.score, begun.fault = outcome.score, outcome.fault
            self._frames[ref.number, "source"] = outcome.values
            if outcome.fault:
                self._on_event(Note(f"{ref.name}: {outcome.fault}", warning=True))
            else:
                self._on_event(SourceScored(ref.name, outcome.score.score if outcome.score else None))
            return
        result = begun.rungs[outcome.result.id] = outcome.result
        if outcome.values:
            self._frames[ref.number, result.id] = outcome.values
        self._on_event(_done(ref.name, outcome))

    def outcome(self) -> LadderOutcome:
        """The run of everything that was taken in."""
        self._confirm()
        bench, scorer = self._bench, self._bench.site.scorer
        run = Run(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            command=bench.job.command,
            environment=describe_environment(bench.site.ffmpeg, bench.site.encode_ffmpeg, bench.checks),
            settings=self._settings,
            model=scorer.identity if scorer else None,
            metrics=self._settings.metrics,
            sources=tuple(self._source_result(number) for number in range(len(self._paths))),
        )
        # As they stand in the document, whatever the order was in which they came.
        order = [
            (n, rung)
            for n, s in enumerate(run.sources)
            if n in self._begun
            for rung in ("source", *(r.id for r in s.rungs))
        ]
        return LadderOutcome(run, {key: self._frames[key] for key in order if key in self._frames}, self._faults)

    def _confirm(self) -> None:
        """Throw out what was measured of sources that are not the same any more: they are at fault, not the encoder.

        Raises:
            InputError: the only source is one.
        """
        for number, begun in list(self._begun.items()):
            try:
                check_unchanged(begun.source.info)
            except InputError as err:
                if len(self._paths) == 1:
                    raise
                self._on_event(Note(f"{self._names[number]}: {err.message}", warning=True))
                self._faults[number] = err
                del self._begun[number]

    def _source_result(self, number: int) -> SourceResult:
        begun = self._begun.get(number)
        if begun is None:
            address = self._bench.job.origins[number] or str(self._paths[number].absolute())
            return _failed_source(address, self._names[number], self._faults[number])
        return _source_result(begun, self._bench)


def remarks(source: Source, plan: LadderPlan) -> tuple[str, ...]:
    """What users are told of a source before its rungs are encoded."""
    return (*source.remarks, *plan.warnings)


def _work(source: Source, plan: LadderPlan, conditions: Conditions) -> dict[str, float]:
    """Cost of each rung that will be tried: see :class:`Planned`."""
    judged = plan.display.width * plan.display.height
    return {
        rung.id: float(source.frames * (rung.order.size.width * rung.order.size.height + judged))
        for rung in plan.rungs if rung.order.encoder.name not in conditions.reasons
    }  # fmt: skip


def _done(name: str, outcome: RungOutcome) -> RungDone:
    result = outcome.result
    kbps = result.encode.bitrate_kbps if result.encode else None
    points = result.score.score if result.score else None
    decides = min(result.fidelity, key=lambda metric: metric != "vmaf", default=None)
    quality = (decides, result.fidelity[decides].pooled.mean) if decides else None
    return RungDone(name, result.id, kbps, points, result.reason, outcome.cached, quality)


def _source_result(begun: _Begun, bench: Bench) -> SourceResult:
    rungs = [begun.rungs[rung.id] for rung in begun.plan.rungs]
    good = [rung for rung in rungs if rung.status == "ok"]
    failed = [rung for rung in rungs if rung.status == "failed"]
    reasons = [f"{len(failed)} of {len(rungs)} rungs failed"] if failed else []
    if begun.fault:
        reasons.append(begun.fault)
    return SourceResult(
        source=begun.source.document(bench.ffmpeg).model_copy(update={"name": begun.ref.name}),
        display_width=begun.plan.display.width,
        display_height=begun.plan.display.height,
        status="ok" if not reasons else "partial" if good else "failed",
        reason="; ".join(reasons) or None,
        score=begun.score,
        rungs=tuple(_with_delta(rung, begun.score) for rung in rungs),
        warnings=begun.plan.warnings,
    )


def _with_delta(rung: RungResult, source: ModelScore | None) -> RungResult:
    if rung.score is None or source is None:
        return rung
    delta = rung.score.score - source.score
    return rung.model_copy(update={"score": rung.score.model_copy(update={"delta_to_source": delta})})


def _failed_source(path: str, name: str, err: VqaError) -> SourceResult:
    empty = SourceInfo(
        path=path, name=name, sha256="", container="", codec="", width=0, height=0, fps="0/1",
        frames=0, duration_s=0.0, pix_fmt="", matrix=None, primaries=None, transfer=None, range=None, size_bytes=0,
        video_bitrate_kbps=0.0,
    )  # fmt: skip
    return SourceResult(source=empty, display_width=0, display_height=0, status="failed", reason=err.message)
