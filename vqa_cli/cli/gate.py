"""``vqa gate``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, note, tell, window
from vqa_cli.cli.gatepictures import Measured, folders, picture_both
from vqa_cli.cli.inputs import expand_inputs, local_inputs, refuse_all_missing, typed
from vqa_cli.cli.options import (
    FFMPEG_OPTION,
    JOBS_OPTION,
    PROTOCOLS_OPTION,
    REPEAT_OPTION,
    cache_dir,
    cache_options,
    format_option,
    load_chosen_scorer,
)
from vqa_cli.cli.pictures import StillsCount, page_album, wish_of
from vqa_cli.cli.place import place_of, place_options
from vqa_cli.cli.progress import Progress
from vqa_cli.cli.verdicts import FORMATS, as_table, counts
from vqa_cli.errors import ExitCode, UsageError
from vqa_cli.metrics import METRICS, lower_is_better
from vqa_cli.stills import STILLS_FOLDER

if TYPE_CHECKING:
    from vqa_cli.analysis.gate import Verdict
    from vqa_cli.analysis.policy import Policy
    from vqa_cli.document import Run
    from vqa_cli.frametable import RunFrames
    from vqa_cli.ladder.executor import Place
    from vqa_cli.ladder.pipeline import LadderOutcome
    from vqa_cli.settings import LadderSettings
    from vqa_cli.values import Fetched

_CODES = {"pass": ExitCode.OK, "fail": ExitCode.BELOW_BAR, "inconclusive": ExitCode.INCONCLUSIVE}
# What of `vqa ladder` may differ between the two sides: whatever says how to encode and how to judge.
_SIDE_FLAGS = frozenset(
    ["preset", "codecs", "heights", "crf", "bitrate", "maxrate", "bufsize", "encoder_preset", "tune", "pix_fmt", "extra",
     "display", "gop_s", "threads", "tonemap", "deinterlace", "model", "device", "precision", "batch_size", "model_dir"]
)  # fmt: skip
_ENCODING_OPTIONS = ("preset", "flags", "baseline_flags", "candidate_flags", "baseline_ffmpeg", "candidate_ffmpeg")


def _side_flags() -> frozenset[str]:
    """Flags of `vqa ladder` that --flags takes."""
    from vqa_cli.cli.ladder import command as ladder

    return frozenset(flag for p in ladder.params if p.name in _SIDE_FLAGS for flag in (*p.opts, *p.secondary_opts))


@click.command(name="gate", cls=Command, through=("--flags", _side_flags))
@click.argument(
    "inputs", nargs=-1, required=True, metavar="BASELINE.json CANDIDATE.json | SOURCE...", shell_complete=suggest.runs
)
@click.option(
    "--policy", type=click.Path(path_type=Path), metavar="FILE.toml", help="Limits [1 % BD-rate and 1 % of the range]."
)
@click.option("--metric", help="Without a policy: check this metric [vmaf where it was measured].")
@click.option(
    "--preset",
    metavar="NAME|FILE.toml",
    shell_complete=suggest.presets,
    help="Encode SOURCE by this preset on both sides.",
)
@click.option("--flags", metavar="FLAGS", help='Flags of `vqa ladder` for both sides: "--codec x264 --height 720".')
@click.option("--baseline-flags", metavar="FLAGS", help='Flags for the baseline: "--encoder-preset slow".')
@click.option("--candidate-flags", metavar="FLAGS", help="Flags for the candidate.")
@click.option("--baseline-ffmpeg", metavar="PROGRAM", help="ffmpeg that encodes the baseline.")
@click.option("--candidate-ffmpeg", metavar="PROGRAM", help="ffmpeg that encodes the candidate.")
@REPEAT_OPTION
@click.option("--save", type=click.Path(path_type=Path), metavar="DIR", help="Keep both runs and their report there.")
@JOBS_OPTION
@place_options
@cache_options
@PROTOCOLS_OPTION
@FFMPEG_OPTION
@format_option(*FORMATS, about="For people, for programs, or for CI services.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write there instead of to standard output.")
@click.option("--report", type=click.Path(path_type=Path), metavar="PAGE.html", help="Write the comparison as a page.")
@click.option(
    "--stills", type=StillsCount(), default="3", show_default=True, metavar="N|none|all",
    help="With --report or --save of sources: pictures of the worst N frames of the rungs that lost most; all: of every rung.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(inputs: tuple[str, ...], output_format: str, output: Path | None, **options: Any) -> int:
    """CI verdict: did a change of settings or of the encoder hurt? Exit 0 pass, 1 fail, 7 inconclusive.

    Two run documents are compared as they are. With --preset, the sources are encoded twice and compared: by two
    settings, by two builds of ffmpeg, or both. --ffmpeg decodes and measures for both sides.
    """
    encoding = any(options[name] is not None for name in _ENCODING_OPTIONS)
    judged = _of_sources(inputs, options) if encoding else _of_documents(inputs, options)
    verdict = judged.verdict
    if options["report"]:
        _write_page(judged, options["report"])
    fitted = output_format == "table" and output is None
    text = as_table(verdict, window()) if fitted else FORMATS[output_format](verdict)
    if output is None:
        (tell if output_format == "table" else emit)(text)
    else:
        from vqa_cli.files import write_text

        write_text(output, text + "\n")
        note(f"{verdict.outcome.upper()} ({counts(verdict)}): {output}")
    return _CODES[verdict.outcome]


def _policy(options: dict[str, Any], metric: str) -> Policy:
    from vqa_cli.analysis.policy import default_policy, read_policy

    return read_policy(options["policy"]) if options["policy"] else default_policy(options["metric"] or metric)


@dataclass(frozen=True)
class _Judged:
    """Two runs and what the gate says of them; ``metric`` is the first that the policy checks."""

    runs: tuple[Run, Run]
    frames: tuple[RunFrames | None, RunFrames | None]
    names: tuple[str, str]
    metric: str
    verdict: Verdict
    stills: tuple[Path | None, ...] = ()


def _write_page(judged: _Judged, path: Path) -> None:
    from vqa_cli.report.compare_page import write_comparison

    album = page_album(judged.runs, judged.stills, path)
    write_comparison(*judged.runs, judged.verdict, judged.metric, path, judged.frames, judged.names, album)
    note(f"report: {path}")


def _judge(
    runs: tuple[Run, Run],
    frames: tuple[RunFrames | None, RunFrames | None],
    names: tuple[str, str],
    policy: Policy,
) -> _Judged:
    from vqa_cli.analysis.gate import judge

    return _Judged(runs, frames, names, policy.checked_metrics[0], judge(*runs, policy, frames))


def _of_documents(inputs: tuple[str, ...], options: dict[str, Any]) -> _Judged:
    from vqa_cli.analysis.curves import default_metric
    from vqa_cli.document import read_run, run_file

    if options["repeat"] > 1 or options["save"]:
        raise UsageError("--repeat and --save are for sources, which --preset encodes")
    if options["on"] != "local":
        raise UsageError("--on is for sources, which --preset encodes")
    if len(inputs) != 2:
        raise UsageError("give two run documents, or sources with --preset")
    one, two = (read_run(name) for name in inputs)
    frames = (one.frame_values(), two.frame_values())
    found = _judge((one, two), frames, (inputs[0], inputs[1]), _policy(options, default_metric(one)))
    return replace(found, stills=tuple(run_file(name).with_name(STILLS_FOLDER) for name in inputs))


@dataclass(frozen=True)
class _Side:
    """Settings of one side of the comparison, and what loads its model."""

    name: str
    settings: LadderSettings
    model_options: dict[str, Any]
    ffmpeg: str | None


def _of_sources(inputs: tuple[str, ...], options: dict[str, Any]) -> _Judged:
    if options["preset"] is None:
        raise UsageError("sources are encoded by a preset: give --preset too")
    sides = [_side(name, options) for name in ("baseline", "candidate")]
    metrics = sides[0].settings.metrics
    policy = _policy(options, "vmaf" if "vmaf" in metrics or not metrics else metrics[0])
    sources = expand_inputs(inputs, click.get_current_context().with_resource(local_inputs(options)))
    _refuse_missing_builds(sides)
    place = click.get_current_context().with_resource(place_of(options))
    one, two = (_measured(side, sources, policy, options, place) for side in sides)
    if options["save"]:
        _keep((one.outcome, two.outcome), options["save"])
    runs = one.outcome, two.outcome
    found = _judge((runs[0].run, runs[1].run), (runs[0].frames, runs[1].frames), ("baseline", "candidate"), policy)
    found = replace(found, stills=_pictured((one, two), found, options))
    if options["save"]:
        _write_page(found, options["save"] / "report.html")
    return found


def _pictured(sides: tuple[Measured, Measured], found: _Judged, options: dict[str, Any]) -> tuple[Path, ...]:
    """Take the pictures that the page will show; gives their folders."""
    into, wish = folders(options["save"], options["report"]), wish_of(options["stills"])
    if not into or wish is None:
        return ()
    progress = Progress(quiet=options["quiet"])
    try:
        picture_both(sides, found.verdict, found.metric, wish, into, progress)
    finally:
        progress.close()
    return into


def _side(name: str, options: dict[str, Any]) -> _Side:
    """Read a side's flags as `vqa ladder` would."""
    from vqa_cli.cli.ladder import command as ladder
    from vqa_cli.cli.ladder import read_settings

    flags = [*_words(options, "flags"), *_words(options, f"{name}_flags")]
    ctx = ladder.make_context("vqa ladder", ["--preset", options["preset"], *flags, "SOURCE"])
    given = [key for key in ctx.params if ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE]
    for key in given:
        if key not in _SIDE_FLAGS and key != "sources":
            flag = next(p.opts[-1] for p in ladder.params if p.name == key)
            raise UsageError(f"--{name}-flags cannot hold {flag}", hint=f"give {flag} to `vqa gate` itself")
    if len(ctx.params["sources"]) > 1:
        raise UsageError(f"flags of the {name} name a source: {ctx.params['sources'][0]}")
    return _Side(name, read_settings(ctx, ctx.params), ctx.params, options[f"{name}_ffmpeg"])


def _words(options: dict[str, Any], name: str) -> list[str]:
    try:
        return shlex.split(options[name] or "")
    except ValueError as err:
        raise UsageError(f"--{name.replace('_', '-')}: {err}") from err


def _refuse_missing_builds(sides: list[_Side]) -> None:
    """Before the other side is encoded for nothing."""
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.process import Runner

    with Runner() as runner:
        for side in sides:
            if side.ffmpeg is not None:
                find_ffmpeg(runner, side.ffmpeg)


def _measured(
    side: _Side, sources: list[Path | Fetched], policy: Policy, options: dict[str, Any], place: Place
) -> Measured:
    """One side's ladder, measured by what the policy asks for and nothing else."""
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.repeat import run_repeated

    wanted = policy.checked_metrics
    for metric in wanted:
        if metric != "model" and metric not in METRICS:
            raise UsageError(f"unknown metric: {metric}", hint=f"model, {', '.join(METRICS)}")
    model = side.settings.model if "model" in wanted else "none"
    # The page of the comparison goes by a metric that orders encodes; libvmaf has measured this one anyway.
    shown = () if "model" in wanted or not all(map(lower_is_better, wanted)) else ("vmaf",)
    update = {"metrics": tuple(metric for metric in METRICS if metric in (*wanted, *shown)), "model": model}
    settings = side.settings.model_copy(update=update)
    refuse_all_missing(sources)
    job = LadderJob(
        sources=tuple(sources), settings=settings, ffmpeg=options["ffmpeg"], workers=options["jobs"],
        scorer=load_chosen_scorer(model, side.model_options, threads=settings.threads),
        cache_dir=cache_dir(options),
        command=typed(sys.argv[1:]), encode_ffmpeg=side.ffmpeg, place=place,
    )  # fmt: skip
    if not options["quiet"]:
        note(f"{side.name}:")
    progress = Progress(quiet=options["quiet"], times=options["repeat"])
    try:
        return Measured(job, run_repeated(job, options["repeat"], progress))
    finally:
        progress.close()


def _keep(outcomes: tuple[LadderOutcome, LadderOutcome], folder: Path) -> None:
    from vqa_cli.ladder.output import write_outcome

    for name, outcome in zip(("baseline", "candidate"), outcomes, strict=True):
        write_outcome(outcome, folder / name)
