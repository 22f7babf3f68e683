"""``vqa`` forked from a process that has its imports: half of the suite's time went into importing the same again.

A fork is a process of its own: exit code, streams, environment, folder and signals are as after a start. What a start alone
decides is not: how Python reads its own variables and the locale, hashes, what is imported when. ``PROGRAM`` is for that.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, NoReturn

PROGRAM = Path(sys.executable).with_name("vqa")
# Read by Python, libc, BLAS or torch while they start.
_STARTING = ("PYTHON", "LC_", "LANG", "OMP_", "ONEDNN_", "ATEN_", "THP_", "LD_", "_VQA_COMPLETE")
# None of them starts a thread: a fork has but the thread that forked.
_LIBRARIES = ("av", "torch", "scipy.stats", "numpy.ma", "altair", "jinja2", "h5py", "imageio_ffmpeg", "safetensors")


class Forks:
    """A process that forks; one for each worker of the tests, made when it is first asked."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def can(self, env: dict[str, str]) -> bool:
        """Whether a fork reads all of this environment; threads of a test, which ask at once, start the program itself."""
        alone = threading.current_thread() is threading.main_thread()
        return (
            hasattr(os, "fork")
            and alone
            and not any(name.startswith(_STARTING) and os.environ.get(name) != value for name, value in env.items())
        )

    def run(
        self, args: list[str], cwd: Path, env: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Carry out one command line."""
        line = self._connect()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as nothing:
            asked = json.dumps({"args": args, "cwd": os.fspath(cwd), "env": env}).encode()
            socket.send_fds(line, [len(asked).to_bytes(4, "big")], [nothing.fileno(), out.fileno(), err.fileno()])
            line.sendall(asked)
            line.settimeout(timeout)
            try:
                code = int(line.recv(16))
            except (TimeoutError, ValueError):
                self.end()
                raise
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess([str(PROGRAM), *args], code, out.read(), err.read())

    def end(self) -> None:
        if self._line is not None and self._server is not None:
            self._line.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(10)
            self._server.kill()
            self._server.wait()
        self._line = self._server = None

    def _connect(self) -> socket.socket:
        if self._line is None:
            self._line, theirs = socket.socketpair()
            argv = [sys.executable, __file__, str(theirs.fileno())]
            self._server = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            theirs.close()
        return self._line


def serve(line: socket.socket) -> None:
    """Import, then fork for each command that comes; returns only in a fork, which is to carry it out."""
    import vqa_cli
    from vqa_cli.model.memory import prepare_process

    prepare_process()
    own = [module.name for module in walk_packages(vqa_cli.__path__, "vqa_cli.")]
    for name in (*_LIBRARIES, *(name for name in own if not name.startswith(("vqa_cli.cluster", "vqa_cli.__")))):
        import_module(name)
    with contextlib.suppress(Exception):  # of some builds of torch it cannot be imported
        import_module("torchvision")
    _compile_templates()
    threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else [""]
    assert len(threads) == 1, "a library has started a thread: import it in the forks"
    gc.freeze()  # a collection in a fork leaves the pages of what is here alone
    while True:
        size, fds, _, _ = socket.recv_fds(line, 4, 3)
        asked = b""
        while size and len(asked) < int.from_bytes(size, "big") and (part := line.recv(1 << 16)):
            asked += part
        if not asked:  # who asks has gone
            os._exit(0)
        if not (child := os.fork()):
            line.close()
            _become(json.loads(asked), fds)
            return
        for fd in fds:
            os.close(fd)
        _, status = os.waitpid(child, 0)
        line.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _compile_templates() -> None:
    from vqa_cli.report.html import environment

    for name in environment().list_templates(extensions=["j2"]):
        environment().get_template(name)


def _become(asked: dict[str, Any], fds: list[int]) -> None:
    """Streams, folder, environment and arguments are those that were asked for."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = [str(PROGRAM), *asked["args"]]
    tempfile.tempdir = None  # as nobody had asked yet


def _carry_out() -> NoReturn:
    """End as the program does, but leave what was imported to the system: taking it apart is most of a short command."""
    from vqa_cli.cli import main

    try:
        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    # A module's folder comes first on the path of a script, and a program's is its own.
    sys.path.pop(0)
    serve(socket.socket(fileno=int(sys.argv[1])))
    _carry_out()
