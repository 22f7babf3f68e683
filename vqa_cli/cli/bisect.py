"""``vqa bisect``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.bisection import Bisection
from vqa_cli.cli.command import Command
from vqa_cli.cli.options import FFMPEG_OPTION, JOBS_OPTION, format_option
from vqa_cli.errors import InputError, ToolError, UsageError

if TYPE_CHECKING:
    from vqa_cli.settings import LadderSettings


@click.command(name="bisect", cls=Command)
@click.argument("build", nargs=-1, required=True, metavar="-- BUILD-COMMAND...")
@click.option("--good", required=True, metavar="REV", help="A revision that is good.")
@click.option("--bad", required=True, metavar="REV", help="A later one that is bad.")
@click.option(
    "--source",
    "sources",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="What to encode; may be repeated.",
)
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="git repository of the encoder [here].",
)
@click.option(
    "--revisions",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Revisions, one a line, from good to bad; instead of git.",
)
@click.option("--preset", default="mobile", show_default=True, metavar="NAME|FILE.toml", help="What to encode by.")
@click.option(
    "--flags", default="", metavar="FLAGS", help='Flags of `vqa ladder`: "--codec x264 --height 360 --crf 22:37:5".'
)
@click.option("--metric", default="vmaf", show_default=True, help="What BD-rates go by.")
@click.option(
    "--by", type=click.Choice(["bd-rate", "cpu-time"]), default="bd-rate", show_default=True, help="What became worse."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="vqa-bisect",
    show_default=True,
    help="Where builds and answers lie; a call that was stopped goes on from there.",
)
@format_option("text", "json")
@JOBS_OPTION
@FFMPEG_OPTION
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(build: tuple[str, ...], good: str, bad: str, output: Path, **options: Any) -> int:
    """Find the first bad revision of an encoder or of ffmpeg.

    BUILD-COMMAND makes the ffmpeg of a revision: {rev} stands for the revision, {out} for the file to write. One that it
    cannot make is left out. Encodes are repeated until a revision is like the good end or like the bad one. Exit 7 where the
    ends do not differ.
    """
    from vqa_cli.files import check_room
    from vqa_cli.history.bisectstate import BisectState, load_state

    if not any("{out}" in part for part in build):
        raise UsageError("the build command does not say where the ffmpeg goes", hint="use {rev} and {out} in it")
    settings = _settings(options)
    revisions = _revisions(good, bad, options)
    sources = [path.absolute() for path in options["sources"]]
    missing = next((path for path in sources if not path.is_file()), None)
    if missing is not None:
        raise InputError(f"no such file: {missing}")
    check_room(output)
    question = {"build": build, "settings": settings.model_dump(mode="json"), "sources": [_content(p) for p in sources],
                "by": options["by"], "metric": options["metric"]}  # fmt: skip
    state = load_state(output, BisectState(question=json.dumps(question, sort_keys=True), revisions=tuple(revisions)))
    return Bisection(build, settings, sources, output, options, state).run()


def _content(path: Path) -> str:
    from vqa_cli.files import file_sha256

    try:
        return file_sha256(path)
    except OSError as err:
        raise InputError(f"cannot read: {path}", detail=err.strerror) from err


def _settings(options: dict[str, Any]) -> LadderSettings:
    """Read as `vqa ladder` reads its flags; what is measured is what the answer goes by."""
    from vqa_cli.analysis.curves import refuse_undecided
    from vqa_cli.cli.ladder import command as ladder
    from vqa_cli.cli.ladder import read_settings
    from vqa_cli.metrics import known_metric

    try:
        metric, flags = known_metric(options["metric"]), shlex.split(options["flags"])
    except ValueError as err:
        raise UsageError(str(err)) from err
    refuse_undecided(metric)
    ctx = ladder.make_context("vqa ladder", ["--preset", options["preset"], *flags, "--model", "none", "SOURCE"])
    settings = read_settings(ctx, ctx.params)
    return settings.model_copy(update={"metrics": (metric,), "model": "none"})


def _revisions(good: str, bad: str, options: dict[str, Any]) -> list[str]:
    """From the good one to the bad one."""
    if options["revisions"] is not None:
        try:
            every = [line.strip() for line in options["revisions"].read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as err:
            raise UsageError(f"cannot read revisions: {options['revisions']}") from err
        found = [line for line in every if line and not line.startswith("#")]
        for name, rev in (("good", good), ("bad", bad)):
            if rev not in found:
                raise UsageError(f"not in {options['revisions']}: --{name} {rev}")
        first, last = found.index(good), found.index(bad)
    else:
        found = _commits(good, bad, options["repo"])
        first, last = 0, len(found) - 1
    if first >= last:
        raise UsageError(f"{good} is no earlier revision than {bad}", hint="--good is the older one")
    return found[first : last + 1]


def _commits(good: str, bad: str, repo: Path) -> list[str]:
    from vqa_cli.media.process import Runner

    with Runner() as runner:
        try:
            start = runner.run(["git", "rev-parse", "--verify", f"{good}^{{commit}}"], cwd=repo).stdout.strip()
            told = runner.run(["git", "rev-list", "--reverse", "--first-parent", f"{good}..{bad}"], cwd=repo).stdout
        except ToolError as err:
            raise UsageError(f"git does not know {good} and {bad}", detail=err.detail, hint="--repo DIR") from err
    return [start, *told.split()]
