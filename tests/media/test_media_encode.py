"""What an encode must come out as."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import FFMPEG

from vqa_cli.errors import ToolError
from vqa_cli.media.encode import EncodeJob, run_encode
from vqa_cli.media.probe import probe, read_shown
from vqa_cli.media.process import Runner
from vqa_cli.values import Size

pytestmark = pytest.mark.ffmpeg

# No multiples of the block sizes of any codec.
SIZE = Size(318, 182)


def job(folder: Path, encoder: str) -> EncodeJob:
    picture = ("-f", "lavfi", "-i", f"testsrc2=size={SIZE}:rate=25:duration=0.4")
    told = ("-v", "error", *picture, "-pix_fmt", "yuv420p10le", "-c:v", encoder, "-y", "made.mp4")
    argv = ((FFMPEG, *told),)
    return EncodeJob(argv, folder, folder / "made.mp4", SIZE, 10, Fraction(25))


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "libvvenc"])
def test_packets_tell_the_size_that_a_decoder_does(tmp_path: Path, encoder: str) -> None:
    asked = job(tmp_path, encoder)
    with Runner() as runner:
        assert run_encode(runner, asked).frames == 10
    assert read_shown(asked.output).size == probe(asked.output).coded == SIZE


def test_other_frames_than_were_asked_for_are_refused(tmp_path: Path) -> None:
    asked = job(tmp_path, "libx264")
    with Runner() as runner:
        with pytest.raises(ToolError, match=r"gave 10 of 11 frames: made\.mp4"):
            run_encode(runner, replace(asked, frames=11))
        with pytest.raises(ToolError, match=r"made 318x182 instead of 320x182: made\.mp4"):
            run_encode(runner, replace(asked, size=Size(320, 182)))
