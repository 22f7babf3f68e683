"""The command line: a group that loads each command when it is called, and the one place where errors become exits."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from vqa_cli._version import __version__
from vqa_cli.cli.console import note
from vqa_cli.cli.streams import open_streams
from vqa_cli.errors import ExitCode, VqaError

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
    "presets": ("presets", "List, show and validate presets."),
    "models": ("models", "List, fetch and verify quality models."),
    "extract": ("extract", "Frame features of a rating database, for training."),
    "train": ("train", "Train quality models."),
    "evaluate": ("evaluate", "Agreement of trained models with ratings."),
    "correlate": ("correlate", "Agreement of two columns of a table."),
    "cache": ("cache", "Size of the cache, and clearing it."),
    "doctor": ("doctor", "What is installed, what is missing and how to get it."),
}


# Those that put what they have finished into the cache.
_REMEMBER = frozenset({"ladder", "score", "search", "gate"})


class LazyGroup(click.Group):
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _did_you_mean(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {near[0]}?" if near else ""


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "VQA"})
@click.version_option(__version__, prog_name="vqa")
def cli() -> None:
    """Encoding QA: which encode settings, and did this encoder change hurt?

    Exit codes: 0 done, 1 below the bar, 2 usage, 3 input, 4 tool, 5 model, 6 storage, 7 inconclusive, 8 partial,
    70 bug, 130 interrupted.
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run ``vqa`` and exit with a documented code."""
    run_command(cli, "vqa", argv)


def run_command(command: click.Command, name: str, argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit with a documented code; the one place where errors become exits."""
    streams = open_streams()
    # `timeout`, a container, a CI job or a terminal that is ended leaves nothing behind either.
    for signal_name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, signal_name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    code = _run(command, name, sys.argv[1:] if argv is None else argv)
    if (lost := streams.lost) is not None:
        _complain(f"cannot write to standard output: {lost.strerror}", None, None)
        # What was measured stays true: only an "all is well" is not.
        code = code or ExitCode.STORAGE
    sys.exit(code)


def _run(command: click.Command, name: str, args: list[str]) -> int:
    """Carry out one command line; whatever goes wrong becomes a message and a code."""
    try:
        # Not click's main(), which makes exit 1, "below the bar", of a broken pipe.
        with command.make_context(name, list(args)) as ctx:
            result = command.invoke(ctx)
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except VqaError as err:
        _complain(err.message, err.detail, err.hint)
        if os.environ.get("VQA_DEBUG") == "1":
            traceback.print_exc()
        return err.exit_code
    except click.ClickException as err:
        where = err.ctx.command_path if isinstance(err, click.UsageError) and err.ctx else name
        _complain(err.format_message(), None, f"see {where} --help")
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        cached = args[:1] and args[0] in _REMEMBER and "--no-cache" not in args
        _complain("interrupted" + ("; what was finished is in the cache" if cached else ""), None, None)
        return ExitCode.INTERRUPTED
    except Exception as err:
        if getattr(err, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            _complain(f"no space left: {err}", None, "free some, or point TMPDIR, -o and --cache-dir elsewhere")
            return ExitCode.STORAGE
        traceback.print_exc()
        _complain(
            f"this is a bug in vqa {__version__}: {type(err).__name__}: {err}",
            None,
            "please report it with the lines above",
        )
        return ExitCode.BUG


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _complain(message: str, detail: str | None, hint: str | None) -> None:
    note(f"error: {message}")
    if detail:
        note(f"  {detail}")
    if hint:
        note(f"hint: {hint}")
