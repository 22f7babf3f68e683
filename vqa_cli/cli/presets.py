"""``vqa presets``."""

from __future__ import annotations

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import say, table, tell, window


@click.group(name="presets", cls=Group)
def command() -> None:
    """Presets are TOML files; those in your own folder win over bundled ones of the same name."""


@command.command(name="list")
def list_() -> None:
    """Names, what each is for, and where it lies."""
    from vqa_cli.ladder.preset import build_settings, list_presets, read_preset

    rows = [
        [name, build_settings(read_preset(path), name).description, str(path)] for name, path in list_presets().items()
    ]
    tell(table(["preset", "for", "file"], rows, leave=("file",), width=window()))


@command.command()
@click.argument("name", shell_complete=suggest.presets)
def show(name: str) -> None:
    """Print a preset's file."""
    from vqa_cli.ladder.preset import find_preset, read_preset

    path = find_preset(name)
    read_preset(path)  # what cannot be read is refused by name
    tell(path.read_text(encoding="utf-8-sig").rstrip())


@command.command()
@click.argument("names", nargs=-1, required=True, shell_complete=suggest.presets)
def validate(names: tuple[str, ...]) -> None:
    """Check presets (names or files) without running them."""
    from vqa_cli.ladder.preset import build_settings, find_preset, read_preset
    from vqa_cli.media.encoders import find_encoder
    from vqa_cli.media.extra import parse_extra

    for name in names:
        path = find_preset(name)
        settings = build_settings(read_preset(path), str(path))
        for codec in settings.codecs:
            parse_extra(find_encoder(codec.encoder).name, codec.extra)
        say(f"{name}: valid")
