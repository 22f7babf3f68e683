"""The reference pages of commands and presets, from what the program itself knows: ``python -m vqa_cli.cli.reference commands``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from vqa_cli.cli import cli
from vqa_cli.ladder.preset import build_settings, read_preset
from vqa_cli.resources import preset_dir


def commands_page() -> str:
    """Every command with its help."""
    parts = ["# Commands", "Each command explains itself: `vqa COMMAND --help` prints what stands here."]
    for name, command, context in _all(cli, click.Context(cli, info_name="vqa")):
        level = "##" if name.count(" ") < 2 else "###"
        parts += [f"{level} {name}", f"```text\n{_help(command, context)}\n```"]
    return "\n\n".join(parts) + "\n"


def presets_page() -> str:
    """Every bundled preset with its file."""
    parts = ["# Presets", "`vqa presets show NAME` prints a preset; the file is a good start for one of your own."]
    for path in sorted(preset_dir().glob("*.toml")):
        about = build_settings(read_preset(path), path.stem).description
        parts += [f"## {path.stem}", about, f"```toml\n{path.read_text(encoding='utf-8').rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _all(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        yield below.command_path, command, below
        if isinstance(command, click.Group):
            yield from _all(command, below)


def _help(command: click.Command, context: click.Context) -> str:
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


PAGES = {"commands": commands_page, "presets": presets_page}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
