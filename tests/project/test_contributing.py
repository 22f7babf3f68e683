"""The worked examples of CONTRIBUTING.md do what they say, in a copy of the package; files of the project agree on its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE_S, ROOT, make_clip

from vqa_cli import __version__

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def apply(diff: str, root: Path) -> None:
    """Change a file as a block of the page says: hunks between ``@@``, each of which fits exactly once."""
    head, body = diff.split("\n", 1)
    path = root / head.removeprefix("+++ ")
    code = path.read_text(encoding="utf-8")
    for hunk in body.split("@@\n"):
        lines = [line or " " for line in hunk.rstrip("\n").split("\n")]
        before = "\n".join(line[1:] for line in lines if line[0] in " -")
        after = "\n".join(line[1:] for line in lines if line[0] in " +")
        assert code.count(before) == 1, f"{path.name} has {code.count(before)} times:\n{before}"
        code = code.replace(before, after)
    path.write_text(code, encoding="utf-8")


class Copy:
    """A copy of the package that can be changed, and the program made of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        for name in ("vqa_cli", "presets", "templates"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.program = folder / "bin" / "vqa"
        self.program.parent.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vqa_cli "$@"\n')
        self.program.chmod(0o755)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("VQA_")} | {
            "PYTHONPATH": str(self.root), "PATH": f"{self.program.parent}:{os.environ['PATH']}",
            "VQA_CACHE_DIR": str(folder / "cache"),
        }  # fmt: skip

    def follow(self, title: str, cwd: Path) -> list[str]:
        """Make the changes of a section and run its commands; gives what each printed."""
        for diff in blocks("diff", section(title)):
            apply(diff, self.root)
        commands = [line[2:] for block in blocks("console", section(title)) for line in block.splitlines()]
        assert commands
        return [self.run(command, cwd) for command in commands]

    def run(self, command: str, cwd: Path) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=cwd,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture
def clips(tmp_path: Path, clip: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(clip, folder / "clip.mp4")
    make_clip(folder / "worse.mp4", seconds=2.0, args=("-c:v", "libx264", "-crf", "40", "-pix_fmt", "yuv420p"))
    return folder


@pytest.mark.slow
@pytest.mark.ffmpeg
def test_a_metric_is_added_as_it_is_written(copy: Copy, clips: Path) -> None:
    scored, table, by_metadata = copy.follow("Add a metric", clips)
    values = dict(line.split() for line in scored.splitlines()[1:])
    assert 10 < float(values["xpsnr"]) != float(values["xpsnr_cb"]) < 60
    assert "xpsnr_cb" in table and "XPSNR Cb" in (clips / "ladder-cb/report.html").read_text()
    assert "xpsnr_cb" in "".join(copy.run("vqa ladder --help", clips).split())
    name, vif = by_metadata.splitlines()[1].split()
    assert name == "vif" and 0 < float(vif) < 1
    assert copy.run("vqa score clip.mp4 --reference clip.mp4 --metric vif,ssim", clips).splitlines()[1:] == [
        "vif 1.0000", "ssim 1.0000",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.ffmpeg
def test_an_encoder_is_added_as_it_is_written(copy: Copy, clips: Path) -> None:
    (table,) = copy.follow("Add an encoder", clips)
    assert table.count("librav1e") >= 2
    assert "rav1e" in (clips / "ladder-rav1e/run.json").read_text()


@pytest.mark.slow
def test_a_head_is_added_as_it_is_written(copy: Copy, tmp_path: Path) -> None:
    from rated import write_database

    write_database(tmp_path, "ratings")
    (tmp_path / "ratings").rename(tmp_path / "features")
    _, agreement = copy.follow("Add a model", tmp_path)
    assert "deep" in agreement


def test_the_version_is_the_same_everywhere() -> None:
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None and cited[1] == __version__
    assert (ROOT / "CHANGELOG.md").read_text().split("\n## ", 2)[1].startswith(f"{__version__}, ")
    assert set(re.findall(r"@v([\d.]+\d)", (ROOT / "docs/ci.md").read_text())) == {__version__}


def test_the_workflows_call_what_the_makefile_has() -> None:
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        called = set(re.findall(r"run: make ([a-z]+)", path.read_text()))
        assert called and called <= made, path.name


def test_every_page_has_its_place_in_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n", 1)[1]
    named = re.findall(r": (\S+\.md)$", nav, re.MULTILINE)
    made = ["commands.md", "presets.md", "changelog.md", "contributing.md", "security.md"]
    assert sorted(named) == sorted([*made, *(path.name for path in (ROOT / "docs").glob("*.md"))])


def test_the_api_page_names_what_there_is() -> None:
    import vqa_cli

    told = re.findall(r"^::: (.+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    homes = {f"{home}.{name}" for name, home in vqa_cli._HOMES.items()}
    assert sorted(told) == sorted(homes)


def test_the_reference_has_every_command_and_preset() -> None:
    from test_cli_commands import ALL

    from vqa_cli.cli.reference import commands_page, presets_page

    page = commands_page()
    assert [name for name in ALL if name != "vqa" and f"# {name}\n" not in page] == []
    assert presets_page().count("\n## ") == len(list((ROOT / "presets").glob("*.toml")))
