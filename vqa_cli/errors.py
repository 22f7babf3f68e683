"""Everything that can go wrong on purpose, each with the exit code that scripts rely on."""

from __future__ import annotations

from copy import copy
from enum import IntEnum
from textwrap import shorten
from typing import Self


class ExitCode(IntEnum):
    """Documented process exit codes; see docs/output.md."""

    OK = 0
    BELOW_BAR = 1
    USAGE = 2
    INPUT = 3
    TOOL = 4
    MODEL = 5
    STORAGE = 6
    INCONCLUSIVE = 7
    PARTIAL = 8
    BUG = 70
    INTERRUPTED = 130


class VqaError(Exception):
    """A failure that the user can act on.

    Args:
        message: one line, "<what failed>: <which thing>".
        hint: the command or change to try, shown as ``hint: …``.
        detail: the tool's own last line, shown below the message.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    @property
    def line(self) -> str:
        """Message and detail."""
        return f"{self.message}: {self.detail}" if self.detail else self.message

    def about(self, name: str, shown: str) -> Self:
        """The same error of what users know as ``shown``, and the code by another ``name``."""
        other = copy(self)
        other.message = self.message.replace(name, shown)
        other.detail = self.detail and self.detail.replace(name, shown)
        return other


class UsageError(VqaError):
    """A flag, preset, policy or key that cannot be meant."""

    exit_code = ExitCode.USAGE


class InputError(VqaError):
    """The video or table given is at fault: unreadable, no video, truncated, frames that do not match."""

    exit_code = ExitCode.INPUT


class ToolError(VqaError):
    """ffmpeg or an encoder is missing, failed or fell silent."""

    exit_code = ExitCode.TOOL


class ModelError(VqaError):
    """Weights are missing, corrupt or incompatible, or the model produced a non-finite score."""

    exit_code = ExitCode.MODEL


class StorageError(VqaError):
    """A run document, cache entry or report cannot be read or written."""

    exit_code = ExitCode.STORAGE


class Stopped(VqaError):
    """Interrupted by the user where there is something to say of what was kept."""

    exit_code = ExitCode.INTERRUPTED


def first_line(err: BaseException) -> str:
    """The first line of a foreign error, or its type where it says nothing."""
    return (str(err).splitlines() or [type(err).__name__])[0]


def misfit(err: BaseException) -> str:
    """Why weights do not fit their module: the first complaint of ``load_state_dict`` below its heading, not all of them."""
    lines = [line.strip() for line in str(err).splitlines()]
    heading = len(lines) > 1 and lines[0].startswith("Error(s) in loading state_dict")
    return shorten(lines[1] if heading else first_line(err), 160, placeholder=" …")
