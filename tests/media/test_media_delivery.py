"""What ffmpeg delivers of a file is what the probe says of it: cropped, turned, and not Dolby Vision's own colours."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from boxes import add_to_entry, clap, dolby
from conftest import Vqa, ffmpeg, make_clip

from vqa_cli.errors import InputError, ToolError
from vqa_cli.media.binaries import Ffmpeg, find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv
from vqa_cli.media.delivery import Delivery, probe_source, read_delivery
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.values import Size

pytestmark = pytest.mark.ffmpeg
LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def tools() -> Iterator[tuple[Runner, Ffmpeg]]:
    with Runner() as runner:
        yield runner, find_ffmpeg(runner)


def png_size(path: Path, folder: Path) -> Size:
    """Of the first frame as ffmpeg writes it, by the picture's own header."""
    ffmpeg("-i", path, "-map", "0:v:0", "-frames:v", "1", folder / "first.png")
    return Size(*struct.unpack(">II", (folder / "first.png").read_bytes()[16:24]))


CROPS = {
    "even": ((), clap(240, 120), 1, Size(240, 120)),
    "odd": ((), clap(241, 119), 1, Size(240, 118)),
    "to one side": ((), clap(300, 180, right=10), 1, Size(300, 180)),
    "turned": (("-display_rotation", "90"), clap(240, 120), 1, Size(120, 240)),
    "mirrored": (("-display_hflip",), clap(240, 120), 1, Size(240, 120)),
    "mirrored and turned": (("-display_hflip", "-display_rotation", "90"), clap(240, 120), 1, Size(120, 240)),
    "wide pixels": (("-aspect", "8:3"), clap(240, 120), Fraction(3, 2), Size(360, 120)),
    "wide pixels, turned": (("-aspect", "8:3", "-display_rotation", "270"), clap(240, 120), Fraction(3, 2), Size(120, 360)),
    "codec crop": (("-bsf:v", "h264_metadata=crop_left=6:crop_right=4:crop_top=2"), b"", 1, Size(310, 178)),
    "codec crop, too": (("-bsf:v", "h264_metadata=crop_left=6:crop_right=4"), clap(240, 120), 1, Size(230, 120)),
}  # fmt: skip


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("case", CROPS)
def test_size_is_that_of_the_frames(
    clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg], case: str, container: str
) -> None:
    """A container's crop, a codec's, rotation and pixel shape, each and together."""
    options, box, sar, expected = CROPS[case]
    before = [option for option in options if option.startswith("-display") or option in ("90", "270")]
    after = [option for option in options if option not in before]
    path = tmp_path / "cropped.mp4"
    ffmpeg(*before, "-i", clip, "-c", "copy", *after, path)
    if box:
        add_to_entry(path, box)
    if container == "mkv":
        ffmpeg("-i", path, "-c", "copy", tmp_path / "cropped.mkv")
        path = tmp_path / "cropped.mkv"
    info = probe_source(*tools, path)
    assert (info.size, info.sar) == (expected, sar)
    upright = Size(info.coded.height, info.coded.width) if info.rotation_deg in (90, 270) else info.coded
    assert upright == png_size(path, tmp_path)


def test_a_cropped_file_gives_the_pixels_of_one_that_holds_nothing_else(
    tmp_path: Path, tools: tuple[Runner, Ffmpeg]
) -> None:
    """Nothing is stretched: frame by frame and byte by byte."""
    inner = make_clip(tmp_path / "inner.mp4", size="320x120", seconds=0.3, args=LOSSLESS)
    padded = tmp_path / "padded.mp4"
    ffmpeg("-i", inner, "-vf", "pad=320:180:0:30", *LOSSLESS, padded)
    add_to_entry(padded, clap(320, 120))

    def frames(path: Path) -> bytes:
        info = probe_source(*tools, path)
        argv = build_frames_argv(tools[1].path, SourceView.of(info), MeasureOrder(info.size))
        return subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout

    assert frames(padded) == frames(inner)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten-bit HEVC without colour tags."""
    args = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-preset", "ultrafast", "-x265-params", "log-level=0")
    return make_clip(tmp_path_factory.mktemp("deep") / "deep.mp4", seconds=0.4, args=args)


def as_dolby(deep: Path, folder: Path, profile: int, compatibility: int) -> Path:
    path = folder / f"dolby{profile}.mp4"
    shutil.copy(deep, path)
    return add_to_entry(path, dolby(profile, compatibility))


def test_dolby_vision_without_a_base_layer_is_refused_by_name(deep: Path, tmp_path: Path, vqa: Vqa) -> None:
    path = as_dolby(deep, tmp_path, 5, 0)
    said = [
        f"error: Dolby Vision without a base layer (profile 5): {path}",
        "hint: no --tonemap can mend that; give an HDR10 or SDR version made by Dolby's own tools",
    ]
    for command in (
        ["score", path],
        ["ladder", path, "--tonemap", "--codec", "x264", "-o", tmp_path / "run"],
        ["search", path, "--tonemap", "--target", "90"],
    ):
        done = vqa(*command)
        assert (done.returncode, done.stderr.splitlines()) == (3, said)


@pytest.mark.parametrize(
    ("profile", "compatibility", "transfer"),
    [(8, 1, "smpte2084"), (7, 6, "smpte2084"), (8, 4, "arib-std-b67"), (8, 2, None)],
)
def test_dolby_vision_with_a_base_layer_is_what_that_layer_is(
    deep: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg], profile: int, compatibility: int, transfer: str | None
) -> None:
    info = probe_source(*tools, as_dolby(deep, tmp_path, profile, compatibility))
    assert info.colour.transfer == transfer


@pytest.fixture(scope="module", params=["mp4", "mkv"])
def tagged_outside(deep: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HDR by the container's word alone: the bitstream has no tags."""
    path = tmp_path_factory.mktemp("tagged") / f"hdr.{request.param}"
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    ffmpeg("-i", deep, "-c", "copy", *tags, path)
    return path


def test_hdr_that_the_container_alone_names_is_seen(tagged_outside: Path, tmp_path: Path, vqa: Vqa) -> None:
    done = vqa("score", tagged_outside)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"error: HDR source (smpte2084): {tagged_outside}"
    ladder = ["ladder", tagged_outside, "--codec", "x264", "--crf", "30", "--height", "180", "--display", "180",
              "--metric", "psnr", "--model", "none", "-q", "-o", tmp_path / "run"]  # fmt: skip
    done = vqa(*ladder, "--no-tonemap")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"error: HDR source (smpte2084): {tagged_outside}"
    done = vqa(*ladder, "--tonemap")
    assert done.returncode == 0, done.stderr
    (source,) = json.loads((tmp_path / "run" / "run.json").read_text())["sources"]
    assert source["source"]["preparation"] == ["HDR tone-mapped to BT.709 SDR (Hable): an approximation"]


def test_wide_colours_without_a_transfer_are_remarked_on(
    clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]
) -> None:
    path = tmp_path / "wide.mp4"
    ffmpeg("-i", clip, "-vf", "setparams=color_primaries=bt2020:colorspace=bt2020nc", *LOSSLESS, path)
    assert probe_source(*tools, path).remarks == (
        "BT.2020 colours without a transfer tag are taken for SDR; tag them if they are HDR",
    )


LOG = """\
[info] Input #0, mov, from 'x':
[info]   Stream #0:0[0x1](und): Video: hevc (dvh1), yuv420p10le(tv), 640x360, 30 fps
[info]     Side data:
[info]       DOVI configuration record: version: 1.0, profile: 5, level: 1, rpu flag: 1, compatibility id: 0, compression: 0
[info]   Stream #0:1[0x2](und): Video: hevc (hvc1), yuv420p10le(tv), 640x360, 30 fps
[info] Stream mapping:
[info]   Stream #0:0 -> #0:0 (hevc (native) -> wrapped_avframe (native))
[info] Output #0, null, to 'pipe:':
[info]   Stream #0:0: Video: wrapped_avframe, yuv420p10le(tv, bt2020nc/bt2020/smpte2084, progressive), 500x268 [SAR 4:3 DAR 5:2], q=2-31
"""


def test_the_log_is_read_for_the_stream_asked_for() -> None:
    assert read_delivery(LOG, 0) == Delivery(500, 268, Fraction(4, 3), (5, 0))
    assert read_delivery(LOG, 1) == Delivery(500, 268, Fraction(4, 3), None)
    assert read_delivery(LOG.replace(" [SAR 4:3 DAR 5:2]", ""), 1).sar == 1
    with pytest.raises(ToolError, match="ffmpeg's log names no picture"):
        read_delivery("[info] nothing", 0)


def test_what_is_too_small_once_it_is_cropped_is_refused(
    clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]
) -> None:
    path = tmp_path / "slit.mp4"
    shutil.copy(clip, path)
    add_to_entry(path, clap(320, 40))
    with pytest.raises(InputError, match=r"too small to judge: .* is 320x40; 64 px is the least"):
        probe_source(*tools, path)


def test_of_an_ordinary_file_there_is_nothing_to_add(clip: Path, tools: tuple[Runner, Ffmpeg]) -> None:
    assert probe_source(*tools, clip) == probe(clip)
