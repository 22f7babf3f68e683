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
