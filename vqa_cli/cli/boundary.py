"""The one place where errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import NoReturn

import click

from vqa_cli._version import __version__
from vqa_cli.cli.command import asks_for_json, possible_here
from vqa_cli.cli.console import emit, note
from vqa_cli.cli.streams import open_streams
from vqa_cli.errors import ExitCode, VqaError, first_line
from vqa_cli.files import ROOM_HINT
from vqa_cli.machine import prefer_throughput

# Those that put what they have finished into the cache.
_REMEMBER = frozenset({"ladder", "score", "search", "gate"})
_AGAIN_S = 0.05
# Python's own 700 make a quarter of a second of `import torch`, and as much again of a ladder: what goes in circles is rare here.
_OBJECTS_BETWEEN_SEARCHES = 50_000


@dataclass(frozen=True, slots=True)
class _Failure:
    """What is said of an error, and the exit code."""

    code: int
    message: str
    detail: str | None = None
    hint: str | None = None
    trace: bool = False


@dataclass(slots=True)
class _Interrupts:
    """Whether the command was asked to end."""

    heard: bool = False

    def hear(self, *_: object) -> NoReturn:
        """A handler of signals."""
        self.heard = True
        raise KeyboardInterrupt


@dataclass(slots=True)
class Ending:
    """The end of the program.

    Attributes:
        code: to exit with; ``None`` where Python is to end it.
    """

    code: int | None = None

    def now(self) -> None:
        """Leave what is loaded to the system: torch takes a quarter of a second to take itself apart."""
        if self.code is None or "torch" not in sys.modules:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.code)


def run_command(command: click.Command, name: str, argv: list[str] | None = None) -> NoReturn:
    """Run a command and exit with a documented code."""
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES)
    prefer_throughput()
    # NumPy's matrices are small here: its threads wait for each other at full speed, beside encodes, and split sums otherwise.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    streams = open_streams()
    # `timeout`, a container, a CI job or a terminal that is ended leaves nothing behind either.
    interrupts = _Interrupts()
    for signal_name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, signal_name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupts.hear)
    sys.unraisablehook = _unraisable
    code = carry_out(command, name, sys.argv[1:] if argv is None else argv, interrupts)
    if (lost := streams.lost) is not None:
        _complain(_Failure(code, f"cannot write to standard output: {lost.strerror}"), as_json=False)
        # What was measured stays true: only an "all is well" is not.
        code = code or ExitCode.STORAGE
    sys.exit(code)


def carry_out(command: click.Command, name: str, args: list[str], interrupts: _Interrupts | None = None) -> int:
    """Carry out one command line; whatever goes wrong becomes a message and a code."""
    ctx: click.Context | None = None
    try:
        # Not click's main(), which makes exit 1, "below the bar", of a broken pipe.
        with command.make_context(name, list(args)) as ctx:
            result = command.invoke(ctx)
        return int(result) if isinstance(result, int) else ExitCode.OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except (Exception, KeyboardInterrupt) as caught:
        err: BaseException = caught
        # Libraries make errors of their own of an interrupt that reaches them: pydantic where it builds a validator.
        if interrupts is not None and interrupts.heard and not _says_interrupted(err):
            err = KeyboardInterrupt()
        failure = _failure(err, name, args, ctx)
        if failure.trace or os.environ.get("VQA_DEBUG") == "1":
            traceback.print_exc()
        _complain(failure, as_json=ctx is not None and asks_for_json(ctx))
        return failure.code


def _says_interrupted(err: BaseException) -> bool:
    """Whether it is ours, and says what the interrupt left behind."""
    return isinstance(err, VqaError) and err.exit_code == ExitCode.INTERRUPTED


def _failure(err: BaseException, name: str, args: list[str], ctx: click.Context | None) -> _Failure:
    match err:
        case VqaError():
            return _Failure(err.exit_code, err.message, err.detail, err.hint)
        case KeyboardInterrupt() | click.Abort():
            cached = args[:1] and args[0] in _REMEMBER and "--no-cache" not in args
            kept = "; what was finished is in the cache" if cached else ""
            return _Failure(ExitCode.INTERRUPTED, f"interrupted{kept}")
        case click.ClickException():
            where = err.ctx.command_path if isinstance(err, click.UsageError) and err.ctx else name
            return _Failure(ExitCode.USAGE, " ".join(err.format_message().split()), hint=f"see {where} --help")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return _Failure(ExitCode.STORAGE, f"no space left: {err}", hint=possible_here(ROOM_HINT, ctx))
    said = f"this is a bug in vqa {__version__}: {type(err).__name__}: {first_line(err)}"
    return _Failure(ExitCode.BUG, said, hint="please report it with the lines above", trace=True)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """What Python swallows in callbacks and finalisers: an interrupt comes again, a moment later, where it can be heard."""
    if not isinstance(what.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(what)
        return
    number = next((n for n in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(n))), signal.SIGINT)
    again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _complain(failure: _Failure, *, as_json: bool) -> None:
    """On standard error for people; where JSON was asked for, also on standard output, in the place of the result."""
    note(f"error: {failure.message}")
    if failure.detail:
        note(f"  {failure.detail}")
    if failure.hint:
        note(f"hint: {failure.hint}")
    if as_json:
        import json

        said = {"error": failure.message, "detail": failure.detail, "hint": failure.hint}
        emit(json.dumps({key: text for key, text in said.items() if text} | {"exit_code": int(failure.code)}))
