"""``vqa train``: a head on cached features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqa_cli.cli.agreements import print_agreements
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import note
from vqa_cli.cli.databases import SKIP_MISSING_OPTION, read_databases
from vqa_cli.cli.progress import Countdown
from vqa_cli.errors import Stopped, UsageError
from vqa_cli.model.memory import prepare_process

if TYPE_CHECKING:
    from vqa_cli.model.card import Card
    from vqa_cli.train.loop import Epoch
    from vqa_cli.train.training import Results, TrainOrder

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--dataset",
        "datasets",
        type=_FILE,
        multiple=True,
        help="info.mat, or CSV with video,mos[,ref_id][,split]; several are trained on together by MDTVSFA's losses.",
    ),
    click.option("--features", type=_FILE, multiple=True, help="What `vqa extract` wrote, one for each --dataset."),
    SKIP_MISSING_OPTION,
    click.option("-o", "--output", type=_FILE, help="Model file to write, *.safetensors."),
    click.option("--exp-id", type=click.IntRange(0), default=0, show_default=True, help="Which split."),
    click.option(
        "--epochs", type=click.IntRange(1), default=2000, show_default=True, help="Most passes over the data."
    ),
    click.option(
        "--lr",
        "learning_rate",
        type=click.FloatRange(0, min_open=True),
        default=1e-5,
        show_default=True,
        help="Learning rate.",
    ),
    click.option("--batch", "batch_size", type=click.IntRange(1), default=16, show_default=True, help="Videos a step."),
    click.option("--weight-decay", type=click.FloatRange(0), default=0.0, show_default=True, help="Of the optimiser."),
    click.option(
        "--head", type=click.Choice(["gru", "transformer"]), default="gru", show_default=True, help="Over the frames."
    ),
    click.option(
        "--ablate",
        type=click.Choice(["content", "gru", "pooling"]),
        help="Leave a part out, to see what it is worth; content: features of `vqa extract --model brisque`.",
    ),
    click.option("--start", type=_FILE, help="Train on from the head of this model, e.g. of a larger database."),
    click.option(
        "--standardise", is_flag=True, help="Centre and scale features by the training part (not in the paper)."
    ),
    click.option(
        "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True, help="bf16: mixed."
    ),
    click.option(
        "--reduce", "reduced", type=click.IntRange(1), default=128, show_default=True, help="Size after layer one."
    ),
    click.option("--hidden", type=click.IntRange(1), default=32, show_default=True, help="Width of the head."),
    click.option(
        "--pooling",
        type=click.Choice(["hysteresis", "mean"]),
        default="hysteresis",
        show_default=True,
        help="Over time.",
    ),
    click.option("--tau", type=click.IntRange(1), default=12, show_default=True, help="Window of the hysteresis."),
    click.option("--beta", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Weight of the present."),
    click.option(
        "--patience", type=click.IntRange(0), default=0, show_default=True, help="Epochs; 0: never stop early."
    ),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of what is drawn."),
    click.option(
        "--tensorboard", type=_FILE, metavar="DIR", help="Write curves for TensorBoard, below the model's name."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
)


def _train_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(name="train", cls=Command)
@_train_options
def command(
    datasets: tuple[Path, ...], features: tuple[Path, ...], output: Path | None,
    *, exp_id: int, pooling: str, device: str, head: str, ablate: str | None, start: Path | None, tensorboard: Path | None,
    skip_missing: bool, **settings: Any,
) -> None:  # fmt: skip
    """Train a VSFA head on the features and ratings of a database; defaults are the paper's.

    A training that was broken off goes on from its last epoch when it is started again.
    """
    if not datasets or not features or output is None:
        raise UsageError("vqa train needs --dataset, --features and -o", hint="see vqa train --help")
    if output.suffix != ".safetensors":
        raise UsageError(f"a model file ends in .safetensors: {output}")
    if ablate == "gru" and head == "transformer":
        raise UsageError(
            "--ablate gru and --head transformer: that head has no GRU to leave out", hint="give one of them"
        )
    prepare_process()  # here it is batches of features that are large
    from vqa_cli.model.device import pick_device
    from vqa_cli.train.loop import MIXED_DECAYS, TrainSettings
    from vqa_cli.train.training import TrainOrder, finished

    settings["head"] = "frame" if ablate == "gru" else {"gru": "vsfa"}.get(head, head)
    if pooling == "mean" or ablate == "pooling":
        settings["tau"] = 1  # a window of one frame leaves every frame score as it is
    if len(datasets) > 1:
        settings["decays"] = MIXED_DECAYS
    rated = read_databases(datasets, features, skip_missing=skip_missing)
    fit = TrainSettings(**settings)
    order = TrainOrder(
        rated, output, exp_id, fit, pick_device(device), start=start, without_content=ablate == "content"
    )
    before = finished(order)
    if before is not None:
        note(f"finished before, with the same data and settings; delete {output} to train again")
    try:
        card, results = before or _run(order, tensorboard)
    except KeyboardInterrupt:
        raise _stopped(order) from None
    note(f"best epoch {card.training['best_epoch'] + 1}, validation SROCC {card.training['val_srocc']:.4f}: {output}")
    print_agreements([({"dataset": name, "split": exp_id}, result) for name, result in results], "text")


def _run(order: TrainOrder, tensorboard: Path | None) -> tuple[Card, Results]:
    """Train, with a bar and curves."""
    from vqa_cli.train.board import Board
    from vqa_cli.train.training import train

    progress = Countdown(order.settings.epochs, "epoch")
    board = Board(tensorboard / order.output.stem) if tensorboard is not None else None

    def watch(row: Epoch) -> None:
        if board is not None:
            board(row)
        progress(row.epoch + 1, f"loss {row.train_loss:.4f}, validation SROCC {row.val_srocc:.4f}")

    with closing(progress), closing(board) if board is not None else nullcontext():
        return train(order, watch)


def _stopped(order: TrainOrder) -> Stopped:
    if order.checkpoint.exists():
        return Stopped(
            f"interrupted; the last finished epoch is in {order.checkpoint}", hint="the same command goes on from there"
        )
    return Stopped("interrupted before the first epoch was finished; nothing is kept")
