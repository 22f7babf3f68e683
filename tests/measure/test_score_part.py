"""`vqa score --start --duration`: the same frames whatever the container, and the same ones of both files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Vqa, ffmpeg

from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv
from vqa_cli.media.frames import open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.values import FrameFormat

pytestmark = pytest.mark.ffmpeg
CONTAINERS = ("ts", "mkv", "mp4")


@pytest.fixture(scope="module")
def encodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stream with B-frames and sound in several containers, and the lossless source of it."""
    folder = tmp_path_factory.mktemp("part")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=192x96:rate=25:duration=2,noise=alls=6:allf=t:all_seed=7", "-f", "lavfi",
           "-i", "sine=duration=2", "-c:v", "libx264", "-qp", "0", "-c:a", "aac", folder / "source.mkv")  # fmt: skip
    ffmpeg("-i", folder / "source.mkv", "-c:v", "libx264", "-crf", "20", "-g", "15", "-bf", "3", "-c:a", "aac",
           folder / "coded.mkv")  # fmt: skip
    for name in CONTAINERS:
        ffmpeg("-i", folder / "coded.mkv", "-c", "copy", folder / f"encode.{name}")
    return folder


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_part_is_compared_with_the_same_part(vqa: Vqa, encodes: Path, container: str) -> None:
    run = ("score", encodes / f"encode.{container}", "--reference", encodes / "source.mkv", "--metric", "psnr",
           "--format", "json", "--per-frame", "--no-cache")  # fmt: skip
    whole, part = (json.loads(vqa(*run, *more).stdout) for more in ((), ("--start", "0.72", "--duration", "0.4")))
    assert part["frames"] == 10
    assert np.allclose(part["per_frame"]["psnr"], whole["per_frame"]["psnr"][18:28], atol=0.011)


def test_a_part_is_the_same_in_every_container(encodes: Path) -> None:
    with Runner() as runner:
        tool = find_ffmpeg(runner).path

        def frames(name: str, **part: Any) -> np.ndarray:
            info = probe(encodes / f"encode.{name}")
            argv = build_frames_argv(tool, SourceView.of(info), MeasureOrder(info.size, **part))
            with open_frames(runner, argv, FrameFormat(192, 96), expected=None, what=name) as stream:
                return np.concatenate(list(stream))

        whole = frames("mkv")
        for name in CONTAINERS:
            assert np.array_equal(frames(name, first=18, end=28), whole[18:28])
            assert np.array_equal(frames(name, first=40, every=3), whole[40::3])


def test_a_part_of_uneven_frames_goes_by_their_time(vqa: Vqa, encodes: Path) -> None:
    """Made constant, 0.6 s have 15 frames; beside a reference every frame stays: from 0.8 s to 1.4 s there are 5 and 2."""
    uneven = encodes / "uneven.mp4"
    drop = "select='if(lt(n,25),1,not(mod(n,5)))'"
    ffmpeg("-i", encodes / "source.mkv", "-an", "-vf", drop, "-fps_mode", "vfr", "-c:v", "libx264", uneven)
    run = ("score", uneven, "--start", "0.8", "--duration", "0.6", "--format", "json", "--no-cache")
    alone = vqa(*run)
    assert json.loads(alone.stdout)["frames"] == 15
    assert "variable frame rate brought to 25 fps" in alone.stderr
    paired = vqa(*run, "--reference", uneven, "--metric", "psnr")
    assert json.loads(paired.stdout)["frames"] == 7


def test_a_part_beyond_the_end_holds_nothing(vqa: Vqa, encodes: Path) -> None:
    done = vqa("score", encodes / "encode.ts", "--start", "9", "--no-cache")
    assert done.returncode == 3
    assert done.stderr.startswith("error: nothing to score in the part asked for")
