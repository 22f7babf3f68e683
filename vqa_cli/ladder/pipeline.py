"""Runs a ladder: sources x rungs, by workers that each encode a rung and then measure it.

Workers are in different phases at any time, so encoding, decoding, metrics and inference overlap and the machine stays
full, while no more encodes lie on disk than there are workers. Each uses the same fixed number of threads everywhere, so
that results do not depend on the machine or on the number of workers.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from vqa_cli.document import ModelScore, Run, RungResult, SourceInfo, SourceResult
from vqa_cli.errors import InputError, StorageError, ToolError, VqaError
from vqa_cli.events import EncodeProgress, Note, OnEvent, Planned, RungDone, SourceScored, unwatched
from vqa_cli.ladder.checks import check_encoders, check_metrics
from vqa_cli.ladder.job import LadderJob, ready, scratch
from vqa_cli.ladder.measure import Bench, measure_rung, measure_source, skipped
from vqa_cli.ladder.plan import LadderPlan, PlannedRung, plan_ladder
from vqa_cli.ladder.record import describe_environment, describe_model
from vqa_cli.ladder.source import ReadySource, remarks
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg, cpu_count, find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.names import folder_names, source_names
from vqa_cli.settings import LadderSettings
from vqa_cli.store.rungs import Cache, FrameValues
from vqa_cli.store.seen import Seen
from vqa_cli.values import StrPath, optional_path


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


def run_ladder(job: LadderJob, on_event: OnEvent = unwatched) -> LadderOutcome:
    """Encode and measure everything.

    A source or rung that fails becomes a result with a reason; the rest goes on.

    Raises:
        UsageError: settings that cannot be carried out, or a source given twice.
        ToolError: ffmpeg, an encoder or a metric is missing.
        Interrupted, KeyboardInterrupt: stopped; finished rungs are in the cache.
    """
    frames: dict[tuple[int, str], FrameValues] = {}
    faults: dict[int, VqaError] = {}
    names = source_names([_path(source) for source in job.sources])
    folders = folder_names(names)
    with Runner() as runner, scratch(job.scratch) as workdir:
        ffmpeg = find_ffmpeg(runner, job.ffmpeg)
        encoding = find_ffmpeg(runner, job.encode_ffmpeg) if job.encode_ffmpeg else ffmpeg
        settings = check_metrics(job.settings, ffmpeg)
        checks = check_encoders(runner, encoding, settings, skip_missing=job.skip_missing)
        cache = Cache(optional_path(job.cache_dir))
        results = []
        for index, source in enumerate(job.sources):
            folder = Path(tempfile.mkdtemp(dir=workdir))
            keep = Path(job.keep) / folders[index] if job.keep else None
            stage = _Stage(job, runner, ffmpeg, encoding, checks, settings, cache, folder, on_event, names[index], keep)
            try:
                begun = _begin(stage, source)
            except (InputError, ToolError) as err:
                if len(job.sources) == 1:
                    raise
                on_event(Note(err.message, warning=True))
                faults[index] = err
                results.append(_failed_source(_path(source), names[index], err))
                continue
            result, values = _run_source(stage, *begun)
            results.append(result)
            frames |= {(index, rung): table for rung, table in values.items()}
    run = Run(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=job.command,
        environment=describe_environment(ffmpeg, encoding, checks),
        settings=settings,
        model=describe_model(job.scorer.identity) if job.scorer else None,
        metrics=settings.metrics,
        sources=tuple(results),
    )
    return LadderOutcome(run, frames, faults)


def _path(source: StrPath | ReadySource) -> Path:
    return source.info.path if isinstance(source, ReadySource) else Path(source)


@dataclass(frozen=True)
class _Stage:
    job: LadderJob
    runner: Runner
    ffmpeg: Ffmpeg
    encoding: Ffmpeg
    checks: dict[str, EncoderCheck]
    settings: LadderSettings
    cache: Cache
    workdir: Path
    on_event: OnEvent
    name: str
    keep: Path | None


def _begin(stage: _Stage, given: StrPath | ReadySource) -> tuple[ReadySource, LadderPlan]:
    """Make a source ready and plan its rungs.

    Raises:
        InputError, ToolError: it cannot be used.
    """
    source = ready(stage.runner, stage.ffmpeg, given, stage.settings, stage.workdir)
    return source, plan_ladder(source.info, stage.settings)


def _run_source(stage: _Stage, source: ReadySource, plan: LadderPlan) -> tuple[SourceResult, dict[str, FrameValues]]:
    for text in remarks(source, plan):
        stage.on_event(Note(f"{stage.name}: {text}", warning=True))
    stage.on_event(Planned(len(plan.rungs), len(stage.job.sources)))
    bench = Bench(
        stage.runner, stage.ffmpeg, {name: c.library for name, c in stage.checks.items()}, stage.job.scorer,
        stage.settings, source, plan.display, stage.cache, Seen(optional_path(stage.job.cache_dir)), stage.workdir, stage.keep,
        stage.encoding,
    )  # fmt: skip
    measured = _run_rungs(stage, bench, plan)
    shutil.rmtree(stage.workdir, ignore_errors=True)
    return _source_result(stage.name, source, plan, measured), measured.values


@dataclass
class _Measured:
    """What came out for one source; ``fault`` is why the source itself has no score, where that was tried in vain."""

    score: ModelScore | None
    fault: str | None
    rungs: list[RungResult]
    values: dict[str, FrameValues]


def _run_rungs(stage: _Stage, bench: Bench, plan: LadderPlan) -> _Measured:
    """All rungs and the source itself, by workers; results in the plan's order."""
    # Two at least: one encodes while the other measures, 1.1 to 1.2 times as fast as one alone even on two cores.
    workers = stage.job.workers or max(2, cpu_count() // stage.settings.threads)
    usable = [rung for rung in plan.rungs if stage.checks[rung.order.encoder.name].works]
    results = {
        rung.id: skipped(rung, bench, stage.checks[rung.order.encoder.name].reason)
        for rung in plan.rungs if rung not in usable
    }  # fmt: skip
    values: dict[str, FrameValues] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        own = pool.submit(measure_source, bench)
        own.add_done_callback(lambda done: _tell_source(stage, done))
        futures = {pool.submit(measure_rung, bench, rung, _share(stage, rung)): rung for rung in _by_cost(usable)}
        for future in as_completed(futures):
            rung = futures[future]
            result, table, cached = future.result()
            results[rung.id] = result
            if table:
                values[rung.id] = table
            kbps = result.encode.bitrate_kbps if result.encode else None
            points = result.score.score if result.score else None
            stage.on_event(RungDone(stage.name, rung.id, kbps, points, result.reason, cached))
        score, values["source"], fault = _own_score(own)
    except BaseException:
        stage.runner.close()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()
    if fault:
        stage.on_event(Note(f"{stage.name}: {fault}", warning=True))
    return _Measured(score, fault, [results[rung.id] for rung in plan.rungs], values)


def _own_score(own: Future[tuple[ModelScore | None, FrameValues]]) -> tuple[ModelScore | None, FrameValues, str | None]:
    """The source's own score, or why there is none: its rungs are worth having all the same."""
    try:
        return *own.result(), None
    except StorageError:
        raise
    except VqaError as err:
        return None, {}, f"the source itself could not be scored: {err.message}"


def _tell_source(stage: _Stage, done: Future[tuple[ModelScore | None, FrameValues]]) -> None:
    if not done.cancelled() and done.exception() is None:
        score = done.result()[0]
        stage.on_event(SourceScored(stage.name, score.score if score else None))


def _by_cost(rungs: list[PlannedRung]) -> list[PlannedRung]:
    """Large pictures first, so that no worker starts the longest encode when the others are done."""
    return sorted(rungs, key=lambda rung: -rung.order.size.width * rung.order.size.height)


def _share(stage: _Stage, rung: PlannedRung) -> Callable[[float], None]:
    return lambda share: stage.on_event(EncodeProgress(stage.name, rung.id, share))


def _source_result(name: str, source: ReadySource, plan: LadderPlan, measured: _Measured) -> SourceResult:
    rungs = measured.rungs
    good = [rung for rung in rungs if rung.status == "ok"]
    failed = [rung for rung in rungs if rung.status == "failed"]
    reasons = [f"{len(failed)} of {len(rungs)} rungs failed"] if failed else []
    if measured.fault:
        reasons.append(measured.fault)
    return SourceResult(
        source=source.document().model_copy(update={"name": name}),
        display_width=plan.display.width,
        display_height=plan.display.height,
        status="ok" if not reasons else "partial" if good else "failed",
        reason="; ".join(reasons) or None,
        score=measured.score,
        rungs=tuple(_with_delta(rung, measured.score) for rung in rungs),
        warnings=plan.warnings,
    )


def _with_delta(rung: RungResult, source: ModelScore | None) -> RungResult:
    if rung.score is None or source is None:
        return rung
    delta = rung.score.score - source.score
    return rung.model_copy(update={"score": rung.score.model_copy(update={"delta_to_source": delta})})


def _failed_source(path: Path, name: str, err: VqaError) -> SourceResult:
    empty = SourceInfo(
        path=str(path.absolute()), name=name, sha256="", container="", codec="", width=0, height=0, fps="0/1",
        frames=0, duration_s=0.0, pix_fmt="", matrix=None, primaries=None, transfer=None, range=None, size_bytes=0,
        video_bitrate_kbps=0.0,
    )  # fmt: skip
    return SourceResult(source=empty, display_width=0, display_height=0, status="failed", reason=err.message)
