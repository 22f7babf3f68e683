"""Temporary folders: gone afterwards, also those that a killed process has left; those in use stay."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Vqa

from vqa_cli.errors import StorageError
from vqa_cli.scratch import scratch

_HOLD = """import sys
from vqa_cli.scratch import scratch
with scratch(sys.argv[1]) as folder:
    (folder / "film.mkv").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_there_for_the_block_alone(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), scratch(tmp_path) as folder:
        (folder / "sub").mkdir()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_what_a_killed_process_left_goes_and_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    mine = tmp_path / "vqa-clip-mobile"
    mine.mkdir()
    args = [sys.executable, "-c", _HOLD, str(tmp_path)]
    held = []
    for _ in range(2):
        process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        held.append((process, Path(process.stdout.readline().strip())))
    (killed, left), (living, used) = held
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left.exists()
    with scratch(tmp_path) as folder:
        assert folder.exists() and used.exists() and not left.exists()
    living.communicate("")
    assert living.returncode == 0 and list(tmp_path.iterdir()) == [mine]


def test_no_room_is_said_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, scratch(tmp_path / "missing"):
        pass
    assert (caught.value.message, caught.value.hint) == ("cannot make a temporary folder", "set TMPDIR")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 kB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a tiny disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("against", [True, False])
def test_a_full_disk_is_storage_and_no_damage(vqa: Vqa, clip: Path, tiny: Path, tmp_path: Path, against: bool) -> None:
    ladder = ("ladder", clip, "--codec", "x264", "--height", "360", "--crf", "10", "-o", tmp_path / "o")
    what = ("score", clip, "--reference", clip) if against else (*ladder, "--model", "none", "-q")
    done = vqa(*what, "--no-cache", env={"TMPDIR": str(tiny)})
    assert done.returncode == 6, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [
        "error: no space left on the disk"
    ]


def test_a_shared_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, scratch(tmp_path / "missing", alone=False):
        pass
    assert caught.value.message == f"cannot write the shared folder {tmp_path / 'missing'}"
    assert caught.value.hint == "name one that all machines see"
