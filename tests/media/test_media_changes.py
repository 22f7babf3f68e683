"""Files whose picture changes in mid-file: the input is at fault, whoever reads it, and the frame is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Vqa, ffmpeg

from vqa_cli.errors import InputError
from vqa_cli.media.probe import probe

pytestmark = pytest.mark.ffmpeg
PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=0.4")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "5")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=0:keyint=5")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3")
VP9 = ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime")
LARGER = ("-vf", "scale=256:144")
TAGGED = ("-vf", "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv")


def part(path: Path, *options: str) -> Path:
    ffmpeg(*PICTURE, *options, path)
    return path


def end_to_end(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(one.read_bytes() for one in parts))
    return path


def remuxed(path: Path, *parts: Path) -> Path:
    """As ffmpeg's concat puts parts together, parameter sets and all."""
    script = path.with_suffix(".txt")
    script.write_text("".join(f"file '{one}'\n" for one in parts))
    ffmpeg("-f", "concat", "-safe", "0", "-i", script, "-c", "copy", path)
    return path


CHANGES = {
    "size": ((*X264,), (*X264, *LARGER), "192x108 becomes 256x144"),
    "size, HEVC": ((*X265,), (*X265, *LARGER), "192x108 becomes 256x144"),
    "pixel format": ((*X264,), (*X264, "-pix_fmt", "yuv422p"), "pixel format yuv420p becomes yuv422p"),
    "depth": ((*X265,), (*X265, "-pix_fmt", "yuv420p10le"), "pixel format yuv420p becomes yuv420p10le"),
    "shape": ((*X264,), (*X264, "-vf", "setsar=4/3"), "pixel aspect ratio 1 becomes 4/3"),
    "shape, MPEG-2": (
        (*MPEG2, "-aspect", "4:3"), (*MPEG2, "-aspect", "16:9"), "pixel aspect ratio 3/4 becomes 1"
    ),
    "colour": (
        (*X264,), (*X264, *TAGGED),
        "matrix untagged becomes bt709, primaries untagged becomes bt709, transfer untagged becomes bt709, "
        "range untagged becomes tv",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_named_with_its_frame(tmp_path: Path, case: str) -> None:
    before, after, said = CHANGES[case]
    path = end_to_end(tmp_path / "both.ts", part(tmp_path / "first.ts", *before), part(tmp_path / "second.ts", *after))
    with pytest.raises(InputError) as error:
        probe(path)
    assert error.value.message == f"changes in mid-file: {path}: {said} at frame 10"


@pytest.mark.parametrize("container", ["mp4", "mkv", "flv", "ts"])
def test_every_container_shows_it(tmp_path: Path, container: str) -> None:
    first, second = part(tmp_path / "first.ts", *X264), part(tmp_path / "second.ts", *X264, "-pix_fmt", "yuv422p")
    with pytest.raises(InputError, match="pixel format yuv420p becomes yuv422p at frame 10"):
        probe(remuxed(tmp_path / f"both.{container}", first, second))


def test_vp9_key_frames_show_it(tmp_path: Path) -> None:
    first, second = part(tmp_path / "first.webm", *VP9), part(tmp_path / "second.webm", *VP9, *LARGER)
    with pytest.raises(InputError, match="192x108 becomes 256x144 at frame 10"):
        probe(remuxed(tmp_path / "both.webm", first, second))


@pytest.mark.parametrize("codec", [X264, X265, MPEG2])
def test_other_settings_of_the_same_picture_are_no_change(tmp_path: Path, codec: tuple[str, ...]) -> None:
    other = ("-bf", "0", "-q:v", "9") if codec is MPEG2 else ("-preset", "medium", "-crf", "40", "-bf", "0")
    first, second = part(tmp_path / "first.ts", *codec), part(tmp_path / "second.ts", *codec, *other)
    assert probe(end_to_end(tmp_path / "both.ts", first, second)).frames == 20


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that each say their own size: nothing but a whole decode finds the change."""
    folder = tmp_path_factory.mktemp("jpegs")
    parts = [part(folder / f"{name}.mjpeg", "-c:v", "mjpeg", *more) for name, more in (("a", ()), ("b", LARGER))]
    return end_to_end(folder / "both.mjpeg", *parts)


def test_every_command_says_the_same_of_what_only_decoding_shows(
    jpegs: Path, clip: Path, tmp_path: Path, vqa: Vqa
) -> None:
    said = [
        f"error: changes in mid-file: {jpegs}: 192x108 becomes 256x144 at frame 10",
        "hint: everything is judged at one picture size and format; cut the file there",
    ]
    rungs = ("--codec", "x264", "--crf", "30", "--height", "108")
    for command in (
        ["score", jpegs, "--no-cache"],
        ["score", jpegs, "--reference", jpegs],
        ["score", clip, "--reference", jpegs],
        ["ladder", jpegs, *rungs, "-q", "-o", tmp_path],
        ["search", jpegs, "--target", "90", "--height", "108"],
        ["gate", jpegs, "--preset", "mobile", "--flags", " ".join(rungs), "-q"],
    ):
        done = vqa(*command)
        assert (done.returncode, done.stderr.splitlines()[-2:]) == (3, said), command
