"""``vqa extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vqa_cli.cli.console import note
from vqa_cli.cli.options import FFMPEG_OPTION, load_chosen_scorer, model_options
from vqa_cli.errors import ExitCode, UsageError


@click.command(name="extract")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--videos", type=click.Path(path_type=Path), required=True, help="Folder that the dataset's names are below."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the features.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take each N-th frame.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Videos at once.")
@model_options
@FFMPEG_OPTION
def command(
    dataset: Path, videos: Path, output: Path, every: int, jobs: int, ffmpeg: str | None, **options: Any
) -> int:
    """Frame features of the videos in DATASET (an info.mat, or a CSV with video,mos), one file each.

    Videos whose features are there already are skipped; a bad video is reported and the others go on (exit 8).
    """
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.process import Runner
    from vqa_cli.train.datasets import read_dataset
    from vqa_cli.train.extract import ExtractOrder, extract

    model = options["model"] or "vsfa-lite"
    if model == "none":
        raise UsageError("vqa extract needs a model's network", hint="leave --model out")
    names = read_dataset(dataset).names
    order = ExtractOrder(videos, output, load_chosen_scorer(model, options), model, every)
    done = kept = failed = 0
    with Runner() as runner:
        for result in extract(names, order, runner=runner, ffmpeg=find_ffmpeg(runner, ffmpeg), jobs=jobs):
            done, kept, failed = done + (not result.error), kept + result.kept, failed + bool(result.error)
            text = (
                f"FAILED: {result.error.message}"
                if result.error
                else "there"
                if result.kept
                else f"{result.frames} frames"
            )
            note(f"[{done + failed}/{len(names)}] {result.video}: {text}")
    click.echo(f"{done - kept} extracted, {kept} were there, {failed} failed")
    return int(ExitCode.PARTIAL if failed else ExitCode.OK)
