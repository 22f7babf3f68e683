"""What a shell offers after a Tab."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Vqa

PROGRAM = Path(sys.executable).with_name("vqa")


def offered(vqa: Vqa, line: str, cwd: Path) -> list[str]:
    """The words that Bash would be given for ``line``, whose last word is incomplete."""
    words = line.split(" ")
    env = {"_VQA_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = vqa(cwd=cwd, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with two runs, a preset and other things."""
    for name in ("run-a", "run-b", "other"):
        (tmp_path / name).mkdir()
        if name != "other":
            (tmp_path / name / "run.json").write_text("{}")
    for name in ("base.json", "mine.toml", "clip.mp4"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vqa la", ["plain,ladder"]),
        ("vqa ladder --preset mo", ["plain,mobile"]),
        ("vqa ladder --preset ./mi", ["file,./mi"]),
        ("vqa search --preset we", ["plain,web"]),
        ("vqa presets show arch", ["plain,archive"]),
        ("vqa ladder --codec x265,svt", ["plain,x265,svtav1", "plain,x265,svt-av1"]),
        ("vqa ladder --metric vmaf,x", ["plain,vmaf,xpsnr"]),
        ("vqa score --model vs", ["plain,vsfa-lite", "plain,vsfa"]),
        ("vqa models info md", ["plain,mdtvsfa"]),
        ("vqa report r", ["plain,run-a", "plain,run-b"]),
        ("vqa gate b", ["plain,base.json"]),
        ("vqa recommend c", ["file,c"]),
        ("vqa cache cl", ["plain,clear"]),
        ("vqa score --dev", ["plain,--device"]),
    ],
)
def test_what_may_come_next(vqa: Vqa, here: Path, line: str, words: list[str]) -> None:
    assert offered(vqa, line, here) == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_for_that_shell(vqa: Vqa, shell: str, tmp_path: Path) -> None:
    done = vqa("completion", shell)
    assert done.returncode == 0 and f"_VQA_COMPLETE={shell}_complete" in done.stdout
    if (program := shutil.which(shell)) is None:
        return
    (tmp_path / "script").write_text(done.stdout)
    subprocess.run([program, "-n", "script"], cwd=tmp_path, check=True)


def test_bash_completes_by_the_script(vqa: Vqa) -> None:
    """As a terminal would: the script is read, the function that it registers is called."""
    lines = [vqa("completion", "bash").stdout, "COMP_WORDS=(vqa ladder --preset mob) COMP_CWORD=3",
             f"PATH={shlex.quote(str(PROGRAM.parent))}:$PATH", "_vqa_completion vqa", 'printf "%s\\n" "${COMPREPLY[@]}"']  # fmt: skip
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout == "mobile\n"


def test_alone_it_says_what_it_is_for(vqa: Vqa) -> None:
    done = vqa("completion")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == vqa("completion", "--help").stdout
    refused = vqa("completion", "tcsh")
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 2
