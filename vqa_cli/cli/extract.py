"""``vqa extract``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.command import Command
from vqa_cli.cli.console import note, say
from vqa_cli.cli.options import FFMPEG_OPTION, load_whole_scorer, model_options
from vqa_cli.errors import ExitCode, Stopped, UsageError
from vqa_cli.values import Size

if TYPE_CHECKING:
    from vqa_cli.identity import ModelIdentity
    from vqa_cli.model.extractor import FeatureExtractor
    from vqa_cli.train.extract import ExtractOrder


@click.command(name="extract", cls=Command)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--videos", type=click.Path(path_type=Path), required=True, help="Folder that the dataset's names are below."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the features.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take each N-th frame.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Videos at once.")
@click.option(
    "--shard", metavar="I/N", help="The I-th of N shares of the videos, so that N processes or GPUs fill one folder."
)
@click.option("--yuv-size", metavar="WxH", help="Frame size of headerless .yuv files [the info.mat's].")
@click.option(
    "--yuv-pix-fmt",
    help="Pixel format of .yuv files [yuv420p; yuvj420p, its full range, by --matrix reference for models that see RGB].",
)
@model_options
@FFMPEG_OPTION
def command(
    dataset: Path, videos: Path, output: Path, every: int, jobs: int, shard: str | None, yuv_size: str | None,
    yuv_pix_fmt: str | None, ffmpeg: str | None, **options: Any,
) -> int:  # fmt: skip
    """Frame features of the videos in DATASET (an info.mat, or a CSV with video,mos), one file each.

    Videos whose features are there already are skipped; a bad video is reported and the others go on (exit 8). Beside the
    models, --model takes brisque: hand-made statistics that know no content, for `vqa train --ablate content`.
    """
    from vqa_cli.media.raw import RawFormat
    from vqa_cli.model.registry import is_file_name
    from vqa_cli.train.datasets import read_dataset
    from vqa_cli.train.extract import ExtractOrder, as_published
    from vqa_cli.train.extract import shard as take_shard

    model = options["model"] or "vsfa-lite"
    if model == "none":
        raise UsageError("vqa extract needs a model's network", hint="leave --model out")
    share = _parse_shard(shard)
    given = _parse_size(yuv_size) if yuv_size else None
    data = read_dataset(dataset)
    names = take_shard(data.names, *share)
    frame_size = given or (data.raw.size if data.raw else None)
    raw = RawFormat(frame_size, yuv_pix_fmt or "yuv420p") if frame_size else None
    if raw is not None:
        raw.layout()  # so that a format that cannot be is refused before the network is loaded
    network, identity = _network(model, options)
    # A file is found again from any folder that training is started in.
    extractor = str(Path(model).absolute()) if is_file_name(model) else model
    if raw is not None and yuv_pix_fmt is None and (published := as_published(raw, identity.pixels)) != raw:
        raw = published
        note("note: .yuv files are read at full range, as the authors' code does; --yuv-pix-fmt yuv420p says otherwise")
    order = ExtractOrder(videos, output, network, identity, extractor, every, raw)
    try:
        done, kept, failed = _run(names, order, ffmpeg, jobs)
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted; the features that were finished are in {output}",
            hint="the same command goes on with the rest",
        ) from None
    if failed:
        note("hint: `vqa train` and `vqa evaluate` go on without the failed ones by --skip-missing")
    say(f"{done - kept} extracted, {kept} were there, {failed} failed")
    return int(ExitCode.PARTIAL if failed else ExitCode.OK)


def _run(names: tuple[str, ...], order: ExtractOrder, ffmpeg: str | None, jobs: int) -> tuple[int, int, int]:
    """Extract, with a line for each video; gives how many are done, were there before, and failed."""
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.process import Runner
    from vqa_cli.train.extract import extract

    done = kept = failed = 0
    with Runner() as runner:
        for result in extract(names, order, runner=runner, ffmpeg=find_ffmpeg(runner, ffmpeg), jobs=jobs):
            done, kept, failed = done + (not result.error), kept + result.kept, failed + bool(result.error)
            text = (
                f"FAILED: {result.error.message}{f' ({result.error.detail})' if result.error.detail else ''}"
                if result.error
                else "there"
                if result.kept
                else f"{result.frames} frames"
            )
            note(f"[{done + failed}/{len(names)}] {result.video}: {text}")
    return done, kept, failed


def _network(model: str, options: dict[str, Any]) -> tuple[FeatureExtractor, ModelIdentity]:
    if model == "brisque":
        from vqa_cli.model.brisque import brisque_network
        from vqa_cli.model.device import pick_device

        return brisque_network(pick_device(options["device"]), options["batch_size"])
    scorer = load_whole_scorer(model, options)
    return scorer.extractor, scorer.identity


def _parse_shard(text: str | None) -> tuple[int, int]:
    """``2/3`` is the second of three shares."""
    if text is None:
        return 1, 1
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise UsageError(f"no share of the videos: {text}", hint="--shard 1/4 is the first of four")
    return int(index), int(count)


def _parse_size(text: str) -> Size:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UsageError(f"no frame size: {text}", hint="--yuv-size 1920x1080")
    return Size(int(width), int(height))
