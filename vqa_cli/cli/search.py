"""``vqa search``."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, note, tell
from vqa_cli.cli.inputs import local_inputs, one_input, typed
from vqa_cli.cli.options import (
    FFMPEG_OPTION,
    PROTOCOLS_OPTION,
    cache_dir,
    cache_options,
    format_option,
    load_chosen_scorer,
    model_options,
)
from vqa_cli.cli.place import place_of, place_options
from vqa_cli.errors import ExitCode, UsageError
from vqa_cli.metrics import METRICS, lower_is_better
from vqa_cli.text import shell
from vqa_cli.values import origin_of

if TYPE_CHECKING:
    from vqa_cli.ladder.samples import SampledSource
    from vqa_cli.ladder.search import Found, Goal
    from vqa_cli.ladder.trials import Question
    from vqa_cli.measure.source import Source
    from vqa_cli.settings import LadderSettings
    from vqa_cli.values import MediaInfo

_SAMPLED_POOLINGS = ("mean", "harmonic_mean")


@click.command(name="search", cls=Command)
@click.argument("source")
@click.option("--target", type=float, required=True, help="Quality to reach.")
@click.option("--metric", default="vmaf", show_default=True, help=f"model, {', '.join(METRICS)}.")
@click.option(
    "--statistic",
    type=click.Choice(["mean", "harmonic_mean", "p1", "p5", "p10", "min"]),
    default="mean",
    show_default=True,
    help="What of the frames' values reaches the target.",
)
@click.option(
    "--over", type=click.Choice(["crf", "bitrate"]), default="crf", show_default=True,
    help="Find the highest CRF, or the lowest bitrate (two-pass VBR).",
)  # fmt: skip
@click.option(
    "--preset", default="mobile", show_default=True, metavar="NAME|FILE.toml", shell_complete=suggest.presets,
    help="Everything that is not said here is as in `vqa ladder` with this preset, the display too.",
)  # fmt: skip
@click.option(
    "--codec",
    shell_complete=suggest.encoders,
    default="libx264",
    show_default=True,
    help="Encoder, e.g. libx264 or x264.",
)
@click.option("--encoder-preset", metavar="NAME", help="Speed preset.")
@click.option("--tune", metavar="NAME", help="Encoder tune.")
@click.option("--pix-fmt", metavar="NAME", help="Pixel format of the encodes.")
@click.option("--extra", metavar="ARGS", help='More encoder options in pairs: "-aq-mode 3".')
@click.option("--height", type=click.IntRange(64, 8640), metavar="P", help="Coded short side [the source's].")
@click.option(
    "--judged-at", metavar="P|source|coded",
    help="Short side of the picture that is judged [the preset's display].",
)  # fmt: skip
@click.option("--min-crf", type=float, help="Best CRF allowed [the encoder's best].")
@click.option("--max-crf", type=float, help="Worst CRF allowed [the encoder's worst].")
@click.option("--min-kbps", type=click.FloatRange(min=0, min_open=True), help="Lowest bitrate allowed.")
@click.option("--max-kbps", type=click.FloatRange(min=0, min_open=True), help="Highest bitrate allowed.")
@click.option("--step", type=click.FloatRange(min=0.1, max=50), help="CRF steps [1], or percent of bitrate [3].")
@click.option(
    "--samples", type=click.IntRange(1), help="Measure that many samples of a long source instead of the whole."
)
@click.option(
    "--sample-s", type=click.FloatRange(min=0.5), default=4.0, show_default=True, help="Length of a sample in seconds."
)
@click.option("--confirm", is_flag=True, help="With --samples: measure the answer over the whole source too.")
@click.option("--tonemap", is_flag=True, help="Judge an HDR source as approximate SDR.")
@click.option("--deinterlace", is_flag=True, help="Deinterlace an interlaced source.")
@model_options
@place_options
@cache_options
@PROTOCOLS_OPTION
@FFMPEG_OPTION
@format_option("table", "json")
def command(source: str, output_format: str, **options: Any) -> int:
    """Find the highest CRF or lowest bitrate at which SOURCE still reaches a target; exit 1 when none does."""
    from vqa_cli.cli.found import Answer
    from vqa_cli.cli.lines import command_lines
    from vqa_cli.cli.shipping import pasted
    from vqa_cli.ladder.plan import plan_ladder
    from vqa_cli.ladder.search import search
    from vqa_cli.measure.program import known_ffmpeg
    from vqa_cli.media.delivery import probe_source
    from vqa_cli.media.process import Runner

    _check(options)
    given = one_input(source, click.get_current_context().with_resource(local_inputs(options)))
    path = Path(given)
    with Runner() as runner:
        program = known_ffmpeg(runner, options["ffmpeg"], cache_dir(options))
        info = probe_source(runner, program, path)
    task = _task(info, options)
    with _maybe_sampled(path, task.question, options) as sampled:
        used = task.question if sampled is None else _on_samples(task.question, sampled)
        with used.open() as trials:
            original = trials.look() if sampled is None else sampled.source
            _tell(original, task.question.settings_at(task.scale[0]))
            estimate = _told(search(trials.measure, task.goal, task.scale), options)
    found, whole = estimate, sampled is None
    if options["confirm"] and sampled is not None and estimate.best is not None:
        note("over the whole source:")
        found, whole = _confirm(task, estimate, options), True
    settings = task.question.settings_at(found.nearest.point)
    answer = Answer(
        question=task.question, goal=task.goal, scale=task.scale, source=original,
        plan=plan_ladder(original.info, settings), found=found,
        sampled=None if whole else sampled, estimate=estimate if whole and sampled else None,
    )  # fmt: skip
    lines = command_lines([replace(original, origin=origin_of(given))], settings, program)
    if output_format == "json":
        emit(answer.as_json([shell(line) for line in lines]))
    else:
        tell(answer.as_text([shell(pasted(line)) for line in lines]))
    return ExitCode.OK if found.best else ExitCode.BELOW_BAR


def _check(options: dict[str, Any]) -> None:
    """What can be refused before the source is opened."""
    metric, over = options["metric"], options["over"]
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} is no finite number: {value}")
    if metric != "model" and metric not in METRICS:
        raise UsageError(f"unknown metric: {metric}", hint=f"model, {', '.join(METRICS)}")
    if options["samples"] and options["statistic"] not in _SAMPLED_POOLINGS:
        raise UsageError(
            f"samples say nothing of the {options['statistic']} of the whole source",
            hint="--statistic mean or harmonic_mean, or leave --samples out",
        )
    if lower_is_better(metric) and options["statistic"] != "mean":
        raise UsageError(f"of {metric}, of which low is good, there is the mean alone, not {options['statistic']}")
    if options["confirm"] and not options["samples"]:
        raise UsageError("--confirm is for --samples: without them the whole source is measured anyway")
    other = ("min_kbps", "max_kbps") if over == "crf" else ("min_crf", "max_crf")
    for name in other:
        if options[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} is not for --over {over}")


@dataclass(frozen=True)
class _Task:
    """Trials of the whole source, the points that may be tried, best first, and what is to be reached."""

    question: Question
    scale: list[float]
    goal: Goal


def _task(info: MediaInfo, options: dict[str, Any]) -> _Task:
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.scales import crfs_of, goal_of, rates_of
    from vqa_cli.ladder.trials import Question
    from vqa_cli.media.encoders import find_encoder
    from vqa_cli.media.pixels import bit_depth

    height = options["height"] or _most(info)
    step = options["step"]
    if options["over"] == "crf":
        scale = crfs_of(find_encoder(options["codec"]), options["min_crf"], options["max_crf"], step)
    else:
        scale = rates_of(info, min(height, _most(info)), options["min_kbps"], options["max_kbps"], step)
    settings = _settings(info, height, scale[0], options)
    depth = max(info.bit_depth, bit_depth(settings.codecs[0].pix_fmt))
    if options["metric"] == "model":
        scorer = load_chosen_scorer(options["model"] or settings.model, options, threads=settings.threads)
        if scorer is None:
            raise UsageError("--metric model with --model none leaves nothing to measure")
        goal = goal_of("model", options["target"], depth, scorer.identity.scale)
    else:
        scorer, goal = None, goal_of(options["metric"], options["target"], depth, None)
    job = LadderJob(
        sources=(info.path,), settings=settings, scorer=scorer, ffmpeg=options["ffmpeg"], cache_dir=cache_dir(options),
        command=typed(sys.argv[1:]), place=click.get_current_context().with_resource(place_of(options)),
    )  # fmt: skip
    return _Task(Question(job, options["over"], options["metric"], options["statistic"]), scale, goal)


def _settings(info: MediaInfo, height: int, point: float, options: dict[str, Any]) -> LadderSettings:
    """The ladder of one rung as `vqa ladder` would read it from the same preset and flags."""
    from vqa_cli.ladder.overrides import Overrides, apply_overrides
    from vqa_cli.ladder.preset import build_settings, find_preset, read_preset

    preset = read_preset(find_preset(options["preset"]))
    flags = Overrides(
        codecs=(options["codec"],), heights=(height,), speed=options["encoder_preset"], tune=options["tune"],
        pix_fmt=options["pix_fmt"], extra=options["extra"],
        crf=(point,) if options["over"] == "crf" else None, bitrate=(point,) if options["over"] == "bitrate" else None,
    )  # fmt: skip
    values = apply_overrides(preset, flags)
    values["metrics"] = () if options["metric"] == "model" else (options["metric"],)
    values |= {name: True for name in ("tonemap", "deinterlace") if options[name]}
    if options["judged_at"]:
        values["display"] = _judged_at(options["judged_at"], info, height)
    return build_settings(values, f"preset {options['preset']}")


def _judged_at(text: str, info: MediaInfo, height: int) -> int:
    known = {"source": _most(info), "coded": min(height, _most(info))}
    if text not in known and not text.removesuffix("p").isdecimal():
        raise UsageError(f"--judged-at is no size: {text}", hint="a short side such as 720, source, or coded")
    return known[text] if text in known else int(text.removesuffix("p"))


def _most(info: MediaInfo) -> int:
    """The largest coded short side: the source's, but even."""
    return info.size.short_side // 2 * 2


@contextmanager
def _maybe_sampled(source: Path, question: Question, options: dict[str, Any]) -> Iterator[SampledSource | None]:
    if not options["samples"]:
        yield None
        return
    from vqa_cli.ladder.samples import sampled

    settings, shared = question.job.settings, options["shared"]
    with sampled(source, settings, options["samples"], options["sample_s"], options["ffmpeg"], shared) as found:
        if found is None:
            note("the samples would hold half of the source or more: the whole is measured")
        else:
            note(
                f"{len(found.samples)} samples from {found.scenes} scenes, {found.sampled_s:.0f} of "
                f"{found.duration_s:.0f} s, weighted by the frames that each stands for"
            )
        yield found


def _on_samples(question: Question, found: SampledSource) -> Question:
    # Preparation is in the samples already.
    settings = question.job.settings.model_copy(update={"tonemap": False, "deinterlace": False})
    return replace(question, job=replace(question.job, sources=found.paths, settings=settings), weights=found.weights)


def _tell(source: Source, settings: LadderSettings) -> None:
    from vqa_cli.ladder.trials import all_remarks

    for text in all_remarks(source, settings):
        note(f"warning: {text}")


def _confirm(task: _Task, estimate: Found, options: dict[str, Any]) -> Found:
    from vqa_cli.ladder.search import confirm

    with task.question.open() as trials:
        return _told(confirm(trials.measure, task.goal, task.scale, estimate.nearest.point), options)


def _told(states: Iterator[Found], options: dict[str, Any]) -> Found:
    found: Found | None = None
    for found in states:
        last = found.trials[-1]
        note(f"{options['over']} {last.point:g}: {options['metric']} {last.quality:.3f}, {last.kbps:.0f} kb/s")
    assert found is not None
    return found
