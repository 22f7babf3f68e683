"""Rating databases on the command line: label files, each with the folder of its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vqa_cli.cli.console import note
from vqa_cli.errors import UsageError

if TYPE_CHECKING:
    from vqa_cli.train.rated import Rated

SKIP_MISSING_OPTION = click.option(
    "--skip-missing",
    is_flag=True,
    help="Go on without the videos that have no features; the parts are drawn from all videos as ever.",
)


def read_databases(datasets: Sequence[Path], features: Sequence[Path], *, skip_missing: bool) -> tuple[Rated, ...]:
    """Read label files; says which videos are left out where that is asked for.

    Raises:
        UsageError: a label file has no folder, or the other way round.
        InputError: see :func:`vqa_cli.train.datasets.read_dataset`.
    """
    if len(datasets) != len(features):
        raise UsageError(f"{len(datasets)} --dataset and {len(features)} --features", hint="give one for each")
    from vqa_cli.train.datasets import read_dataset
    from vqa_cli.train.rated import Rated, without_missing

    databases = tuple(Rated(read_dataset(path), folder) for path, folder in zip(datasets, features, strict=True))
    if not skip_missing:
        return databases
    databases = tuple(map(without_missing, databases))
    for each in databases:
        if each.left_out:
            note(f"warning: left out, because they have no features: {each.described}")
    return databases
