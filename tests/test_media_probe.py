"""Probing real files: what is read, and one clear error for each kind of bad input."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from conftest import ffmpeg, make_clip

from vqa_cli.errors import InputError
from vqa_cli.media.probe import packet_rates, probe
from vqa_cli.values import Size

pytestmark = pytest.mark.ffmpeg


def test_reads_size_rate_and_frames(clip: Path) -> None:
    info = probe(clip)
    assert (info.size, info.fps, info.frames, info.codec) == (Size(320, 180), Fraction(30000, 1001), 60, "h264")
    assert not info.vfr and not info.interlaced and info.bit_depth == 8


def test_millisecond_timestamps_are_still_a_constant_rate(media: Path, clip: Path) -> None:
    mkv = media / "clip.mkv"
    ffmpeg("-i", clip, "-c", "copy", mkv)
    info = probe(mkv)
    assert (info.fps, info.vfr, info.frames) == (Fraction(30000, 1001), False, 60)


def test_variable_rate_is_seen(media: Path) -> None:
    path = media / "vfr.mp4"
    keep = "select='if(lt(n,30),1,not(mod(n,3)))'"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=3", "-vf", keep, "-fps_mode", "vfr", path)
    assert probe(path).vfr


def test_rotation_and_pixel_shape_give_the_shown_size(media: Path, clip: Path) -> None:
    turned = media / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", turned)
    assert probe(turned).size == Size(180, 320)
    wide = media / "wide.mp4"
    ffmpeg("-i", clip, "-vf", "setsar=4/3", wide)
    assert probe(wide).size == Size(427, 180)


def test_interlaced_and_full_range_and_ten_bit(media: Path) -> None:
    fields = media / "fields.mp4"
    make_clip(
        fields, args=("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ildct+ilme", "-c:v", "libx264")
    )
    assert probe(fields).interlaced
    full = make_clip(media / "full.mp4", args=("-vf", "scale=out_range=pc", "-pix_fmt", "yuvj420p", "-c:v", "libx264"))
    assert probe(full).colour.range == "pc"
    deep = make_clip(media / "deep.mp4", args=("-pix_fmt", "yuv420p10le", "-c:v", "libx264"))
    assert probe(deep).bit_depth == 10


def test_a_picture_in_an_audio_file_is_no_video(media: Path) -> None:
    sound = media / "sound.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", sound)
    with pytest.raises(InputError, match="no video stream"):
        probe(sound)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_truncated_files_are_refused(media: Path, suffix: str) -> None:
    whole = make_clip(
        media / f"whole.{suffix}",
        seconds=4,
        args=("-movflags", "+faststart", "-g", "10") if suffix == "mp4" else ("-g", "10"),
    )
    cut = media / f"cut.{suffix}"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError) as error:
        probe(cut)
    assert "truncated" in error.value.message or "cannot read" in error.value.message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.mp4", b"", "file is empty"),
        ("text.mp4", b"hello " * 99, "cannot read as video"),
    ],
)
def test_what_is_no_video_is_named(media: Path, name: str, content: bytes | None, message: str) -> None:
    path = media / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        probe(path)


def test_too_small_and_too_short(media: Path) -> None:
    with pytest.raises(InputError, match="too small to judge"):
        probe(make_clip(media / "tiny.mp4", size="16x16", args=("-c:v", "mpeg4")))
    with pytest.raises(InputError, match="at least 2 frames"):
        probe(make_clip(media / "one.mp4", seconds=1 / 30))


def test_packets_sum_to_the_video_stream(clip: Path) -> None:
    packets, count = packet_rates(clip)
    assert count == 60
    assert sum(size for _, size in packets) == probe(clip).video_bytes
    assert [t for t, _ in packets] == sorted(t for t, _ in packets)


def test_frames_that_avi_skips_are_not_missing(media: Path) -> None:
    """Each fifth of 40 frames is left out; AVI counts it all the same."""
    path = media / "gap.avi"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1.6", "-vf", "select='mod(n,5)'", "-fps_mode",
           "vfr", "-c:v", "mpeg4", path)  # fmt: skip
    assert probe(path).frames == 32
    cut = media / "gap-cut.avi"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(InputError, match="truncated"):
        probe(cut)
