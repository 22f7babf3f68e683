"""Runs a ladder: sources x rungs, by workers that each encode a rung and then measure it.

Workers are in different phases at any time, so encoding, decoding, metrics and inference overlap and the machine stays
full, while no more encodes lie on disk than there are workers. Each uses the same fixed number of threads everywhere, so
that results do not depend on the machine or on the number of workers.
"""

from __future__ import annotations

import datetime
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vqa_cli._version import __version__
from vqa_cli.errors import InputError, StorageError, ToolError, VqaError
from vqa_cli.events import EncodeProgress, Note, OnEvent, Planned, RungDone, SourceScored
from vqa_cli.ladder.cache import Cache, FrameValues
from vqa_cli.ladder.measure import Bench, measure_rung, measure_source, skipped
from vqa_cli.ladder.plan import LadderPlan, PlannedRung, plan_ladder
from vqa_cli.ladder.source import ReadySource, ready_source
from vqa_cli.media.binaries import EncoderCheck, Ffmpeg, check_encoder, cpu_count, find_ffmpeg
from vqa_cli.media.command import build_check_argv
from vqa_cli.media.encoders import ENCODERS, Encoder, find_encoder
from vqa_cli.media.process import Runner
from vqa_cli.run import Environment, ModelInfo, ModelScore, Run, RungResult, ScaleInfo, SourceInfo, SourceResult
from vqa_cli.seen import Seen
from vqa_cli.settings import LadderSettings
from vqa_cli.types import ModelIdentity, Scorer


@dataclass(frozen=True)
class LadderJob:
    """What to run.

    Attributes:
        scorer: the no-reference model, ``None`` to measure full-reference metrics alone.
        workers: rungs in work at once; ``None`` fills the machine with ``settings.threads`` each.
        keep: folder for the encodes, ``None`` to delete each once it is measured.
        skip_missing: drop the rungs of encoders that do not run here instead of refusing.
        command: the user's command line, for the record.
        encode_ffmpeg: the program that encodes, where another one (``ffmpeg``) is to decode and measure: so two builds
            are compared by one yardstick, and one without libvmaf can still be judged.
    """

    sources: tuple[Path, ...]
    settings: LadderSettings
    scorer: Scorer | None
    ffmpeg: str | None = None
    workers: int | None = None
    cache_dir: Path | None = None
    keep: Path | None = None
    skip_missing: bool = False
    command: tuple[str, ...] = ()
    scratch: Path | None = None
    encode_ffmpeg: str | None = None


@dataclass
class LadderOutcome:
    """The run document and the frame values by (source index, rung id); ``"source"`` is the source itself."""

    run: Run
    frames: dict[tuple[int, str], FrameValues] = field(default_factory=dict)


def run_ladder(job: LadderJob, on_event: OnEvent) -> LadderOutcome:
    """Encode and measure everything.

    A source or rung that fails becomes a result with a reason; the rest goes on.

    Raises:
        UsageError: settings that cannot be carried out.
        ToolError: ffmpeg, an encoder or a metric is missing.
        Interrupted, KeyboardInterrupt: stopped; finished rungs are in the cache.
    """
    frames: dict[tuple[int, str], FrameValues] = {}
    with Runner() as runner, _scratch(job.scratch) as workdir:
        ffmpeg = find_ffmpeg(runner, job.ffmpeg)
        encoding = find_ffmpeg(runner, job.encode_ffmpeg) if job.encode_ffmpeg else ffmpeg
        settings = check_metrics(job.settings, ffmpeg)
        checks = check_encoders(runner, encoding, settings, skip_missing=job.skip_missing)
        cache = Cache(job.cache_dir)
        results = []
        for index, path in enumerate(job.sources):
            stage = _Stage(job, runner, ffmpeg, encoding, checks, settings, cache, workdir, on_event, index)
            result, values = _run_source(stage, path)
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
    return LadderOutcome(run, frames)


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
    index: int


def _run_source(stage: _Stage, path: Path) -> tuple[SourceResult, dict[str, FrameValues]]:
    folder = Path(tempfile.mkdtemp(dir=stage.workdir))
    try:
        source = ready_source(stage.runner, stage.ffmpeg, path, stage.settings, folder)
        plan = plan_ladder(source.info, stage.settings)
    except InputError as err:
        if len(stage.job.sources) == 1:
            raise
        stage.on_event(Note(err.message, warning=True))
        return _failed_source(path, err), {}
    for text in (*source.document().preparation, *plan.warnings, *source.notes):
        stage.on_event(Note(f"{path.name}: {text}", warning=True))
    stage.on_event(Planned(len(plan.rungs), len(stage.job.sources)))
    keep = stage.job.keep / path.stem if stage.job.keep else None
    bench = Bench(
        stage.runner, stage.ffmpeg, {name: c.library for name, c in stage.checks.items()}, stage.job.scorer,
        stage.settings, source, plan.display, stage.cache, Seen(stage.job.cache_dir), folder, keep, stage.encoding,
    )  # fmt: skip
    score, rungs, values = _run_rungs(stage, bench, plan)
    shutil.rmtree(folder, ignore_errors=True)
    return _source_result(source, plan, score, rungs), values


def _run_rungs(
    stage: _Stage, bench: Bench, plan: LadderPlan
) -> tuple[ModelScore | None, list[RungResult], dict[str, FrameValues]]:
    """All rungs and the source itself, by workers; results in the plan's order."""
    name = bench.source.info.path.name
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
        own.add_done_callback(lambda done: _tell_source(stage, name, done))
        futures = {pool.submit(measure_rung, bench, rung, _share(stage, name, rung)): rung for rung in _by_cost(usable)}
        for future in as_completed(futures):
            rung = futures[future]
            result, table, cached = future.result()
            results[rung.id] = result
            if table:
                values[rung.id] = table
            kbps = result.encode.bitrate_kbps if result.encode else None
            points = result.score.score if result.score else None
            stage.on_event(RungDone(name, rung.id, kbps, points, result.reason, cached))
        score, values["source"] = own.result()
    except BaseException:
        stage.runner.close()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()
    return score, [results[rung.id] for rung in plan.rungs], values


def _tell_source(stage: _Stage, name: str, done: Future[tuple[ModelScore | None, FrameValues]]) -> None:
    if not done.cancelled() and done.exception() is None:
        score = done.result()[0]
        stage.on_event(SourceScored(name, score.score if score else None))


def _by_cost(rungs: list[PlannedRung]) -> list[PlannedRung]:
    """Large pictures first, so that no worker starts the longest encode when the others are done."""
    return sorted(rungs, key=lambda rung: -rung.order.size.width * rung.order.size.height)


def _share(stage: _Stage, source: str, rung: PlannedRung) -> Callable[[float], None]:
    return lambda share: stage.on_event(EncodeProgress(source, rung.id, share))


def _source_result(
    source: ReadySource, plan: LadderPlan, score: ModelScore | None, rungs: list[RungResult]
) -> SourceResult:
    good = [rung for rung in rungs if rung.status == "ok"]
    failed = [rung for rung in rungs if rung.status == "failed"]
    reason = f"{len(failed)} of {len(rungs)} rungs failed" if failed else None
    return SourceResult(
        source=source.document(),
        display_width=plan.display.width,
        display_height=plan.display.height,
        status="ok" if not failed else "partial" if good else "failed",
        reason=reason,
        score=score,
        rungs=tuple(_with_delta(rung, score) for rung in rungs),
        warnings=plan.warnings,
    )


def _with_delta(rung: RungResult, source: ModelScore | None) -> RungResult:
    if rung.score is None or source is None:
        return rung
    delta = rung.score.score - source.score
    return rung.model_copy(update={"score": rung.score.model_copy(update={"delta_to_source": delta})})


def _failed_source(path: Path, err: VqaError) -> SourceResult:
    empty = SourceInfo(
        path=str(path.absolute()), name=path.name, sha256="", container="", codec="", width=0, height=0, fps="0/1",
        frames=0, duration_s=0.0, pix_fmt="", matrix=None, primaries=None, transfer=None, range=None, size_bytes=0,
        video_bitrate_kbps=0.0,
    )  # fmt: skip
    return SourceResult(source=empty, display_width=0, display_height=0, status="failed", reason=err.message)


def check_metrics(settings: LadderSettings, ffmpeg: Ffmpeg) -> LadderSettings:
    """Refuse metrics that this ffmpeg cannot measure.

    Raises:
        ToolError: one is missing, named with what would give it.
    """
    missing = [name for name in settings.metrics if name not in ffmpeg.metrics]
    if missing:
        have = ",".join(m for m in settings.metrics if m in ffmpeg.metrics) or "none"
        raise ToolError(
            f"this ffmpeg cannot measure {', '.join(missing)}: {ffmpeg.path} ({ffmpeg.version})",
            hint=f"--metric {have}, or an ffmpeg with libvmaf: the embedded one has it (leave --ffmpeg out)",
        )
    return settings


def check_encoders(
    runner: Runner, ffmpeg: Ffmpeg, settings: LadderSettings, *, skip_missing: bool
) -> dict[str, EncoderCheck]:
    """Try every encoder of the ladder before anything is encoded.

    Raises:
        UsageError: unknown encoder.
        ToolError: one does not run here and ``skip_missing`` is not set, or none runs.
    """
    needed: dict[str, Encoder] = {}
    for codec in settings.codecs:
        encoder = find_encoder(codec.encoder)
        needed[encoder.name] = encoder
    checks = {
        name: check_encoder(runner, ffmpeg, name, build_check_argv(ffmpeg.path, encoder))
        for name, encoder in needed.items()
    }
    broken = [check for check in checks.values() if not check.works]
    if broken and (not skip_missing or len(broken) == len(checks)):
        have = ", ".join(ffmpeg.video_encoders(frozenset(ENCODERS)))
        raise ToolError(
            f"encoder not available: {', '.join(check.encoder for check in broken)}",
            detail=broken[0].reason,
            hint=f"this ffmpeg has {have}; --skip-missing drops the others",
        )
    return checks


def describe_environment(ffmpeg: Ffmpeg, encoding: Ffmpeg, checks: dict[str, EncoderCheck]) -> Environment:
    """Versions for the record."""
    torch = sys.modules.get("torch")
    other = encoding if encoding.sha256 != ffmpeg.sha256 else None
    return Environment(
        vqa=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu_name(),
        torch=str(torch.__version__) if torch else None,
        ffmpeg=ffmpeg.origin,
        ffmpeg_path=str(ffmpeg.path),
        ffmpeg_version=ffmpeg.version,
        ffmpeg_sha256=ffmpeg.sha256,
        encode_ffmpeg_path=str(other.path) if other else None,
        encode_ffmpeg_version=other.version if other else None,
        encode_ffmpeg_sha256=other.sha256 if other else None,
        encoder_libraries={name: check.library for name, check in checks.items() if check.works},
    )


def describe_model(identity: ModelIdentity) -> ModelInfo:
    """The model for the record."""
    s = identity.scale
    scale = ScaleInfo(
        name=s.name,
        minimum=s.minimum,
        maximum=s.maximum,
        higher_is_better=s.higher_is_better,
        description=s.description,
    )
    return ModelInfo(
        name=identity.name, sha256=identity.sha256, scale=scale, precision=identity.precision, device=identity.device,
        verified=identity.verified, preprocessing=identity.preprocessing, pooling=identity.pooling,
        training_data=identity.training_data, licence=identity.licence,
    )  # fmt: skip


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor()
    return platform.processor()


@contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    """A temporary folder that is gone afterwards, whatever happens."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="vqa-", dir=parent, ignore_cleanup_errors=True)
    except OSError as err:
        raise StorageError("cannot make a temporary folder", detail=err.strerror, hint="set TMPDIR") from err
    with folder as path:
        yield Path(path)
