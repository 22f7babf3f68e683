"""How a long count is shown: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

import sys

import pytest

from vqa_cli.cli.console import Countdown


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
