"""Probing real files: what is read, and one clear error for each kind of bad input."""

from __future__ import annotations

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from boxes import put_metadata_first, set_edit
from conftest import FFMPEG, ffmpeg, make_clip

from vqa_cli.errors import InputError
from vqa_cli.media.probe import check_unchanged, probe, read_shown
from vqa_cli.media.timing import steady_rate
from vqa_cli.values import Size

pytestmark = pytest.mark.ffmpeg
# Of the shared clip: ticks of a frame, and where its edit list begins, behind the delay of its B-frames.
TICKS, FIRST = 1001, 2002


def decoded_frames(path: Path) -> int:
    """How many ffmpeg itself shows."""
    run = [FFMPEG, "-hide_banner", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]
    done = subprocess.run(run, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return int(re.findall(r"frame= *(\d+)", done.stderr.decode())[-1])


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


@pytest.fixture(scope="module")
def cover(media: Path) -> Path:
    path = media / "cover.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=300x300", "-frames:v", "1", path)
    return path


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "flac", "mka"])
def test_a_picture_in_an_audio_file_is_no_video(media: Path, cover: Path, suffix: str) -> None:
    sound = media / f"sound.{suffix}"
    picture = ("-attach", cover, "-metadata:s:t", "mimetype=image/jpeg") if suffix == "mka" else (
        "-i", cover, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"
    )  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", *picture, sound)
    with pytest.raises(InputError) as error:
        probe(sound)
    assert error.value.message == f"no video stream: {sound} (it holds a picture, audio)"


def test_audio_without_a_picture_is_no_video(media: Path) -> None:
    sound = media / "plain.m4a"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", sound)
    with pytest.raises(InputError) as error:
        probe(sound)
    assert error.value.message == f"no video stream: {sound} (it holds audio)"


def test_a_cover_that_comes_first_is_passed_over(clip: Path, cover: Path, media: Path) -> None:
    path = media / "cover-first.mp4"
    ffmpeg("-i", cover, "-i", clip, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic", path)
    put_metadata_first(path)
    info = probe(path)
    assert (info.stream_index, info.frames, info.size, info.remarks) == (1, 60, Size(320, 180), ())


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [(("default", "default"), 1), (("default", "0"), 0), (("0", "default"), 1), (("0", "0"), 1)],
)
def test_among_several_videos_the_default_one_then_the_largest(
    media: Path, defaults: tuple[str, str], expected: int
) -> None:
    small, large = make_clip(media / "small.mp4", size="160x90"), make_clip(media / "large.mp4", size="192x108")
    path = media / "two.mkv"
    flags = [f for i, flag in enumerate(defaults) for f in (f"-disposition:v:{i}", flag)]
    ffmpeg("-i", small, "-i", large, "-map", "0", "-map", "1", "-c", "copy", *flags, path)
    info = probe(path)
    assert info.stream_index == expected
    assert info.remarks == (f"2 video streams: stream {expected} ({info.size}) is taken",)


def test_stills_beside_a_video_are_not_taken_for_it(clip: Path, media: Path) -> None:
    """A phone's "motion photo": ffmpeg itself would take the larger stills."""
    stills = make_clip(media / "stills.mp4", size="640x360", rate="2")
    path = media / "motion-photo.mp4"
    ffmpeg("-i", stills, "-i", clip, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "default", path)
    assert probe(path).stream_index == 1


def test_streams_without_a_frame_are_passed_over(clip: Path, media: Path) -> None:
    path = media / "empty-first.mkv"
    ffmpeg("-i", clip, "-i", clip, "-map", "0", "-map", "1", "-c", "copy", "-bsf:v:0", "noise=drop=1", path)
    assert (probe(path).stream_index, probe(path).frames) == (1, 60)


# Frames left out at the start, length of the edit in frames, and the frames that ffmpeg then shows.
EDITS = {"end cut off": (0, 20, 20), "start cut off": (15, 45, 45), "both": (15, 15, 15), "rounded up": (0, 60.4, 60)}


@pytest.mark.parametrize(("skipped", "length", "shown"), EDITS.values(), ids=EDITS)
def test_edit_lists_are_no_damage(clip: Path, media: Path, skipped: int, length: float, shown: int) -> None:
    """The number of frames is that of the part which is shown, whatever else is stored."""
    path = media / "edited.mp4"
    shutil.copy(clip, path)
    set_edit(path, FIRST + skipped * TICKS, round(length * TICKS))
    info = probe(path)
    assert (info.frames, info.fps, info.vfr) == (shown, Fraction(30000, 1001), False)
    assert info.video_bytes < probe(clip).video_bytes or shown == 60
    assert len(read_shown(path).sizes) == shown == decoded_frames(path)


def test_an_edit_list_that_shows_more_than_there_is_is_damage(clip: Path, media: Path) -> None:
    path = media / "more.mp4"
    shutil.copy(clip, path)
    set_edit(path, FIRST, 120 * TICKS)
    with pytest.raises(InputError) as error:
        probe(path)
    assert error.value.message == f"truncated: {path} shows 4.00 s by its edit list and holds 2.00 s"


def test_an_edit_list_that_shows_nothing(clip: Path, media: Path) -> None:
    path = media / "nothing.mp4"
    shutil.copy(clip, path)
    set_edit(path, FIRST, 0)
    with pytest.raises(InputError) as error:
        probe(path)
    assert error.value.message == f"no frames to show: {path}"


def test_a_file_cut_behind_its_edit_list_is_truncated(clip: Path, media: Path) -> None:
    whole, cut = media / "edited-fast.mp4", media / "edited-cut.mp4"
    ffmpeg("-i", clip, "-c", "copy", "-movflags", "+faststart", whole)
    set_edit(whole, FIRST, 20 * TICKS)
    assert probe(whole).frames == 20
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 5])
    with pytest.raises(InputError, match=r"truncated: .* holds [0-9]+ of [0-9]+ frames"):
        probe(cut)


# A delayed start (in MP4 an empty edit), and a negative one (in MP4 frames that are decoded and not shown).
STARTS = {
    "late.mp4": ("-output_ts_offset", "1.5"),
    "early.mp4": ("-output_ts_offset", "-0.5"),
    "late.mkv": ("-output_ts_offset", "1.5"),
    "late.ts": ("-output_ts_offset", "1.5"),
}


@pytest.mark.parametrize("name", STARTS)
def test_where_time_begins_makes_no_difference(clip: Path, media: Path, name: str) -> None:
    path = media / name
    ffmpeg("-i", clip, "-c", "copy", *STARTS[name], path)
    info = probe(path)
    assert info.frames == decoded_frames(path)
    assert (info.fps, info.vfr) == (Fraction(30000, 1001), False)


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
    shown, info = read_shown(clip), probe(clip)
    assert len(shown.sizes) == 60
    assert shown.sizes.sum() == info.video_bytes
    assert shown.times_s.tolist() == sorted(shown.times_s.tolist())
    assert shown.size == info.coded


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


CUTS = {
    "clip.y4m": (("-t", "0.2"), "ends inside frame 3"),
    "clip.mkv": (("-t", "0.4", "-c:v", "libx264", "-g", "4"), r"holds [0-9]+ of [0-9]+ bytes"),
    "clip.flv": (("-c", "copy"), r"ends inside frame [0-9]+"),
    "clip.ivf": (("-t", "0.4", "-c:v", "libvpx"), r"holds [0-9]+ of 12 frames"),
    "clip.avi": (("-t", "0.4", "-c:v", "mjpeg"), r"holds [0-9]+ of 12 frames"),
    "fragments.mp4": (("-c", "copy", "-movflags", "+frag_keyframe+empty_moov", "-g", "12"), r"holds [0-9]+ of [0-9]+ frames"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_a_file_that_ends_inside_a_frame_is_truncated(clip: Path, media: Path, name: str) -> None:
    """However short it is: no player's tolerance applies."""
    options, said = CUTS[name]
    whole, cut = media / f"whole-{name}", media / f"cut-{name}"
    ffmpeg("-i", clip, *options, whole)
    assert probe(whole).frames >= 6
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 55 // 100])
    with pytest.raises(InputError, match=f"truncated: {re.escape(str(cut))} {said}"):
        probe(cut)


def test_text_in_another_code_is_no_obstacle(media: Path) -> None:
    """A Latin-1 title in an AVI, as old programs write them."""
    path = media / "latin.avi"
    make_clip(path, args=("-c:v", "mpeg4", "-metadata", "title=Gr__e"))
    path.write_bytes(path.read_bytes().replace(b"Gr__e", "Größe".encode("latin-1")))
    assert probe(path).frames == 30


@pytest.mark.parametrize("seconds", [1500, 3000, 20_000])
def test_a_frame_in_an_hour_is_a_rate_too(media: Path, seconds: int) -> None:
    path = media / "slow.mkv"
    slow = f"setpts=N*{seconds}/TB"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=1:duration=4", "-vf", slow, "-fps_mode", "passthrough",
           "-enc_time_base", "1/1000", "-c:v", "mpeg4", path)  # fmt: skip
    info = probe(path)
    assert (info.fps, info.frames, info.vfr) == (Fraction(1, seconds), 4, False)


@pytest.mark.parametrize(
    ("times", "rate", "lost"),
    [
        ([n / 240 for n in range(60)] + [0.25 + n / 120 for n in range(60)], 240, 0),
        ([n / 240 + (n % 3) / 900 for n in range(240)], 480, 0),
        (
            [n // 2 / 120 + n % 2 / 2000 for n in range(120)],
            480,
            60,
        ),  # in pairs, closer than any rate that is worked at
    ],
    ids=["240 fps, then 120", "around 240 fps", "pairs"],
)
def test_slow_motion_keeps_its_frames_or_their_loss_is_counted(times: list[float], rate: int, lost: int) -> None:
    assert steady_rate(times, Fraction(len(times) - 1) / Fraction(max(times) - min(times))) == (Fraction(rate), lost)


def test_what_is_no_regular_file_is_named(media: Path) -> None:
    with pytest.raises(InputError) as error:
        probe(Path("/dev/null"))
    assert error.value.message == "is no regular file: /dev/null"


def test_a_file_that_is_written_to_is_noticed(clip: Path, media: Path) -> None:
    path = media / "growing.ts"
    ffmpeg("-i", clip, "-c", "copy", path)
    info = probe(path)
    check_unchanged(info)
    with path.open("ab") as file:
        file.write(b"G" * 188)
    with pytest.raises(InputError) as error:
        check_unchanged(info)
    assert error.value.message == f"changed while it was read: {path}"
    path.unlink()
    with pytest.raises(InputError, match="vanished while it was read"):
        check_unchanged(info)
