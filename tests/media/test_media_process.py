"""The process layer against programs that misbehave."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE_S

from vqa_cli.errors import ToolError
from vqa_cli.media.process import TAIL_BYTES, Failed, Interrupted, Killed, Runner


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_and_wall_time_come_back() -> None:
    with Runner() as runner:
        done = runner.run(python("import sys; print('out'); sys.stderr.write('err')"))
    assert (done.stdout, done.stderr) == ("out\n", "err")
    assert done.wall_s > 0


def test_failure_carries_the_cause_and_not_the_last_word() -> None:
    with Runner() as runner, pytest.raises(ToolError) as error:
        runner.run(
            python("import sys; sys.stderr.write('[error] the cause\\n[info] Conversion failed!\\n'); sys.exit(3)")
        )
    assert error.value.detail == "the cause"
    assert "exit code 3" in error.value.message


def test_a_program_killed_from_outside_is_told_from_one_that_failed() -> None:
    with Runner() as runner, pytest.raises(Killed, match="killed from outside: sh"):
        runner.run(["sh", "-c", "kill -9 $$"])
    with Runner() as runner, pytest.raises(Failed, match="exit code -11") as error:
        runner.run(["sh", "-c", "kill -11 $$"])
    assert not isinstance(error.value, Killed)


def test_what_an_encoder_says_is_the_same_each_time() -> None:
    script = "echo '[h264_nvenc @ 0x56450a851740] [error] Cannot load libcuda.so.1' >&2; exit 1"
    with Runner() as runner, pytest.raises(ToolError) as error:
        runner.run(["sh", "-c", script])
    assert error.value.detail == "[h264_nvenc] Cannot load libcuda.so.1"


def test_a_flood_of_stderr_neither_blocks_nor_fills_memory() -> None:
    with Runner() as runner:
        done = runner.run(python("import sys; sys.stderr.write('x' * 5_000_000); sys.stderr.write('end')"))
    assert len(done.stderr) <= TAIL_BYTES + 4096
    assert done.stderr.endswith("end")


def test_silence_ends_a_hung_program() -> None:
    with Runner(silence_s=0.6) as runner, pytest.raises(ToolError, match="no sign of life"):
        runner.run(python(f"import time; time.sleep({PATIENCE_S})"))


def test_lines_without_progress_do_not_break_the_silence() -> None:
    code = "import time\nwhile True: print('frame=1', flush=True); time.sleep(0.1)"
    with Runner(silence_s=0.8) as runner, pytest.raises(ToolError, match="no sign of life"):
        runner.run(python(code), on_line=lambda line: False)


def test_missing_program_is_named() -> None:
    with Runner() as runner, pytest.raises(ToolError, match="program not found: /no/such/ffmpeg"):
        runner.run(["/no/such/ffmpeg"])


def interrupted(argv: list[str], count: int) -> list[str]:
    """Close a runner as soon as each of ``count`` children has written a line; what came of them."""
    started = threading.Barrier(count + 1)
    ended: list[str] = []

    def work(runner: Runner) -> None:
        try:
            runner.run(argv, on_line=lambda line: started.wait() >= 0)
        except Interrupted:
            ended.append("interrupted")

    with Runner() as runner:
        threads = [threading.Thread(target=work, args=(runner,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        started.wait()
    for thread in threads:
        thread.join()
    return ended


def test_children_are_told_to_end_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each goes when all have been told. One after the other, they would be killed before they leave."""
    monkeypatch.setattr("vqa_cli.media.process._STOP_S", 30.0)
    child = f"""
import os, signal, sys, time
from pathlib import Path
here = Path({str(tmp_path)!r})
def leave(*_):
    (here / f"told-{{os.getpid()}}").touch()
    while len(list(here.glob("told-*"))) < 3:
        time.sleep(0.02)
    (here / f"left-{{os.getpid()}}").touch()
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
print("here", flush=True)
time.sleep({PATIENCE_S})
"""
    assert interrupted(python(child), 3) == ["interrupted"] * 3
    assert len(list(tmp_path.glob("left-*"))) == 3


def test_children_that_do_not_listen_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqa_cli.media.process._STOP_S", 0.2)
    deaf = (
        f"import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep({PATIENCE_S})"
    )
    assert interrupted(python(deaf), 2) == ["interrupted"] * 2


def test_closing_ends_children_and_refuses_new_ones() -> None:
    runner = Runner()
    threading.Timer(0.5, runner.close).start()
    with pytest.raises(Interrupted):
        runner.run(python(f"import time; time.sleep({PATIENCE_S})"))
    with pytest.raises(Interrupted):
        runner.run(python("pass"))


def test_pipe_reads_whole_blocks_and_reports_failure() -> None:
    with Runner() as runner:
        with runner.pipe(python("import sys; sys.stdout.buffer.write(b'ab' * 500_000)")) as pipe:
            buffer = bytearray(600_000)
            assert pipe.read_into(memoryview(buffer)) == 600_000
            assert pipe.read_into(memoryview(buffer)) == 400_000
            pipe.finish()
        with pytest.raises(ToolError, match="exit code 2"), runner.pipe(python("import sys; sys.exit(2)")) as pipe:
            assert pipe.read_into(memoryview(bytearray(10))) == 0
            pipe.finish()


@pytest.fixture(params=["of util-linux", "another", "none"])
def setpriv(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own setpriv, one that knows no signal of a parent's death (as BusyBox), or none."""
    if request.param == "another":
        (tmp_path / "setpriv").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "setpriv").chmod(0o755)
    if request.param != "of util-linux":
        monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.usefixtures("setpriv")
def test_a_bound_program_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    child = f"import os, time; open({str(tmp_path / 'new')!r}, 'w').write(str(os.getpid())); "
    child += f"os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pid')!r}); time.sleep({PATIENCE_S})"
    parent = "from vqa_cli.media.process import Runner\nimport sys\n"
    parent += f"Runner(bound=True).run([sys.executable, '-c', {child!r}])"
    killed = subprocess.Popen([sys.executable, "-c", parent])
    wait_for((tmp_path / "pid").exists)
    killed.kill()
    killed.wait()
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(pid))


@pytest.mark.usefixtures("setpriv")
def test_a_bound_program_gives_output_and_exit_code() -> None:
    with Runner(bound=True) as runner:
        assert runner.run(python("print('out')")).stdout == "out\n"
        with pytest.raises(ToolError, match="exit code 3"):
            runner.run(python("import sys; sys.exit(3)"))


def wait_for(come: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not come():
        assert time.monotonic() < until
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs, the dead that nobody has buried left out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
