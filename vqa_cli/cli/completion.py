"""``vqa completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit

SHELLS = ("bash", "zsh", "fish")
# Set by the script below when the shell asks what could come next.
INSTRUCTION = "_VQA_COMPLETE"


@click.command(name="completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def command(shell: str | None) -> None:
    """Print the script by which a shell completes options, presets, codecs, models and runs.

    \b
    bash: eval "$(vqa completion bash)" in ~/.bashrc
    zsh:  eval "$(vqa completion zsh)" in ~/.zshrc
    fish: vqa completion fish > ~/.config/fish/completions/vqa.fish
    """
    context = click.get_current_context()
    if shell is None:
        emit(context.get_help())
        return
    made = get_completion_class(shell)
    assert made is not None
    emit(made(context.find_root().command, {}, "vqa", INSTRUCTION).source())
