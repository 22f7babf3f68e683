"""A part of a long file: found without decoding what lies before it, and the same frames to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Vqa, ffmpeg

from vqa_cli.measure import score as scoring
from vqa_cli.measure.score import ScoreRequest, score_file
from vqa_cli.measure.source import Source
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv
from vqa_cli.media.frames import open_frames
from vqa_cli.media.graph import Seek, SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.media.seeking import find_seek, read_index, trusted_index
from vqa_cli.values import FrameFormat

pytestmark = pytest.mark.ffmpeg
SIZE = FrameFormat(96, 64)
X264 = ("-c:v", "libx264", "-bf", "3")
OPEN_264 = ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=15:scenecut=0:bframes=4:b-pyramid=normal")
OPEN_265 = ("-c:v", "libx265", "-x265-params", "open-gop=1:keyint=15:scenecut=0:bframes=4:log-level=none")
REFRESH = ("-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=15:bframes=0")
MADE: dict[str, tuple[str, ...]] = {
    "plain.mp4": (*X264, "-g", "15"),
    "plain.mkv": (*X264, "-g", "15"),
    "open.mp4": OPEN_264,
    "open.mkv": OPEN_264,
    "open265.mp4": OPEN_265,
    "open265.mkv": OPEN_265,
    "refresh.mp4": REFRESH,
    "vp9.webm": ("-c:v", "libvpx-vp9", "-g", "15", "-b:v", "90k", "-cpu-used", "8", "-auto-alt-ref", "1", "-lag-in-frames", "9"),
    "ffv1.mkv": ("-c:v", "ffv1"),
    "one-key.mp4": (*X264, "-g", "500"),
    "vp8.webm": ("-c:v", "libvpx", "-g", "15"),
    "plain.ts": (*X264, "-g", "15"),
}  # fmt: skip
# Made of another by copying the stream: with an edit list, a late start, fragments, and sound that begins before the picture.
COPIED: dict[str, tuple[str, ...]] = {
    "edit.mp4": ("-ss", "0.85", "-i", "plain.mp4", "-c", "copy"),
    "edit-open.mp4": ("-ss", "0.85", "-i", "open.mp4", "-c", "copy"),
    "late.mp4": ("-itsoffset", "2.5", "-i", "plain.mp4", "-c", "copy"),
    "fragments.mp4": ("-i", "plain.mp4", "-c", "copy", "-movflags", "frag_keyframe+empty_moov"),
    "sound.mkv": ("-itsoffset", "0.3", "-i", "plain.mp4", "-f", "lavfi", "-i", "sine=duration=3", "-c:v", "copy", "-c:a", "aac"),
}  # fmt: skip
# Where nothing proves which frame it is, or nothing is gained: decoded from the beginning, as ever.
NEVER = {"one-key.mp4", "vp8.webm", "plain.ts"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seek")
    picture = "testsrc2=size=96x64:rate=30000/1001:duration=3,noise=alls=6:allf=t:all_seed=7"
    for name, options in MADE.items():
        ffmpeg("-f", "lavfi", "-i", picture, *options, folder / name)
    for name, options in COPIED.items():
        ffmpeg(*(str(folder / word) if word in MADE else word for word in options), folder / name)
    return folder


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as running:
        yield running


Decode = Callable[[SourceView, MeasureOrder, "int | None"], np.ndarray]


@pytest.fixture(scope="module")
def decode(runner: Runner) -> Decode:
    def frames(view: SourceView, order: MeasureOrder, expected: int | None = None) -> np.ndarray:
        argv = build_frames_argv(find_ffmpeg(runner).path, view, order)
        with open_frames(runner, argv, SIZE, expected=expected, what="clip") as stream:
            return np.concatenate(list(stream))

    return frames


@pytest.mark.parametrize("name", [*MADE, *COPIED])
def test_the_frames_are_those_that_counting_gives(clips: Path, runner: Runner, decode: Decode, name: str) -> None:
    info = probe(clips / name)
    view = SourceView.of(info)
    index = trusted_index(runner, find_ffmpeg(runner).path, view)
    whole = decode(view, MeasureOrder(info.size), None)
    found = 0
    for first, end in ((61, 70), (59, 60), (75, len(whole))):
        seek = find_seek(runner, find_ffmpeg(runner).path, view, index, first, end)
        if seek is None:
            continue
        found += 1
        got = decode(replace(view, seek=seek), MeasureOrder(info.size, first=first, end=end), seek.frames)
        assert np.array_equal(got, whole[first:end]), (name, first, end)
    assert (found == 0) == (name in NEVER)
    if name.startswith(("plain.m", "open", "ffv1")):
        assert found == 3


def test_times_that_are_not_those_of_the_file_are_not_believed(clips: Path, runner: Runner) -> None:
    path = clips / "plain.mkv"
    view, index = SourceView.of(probe(path)), read_index(path, 0)
    assert index is not None
    tool = find_ffmpeg(runner).path
    assert find_seek(runner, tool, view, index, 70, 80) is not None
    assert find_seek(runner, tool, view, replace(index, pts=index.pts + 1, keys=index.keys + 1), 70, 80) is None


@pytest.mark.parametrize("name", ["plain.mp4", "open265.mkv"])
def test_score_starts_in_the_middle(clips: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As decoding from the beginning does, by a command that does not begin there."""
    began: list[bool] = []
    pipe = Runner.pipe

    def watched(self: Runner, argv: tuple[str, ...], **options: Any) -> Any:
        began.append("-ss" in argv)
        return pipe(self, argv, **options)

    monkeypatch.setattr(Runner, "pipe", watched)
    request = ScoreRequest(start_s=2.4, duration_s=0.5)
    quick = score_file(clips / name, request)
    assert began == [True]
    monkeypatch.setattr(scoring, "sought", lambda *_: None)
    assert np.array_equal(score_file(clips / name, request).values["model"], quick.values["model"])
    assert began == [True, False]


def test_what_cannot_be_sought_after_all_is_decoded_from_the_beginning(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ScoreRequest(start_s=2.4, duration_s=0.5)
    expected = score_file(clips / "plain.mp4", request)

    def wrong(_runner: object, _ffmpeg: object, source: Source, *_part: object) -> Source:
        return replace(source, view=replace(source.view, seek=Seek(3_500_000, 30_030, 31_031, 15)))

    monkeypatch.setattr(scoring, "sought", wrong)
    assert np.array_equal(score_file(clips / "plain.mp4", request).values["model"], expected.values["model"])


def test_both_files_of_a_pair_are_sought(vqa: Vqa, clips: Path) -> None:
    run = ("score", clips / "open265.mkv", "--reference", clips / "ffv1.mkv", "--metric", "psnr", "--no-cache",
           "--format", "json", "--per-frame")  # fmt: skip
    whole, part = (json.loads(vqa(*run, *more).stdout) for more in ((), ("--start", "2.5", "--duration", "0.3")))
    assert part["per_frame"]["psnr"] == whole["per_frame"]["psnr"][75:84]
    assert part["frames"] == 9
