"""``vqa presets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import emit_json, say, table, tell, window
from vqa_cli.cli.options import LISTING_FORMAT_OPTION

if TYPE_CHECKING:
    from vqa_cli.cli.listing import PresetListed


@click.group(name="presets", cls=Group)
def command() -> None:
    """Presets are TOML files; those in your own folder win over bundled ones of the same name."""


@command.command(name="list")
@LISTING_FORMAT_OPTION
def list_(output_format: str) -> None:
    """Names, what each is for, and where it lies."""
    from vqa_cli.ladder.preset import build_settings, list_presets, read_preset

    found: list[PresetListed] = [
        {"name": name, "description": build_settings(read_preset(path), name).description, "path": str(path)}
        for name, path in list_presets().items()
    ]
    if output_format == "json":
        return emit_json(found)
    rows = [[preset["name"], preset["description"], preset["path"]] for preset in found]
    tell(table(["preset", "for", "file"], rows, leave=("file",), width=window()))


@command.command()
@click.argument("name", shell_complete=suggest.presets)
@click.option(
    "--format", "output_format", type=click.Choice(["toml", "json"]), default="toml", show_default=True,
    help="The file as it is, or every value, those that it leaves as they are too.",
)  # fmt: skip
def show(name: str, output_format: str) -> None:
    """Print a preset."""
    from vqa_cli.ladder.preset import build_settings, find_preset, read_preset

    path = find_preset(name)
    values = read_preset(path)  # what cannot be read is refused by name
    if output_format == "json":
        return emit_json({"path": str(path), "settings": build_settings(values, str(path))})
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
