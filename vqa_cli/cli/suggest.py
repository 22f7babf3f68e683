"""What a shell may complete: presets, encoders, models, metrics and runs. Imports what it looks into when it is asked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Items = list[CompletionItem]


def presets(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Names of presets, else files."""
    from vqa_cli.ladder.preset import list_presets

    return _beginning(list_presets(), incomplete) or _files(incomplete)


def encoders(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Encoders by ffmpeg's names and everyday ones, also after a comma."""
    from vqa_cli.media.encoders import ENCODERS, SHORT_NAMES

    return _last_of_list((*SHORT_NAMES, *ENCODERS), incomplete)


def metrics(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Full-reference metrics, also after a comma."""
    from vqa_cli.metrics import METRICS

    return _last_of_list(METRICS, incomplete)


def models(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Names of models, else files."""
    from vqa_cli.model.registry import MODEL_NAMES

    return _beginning((*MODEL_NAMES, "none"), incomplete) or _files(incomplete)


def runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
    """Folders that hold a run document, and JSON files; where there is none, any file."""
    folder, start = os.path.split(incomplete)
    try:
        found = sorted(Path(folder or ".").iterdir())
    except OSError:
        found = []
    names = [os.path.join(folder, path.name) for path in found if path.name.startswith(start) and _is_run(path)]
    return [CompletionItem(name) for name in names] or _files(incomplete)


def _is_run(path: Path) -> bool:
    return path.suffix == ".json" or (path / "run.json").is_file()


def _beginning(names: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _last_of_list(names: Iterable[str], incomplete: str) -> Items:
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(last) and name not in given]


def _files(incomplete: str) -> Items:
    return [CompletionItem(incomplete, type="file")]
