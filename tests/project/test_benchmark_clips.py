"""The list of clips that benchmarks need: what comes is held against it, in one file or as pictures."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from conftest import ROOT, ffmpeg, make_clip

sys.path.insert(0, str(ROOT / "benchmarks"))

from clips import Clip, fault, fetch, read_list


def test_every_clip_is_named_once_and_pinned_to_a_commit() -> None:
    clips = read_list()
    assert len({clip.file for clip in clips}) == len(clips) > 40
    assert all(clip.address.startswith("https://") and len(clip.sha256) == 64 for clip in clips)
    assert all(len(clip.address.split("/")[5]) == 40 for clip in clips)


def test_one_file_is_fetched_and_another_in_its_place_is_told(tmp_path: Path) -> None:
    origin, here = tmp_path / "origin.mp4", tmp_path / "clips" / "a.mp4"
    origin.write_bytes(b"video" * 1000)
    clip = Clip("a.mp4", origin.as_uri(), 0, 5000, hashlib.sha256(origin.read_bytes()).hexdigest())
    assert fault(clip, here) == "not here"
    fetch(clip, here)
    assert fault(clip, here) is None
    here.write_bytes(b"something else")
    assert fault(clip, here) == "another file"
    fetch(clip, here)
    assert fault(clip, here) is None
    assert [path.name for path in here.parent.iterdir()] == ["a.mp4"]


@pytest.mark.ffmpeg
def test_pictures_become_a_clip_of_the_same_bytes(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", size="96x64", rate="24", seconds=0.25)
    ffmpeg("-i", tmp_path / "clip.mp4", "-start_number", "0", tmp_path / "%05d.jpg")
    pictures = sorted(tmp_path.glob("*.jpg"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in pictures)).hexdigest()
    clip = Clip("b.mkv", f"{tmp_path.as_uri()}/%05d.jpg", len(pictures), 0, digest)
    fetch(clip, tmp_path / "b.mkv")
    assert fault(clip, tmp_path / "b.mkv") is None
