"""The command line: a group that loads each command when it is called."""

from __future__ import annotations

import atexit
import os
import sys
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from vqa_cli._version import __version__
from vqa_cli.cli.boundary import Ending, run_command
from vqa_cli.cli.command import Group

# name: (module below vqa_cli.cli, attribute, one line for `vqa --help`)
COMMANDS = {
    "ladder": ("ladder", "Encode a ladder, measure every rung, write run document and report."),
    "score": ("score", "Score videos without (or with) a reference."),
    "report": ("report", "Render the HTML report of run documents again."),
    "search": ("search", "Find the highest CRF or lowest bitrate that reaches a quality target."),
    "recommend": ("recommend", "Recommend a ladder from a run document."),
    "bdrate": ("bdrate", "BD-rate between the codecs of run documents."),
    "gate": ("gate", "CI verdict: did quality or rate get worse against a baseline?"),
    "baseline": ("baseline", "Keep and show baselines for the gate."),
    "history": ("history", "The history of an encoder: trends, steps and regressions over its commits."),
    "bisect": ("bisect", "Find the first bad revision of an encoder."),
    "presets": ("presets", "List, show and validate presets."),
    "models": ("models", "List, fetch and verify quality models."),
    "extract": ("extract", "Frame features of a rating database, for training."),
    "train": ("train", "Train quality models."),
    "evaluate": ("evaluate", "Agreement of trained models with ratings."),
    "correlate": ("correlate", "Agreement of two columns of a table."),
    "cache": ("cache", "Size of the cache, and clearing it."),
    "completion": ("completion", "Completion of options and names for bash, zsh and fish."),
    "doctor": ("doctor", "What is installed, what is missing and how to get it."),
}


class LazyGroup(Group):
    """Knows its commands by name and imports one only to run it, so that ``vqa --help`` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"vqa_cli.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no such command: {args[0]}{_did_you_mean(args[0])}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return names or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _did_you_mean(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {near[0]}?" if near else ""


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "VQA", "max_content_width": 100},
)
@click.version_option(__version__, prog_name="vqa")
def cli() -> None:
    """Encoding QA: which encode settings, and did this encoder change hurt?

    Exit codes: 0 done, 1 below the bar, 2 usage, 3 input, 4 tool, 5 model, 6 storage, 7 inconclusive, 8 partial,
    70 bug, 130 interrupted.
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run ``vqa`` and exit with a documented code."""
    if argv is None and sys.getfilesystemencoding() == "ascii":
        _again_in_utf8()
    if instruction := os.environ.get("_VQA_COMPLETE"):  # a shell asks, by the script of `vqa completion`
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, "vqa", "_VQA_COMPLETE", instruction))
    run_command(cli, "vqa", argv)


def program() -> NoReturn:
    """``vqa`` as a program of its own: as :func:`main`, and gone as soon as everything is done."""
    ending = Ending()
    atexit.register(ending.now)  # the first one registered is the last one called
    try:
        main()
    except SystemExit as done:
        ending.code = done.code if isinstance(done.code, int) else None
        raise


def _again_in_utf8() -> NoReturn:
    """Begin anew in UTF-8 mode: in a POSIX locale Python takes every other byte of a file name for no character."""
    os.execv(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]])
