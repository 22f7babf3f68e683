"""``vqa cache``."""

from __future__ import annotations

from pathlib import Path

import click

from vqa_cli.cli.command import Group
from vqa_cli.cli.console import say, table, tell, window
from vqa_cli.cli.options import CACHE_DIR_OPTION


@click.group(name="cache", cls=Group)
def command() -> None:
    """Encodes, scores and frame features are remembered by content, so that nothing is measured twice."""


@command.command()
@CACHE_DIR_OPTION
def info(cache_dir: Path | None) -> None:
    """Where it is, what it holds and how large it may become."""
    from vqa_cli.store.content import default_cache_dir
    from vqa_cli.store.kinds import KINDS

    folder = cache_dir or default_cache_dir()
    say(folder)
    rows = []
    for kind in KINDS:
        usage = kind.entries(folder).usage()
        limit = "" if kind.limit_bytes is None else f"{kind.limit_bytes / 1e6:.0f}"
        rows.append([kind.name, str(usage.entries), f"{usage.size_bytes / 1e6:.1f}", limit, kind.saves])
    tell(table(["kind", "entries", "MB", "of", "saves"], rows, width=window()))


@command.command()
@CACHE_DIR_OPTION
@click.option("--features", "only_features", is_flag=True, help="Drop frame features alone, which take most room.")
def clear(cache_dir: Path | None, only_features: bool) -> None:
    """Forget everything. Only entries are deleted, and only from folders that vqa has marked as a cache."""
    from vqa_cli.store.content import default_cache_dir
    from vqa_cli.store.kinds import FEATURES, KINDS
    from vqa_cli.store.kinds import clear as clear_entries

    folder = cache_dir or default_cache_dir()
    clear_entries(folder, (FEATURES,) if only_features else KINDS)
    say(f"{folder}: {'no features' if only_features else 'empty'}")
