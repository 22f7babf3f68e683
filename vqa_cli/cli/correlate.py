"""``vqa correlate``."""

from __future__ import annotations

from pathlib import Path

import click

from vqa_cli.cli.agreements import FORMATS, render
from vqa_cli.errors import InputError, first_line


@click.command(name="correlate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--predicted", default="score", show_default=True, metavar="COLUMN", help="Column of scores.")
@click.option("--rated", default="mos", show_default=True, metavar="COLUMN", help="Column of ratings.")
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True)
def command(file: Path, predicted: str, rated: str, output_format: str) -> None:
    """Agreement of two columns of the table FILE (CSV), for scores made elsewhere."""
    import numpy as np
    import pandas as pd

    from vqa_cli.train.correlation import agreement

    try:
        data = pd.read_csv(file, skipinitialspace=True)
    except (OSError, ValueError) as err:
        raise InputError(f"cannot read table: {file}", detail=first_line(err)) from err
    columns = []
    for name in (predicted, rated):
        if name not in data:
            raise InputError(f"no column {name}: {file}", hint=f"it has {', '.join(map(str, data.columns))}")
        values = pd.to_numeric(data[name], errors="coerce").to_numpy(float)
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise InputError(
                f"no number in row {row + 1} of column {name}: {file}", detail=f"it is {data[name].iloc[row]}"
            )
        columns.append(values)
    if data.empty:
        raise InputError(f"no row in table: {file}")
    click.echo(render([({"name": file.stem}, agreement(*columns))], output_format))
