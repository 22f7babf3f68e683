"""Shared fixtures: real clips made by real ffmpeg, the installed ``vqa``, and run documents with known truth."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import Chromium
from forks import PROGRAM, Forks
from hypothesis import HealthCheck, settings

# Tests run side by side: a thread each, and none that spins while it waits. With as many as there are cores, two workers
# spent half as much CPU time again. Read when torch is first imported, here and in every program that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A busy machine is slow, not wrong.
settings.register_profile("vqa", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vqa")

# `training` is run from the checkout. Last on the path, so that `vqa_cli` is the installed one.
ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

# What hangs is ended after this many seconds. What a busy machine makes slow is not.
PATIENCE_S = 1200

FFMPEG = __import__("imageio_ffmpeg").get_ffmpeg_exe()


def ffmpeg(*args: str | Path) -> None:
    """Run ffmpeg quietly; fails the test when it fails."""
    subprocess.run([FFMPEG, "-v", "error", "-y", *map(str, args)], check=True, stdin=subprocess.DEVNULL)


def make_clip(
    path: Path, *, size: str = "320x180", rate: str = "30000/1001", seconds: float = 1.0, args: tuple[str, ...] = ()
) -> Path:
    """A moving test picture with some noise, so that encoders have something to lose."""
    picture = f"testsrc2=size={size}:rate={rate}:duration={seconds},noise=alls=6:allf=t:all_seed=7"
    ffmpeg("-f", "lavfi", "-i", picture, *(args or ("-c:v", "libx264", "-crf", "10", "-pix_fmt", "yuv420p")), path)
    return path


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for clips that all tests of a session share."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def clip(media: Path) -> Path:
    """Two seconds of 320x180 at 29.97 fps in MP4."""
    return make_clip(media / "clip.mp4", seconds=2.0)


Vqa = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A Chromium for the tests of a file."""
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: what is small is slower by several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def breaks_on_bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ffmpeg that fails at files with "bad" in their names."""
    path = tmp_path_factory.mktemp("tools") / "fussy-ffmpeg"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *bad*) echo "[error] the decoder broke" >&2; exit 7;; esac\nexec "{FFMPEG}" "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Vqa:
    """The installed program, away from any checkout, with a cache that all workers share: what one has encoded is there."""
    return _vqa(tmp_path_factory, None)


@pytest.fixture(scope="session")
def vqa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vqa]:
    """As ``started``, but forked from a process that has the program's imports, wherever that can make no difference."""
    forks = Forks()
    yield _vqa(tmp_path_factory, forks)
    forks.end()


def _vqa(tmp_path_factory: pytest.TempPathFactory, forks: Forks | None) -> Vqa:
    home, base_temp = tmp_path_factory.mktemp("home"), tmp_path_factory.getbasetemp()
    shared = base_temp.parent if "PYTEST_XDIST_WORKER" in os.environ else base_temp
    told = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")  # xdist sets the first
    base = {k: v for k, v in os.environ.items() if not k.startswith("VQA_") and k not in told}
    base |= {
        "XDG_CACHE_HOME": str(shared / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        # Nothing that a test runs may reach the network.
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    }

    def run(
        *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        argv, full = [*map(str, args)], base | (env or {})
        if forks and stdin is None and forks.can(full):
            done = forks.run(argv, cwd or home, full, PATIENCE_S)
        else:
            done = subprocess.run(
                [str(PROGRAM), *argv], cwd=cwd or home, env=full, capture_output=True, input=stdin, timeout=PATIENCE_S,
                check=False,
            )  # fmt: skip
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
