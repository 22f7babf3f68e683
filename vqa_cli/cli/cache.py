"""``vqa cache``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(name="cache")
def command() -> None:
    """Finished rungs are remembered by content, so that nothing is measured twice."""


_DIR = click.option("--cache-dir", type=click.Path(path_type=Path), help="Another folder than the default one.")


@command.command()
@_DIR
def info(cache_dir: Path | None) -> None:
    """Where it is and how large."""
    from vqa_cli.ladder.cache import Cache, default_cache_dir

    folder = cache_dir or default_cache_dir()
    entries, size = Cache(folder).usage()
    click.echo(f"{folder}: {entries} entries, {size / 1e6:.1f} MB")


@command.command()
@_DIR
def clear(cache_dir: Path | None) -> None:
    """Forget everything."""
    from vqa_cli.ladder.cache import Cache, default_cache_dir

    folder = cache_dir or default_cache_dir()
    Cache(folder).clear()
    click.echo(f"{folder}: empty")
