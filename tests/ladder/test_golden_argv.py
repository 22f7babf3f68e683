"""Every command line of every bundled preset, for one source, as it was reviewed: a change of it is seen in a diff.

``PYTHONPATH=tests:tests/media python tests/ladder/test_golden_argv.py`` writes the files again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from test_media_command import argvs, source

from vqa_cli.ladder.preset import build_settings, read_preset
from vqa_cli.resources import preset_dir
from vqa_cli.text import shell

GOLDEN = Path(__file__).parents[1] / "golden"
PRESETS = sorted(path.stem for path in preset_dir().glob("*.toml"))


def lines(name: str) -> str:
    """The preset's command lines for 1080p of 29.97 fps."""
    settings = build_settings(read_preset(preset_dir() / f"{name}.toml"), name)
    return "".join(f"{shell(argv)}\n" for argv in argvs(source(), settings))


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_command_lines_are_as_reviewed(name: str) -> None:
    assert lines(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == PRESETS


if __name__ == "__main__":
    for preset in PRESETS:
        (GOLDEN / f"{preset}.txt").write_text(lines(preset), encoding="utf-8")
