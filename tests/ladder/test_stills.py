"""Pictures of a run: which frames are chosen, that exactly those are taken, and what the report makes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import FFMPEG, Vqa, ffmpeg, make_clip
from numpy.typing import NDArray

from vqa_cli.analysis.moments import StillsWish, choose_moments, choose_stills, worst_frames
from vqa_cli.document import Run
from vqa_cli.errors import StorageError
from vqa_cli.events import Event, Note
from vqa_cli.framepackets import read_packets
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.pieces import Cutting
from vqa_cli.ladder.pipeline import LadderOutcome, run_ladder
from vqa_cli.ladder.stills import Choice, FrameTables, StillsOrder
from vqa_cli.media.gops import pick_frames, read_index
from vqa_cli.report.html import render
from vqa_cli.report.stills import Pictures, make_album
from vqa_cli.settings import LadderSettings
from vqa_cli.stills import Stills, read_stills


def quality(length: int, **dips: float) -> NDArray[np.float64]:
    values = np.full(length, 90.0) + np.sin(np.arange(length))
    for frame, value in dips.items():
        values[int(frame[1:])] = value
    return values


def test_worst_frames_are_apart_in_time() -> None:
    values = quality(200, f50=10, f51=11, f52=12, f100=20, f150=30)
    assert worst_frames(values, [], 25, 3) == [50, 100, 150]


def test_another_scene_goes_before_more_of_the_same() -> None:
    values = quality(200, f10=10, f60=20, f150=40)
    assert worst_frames(values, [], 25, 2) == [10, 60]
    assert worst_frames(values, [100], 25, 2) == [10, 150]


def test_a_clip_too_short_gives_what_it_has() -> None:
    assert worst_frames(quality(10, f4=1), [], 25, 3) == [4]


def test_moments_hold_the_worst_of_every_rung_and_one_that_is_typical() -> None:
    values = {"a": quality(300, f50=10), "b": quality(300, f200=20)}
    moments = choose_moments(values, [], 25.0, 1)
    assert [(m.frame, m.worst_of) for m in moments if m.worst_of] == [(50, ("a",)), (200, ("b",))]
    assert sum(moment.typical for moment in moments) == 1
    typical = next(moment.frame for moment in moments if moment.typical)
    assert abs(values["a"][typical] - np.median(values["a"])) < 0.2


def test_rungs_that_fail_together_share_a_moment() -> None:
    values = {"a": quality(300, f50=10, f51=12), "b": quality(300, f50=22, f51=20)}
    (shared,) = [m for m in choose_moments(values, [], 25.0, 1) if m.worst_of]
    assert shared.worst_of == ("a", "b")
    # A cut between them makes two pictures of two scenes.
    apart = [m for m in choose_moments(values, [51], 25.0, 1) if m.worst_of]
    assert [moment.frame for moment in apart] == [50, 51]


KINDS = {
    "h264 with open groups.mp4": ("-c:v", "libx264", "-g", "12", "-bf", "3", "-flags", "-cgop", "-x264-params", "open-gop=1"),
    "hevc.mkv": ("-c:v", "libx265", "-x265-params", "keyint=10:log-level=error"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-g", "15", "-deadline", "realtime", "-cpu-used", "8"),
    "av1.mp4": ("-c:v", "libsvtav1", "-g", "16", "-preset", "12"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-g", "9", "-bf", "2", "-q:v", "3"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"),
    "ten bits.mp4": ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "keyint=10:log-level=error"),
}  # fmt: skip


def decoded(path: Path, pix_fmt: str = "yuv420p10le") -> list[bytes]:
    """Every frame of a file, as ffmpeg counts them."""
    argv = [FFMPEG, "-v", "error", "-flags", "bitexact", "-idct", "simple", "-i", str(path)]
    # A motion JPEG's full range is in its tag alone, which raw frames have lost.
    argv += (
        ["-vf", "scale=in_range=tv:out_range=tv"]
        if path.suffix != ".avi"
        else ["-vf", "scale=in_range=pc:out_range=tv"]
    )
    argv += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", pix_fmt, "-"]
    data = subprocess.run(argv, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    size = 192 * 108 * 3 // 2 * (2 if "10" in pix_fmt else 1)
    assert len(data) % size == 0
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.ffmpeg
@pytest.mark.parametrize("name", KINDS)
def test_the_frame_taken_is_the_frame_that_was_counted(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, size="192x108", rate="30", seconds=1.6, args=KINDS[name])
    frames = decoded(path)
    index = read_index(path, 0)
    assert index is not None
    assert len(index) == len(frames) == 48
    numbers = [0, 1, 9, 11, 12, 13, 29, 30, 46, 47]
    assert pick_frames(path, 0, index, numbers, Fraction(30), tmp_path / "picked.nut")
    picked = (tmp_path / "picked.nut").rename(tmp_path / f"picked{path.suffix if path.suffix == '.avi' else '.nut'}")
    assert decoded(picked) == [frames[number] for number in numbers]


@pytest.mark.ffmpeg
def test_packets_tell_key_frames_and_those_out_of_order(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size="192x108", rate="30", args=("-c:v", "libx264", "-g", "10", "-bf", "2"))
    index = read_index(path, 0)
    assert index is not None
    assert [place for place, kind in enumerate(index.kinds) if kind == "K"] == [0, 10, 20]
    assert set(index.kinds) == {"K", "P", "B"}
    assert index.sizes[0] == index.sizes[:10].max()


@pytest.mark.ffmpeg
def test_a_stream_without_times_has_no_index(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", size="192x108")
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "a.264")
    assert read_index(tmp_path / "a.264", 0) is None


def settings(**changes: object) -> LadderSettings:
    codec = {"encoder": "libx264", "preset": "ultrafast", "crf": [25, 35, 45]}
    base = {"display": 108, "heights": [108], "codecs": [codec], "metrics": ["psnr"]}
    return LadderSettings.model_validate(base | changes)


def _text(event: Event) -> str:
    assert isinstance(event, Note)
    return event.text


def order(folder: Path, *, shifted: int = 0) -> StillsOrder:
    def choose(run: Run, number: int, frames: FrameTables, cuts: Sequence[int]) -> Choice:
        found = choose_stills(run, number, frames, cuts, StillsWish(2, every=True))
        moved = tuple(m.model_copy(update={"frame": m.frame + shifted}) for m in found.moments)
        return replace(found, moments=moved)

    return StillsOrder(folder, choose)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("pictured") / "clip.mp4", size="192x108", rate="30", seconds=1.5)


@pytest.fixture(scope="module")
def taken(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LadderOutcome, Path]:
    folder = tmp_path_factory.mktemp("run")
    job = LadderJob(source, settings(), None, keep=folder / "encodes", stills=order(folder / "stills"))
    return run_ladder(job), folder


def stills_of(outcome: LadderOutcome, folder: Path) -> Stills:
    stills = read_stills(folder, outcome.run)
    assert stills is not None
    return stills


def luma(path: Path) -> NDArray[np.float64]:
    argv = [FFMPEG, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    data = subprocess.run(argv, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, 108, 192).astype(np.float64)


@pytest.mark.ffmpeg
def test_pictures_show_the_measured_frames(taken: tuple[LadderOutcome, Path]) -> None:
    outcome, folder = taken
    (result,) = outcome.run.sources
    (found,) = stills_of(outcome, folder / "stills").sources
    assert set(found.rungs) == {rung.id for rung in result.rungs}
    for rung in result.rungs:
        values = outcome.frames[0, rung.id]["psnr"]
        frames = luma(folder / "encodes" / "clip" / f"{rung.id}.mp4")
        assert int(np.argmin(values)) in {moment.frame for moment in found.moments}
        table = found.rungs[rung.id].packets
        assert table and len(read_packets(folder / "stills" / table).bytes) == len(frames) == 45
        for moment, name in zip(found.moments, found.rungs[rung.id].files, strict=True):
            away = [float(np.abs(frame - luma(folder / "stills" / name)[0]).mean()) for frame in frames]
            assert int(np.argmin(away)) == moment.frame


@pytest.mark.ffmpeg
def test_another_frame_than_the_measured_one_is_refused(source: Path, tmp_path: Path) -> None:
    """The PSNR of every pair is held against the run's: here the run's values are those of a frame earlier."""
    outcome = run_ladder(LadderJob(source, settings(), None))
    for table in outcome.frames.values():
        table["psnr"] = np.roll(table["psnr"], 1)
    from vqa_cli.ladder.job import open_bench
    from vqa_cli.ladder.stills import take_stills

    told: list[str] = []
    with open_bench(LadderJob(source, settings(), None, stills=order(tmp_path))) as bench:
        take_stills(
            bench, settings(), outcome.run, outcome.frames, order(tmp_path), lambda event: told.append(_text(event))
        )
    assert told
    assert all("is not the frame that was measured" in text for text in told)


@pytest.mark.ffmpeg
def test_encodes_that_the_cache_knows_are_made_again(source: Path, tmp_path: Path) -> None:
    job = LadderJob(source, settings(), None, cache_dir=tmp_path / "cache")
    run_ladder(job)
    outcome = run_ladder(replace(job, stills=order(tmp_path / "stills")))
    (found,) = stills_of(outcome, tmp_path / "stills").sources
    assert [rung.reason for rung in found.rungs.values()] == [None] * len(found.rungs)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("stills/0/*")}
    assert written
    # Once more: what is there is of this very run and stays.
    run_ladder(replace(job, stills=order(tmp_path / "stills")))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("stills/0/*")} == written


@pytest.mark.ffmpeg
def test_an_encode_that_comes_out_otherwise_has_no_pictures(source: Path, tmp_path: Path) -> None:
    outcome = run_ladder(LadderJob(source, settings(), None))
    from vqa_cli.ladder.job import open_bench
    from vqa_cli.ladder.stills import take_stills

    (result,) = outcome.run.sources
    rungs = tuple(
        r.model_copy(update={"encode": r.encode.model_copy(update={"sha256": "0" * 64})})
        for r in result.rungs
        if r.encode
    )
    run = outcome.run.model_copy(update={"sources": (result.model_copy(update={"rungs": rungs}),)})
    told: list[str] = []
    with open_bench(LadderJob(source, settings(), None)) as bench:
        stills = take_stills(
            bench, settings(), run, outcome.frames, order(tmp_path), lambda event: told.append(_text(event))
        )
    assert told[0].endswith("encoded again, it became another file than the one that was measured")
    assert not any(rung.files for rung in stills.sources[0].rungs.values())


@pytest.mark.ffmpeg
def test_turned_prepared_and_timeless_sources(tmp_path: Path) -> None:
    """Where packets do not name the frames that ffmpeg gives, all are decoded."""
    make_clip(tmp_path / "flat.mp4", size="192x108", rate="30", seconds=1.2)
    ffmpeg("-display_rotation", "90", "-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "timeless.264")
    ffmpeg(
        "-i",
        tmp_path / "flat.mp4",
        "-vf",
        "setpts=N/30/TB+gte(N\\,10)*0.4/TB",
        "-fps_mode",
        "passthrough",
        tmp_path / "uneven.mkv",
    )
    for name in ("turned.mp4", "timeless.264", "uneven.mkv"):
        folder = tmp_path / f"{name}.stills"
        told: list[object] = []
        outcome = run_ladder(LadderJob(tmp_path / name, settings(), None, stills=order(folder)), told.append)
        (found,) = stills_of(outcome, folder).sources
        assert found.rungs, told
        assert {rung.reason for rung in found.rungs.values()} == {None}  # PSNR agrees: they are the measured frames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds in which no frame is like another."""
    return make_clip(tmp_path_factory.mktemp("film") / "film.mp4", size="192x108", rate="30", seconds=6.0)


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("cutting", "keep"),
    [(Cutting(samples=2, sample_s=0.5), False), (Cutting(segments_s=2), False), (Cutting(segments_s=2), True)],
)
def test_of_a_film_in_pieces_the_measured_frames_are_pictured(
    film: Path, tmp_path: Path, cutting: Cutting, keep: bool
) -> None:
    short = settings(gop_s=0.5, codecs=[{"encoder": "libx264", "preset": "ultrafast", "crf": [30]}])
    kept = tmp_path / "encodes" if keep else None
    job = LadderJob(film, short, None, keep=kept, cutting=cutting, stills=order(tmp_path / "stills"))
    outcome = run_ladder(job)
    (result,) = outcome.run.sources
    (rung,) = result.rungs
    assert rung.encode is not None and len(rung.encode.pieces) == len(set(rung.encode.pieces)) > 1
    (found,) = stills_of(outcome, tmp_path / "stills").sources
    pictured = found.rungs[rung.id]
    assert pictured.reason is None  # PSNR agrees: they are the measured frames
    assert int(np.argmin(outcome.frames[0, rung.id]["psnr"])) in {moment.frame for moment in found.moments}
    assert (pictured.packets is not None) == keep
    first = [round(part.start_s * 30) for part in result.source.measured] or [0]
    length = result.source.frames // len(first)
    frames = luma(film)
    for moment, name in zip(found.moments, found.files, strict=True):
        away = [float(np.abs(frame - luma(tmp_path / "stills" / name)[0]).mean()) for frame in frames]
        assert int(np.argmin(away)) == first[moment.frame // length] + moment.frame % length
    if cutting.samples:
        assert found.cuts == (length,)


@pytest.mark.ffmpeg
def test_a_film_in_pieces_is_pictured_again_without_its_encodes(film: Path, tmp_path: Path) -> None:
    short = settings(gop_s=0.5, codecs=[{"encoder": "libx264", "preset": "ultrafast", "crf": [30]}])
    pictures = []
    for name in ("a", "b"):  # the second time the cache knows the rung, and nothing of it was kept
        job = LadderJob(
            film, short, None, cutting=Cutting(segments_s=2), stills=order(tmp_path / name), cache_dir=tmp_path / "c"
        )
        (found,) = stills_of(run_ladder(job), tmp_path / name).sources
        (rung,) = found.rungs.values()
        pictures.append([(tmp_path / name / file).read_bytes() for file in rung.files])
    assert pictures[0] == pictures[1] != []


def test_pictures_are_in_the_page_or_beside_it(taken: tuple[LadderOutcome, Path], tmp_path: Path) -> None:
    outcome, folder = taken
    stills = stills_of(outcome, folder / "stills")
    held = make_album({"A": Pictures(stills, folder / "stills")}, tmp_path)
    page = render([outcome.run], [outcome.frames], album=held)
    assert page.count("data:image/avif;base64,") == len(list(stills.files))
    assert "img-src data: blob:;" in page
    beside = make_album({"A": Pictures(stills, folder / "stills")}, folder, link=True)
    page = render([outcome.run], [outcome.frames], album=beside)
    assert "data:image/avif" not in page
    assert f'"stills/{next(stills.files)}"' in page
    assert "img-src data: blob: &#39;self&#39; file:;" in page


def test_pictures_of_another_run_are_left_out(taken: tuple[LadderOutcome, Path], tmp_path: Path) -> None:
    outcome, folder = taken
    (result,) = outcome.run.sources
    other = result.model_copy(update={"source": result.source.model_copy(update={"sha256": "1" * 64})})
    assert read_stills(folder / "stills", outcome.run.model_copy(update={"sources": (other,)})) is None
    wider = result.model_copy(update={"display_width": 320})
    assert read_stills(folder / "stills", outcome.run.model_copy(update={"sources": (wider,)})) is None
    shutil.copytree(folder / "stills", tmp_path / "stills")
    next(tmp_path.glob("stills/0/source-*")).unlink()
    assert read_stills(tmp_path / "stills", outcome.run) is None


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a\\..\\b"])
def test_a_list_that_leads_elsewhere_is_damaged(taken: tuple[LadderOutcome, Path], tmp_path: Path, name: str) -> None:
    outcome, _ = taken
    listed = {"schema_version": 1, "sources": [{"sha256": "", "files": [name]}]}
    (tmp_path / "stills.json").write_text(json.dumps(listed))
    with pytest.raises(StorageError, match="damaged list of pictures"):
        read_stills(tmp_path, outcome.run)


@pytest.mark.ffmpeg
def test_the_command_takes_links_and_leaves_out(vqa: Vqa, source: Path, tmp_path: Path) -> None:
    base = ("ladder", source, "--model", "none", "--codec", "x264", "--encoder-preset", "ultrafast", "--height", "108",
            "--display", "108", "--crf", "30,40", "--metric", "psnr", "-q")  # fmt: skip
    done = vqa(*base, "-o", tmp_path / "none", "--stills", "none")
    assert done.returncode == 0
    assert not (tmp_path / "none" / "stills").exists()
    done = vqa(*base, "-o", tmp_path / "run", "--stills-dir", tmp_path / "pictures")
    assert done.returncode == 0
    assert f"pictures: linked from the report, keep them with it: {tmp_path}/pictures" in done.stderr
    assert "../pictures/0/source-" in (tmp_path / "run" / "report.html").read_text()
    done = vqa(*base, "-o", tmp_path / "run", "--stills", "0")
    assert done.returncode == 2
    assert "'0' is no number of pictures; write 1 to 12, none, or all for every rung" in done.stderr
