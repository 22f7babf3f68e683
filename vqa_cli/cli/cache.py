"""``vqa cache``."""

from __future__ import annotations

from pathlib import Path

import click

from vqa_cli.cli.command import Group
from vqa_cli.cli.console import say, table, tell, window


@click.group(name="cache", cls=Group)
def command() -> None:
    """Encodes, scores and frame features are remembered by content, so that nothing is measured twice."""


_DIR = click.option("--cache-dir", type=click.Path(path_type=Path), help="Another folder than the default one.")


@command.command()
@_DIR
def info(cache_dir: Path | None) -> None:
    """Where it is, what it holds and how large it may become."""
    from vqa_cli.store.content import default_cache_dir
    from vqa_cli.store.rungs import Rungs
    from vqa_cli.store.seen import FEATURE_LIMIT_BYTES, Seen

    folder = cache_dir or default_cache_dir()
    seen = Seen(folder)
    kinds = [
        ("rungs", Rungs(folder).usage(), "encodes and full-reference figures"),
        ("scores", seen.scores.usage(), "frame scores: another --tau, --beta or --pooling"),
        ("features", seen.features.usage(), f"another head; least used go beyond {FEATURE_LIMIT_BYTES / 1e6:.0f} MB"),
    ]
    say(folder)
    rows = [[name, str(usage.entries), f"{usage.size_bytes / 1e6:.1f}", what] for name, usage, what in kinds]
    tell(table(["kind", "entries", "MB", "for"], rows, width=window()))


@command.command()
@_DIR
@click.option("--features", "only_features", is_flag=True, help="Drop frame features alone, which take most room.")
def clear(cache_dir: Path | None, only_features: bool) -> None:
    """Forget everything."""
    from vqa_cli.store.content import default_cache_dir
    from vqa_cli.store.rungs import Rungs
    from vqa_cli.store.seen import Seen

    folder = cache_dir or default_cache_dir()
    seen = Seen(folder)
    seen.features.clear()
    if not only_features:
        seen.scores.clear()
        Rungs(folder).clear()
    say(f"{folder}: {'no features' if only_features else 'empty'}")
