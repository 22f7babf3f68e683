"""Which ffmpeg is used: the embedded one is asked once, every other each time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import FFMPEG

from vqa_cli.measure.program import known_ffmpeg
from vqa_cli.media.binaries import EMBEDDED, find_ffmpeg
from vqa_cli.media.process import Finished, Runner

pytestmark = pytest.mark.ffmpeg


class Counting(Runner):
    """Counts what it runs."""

    runs = 0

    def run(self, *args: Any, **options: Any) -> Finished:
        self.runs += 1
        return super().run(*args, **options)


def test_the_embedded_one_is_asked_once(tmp_path: Path) -> None:
    runner = Counting()
    with runner:
        told = find_ffmpeg(runner)
        assert told.origin == EMBEDDED and {"libx264", "libvmaf"} <= told.encoders | told.filters
        first = known_ffmpeg(runner, None, tmp_path)
        asked = runner.runs
        assert known_ffmpeg(runner, None, tmp_path) == first == told
        assert runner.runs == asked
        for file in tmp_path.rglob("program.json"):
            file.write_text("{}")
        assert known_ffmpeg(runner, None, tmp_path) == told
        assert runner.runs > asked


def test_another_is_asked_each_time_as_what_is_behind_it_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\nexec "{tmp_path}/behind" "$@"\n')
    script.chmod(0o755)
    shutil.copy(FFMPEG, tmp_path / "behind")
    with Runner() as runner:
        whole = known_ffmpeg(runner, str(script), tmp_path / "c")
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script))
        assert known_ffmpeg(runner, None, tmp_path / "c").filters == whole.filters
        (tmp_path / "behind").write_text(f'#!/bin/sh\n[ "$2" = -filters ] && exit; exec "{FFMPEG}" "$@"\n')
        assert known_ffmpeg(runner, None, tmp_path / "c").filters == frozenset()
        assert known_ffmpeg(runner, str(script), tmp_path / "c").filters == frozenset()


def test_one_that_was_replaced_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import imageio_ffmpeg

    package = tmp_path / "imageio_ffmpeg"
    (package / "binaries").mkdir(parents=True)
    program = package / "binaries" / "ffmpeg"
    monkeypatch.setattr(imageio_ffmpeg, "__file__", str(package / "__init__.py"))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    for version in ("1.0", "2.0"):
        staged = tmp_path / "staged"
        staged.write_text(f"#!/bin/sh\necho ffmpeg version {version} of a test\n")
        staged.chmod(0o755)
        staged.replace(program)
        with Runner() as runner:
            assert known_ffmpeg(runner, None, tmp_path / "c").version == version
