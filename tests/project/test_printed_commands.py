"""Every `vqa` command that the docs and the README print is one that `vqa` takes; the tutorial's gate is run.

Those of CONTRIBUTING.md are run by ``test_contributing``, in a package that was changed as it says.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from conftest import PATIENCE_S, ROOT, make_clip

from vqa_cli.cli import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "action.yml"]
_CODE = re.compile(r"^ *```(?:console|yaml|bash|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# Where a command ends and a shell goes on, outside of quotes.
_SHELL = re.compile(r"^(?:;|\||\|\||&&|&|>|2>|<)$")


def commands(page: str) -> list[list[str]]:
    """The arguments of every ``vqa`` command line in a page's blocks of code."""
    found = []
    for block in _CODE.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            text = re.sub(r"^ *(?:\$ |- run: |run: )?", "", line)
            if not re.match(r"vqa [a-z]", text):
                continue
            lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&<>")
            lexer.whitespace_split, lexer.commenters = True, "#"
            words = list(lexer)
            end = next((place for place, word in enumerate(words) if _SHELL.match(word)), len(words))
            found.append(words[1:end])
    return found


PRINTED = [(page.name, args) for page in PAGES for args in commands(page.read_text(encoding="utf-8"))]


def parse(args: list[str]) -> None:
    """Read a command line as ``vqa`` does, and carry nothing out."""
    command: click.Command = cli
    parent = click.Context(cli, info_name="vqa")
    while isinstance(command, click.Group):
        name, found, args = command.resolve_command(parent, args)
        assert found is not None
        if isinstance(found, click.Group) and not args:
            return
        command, parent = found, click.Context(found, info_name=name, parent=parent)
    command.make_context(parent.info_name, list(args), parent=parent.parent)


def test_the_pages_print_commands() -> None:
    assert len(PRINTED) > 60
    assert ["ladder", "clip.mp4", "--preset", "mobile"] in [args for name, args in PRINTED if name == "README.md"]
    assert commands("```console\n$ vqa gate a.json 'b c' --format x; echo $?\n$ ls\n```\n") == [
        ["gate", "a.json", "b c", "--format", "x"]
    ]


@pytest.mark.parametrize(("page", "args"), PRINTED, ids=[f"{name}: {' '.join(args)}"[:70] for name, args in PRINTED])
def test_what_is_printed_is_taken(page: str, args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "…" in args or "..." in args:
        pytest.skip("left open for the reader")
    shutil.copy(ROOT / "presets/mobile.toml", tmp_path / "policy-ladder.toml")  # a preset of the reader's own
    monkeypatch.chdir(tmp_path)
    parse(args)


@pytest.mark.ffmpeg
def test_the_tutorials_gate_ends_as_it_says(tmp_path: Path) -> None:
    """Its literal lines, in order, on a short clip: a small ladder, a baseline of it, a change, and the verdict."""
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    (small,) = [line for line in text.splitlines() if line.startswith("$ vqa ladder") and line.endswith("-o small")]
    gate = re.findall(r"^\$ (.*)$", text.split("## Let a gate judge a change", 1)[1], re.MULTILINE)
    make_clip(tmp_path / "clip.mp4", size="640x360", rate="25", seconds=1.0)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join([small[2:], *gate, "vqa gate baseline.json small; echo $?"])
    env = os.environ | {"PATH": path, "VQA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE_S
    )
    said = done.stdout.splitlines()
    assert said[-1] == "0" and "1" in said, done.stderr
    assert any(line.startswith("FAIL") for line in said) and any(line.startswith("PASS") for line in said)
