"""The only module that starts other programs.

A child has no stdin, its stderr is drained for its whole life into a bounded tail, it is given up on after a time of
*silence* (never after a total time: long encodes are normal), and it never outlives the :class:`Runner` that started it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vqa_cli.errors import ToolError
from vqa_cli.files import disk_full

TAIL_BYTES = 32 * 1024
SILENCE_S = 300.0
_GRACE_S = 5.0
_STOP_S = 2.0
_DISK_FULL = "No space left on device"
# By SIGKILL, which Windows has not.
_KILLED = -9
# "[libx264 @ 0x559b68829c80]": where it lay in memory says nothing, and another run says something else.
_ADDRESS = re.compile(r"(?<=\[)(\S+) @ 0x[0-9a-f]+(?=\])")
# Become the program after asking Linux (prctl's PR_SET_PDEATHSIG) to kill it when whoever started it dies. Not done by a
# function between fork and exec: in a process with threads, Python's may hang there. The first is of util-linux and takes
# 2 ms, where Python takes 12. Each makes sure that whoever started it lived when Linux was asked.
_BY_SETPRIV = (
    "setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", '[ "$PPID" = "$0" ] || exit 1; exec "$@"'
)  # fmt: skip
_BY_PYTHON = (sys.executable, "-I", "-S", "-c", """import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])""")  # fmt: skip


class Interrupted(Exception):
    """The runner was closed while its child was at work."""


class Silent(ToolError):
    """A program showed no sign of life for too long."""


class Failed(ToolError):
    """A program ended with another exit ``code`` than 0."""

    code: int = 1


class Killed(Failed):
    """A program was killed, not by its runner: by the kernel for want of memory, or by what ends this process next."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A child that ended with exit code 0."""

    argv: tuple[str, ...]
    wall_s: float
    stdout: str
    stderr: str


class _Child:
    """A running program, with the threads that keep it from blocking or hanging."""

    def __init__(self, argv: Sequence[str], cwd: Path | None, silence_s: float, binding: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self.started = time.monotonic()
        self.silent = False
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._silence_s = silence_s
        self._waiting_since: float | None = None
        self._popen = _start([*binding, *argv], cwd)
        self._done = threading.Event()
        self._drain = threading.Thread(target=self._drain_stderr, daemon=True)
        self._drain.start()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def stdout(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    @property
    def stderr_tail(self) -> str:
        return b"".join(self._tail).decode("utf-8", errors="replace")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent inside counts as silence of the child, not as slowness of the reader."""
        self._waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._waiting_since = None

    def alive(self) -> None:
        """Reset the silence: the child has shown progress."""
        self._waiting_since = time.monotonic()

    def wait(self) -> int:
        """Wait for the end, closing our side of the pipe first; give the exit code."""
        with self.waiting():
            code = self._popen.wait()
        self._finish()
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        if self._popen.poll() is None:
            self._popen.terminate()

    def stop(self, patience_s: float = _STOP_S) -> None:
        """Terminate, and kill what does not listen: encoders go on for long to end their file, which nobody wants."""
        self.terminate()
        try:
            self._popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._finish()

    def _finish(self) -> None:
        self._done.set()
        self._drain.join(_GRACE_S)
        self.stdout.close()

    def _drain_stderr(self) -> None:
        assert self._popen.stderr is not None
        with self._popen.stderr as pipe:
            while block := pipe.read1(4096):  # type: ignore[attr-defined]
                self._tail.append(block)
                self._tail_bytes += len(block)
                while self._tail_bytes - len(self._tail[0]) > TAIL_BYTES:
                    self._tail_bytes -= len(self._tail.popleft())

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._silence_s / 4)):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self._silence_s:
                self.silent = True
                self._popen.kill()
                return


class Runner:
    """Starts programs and ends them all when it is closed. Safe to use from several threads.

    Args:
        bound: on Linux, programs end with the thread that started them even where this process is killed, so that nothing
            is closed. ``argv[0]`` must be a path then.
    """

    def __init__(self, *, silence_s: float = SILENCE_S, bound: bool = False) -> None:
        self._silence_s, self._binding = silence_s, _binding() if bound else ()
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every child; later starts raise :class:`Interrupted`."""
        with self._lock:
            self._closed = True
            children = list(self._children)
        for child in children:
            child.terminate()
        until = time.monotonic() + _STOP_S
        for child in children:
            child.stop(max(0.0, until - time.monotonic()))

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        on_line: Callable[[str], bool] | None = None,
    ) -> Finished:
        """Run to the end and collect standard output (which must be small text).

        Args:
            on_line: sees each line of standard output as it comes and says whether it shows progress. Lines that do
                not show progress do not break the silence: a stuck encoder keeps reporting the same frame.

        Raises:
            ToolError: the program is missing, failed or fell silent.
            StorageError: it failed because the disk is full.
            Interrupted: the runner was closed meanwhile.
        """
        lines: list[str] = []
        with self._child(argv, cwd) as child:
            with child.waiting():
                for raw in child.stdout:
                    line = raw.decode("utf-8", errors="replace")
                    if on_line is None:
                        lines.append(line)
                    if on_line is None or on_line(line.rstrip()):
                        child.alive()
            self._check(child, child.wait())
            wall_s = time.monotonic() - child.started
        return Finished(child.argv, wall_s, "".join(lines), child.stderr_tail)

    @contextmanager
    def pipe(self, argv: Sequence[str], *, cwd: Path | None = None) -> Iterator[Pipe]:
        """Run with standard output as a binary pipe; leaving the block early ends the program."""
        with self._child(argv, cwd) as child:
            yield Pipe(self, child)

    @contextmanager
    def _child(self, argv: Sequence[str], cwd: Path | None) -> Iterator[_Child]:
        with self._lock:
            if self._closed:
                raise Interrupted
            child = _Child(argv, cwd, self._silence_s, self._binding)
            self._children.add(child)
        try:
            yield child
        finally:
            child.stop()
            with self._lock:
                self._children.discard(child)

    def _check(self, child: _Child, code: int) -> None:
        if self._closed:
            raise Interrupted
        if child.silent:
            raise Silent(
                f"no sign of life for {self._silence_s:g} s: {Path(child.argv[0]).name}",
                detail=f"{shlex.join(child.argv)}",
            )
        if code != 0 and _DISK_FULL in child.stderr_tail:
            raise disk_full()
        if code != 0:
            name, detail = Path(child.argv[0]).name, _reason(child.stderr_tail) or None
            if code == _KILLED:
                failed: Failed = Killed(f"killed from outside: {name}", detail=detail, hint="is there memory enough?")
            else:
                failed = Failed(f"exit code {code}: {name}", detail=detail)
            failed.code = code
            raise failed


class Pipe:
    """The reading end of a running program."""

    def __init__(self, runner: Runner, child: _Child) -> None:
        self._runner = runner
        self._child = child

    def read_into(self, buffer: memoryview) -> int:
        """Fill ``buffer`` as far as the stream goes; less than its length means the stream has ended."""
        filled = 0
        with self._child.waiting():
            while filled < len(buffer):
                got = self._child.stdout.readinto(buffer[filled:])  # type: ignore[attr-defined]
                if not got:
                    break
                filled += got
                self._child.alive()
        return filled

    def finish(self) -> str:
        """Wait for the end and give the tail of standard error.

        Raises:
            ToolError: the program failed or fell silent.
            Interrupted: the runner was closed meanwhile.
        """
        self._runner._check(self._child, self._child.wait())
        return self._child.stderr_tail


def _binding() -> tuple[str, ...]:
    """What stands before a command line, so that its program ends with this process."""
    if sys.platform != "linux":
        return ()
    by_setpriv, pid = shutil.which(_BY_SETPRIV[0]), str(os.getpid())
    if by_setpriv:
        prefix = (by_setpriv, *_BY_SETPRIV[1:], pid)
        if subprocess.run([*prefix, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
            return prefix
    return (*_BY_PYTHON, pid)


def _start(argv: list[str], cwd: Path | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError as err:
        raise ToolError(f"program not found: {argv[0]}", hint="run `vqa doctor` to see which ffmpeg is used") from err
    except OSError as err:
        raise ToolError(f"cannot start: {argv[0]}", detail=err.strerror) from err


def _reason(stderr: str) -> str:
    """The line of ffmpeg's log that names the cause: its first error, not the "Conversion failed!" that follows."""
    lines = [line.strip() for line in stderr.replace("\r", "\n").splitlines() if line.strip()]
    marked = [line for line in lines if "[error]" in line or "[fatal]" in line]
    line = (marked or lines[-1:] or [""])[0].replace("[error] ", "").replace("[fatal] ", "")
    return without_addresses(line)


def without_addresses(line: str) -> str:
    """A line of ffmpeg's log that is the same in every run."""
    return _ADDRESS.sub(r"\1", line)
