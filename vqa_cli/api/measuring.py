"""Scoring many files, and searching, with the set-up that commands give themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from vqa_cli.errors import InputError, ModelError, ToolError, UsageError, VqaError
from vqa_cli.identity import ScoreScale
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.scales import crfs_of, goal_of, rates_of
from vqa_cli.ladder.search import Found
from vqa_cli.ladder.search import search as searched
from vqa_cli.ladder.trials import Over, Question
from vqa_cli.measure.filescore import FileScore
from vqa_cli.measure.program import known_ffmpeg
from vqa_cli.measure.score import ScoreRequest, open_scorer
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.delivery import probe_source
from vqa_cli.media.encoders import find_encoder
from vqa_cli.media.pixels import bit_depth
from vqa_cli.media.process import Runner
from vqa_cli.metrics import known_metric
from vqa_cli.values import MediaInfo, Scorer, StrPath, optional_path

Statistic = Literal["mean", "harmonic_mean", "p1", "p5", "p10", "min"]


def score_files(
    paths: Iterable[StrPath],
    request: ScoreRequest | None = None,
    *,
    scorer: Scorer | None = None,
    ffmpeg: str | None = None,
    cache: StrPath | None = None,
    on_error: Callable[[Path, VqaError], None] | None = None,
) -> Iterator[tuple[Path, FileScore]]:
    """Score videos one after the other; each is given as soon as it is scored. A reference is looked at once.

    Args:
        scorer: the model, the bundled one without it.
        ffmpeg: the program, the embedded one without it.
        cache: folder where scores are remembered by content.
        on_error: takes files that cannot be scored, and the others go on; without it the first error is raised.

    Raises:
        InputError, ToolError, ModelError: as :func:`vqa_cli.score_file`.
    """
    if scorer is None:
        from vqa_cli.model.load import load_scorer

        scorer = load_scorer()
    with Runner() as runner:
        program = known_ffmpeg(runner, ffmpeg, optional_path(cache))
        with open_scorer(request or ScoreRequest(), scorer, runner, program, cache) as files:
            files.read_reference()
            for path in map(Path, paths):
                try:
                    result = files.score(path)
                except (InputError, ToolError, ModelError) as err:
                    if on_error is None:
                        raise
                    on_error(path, err)
                    continue
                yield path, result


def search(
    job: LadderJob,
    target: float,
    *,
    metric: str = "vmaf",
    statistic: Statistic = "mean",
    over: Over = "crf",
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
) -> Found:
    """The highest CRF, or the lowest bitrate, at which a source still reaches a target; ``best`` is ``None`` where none does.

    Args:
        job: one source, and settings of one codec and one size; their rate points are not used. ``metric="model"`` takes
            the job's scorer.
        low, high: bounds of the CRF or of kb/s; what the encoder takes without them.
        step: of the CRF, 1 without it; or percent of the bitrate, 3 without it.

    Raises:
        UsageError: several sources, codecs or sizes, or a target that the metric cannot have.
        InputError: the source cannot be used.
        ToolError: an encode failed or the metric was not measured.
    """
    settings = job.settings
    if (len(job.paths), len(settings.codecs), len(settings.heights)) != (1, 1, 1):
        raise UsageError("a search has one source, one codec and one size")
    scale_of_model = _scale(job, metric)
    with Runner() as runner:
        info = probe_source(runner, find_ffmpeg(runner, job.ffmpeg), job.paths[0])
    depth = max(info.bit_depth, bit_depth(settings.codecs[0].pix_fmt))
    goal = goal_of(metric, target, depth, scale_of_model)
    wanted = settings.model_copy(update={"metrics": () if metric == "model" else (metric,)})
    job = replace(job, settings=wanted, scorer=job.scorer if metric == "model" else None)
    with Question(job, over, metric, statistic).open() as trials:
        *_, found = searched(trials.measure, goal, _points(job, info, over, low, high, step))
    return found


def _scale(job: LadderJob, metric: str) -> ScoreScale | None:
    if metric != "model":
        try:
            known_metric(metric)
        except ValueError as err:
            raise UsageError(str(err)) from err
        return None
    if job.scorer is None:
        raise UsageError("the model is to be reached, and the job has no scorer")
    return job.scorer.identity.scale


def _points(
    job: LadderJob, info: MediaInfo, over: Over, low: float | None, high: float | None, step: float | None
) -> list[float]:
    """What may be tried, best first."""
    if over == "crf":
        return crfs_of(find_encoder(job.settings.codecs[0].encoder), low, high, step)
    return rates_of(info, min(job.settings.heights[0], info.size.short_side // 2 * 2), low, high, step)
