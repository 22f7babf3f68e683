"""Ladders that are killed at any moment: nothing runs on, nothing lies about, and what is begun again ends the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from fuzz.targets import Ending, seeded

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Told of a run, not of what was measured.
_PASSING = frozenset({"created", "command", "wall_s", "cpu_s", "fps"})
_GONE_S = 30.0


def kill_all(seed: int, numbers: range) -> Iterator[tuple[int, Ending]]:
    """One ladder for each number, killed, and run again."""
    import imageio_ffmpeg

    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        clip = folder / "killed.mp4"
        picture = "testsrc2=size=160x96:rate=25:duration=1,noise=alls=6:allf=t:all_seed=7"
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture, "-crf", "12", str(clip)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        begun = time.monotonic()
        wanted = _result(folder, "whole", clip)
        lasts = time.monotonic() - begun
        for number in numbers:
            yield number, _killed(folder, clip, wanted, lasts, seeded("kills", seed, number), number)


def _killed(folder: Path, clip: Path, wanted: Any, lasts: float, random: Random, number: int) -> Ending:
    how, name = random.choice(_SIGNALS), f"k{number}"
    ladder = _start(folder, name, clip)
    time.sleep(random.uniform(0, lasts))
    ladder.send_signal(how)
    _, err = ladder.communicate(timeout=_GONE_S * 4)
    said = f"{how.name}: {ladder.returncode}"
    if how is not signal.SIGKILL and ladder.returncode not in (130, 0, -how):
        return Ending(ladder.returncode, said, f"exit {ladder.returncode} after {how.name}: {err[-300:]!r}")
    # Before the program takes over, Python itself dies of an interrupt in its own way.
    if b"Traceback" in err and ladder.returncode != -how:
        return Ending(ladder.returncode, said, f"a traceback: {err[-300:].decode(errors='replace')}")
    if left := _left(str(folder)):
        return Ending(ladder.returncode, said, f"still running: {left}")
    if _result(folder, name, clip) != wanted:
        return Ending(ladder.returncode, said, "run again, the document is another one")
    if lying := [path.name for path in (folder / "tmp").iterdir()]:
        return Ending(ladder.returncode, said, f"left in the temporary folder: {lying}")
    return Ending(ladder.returncode, said)


def _start(folder: Path, name: str, clip: Path) -> subprocess.Popen[bytes]:
    (folder / "tmp").mkdir(exist_ok=True)
    program = str(Path(sys.executable).with_name("vqa"))
    argv = [program, "ladder", str(clip), "--codec", "x264,x265", "--height", "96", "--crf", "20,40", "--display", "96",
            "--metric", "psnr", "--model", "none", "-q", "-o", str(folder / name), "--cache-dir", str(folder / f"c-{name}")]  # fmt: skip
    env = os.environ | {"TMPDIR": str(folder / "tmp")}
    return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)


def _result(folder: Path, name: str, clip: Path) -> Any:
    ladder = _start(folder, name, clip)
    _, err = ladder.communicate()
    if ladder.returncode:
        return f"exit {ladder.returncode}: {err.decode(errors='replace')}"
    return _lasting(json.loads((folder / name / "run.json").read_text(encoding="utf-8")))


def _lasting(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _lasting(value) for key, value in node.items() if key not in _PASSING}
    return [_lasting(value) for value in node] if isinstance(node, list) else node


def _left(mark: str) -> str:
    """Programs that work in this folder, after a while to end."""
    deadline = time.monotonic() + _GONE_S
    while True:
        found = subprocess.run(["pgrep", "-af", f"ffmpeg.*{mark}"], capture_output=True, text=True, check=False).stdout
        if not found or time.monotonic() > deadline:
            return found[:300]
        time.sleep(0.2)
