"""Standard streams that are closed, full, broken or not UTF-8 change neither what is measured nor the exit code."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE_S
from documents import ladder, make_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell redirects")
PROGRAM = shlex.quote(str(Path(sys.executable).with_name("vqa")))
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


def shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell line in which ``vqa`` is the program; the status is that of ``vqa``, not of what it is piped into."""
    base = {key: value for key, value in os.environ.items() if not key.startswith("VQA_")}
    base |= {"XDG_CACHE_HOME": str(cwd / "cache"), "XDG_CONFIG_HOME": str(cwd / "config"), **env}
    text = f'vqa() {{ {PROGRAM} "$@"; echo $? > status; }}\n{line}'
    return subprocess.run(["sh", "-c", text], cwd=cwd, env=base, capture_output=True, timeout=PATIENCE_S, check=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run against a worse one: a gate fails with 1."""
    (tmp_path / "a.json").write_text(make_run(ladder()).model_dump_json())
    (tmp_path / "b.json").write_text(make_run(ladder(scale=2.0)).model_dump_json())
    return tmp_path


def status(folder: Path) -> int:
    return int((folder / "status").read_text())


@pytest.mark.parametrize("how", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "| head -c 1", "2>&1 | :"])
@pytest.mark.parametrize(("args", "code"), [("baseline show a.json", 0), ("gate a.json b.json", 1)])
def test_a_stream_that_is_closed_or_broken_changes_no_verdict(runs: Path, how: str, args: str, code: int) -> None:
    done = shell(f"vqa {args} {how}", runs)
    assert status(runs) == code
    assert b"Traceback" not in done.stdout + done.stderr and b"bug" not in done.stderr


@FULL
@pytest.mark.parametrize(("args", "code"), [("gate a.json b.json", 1), ("--help", 6), ("gate a.json", 2)])
def test_a_full_output_is_said_and_hides_no_verdict(runs: Path, args: str, code: int) -> None:
    done = shell(f"vqa {args} > /dev/full", runs)
    assert status(runs) == code
    written = args == "gate a.json"  # the error went to where there is room
    assert (b"error: cannot write to standard output: No space left on device" in done.stderr) is not written


@FULL
def test_a_full_error_output_ends_nothing(runs: Path) -> None:
    done = shell("vqa gate a.json b.json -o verdict.txt 2> /dev/full", runs)
    assert (status(runs), done.stdout) == (1, b"")
    assert (runs / "verdict.txt").read_text().splitlines()[-1].startswith("FAIL: ")


def test_text_never_ends_in_a_file_that_got_the_number_of_a_closed_stream(runs: Path) -> None:
    shell("vqa gate a.json b.json --format junit -o junit.xml >&- 2>&- <&-", runs)
    assert (runs / "junit.xml").read_text().endswith("</testsuite>\n")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
def test_letters_that_an_output_lacks_become_question_marks(runs: Path, encoding: str) -> None:
    run = make_run(ladder(), name="Größe Δ.mp4").model_dump_json()
    (runs / "c.json").write_text(run)
    done = shell("vqa baseline show c.json", runs, PYTHONIOENCODING=encoding)
    assert status(runs) == 0, done.stderr
    wanted = {"cp1252": "Größe ?.mp4", "utf-16": "Größe Δ.mp4"}
    if encoding in wanted:
        assert wanted[encoding] in done.stdout.decode(encoding)
    assert b"Traceback" not in done.stderr


@pytest.mark.ffmpeg
@pytest.mark.parametrize("how", ["", ">&- 2>&-", pytest.param("> /dev/full 2> /dev/full", marks=FULL)])
def test_what_a_ladder_measured_is_written_whatever_becomes_of_the_output(tmp_path: Path, clip: Path, how: str) -> None:
    name = tmp_path / "Δ.mp4"
    name.write_bytes(clip.read_bytes())
    line = f"vqa ladder {name} --codec x264 --crf 35 --height 180 --display 180 --metric psnr --model none -o o {how}"
    done = shell(line, tmp_path, PYTHONIOENCODING="cp1252")
    assert status(tmp_path) == (6 if "full" in how else 0), done.stderr
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "run.json",
        "frames.parquet",
        "rungs.csv",
        "frames.csv",
        "report.html",
        "stills",
    }


def test_standard_input_that_is_closed_is_an_empty_one(tmp_path: Path) -> None:
    done = shell("vqa score - <&-", tmp_path)
    assert status(tmp_path) == 3
    assert done.stderr.splitlines()[0] == b"error: standard input is empty or closed"
