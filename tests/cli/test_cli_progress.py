"""How far long work is: one bar over all of it on a terminal, lines elsewhere; and an estimate only where one is known."""

from __future__ import annotations

import re
import sys

import pytest

from vqa_cli.cli.progress import Countdown, Estimate, FileProgress, Progress
from vqa_cli.events import EncodeProgress, Event, Planned, RungDone


@pytest.mark.parametrize("terminal", [True, False])
def test_bar_on_a_terminal_lines_elsewhere(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    progress = Countdown(20, "epoch")
    for done in range(1, 21):
        progress(done, "loss 0.5")
    progress.close()
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if line.startswith("epoch ")]
    assert len(lines) == (0 if terminal else 10)
    assert "/20" in shown
    assert ("\r" in shown) == terminal


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def done(source: str, rung: str, *, cached: bool = False, reason: str | None = None) -> RungDone:
    return RungDone(source, rung, 800.4, 71.239, reason, cached, ("vmaf", 91.237))


def told(events: list[Event], capsys: pytest.CaptureFixture[str], *, times: int = 1) -> list[str]:
    progress = Progress(quiet=False, times=times)
    for event in events:
        progress(event)
    progress.close()
    return capsys.readouterr().err.splitlines()


A, B = {"r1": 1.0, "r2": 3.0}, {"r1": 4.0}


def test_rungs_of_several_sources_count_as_one_whole(capsys: pytest.CaptureFixture[str]) -> None:
    together = told([Planned("a", A, 2), Planned("b", B, 2), done("b", "r1"), done("a", "r1"), done("a", "r2")], capsys)
    assert [line.split()[0] for line in together] == ["[1/3]", "[2/3]", "[3/3]"]
    in_turn = told([Planned("a", A, 2), done("a", "r1"), done("a", "r2"), Planned("b", B, 2), done("b", "r1")], capsys)
    assert [line.split()[0] for line in in_turn] == ["[1/2+]", "[2/2+]", "[3/3]"]


def test_a_source_that_cannot_be_begun_and_repeats_are_part_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told([Planned("a", B, 2), Planned("bad", {}, 2), done("a", "r1")], capsys)
    assert line.startswith("[1/1] a r1: ")
    twice = told([Planned("a", B, 1), done("a", "r1"), Planned("a", B, 1), done("a", "r1")], capsys, times=2)
    assert [line.split()[0] for line in twice] == ["[1/2]", "[2/2]"]


def test_a_rung_shows_the_metric_that_decides(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told([Planned("a", A, 1), done("a", "r1", cached=True), done("a", "r2", reason="no")], capsys)
    assert lines == ["[1/2] a r1: 800 kb/s, vmaf 91.24, score 71.24 (from the cache)", "[2/2] a r2: FAILED: no"]
    assert told([RungDone("a", "r", 1.0, None, None, False, ("ssim", 0.98765))], capsys) == [
        "[1/0+] a r: 1 kb/s, ssim 0.9877"
    ]


def test_a_bar_never_goes_back_and_ends_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    events: list[Event] = [Planned("a", A, 2), EncodeProgress("a", "r2", 0.5), done("a", "r2"), done("a", "r1"),
                           Planned("b", B, 2), EncodeProgress("b", "r1", 0.5), done("b", "r1")]  # fmt: skip
    shown = "".join(f"{line}\n" for line in told(events, capsys))
    shares = [int(found) for found in re.findall(r"(\d+)%\|", shown)]
    assert shares == sorted(shares) and shares[-1] == 100 and shares.count(100) <= 2
    assert "2/2+ rungs, 1 of 2 sources looked at" in shown and "3/3 rungs" in shown


def test_an_estimate_is_honest() -> None:
    clock = Clock()
    estimate = Estimate(clock)
    assert estimate.text(0, 10) == estimate.text(1, 10) == ""  # too little is known
    for now, done_, left, text in (
        (10, 1, 6, "60 s"),
        (100, 1, 6, "10 min"),
        (3600, 1, 2, "2 h 0 min"),
        (9, 9, 0.1, "10 s"),
    ):
        clock.now = now
        assert estimate.text(done_, left) == f"about {text} left"


def test_what_came_from_the_cache_says_nothing_of_the_speed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock = Clock()
    progress = Progress(quiet=False, clock=clock)
    progress(Planned("a", {f"r{i}": 1.0 for i in range(10)}, 1))
    for i in range(8):
        progress(done("a", f"r{i}", cached=True))
    clock.now = 60
    progress(done("a", "r8"))
    progress.close()
    assert "9/10 rungs, about 60 s left" in capsys.readouterr().err


def test_files_are_watched_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    progress = FileProgress(2, quiet=False)
    progress.share(0.5)
    progress.done("a.mp4: 60.00")
    progress.done("b\n.mp4: 61.00")
    assert capsys.readouterr().err.splitlines() == ["[1/2] a.mp4: 60.00", "[2/2] b\\n.mp4: 61.00"]
    FileProgress(1, quiet=False).done("a.mp4: 60.00")
    assert capsys.readouterr().err == ""
