"""Tables fit the window that there is, and colour goes where it can be seen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from conftest import Vqa
from documents import ladder, make_run

from vqa_cli.cli.console import table
from vqa_cli.text import cells

PROGRAM = str(Path(sys.executable).with_name("vqa"))
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run, a worse one, and one of which a rung failed."""
    good = make_run(ladder(), name="a-name-of-some-length-as-cameras-give-them-20260713_093512.mp4")
    (source,) = good.sources
    reason = "the encoder gave 12 of 60 frames and said a great deal about it that no window has room for"
    failed = source.rungs[0].model_copy(update={"status": "failed", "encode": None, "fidelity": {}, "reason": reason})
    partly = good.model_copy(update={"sources": (source.model_copy(update={"rungs": (failed, *source.rungs[1:])}),)})
    worse = make_run(ladder(scale=2.0), name=source.source.name)
    for name, run in (("good", good), ("worse", worse), ("partly", partly)):
        (tmp_path / f"{name}.json").write_text(run.model_dump_json())
    return tmp_path


def on_terminal(*args: str, cwd: Path, columns: int, **env: str) -> list[str]:
    """Lines that ``vqa`` prints on a terminal of so many columns."""
    host, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    base = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")} | {"TERM": "xterm"}
    child = subprocess.Popen([PROGRAM, *args], cwd=cwd, env=base | env, stdout=terminal, stderr=subprocess.DEVNULL)
    os.close(terminal)
    data = b""
    while True:
        try:
            block = os.read(host, 65536)
        except OSError:  # Linux says so where the other side has closed
            break
        if not block:
            break
        data += block
    child.wait(60)
    os.close(host)
    return data.decode().replace("\r\n", "\n").splitlines()


def rows(lines: list[str]) -> list[str]:
    """The lines of the table, without colour."""
    return [text for line in lines if (text := ESCAPES.sub("", line)).startswith(("PASS", "FAIL ", "INCON"))]


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_verdict_fits_its_window(runs: Path, columns: int) -> None:
    lines = on_terminal("gate", "good.json", "worse.json", cwd=runs, columns=columns)
    assert len(rows(lines)) > 3 and max(map(cells, rows(lines))) <= columns
    gone = [line for line in lines if line.startswith("(no room for: ")]
    assert (
        gone
        == {60: ["(no room for: limit, note)"], 80: ["(no room for: limit, note)"], 100: ["(no room for: note)"]}[
            columns
        ]
    )


def test_a_wide_window_and_a_pipe_leave_nothing_out(vqa: Vqa, runs: Path) -> None:
    wide = on_terminal("gate", "good.json", "worse.json", cwd=runs, columns=250, NO_COLOR="1")
    assert wide == vqa("gate", "good.json", "worse.json", cwd=runs).stdout.splitlines()
    narrow = vqa("gate", "good.json", "worse.json", cwd=runs, env={"COLUMNS": "70"}).stdout.splitlines()
    assert max(map(cells, rows(narrow))) <= 70
    vqa("gate", "good.json", "worse.json", "-o", "verdict.txt", cwd=runs, env={"COLUMNS": "70"})
    assert (runs / "verdict.txt").read_text().splitlines() == wide, "a file is no window"


def test_columns_go_before_anything_is_cut() -> None:
    lines = [["a" * 30, "1234.5", "why", "b" * 10], ["c" * 29, "6.7", "", "d"]]
    headers = ["name", "kb/s", "note", "more"]
    assert table(headers, lines, leave=("more", "note"), width=80) == table(headers, lines)
    cut = table(headers, lines, leave=("more", "note"), width=45).splitlines()
    assert cut[0].split() == ["name", "kb/s", "note"] and cut[-1] == "(no room for: more)"
    shorter = table(headers, lines, leave=("more", "note"), width=43).splitlines()
    assert shorter[0].split() == ["name", "kb/s", "note"] and cells(shorter[1]) <= 43, "a name that can still be read"
    least = table(headers, lines, leave=("more", "note"), width=30).splitlines()
    assert least[0].split() == ["name", "kb/s"] and least[1].split() == ["aaaaaaaaaa…aaaaaaaaaaa", "1234.5"]
    assert least[-1] == "(no room for: note, more)"


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_number_and_its_interval_are_never_cut(width: int) -> None:
    figures = ["-12.37% [-14.05, -10.66]", "-6.58% [-7.91, -5.24]", "-"]
    lines = [["clip.mp4", "libx264 medium all sizes (hull)", figure, "92.31±0.42", "x1.71"] for figure in figures]
    cut = table(["source", "anchor", "BD-rate", "vmaf", "CPU"], lines, leave=("vmaf",), width=width)
    assert [figure for figure in figures if figure not in cut] == [] and cut.count("x1.71") == 3
    if width >= 60:
        assert max(map(cells, cut.splitlines())) <= width


def test_a_failed_rung_is_one_row(runs: Path) -> None:
    from vqa_cli.cli.rungs import _rung_table
    from vqa_cli.document import read_run

    run = read_run(runs / "partly.json")
    os.environ["COLUMNS"] = "80"
    try:
        lines = _rung_table(run, run.sources[0]).splitlines()
    finally:
        del os.environ["COLUMNS"]
    assert len([line for line in lines if line.startswith("libx264")]) == len(run.sources[0].rungs)
    assert max(map(cells, lines)) <= 80


def test_a_run_without_a_model_has_no_empty_columns() -> None:
    from vqa_cli.cli.rungs import _rung_table

    run = make_run(ladder())
    bare = run.model_copy(update={"model": None})
    scored, without = (_rung_table(each, each.sources[0]).splitlines()[0] for each in (run, bare))
    assert scored.split() == ["encoder", "size", "rate", "kb/s", "peak", "fps", "score", "Δ", "source", "vmaf"]
    assert without.split() == ["encoder", "size", "rate", "kb/s", "peak", "fps", "vmaf"]


def test_wide_letters_keep_columns_straight() -> None:
    lines = table(["name", "x"], [["日本語", "1"], ["e\u0301te\u0301", "2"], ["abc", "3"]]).splitlines()
    assert {cells(line) for line in lines} == {9}


def coloured(text: str) -> bool:
    return "\x1b[" in text


@pytest.mark.parametrize(
    ("args", "env", "wanted"),
    [
        ((), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "always", "--format", "junit"), {}, False),
        (("--color", "always", "--format", "github"), {}, False),
    ],
)
def test_colour_where_it_was_asked_for(
    vqa: Vqa, runs: Path, args: tuple[str, ...], env: dict[str, str], wanted: bool
) -> None:
    done = vqa("gate", "good.json", "worse.json", *args, cwd=runs, env=env)
    assert coloured(done.stdout) is wanted
    plain = vqa("gate", "good.json", "worse.json", *args, "--color", "never", cwd=runs)
    assert ESCAPES.sub("", done.stdout) == plain.stdout


def test_pass_and_fail_have_colours_on_a_terminal(runs: Path) -> None:
    failed = on_terminal("gate", "good.json", "worse.json", cwd=runs, columns=80)
    assert failed[-1].startswith("\x1b[31m\x1b[1mFAIL\x1b[0m: ")
    passed = on_terminal("gate", "good.json", "good.json", cwd=runs, columns=80)
    assert passed[-1].startswith("\x1b[32m\x1b[1mPASS\x1b[0m: ")
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not coloured("".join(on_terminal("gate", "good.json", "good.json", cwd=runs, columns=80, **env)))


def test_errors_are_coloured_too(vqa: Vqa) -> None:
    done = vqa("score", "no.mp4", "--color", "always")
    assert done.stderr == "\x1b[31m\x1b[1merror\x1b[0m: no such file: no.mp4\n"
