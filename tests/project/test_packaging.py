"""What is in the wheel is what runs: data files, from anywhere, without the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_holds_every_data_file(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("presets", "templates"):
        for path in (ROOT / folder).glob("*.*"):
            assert f"vqa_cli/{folder}/{path.name}" in names
    for path in (ROOT / "vqa_cli").rglob("*.*"):
        if path.suffix in {".py", ".csv", ".safetensors", ".toml", ".typed"} and "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT)) in names
    assert not any(name.startswith("training/") or "/lite/" in name for name in names), (
        "how weights are made is no product"
    )
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    code = "from vqa_cli.resources import preset_dir, template_dir; print(preset_dir()); print(template_dir())"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "unpacked", capture_output=True, text=True, check=True
    )
    assert [Path(line).parts[-2:] for line in out.stdout.split()] == [("vqa_cli", "presets"), ("vqa_cli", "templates")]


@pytest.mark.parametrize("editable", [True, False])
def test_make_leaves_an_editable_install_editable(tmp_path: Path, editable: bool) -> None:
    """A copy in its place would run on unchanged while the checkout is edited."""
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    listed = "vqa-cli==0.2.0" if editable else "other==1"
    python.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\ncase "$*" in *list*) echo {listed};; esac\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", ROOT, f"VENV={tmp_path}", f"{tmp_path}/.test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()[1:]
    assert asked == (
        ["-m pip install --quiet --editable .[test]"]
        if editable
        else ["-m pip install --quiet .[test]", "-m pip install --quiet --force-reinstall --no-deps ."]
    )
