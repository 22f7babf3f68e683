"""Ctrl-C in extraction and training: what is kept, what is said of it, and how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE_S
from rated import write_database


def _interrupt(when: Callable[[], bool], *args: str | Path) -> tuple[int, list[str]]:
    """Start ``vqa``, send SIGINT as soon as ``when`` holds, give exit code and the last lines on stderr."""
    child = subprocess.Popen(
        [str(Path(sys.executable).with_name("vqa")), *map(str, args)],
        env={k: v for k, v in os.environ.items() if not k.startswith("VQA_")}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while not when() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    return child.returncode, err.splitlines()


def test_training_says_where_its_last_epoch_is(tmp_path: Path) -> None:
    rated = write_database(tmp_path, "set")
    model, checkpoint = tmp_path / "m.safetensors", tmp_path / "m.checkpoint"
    args = ("train", "--dataset", tmp_path / "set.csv", "--features", rated.features, "-o", model, "--device", "cpu")
    code, lines = _interrupt(checkpoint.exists, *args, "--epochs", "100000")
    assert (code, lines[-2:]) == (
        130,
        [
            f"error: interrupted; the last finished epoch is in {checkpoint}",
            "hint: the same command goes on from there",
        ],
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.checkpoint", "set", "set.csv"]


@pytest.mark.ffmpeg
def test_extraction_says_where_its_features_are(clip: Path, tmp_path: Path) -> None:
    names = [f"{i}.mp4" for i in range(40)]
    for name in names:
        (tmp_path / name).symlink_to(clip)
    (tmp_path / "t.csv").write_text("video,mos\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    folder = tmp_path / "f"
    args = ("extract", tmp_path / "t.csv", "--videos", tmp_path, "-o", folder, "--device", "cpu", "--jobs", "1")
    code, lines = _interrupt(lambda: any(folder.glob("*.safetensors")), *args)
    assert (code, lines[-2:]) == (
        130,
        [
            f"error: interrupted; the features that were finished are in {folder}",
            "hint: the same command goes on with the rest",
        ],
    )
    there = {path.name for path in folder.iterdir()}
    assert there < {f"{name}.safetensors" for name in names}
