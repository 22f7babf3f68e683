"""``vqa evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from vqa_cli.cli.agreements import FORMATS, render


@click.command(name="evaluate")
@click.argument("models", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="MODEL...")
@click.option("--dataset", type=click.Path(path_type=Path), required=True, help="info.mat, or CSV with video,mos.")
@click.option("--features", type=click.Path(path_type=Path), required=True, help="What `vqa extract` wrote.")
@click.option(
    "--part", type=click.Choice(["auto", "test", "all"]), default="auto", show_default=True,
    help="auto: the model's own test part on the data it was trained on, every video of other data.",
)  # fmt: skip
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True)
def command(models: tuple[Path, ...], dataset: Path, features: Path, part: str, output_format: str) -> None:
    """Agreement of trained MODELs with ratings: SROCC, KROCC, PLCC, RMSE, also after VQEG's logistic fit.

    Several models (one for each split) give mean and standard deviation too.
    """
    from vqa_cli.train.datasets import read_dataset
    from vqa_cli.train.evaluate import evaluate

    data = read_dataset(dataset)
    click.echo(render([(path.stem, evaluate(path, data, features, part=part)) for path in models], output_format))
