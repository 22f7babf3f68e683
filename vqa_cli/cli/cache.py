"""``vqa cache``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vqa_cli.cli.command import Group
from vqa_cli.cli.console import emit_json, say, table, tell, window
from vqa_cli.cli.options import CACHE_DIR_OPTION, LISTING_FORMAT_OPTION

if TYPE_CHECKING:
    from vqa_cli.cli.listing import KindHeld


@click.group(name="cache", cls=Group)
def command() -> None:
    """Encodes, scores and frame features are remembered by content, so that nothing is measured twice."""


@command.command()
@CACHE_DIR_OPTION
@LISTING_FORMAT_OPTION
def info(cache_dir: Path | None, output_format: str) -> None:
    """Where it is, what it holds and how large it may become."""
    from vqa_cli.store.content import default_cache_dir

    folder = cache_dir or default_cache_dir()
    kinds = _held(folder)
    if output_format == "json":
        return emit_json({"path": str(folder), "kinds": kinds})
    say(folder)
    rows = [
        [kind["kind"], str(kind["entries"]), _mb(kind["bytes"], 1), _mb(kind["limit_bytes"], 0), kind["saves"]]
        for kind in kinds
    ]
    tell(table(["kind", "entries", "MB", "of", "saves"], rows, width=window()))


def _held(folder: Path) -> list[KindHeld]:
    from vqa_cli.store.kinds import KINDS

    held: list[KindHeld] = []
    for kind in KINDS:
        usage = kind.entries(folder).usage()
        held.append(
            {"kind": kind.name, "saves": kind.saves, "entries": usage.entries, "bytes": usage.size_bytes, "limit_bytes": kind.limit_bytes}
        )  # fmt: skip
    return held


def _mb(size_bytes: int | None, digits: int) -> str:
    return "" if size_bytes is None else f"{size_bytes / 1e6:.{digits}f}"


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
