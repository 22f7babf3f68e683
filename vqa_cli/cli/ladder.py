"""``vqa ladder``."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, note, tell
from vqa_cli.cli.cutting import cutting_options, read_cutting
from vqa_cli.cli.exploring import check_explore, explore_options, explored
from vqa_cli.cli.inputs import expand_inputs, local_inputs, refuse_all_missing, typed
from vqa_cli.cli.options import (
    FFMPEG_OPTION,
    JOBS_OPTION,
    PROTOCOLS_OPTION,
    REPEAT_OPTION,
    IntList,
    MetricList,
    NumberList,
    RateList,
    cache_dir,
    cache_options,
    format_option,
    load_chosen_scorer,
    model_options,
)
from vqa_cli.cli.pictures import STILLS_DIR_OPTION, STILLS_OPTION, page_album, stills_order
from vqa_cli.cli.place import place_of, place_options
from vqa_cli.cli.progress import Progress
from vqa_cli.cli.rungs import print_run
from vqa_cli.errors import ExitCode, InputError, UsageError, VqaError
from vqa_cli.metrics import METRICS, lower_is_better
from vqa_cli.text import shell
from vqa_cli.values import Fetched

if TYPE_CHECKING:
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.pipeline import LadderOutcome
    from vqa_cli.ladder.stills import StillsOrder
    from vqa_cli.settings import LadderSettings

_DEFAULT_PRESET = "mobile"
_SCALARS = ("display", "gop_s", "threads", "model", "metrics", "tonemap", "deinterlace")


def _read_preset(ctx: click.Context, _param: click.Parameter, name: str) -> str:
    """Make the preset's values the defaults of all other options, so that Click's own precedence holds."""
    if ctx.resilient_parsing:  # a shell completes; nothing is run
        return name
    from vqa_cli.ladder.preset import find_preset, read_preset

    values = read_preset(find_preset(name))
    ctx.meta["preset"] = values
    ctx.default_map = {**{key: values[key] for key in _SCALARS if key in values}, **(ctx.default_map or {})}
    return name


@click.command(name="ladder", cls=Command)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--preset",
    default=_DEFAULT_PRESET,
    show_default=True,
    is_eager=True,
    callback=_read_preset,
    shell_complete=suggest.presets,
    metavar="NAME|FILE.toml",
    help="Start from this preset; see `vqa presets list`.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output directory [vqa-SOURCE-PRESET].")
@click.option(
    "--codec",
    "codecs",
    metavar="ENCODER,…",
    shell_complete=suggest.encoders,
    help="Encoders, e.g. libx264,libsvtav1 (or x264, av1).",
)
@click.option("--height", "heights", type=IntList(), metavar="P,…", help="Rung sizes by short side: 360,540,720.")
@click.option("--crf", type=NumberList(), metavar="LIST|START:STOP:STEP", help="Quality points: 18,23,28 or 18:38:4.")
@click.option("--bitrate", type=RateList(), metavar="RATE,…", help="Target bitrates, two-pass VBR: 300k,1.5M.")
@click.option("--maxrate", type=RateList(), metavar="RATE", help="Cap for --crf.")
@click.option("--bufsize", type=RateList(), metavar="RATE", help="VBV buffer for --maxrate [twice maxrate].")
@click.option("--encoder-preset", metavar="NAME", help="Speed preset, for all or as libx264=slow,libsvtav1=6.")
@click.option("--tune", metavar="NAME", help="Encoder tune, for all or per encoder.")
@click.option("--pix-fmt", metavar="NAME", help="Pixel format of the encodes, for all or per encoder.")
@click.option("--extra", metavar="ARGS", help='More encoder options in pairs: "-aq-mode 3".')
@click.option("--display", type=int, metavar="P", help="Short side of the picture at which everything is judged.")
@click.option("--gop-s", type=float, metavar="SECONDS", help="Closed GOP length.")
@click.option("--threads", type=int, help="Threads of one encode (part of the result).")
@click.option(
    "--metric",
    "metrics",
    type=MetricList(),
    shell_complete=suggest.metrics,
    metavar="NAME,…",
    help=f"{','.join(METRICS)}, all or none.",
)
@click.option("--tonemap/--no-tonemap", default=None, help="Judge HDR sources as approximate SDR.")
@click.option("--deinterlace/--no-deinterlace", default=None, help="Deinterlace interlaced sources.")
@click.option("--catalogue", is_flag=True, help="A folder and a run document for each source, and an index of all.")
@cutting_options
@model_options
@JOBS_OPTION
@place_options
@click.option("--keep-encodes", is_flag=True, help="Keep the encoded files under the output directory.")
@STILLS_OPTION
@STILLS_DIR_OPTION
@REPEAT_OPTION
@click.option("--encode-ffmpeg", metavar="PROGRAM", help="Encode by this ffmpeg; --ffmpeg still decodes and measures.")
@click.option("--skip-missing", is_flag=True, help="Drop rungs of encoders that do not run here.")
@cache_options
@PROTOCOLS_OPTION
@FFMPEG_OPTION
@format_option("table", "json", "csv")
@explore_options
@click.option("--show-config", is_flag=True, help="Print every value and where it came from; encode nothing.")
@click.option("--dry-run", is_flag=True, help="Print the ffmpeg command lines; encode nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def command(ctx: click.Context, /, sources: tuple[str, ...], **options: Any) -> int:
    """Encode SOURCE across a ladder, measure every rung, and write run.json, CSV and an HTML report.

    Values come from flags, then VQA_LADDER_… environment variables, then the preset, then defaults.
    """
    settings = read_settings(ctx, options)
    check_explore(settings, options)
    if options["show_config"]:
        from vqa_cli.cli.config import config_table

        tell(config_table(ctx, settings))
        return ExitCode.OK
    paths = expand_inputs(sources, ctx.with_resource(local_inputs(options)))
    return (_dry_run if options["dry_run"] else _run)(paths, settings, options)


def _dry_run(paths: list[Path | Fetched], settings: LadderSettings, options: dict[str, Any]) -> int:
    from vqa_cli.cli.lines import command_lines, glance

    cutting = read_cutting(options, settings)
    sources, program = glance(paths, settings, options["ffmpeg"])
    sources = [cutting.part.of(source) for source in sources]
    for line in command_lines(sources, settings, program):
        emit(shell(line))
    if not options["quiet"]:
        if cutting.in_pieces:
            note("note: each piece of a source is encoded by these same command lines")
        note(
            "note: judged by headers and first frames alone; a run decodes every source first, and may find interlaced "
            "frames, damage, or another number of frames"
        )
    return ExitCode.OK


def read_settings(ctx: click.Context, options: dict[str, Any]) -> LadderSettings:
    """The ladder that these options of the command describe.

    Raises:
        UsageError: options that contradict each other, or values that cannot be meant.
    """
    from vqa_cli.ladder.overrides import Overrides, apply_overrides
    from vqa_cli.ladder.preset import build_settings

    flags = Overrides(
        codecs=tuple(part.strip() for part in options["codecs"].split(",")) if options["codecs"] else None,
        heights=options["heights"],
        crf=options["crf"],
        bitrate=options["bitrate"],
        maxrate=_one(options["maxrate"], "--maxrate"),
        bufsize=_one(options["bufsize"], "--bufsize"),
        speed=options["encoder_preset"],
        tune=options["tune"],
        pix_fmt=options["pix_fmt"],
        extra=options["extra"],
    )
    values = apply_overrides(ctx.meta["preset"], flags)
    values |= {key: options[key] for key in _SCALARS if options[key] is not None}
    if options["model"] == "none" and values.get("metrics") == ():
        raise UsageError("--model none with --metric none leaves nothing to measure")
    if options["model"] == "none" and all(map(lower_is_better, values.get("metrics", ("vmaf",)))):
        raise UsageError(f"{', '.join(values['metrics'])} alone decides no ladder: name another metric beside it")
    return build_settings(values, f"preset {options['preset']}")


def _one(rates: tuple[float, ...] | None, flag: str) -> float | None:
    if rates and len(rates) > 1:
        raise UsageError(f"{flag} takes one rate")
    return rates[0] if rates else None


def _run(paths: list[Path | Fetched], settings: LadderSettings, options: dict[str, Any]) -> int:
    from vqa_cli.files import check_room
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.output import write_outcome
    from vqa_cli.names import run_folder

    named = Path("catalogue") if options["catalogue"] else Path(paths[0])
    folder = options["output"] or Path(run_folder(named, settings.name))
    check_room(folder)
    refuse_all_missing(paths)
    cutting = read_cutting(options, settings)
    job = LadderJob(
        sources=tuple(paths),
        settings=settings,
        scorer=load_chosen_scorer(settings.model, options, threads=settings.threads),
        ffmpeg=options["ffmpeg"],
        workers=options["jobs"],
        cache_dir=cache_dir(options),
        keep=folder / "encodes" if options["keep_encodes"] else None,
        skip_missing=options["skip_missing"],
        command=typed(sys.argv[1:]),
        encode_ffmpeg=options["encode_ffmpeg"],
        place=click.get_current_context().with_resource(place_of(options)),
        cutting=cutting,
        stills=_stills(options, folder),
        on_unknown=_expect_report,
    )
    if options["catalogue"]:
        from vqa_cli.cli.catalogue import run_titles_of

        return run_titles_of(job, folder, options)
    outcome, ended = (explored if options["explore"] else _gridded)(job, options)
    document = write_outcome(outcome, folder)
    note(f"run document: {document}")
    reported = _write_report(outcome, folder / "report.html", job.stills, link=options["stills_dir"] is not None)
    print_run(outcome.run, options["output_format"], str(folder))
    for line in ended:
        note(line)
    return exit_code(outcome) if reported else ExitCode.STORAGE


def _stills(options: dict[str, Any], folder: Path) -> StillsOrder | None:
    """What pictures are wanted; of a catalogue's titles only those that were asked for."""
    asked = click.get_current_context().get_parameter_source("stills") is ParameterSource.COMMANDLINE
    return stills_order(options, folder) if asked or not options["catalogue"] else None


def _gridded(job: LadderJob, options: dict[str, Any]) -> tuple[LadderOutcome, list[str]]:
    """Every rung of the settings, and with ``--confirm`` those that are recommended between them."""
    from vqa_cli.cli.explore import confirm_ladder
    from vqa_cli.ladder.repeat import run_repeated

    progress = Progress(quiet=options["quiet"], times=options["repeat"])
    try:
        outcome = run_repeated(job, options["repeat"], progress)
    finally:
        progress.close()
    return (confirm_ladder(job, outcome, quiet=options["quiet"]) if options["confirm"] else outcome), []


def _expect_report() -> None:
    """Load what the results are written with while ffmpeg counts the source: after the last rung nothing else is left to do."""
    threading.Thread(target=_load_report, daemon=True).start()


def _load_report() -> None:
    # What cannot be loaded is said by whoever needs it.
    with contextlib.suppress(Exception):
        for name in ("pyarrow.parquet", "vqa_cli.cli.conclusion"):
            importlib.import_module(name)
        from vqa_cli.report.html import load_page

        load_page()


def _write_report(outcome: Any, path: Path, order: Any, *, link: bool) -> bool:
    from vqa_cli.report.html import write_report

    try:
        album = page_album([outcome.run], [order.folder if order else None], path, link=link)
        write_report([outcome.run], path, [outcome.frames], album=album)
    except VqaError as err:
        note(f"error: {err.message}")
        note(f"hint: free some space; `vqa report {path.parent}` tries again without encoding")
        return False
    note(f"report: {path}")
    return True


def exit_code(outcome: LadderOutcome) -> int:
    """0 when everything was measured, 8 when some was; when nothing was, 3 if every source is at fault itself, else 4."""
    rungs = [rung for source in outcome.run.sources for rung in source.rungs]
    good = sum(rung.status == "ok" for rung in rungs)
    if not good:
        at_fault = [err for err in outcome.faults.values() if isinstance(err, InputError)]
        return ExitCode.INPUT if len(at_fault) == len(outcome.run.sources) else ExitCode.TOOL
    complete = good == len(rungs) and all(source.status == "ok" for source in outcome.run.sources)
    return ExitCode.OK if complete else ExitCode.PARTIAL
