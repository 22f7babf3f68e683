"""``vqa correlate``."""

from __future__ import annotations

from pathlib import Path

import click

from vqa_cli.cli.agreements import FORMATS, print_agreements
from vqa_cli.cli.command import Command
from vqa_cli.cli.options import format_option
from vqa_cli.errors import InputError


@click.command(name="correlate", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--predicted", default="score", show_default=True, metavar="COLUMN", help="Column of scores.")
@click.option("--rated", default="mos", show_default=True, metavar="COLUMN", help="Column of ratings.")
@format_option(*FORMATS)
def command(file: Path, predicted: str, rated: str, output_format: str) -> None:
    """Agreement of two columns of the table FILE (CSV), for scores made elsewhere."""
    from vqa_cli.tables import read_table
    from vqa_cli.train.correlation import agreement

    table = read_table(file)
    if not table.rows:
        raise InputError(f"no row in table: {file}")
    figures = agreement(table.numbers(predicted), table.numbers(rated))
    print_agreements([({"name": file.stem}, figures)], output_format)
