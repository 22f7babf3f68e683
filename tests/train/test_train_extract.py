"""Extraction: headerless files, shares, hand-made features."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import PATIENCE_S, Vqa, ffmpeg, make_clip
from PIL import Image
from scipy.ndimage import correlate1d
from scipy.special import gamma

from vqa_cli._version import MEASUREMENT
from vqa_cli.errors import InputError, UsageError
from vqa_cli.identity import PixelWish
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.media.raw import RawFormat, count_raw_frames
from vqa_cli.model.brisque import BrisqueBackbone, brisque_network
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.train.extract import ExtractOrder, as_published, extract, find_video, shard
from vqa_cli.train.features import (
    Provenance,
    common_provenance,
    features_path,
    open_features,
    read_provenance,
    write_features,
)
from vqa_cli.values import FrameFormat, Size


def _table(folder: Path, *names: str) -> Path:
    path = folder / "t.csv"
    path.write_text("video,mos\n" + "".join(f"{name},{i + 1}\n" for i, name in enumerate(names)))
    return path


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("pix_fmt", "codec"), [("yuv420p", "ffv1"), ("yuv422p10le", "ffv1"), ("bgr0", "ffv1"), ("yuvj420p", "mjpeg")]
)
def test_headerless_files_give_the_features_of_what_they_hold(
    vqa: Vqa, tmp_path: Path, pix_fmt: str, codec: str
) -> None:
    make_clip(tmp_path / "a.mkv", size="128x96", seconds=0.4, args=("-c:v", codec, "-pix_fmt", pix_fmt))
    ffmpeg("-i", tmp_path / "a.mkv", "-f", "rawvideo", "-pix_fmt", pix_fmt, tmp_path / "a.yuv")
    whole = (tmp_path / "a.yuv").read_bytes()
    (tmp_path / "cut.yuv").write_bytes(whole[:-100])
    told = ("--yuv-size", "128x96", "--yuv-pix-fmt", pix_fmt, "--every", "2", "--device", "cpu")
    table = _table(tmp_path, "a.mkv", "a.yuv", "cut.yuv")
    done = vqa("extract", table, "--videos", tmp_path, "-o", tmp_path / "f", *told)
    assert (done.returncode, done.stdout) == (8, "2 extracted, 0 were there, 1 failed\n")
    assert "cut.yuv: FAILED: truncated, or of another format" in done.stderr
    ours, theirs = (open_features(features_path(tmp_path / "f", name)) for name in ("a.yuv", "a.mkv"))
    assert len(ours) == 6 and np.array_equal(ours, theirs)


LAYOUTS = (
    "yuv420p yuv410p yuv422p10le yuv444p16be gray gray10le gbrp12le nv12 p010le yuyv422 y210le rgb24 rgb0 argb rgb565le "
    "rgb444le rgb8 x2rgb10le xv30le xv36le ya8 vuyx xyz12le"
)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("pix_fmt", LAYOUTS.split())
def test_a_frame_has_as_many_bytes_as_ffmpeg_writes(tmp_path: Path, pix_fmt: str) -> None:
    """Also where components share bytes, and where a row ends amid pixels that share their chroma."""
    raw = RawFormat(Size(66, 34), pix_fmt)
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=66x34", "-frames:v", "2", "-pix_fmt", pix_fmt, "-f", "rawvideo", tmp_path / "a.yuv")  # fmt: skip
    assert count_raw_frames(tmp_path / "a.yuv", raw) == 2
    assert raw.frame_bytes() * 2 == (tmp_path / "a.yuv").stat().st_size


@pytest.mark.parametrize("pix_fmt", ["monow", "pal8", "rgb4", "vaapi"])
def test_formats_that_are_no_whole_bytes_in_memory_are_refused(pix_fmt: str) -> None:
    with pytest.raises(UsageError, match=f"not a format of raw frames: {pix_fmt}"):
        RawFormat(Size(66, 34), pix_fmt).frame_bytes()


def test_the_authors_pixels_of_headerless_files_are_at_full_range() -> None:
    raw = RawFormat(Size(64, 48))
    assert as_published(raw, PixelWish("rgb24", "reference")) == RawFormat(Size(64, 48), "yuvj420p")
    assert as_published(raw, PixelWish("rgb24", "auto")) == as_published(raw, PixelWish("yuv420p", "reference")) == raw


@pytest.mark.ffmpeg
def test_headerless_files_are_shown_to_resnet_as_rgb(vqa: Vqa, tmp_path: Path) -> None:
    from torchvision.models import resnet50

    make_clip(tmp_path / "a.mkv", size="128x96", seconds=0.1, args=("-c:v", "ffv1", "-pix_fmt", "yuv420p"))
    ffmpeg("-i", tmp_path / "a.mkv", "-f", "rawvideo", "-pix_fmt", "yuv420p", tmp_path / "a.yuv")
    torch.manual_seed(2)
    torch.save(resnet50(weights=None).state_dict(), tmp_path / "resnet.pth")
    torch.save(VsfaHead(dim=4096).state_dict(), tmp_path / "head.pt")
    weights = ("--backbone-weights", tmp_path / "resnet.pth", "--head-weights", tmp_path / "head.pt")
    table = _table(tmp_path, "a.mkv", "a.yuv")
    told = ("--yuv-size", "128x96", "--model", "vsfa", "--device", "cpu", *weights)
    done = vqa("extract", table, "--videos", tmp_path, "-o", tmp_path / "f", *told)
    assert done.returncode == 0, done.stderr
    ours, theirs = (open_features(features_path(tmp_path / "f", name)) for name in ("a.yuv", "a.mkv"))
    assert ours.shape == (3, 4096) and np.array_equal(ours, theirs)
    done = vqa("extract", table, "--videos", tmp_path, "-o", tmp_path / "f", *told, "--matrix", "reference")
    assert done.stdout == "2 extracted, 0 were there, 0 failed\n"
    assert done.stderr.splitlines()[0].startswith("note: .yuv files are read at full range, as the authors' code does")
    assert read_provenance(features_path(tmp_path / "f", "a.yuv")).raw == "128x96 yuvj420p"


class _Camera:
    """A network that keeps the frames that it was shown."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []

    def features(self, frames: Iterable[np.ndarray], frame_format: FrameFormat) -> Iterator[torch.Tensor]:
        for chunk in frames:
            self.frames += [frame.copy() for frame in chunk]
            yield torch.ones(len(chunk), 2)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuv420p"])
def test_headerless_files_have_the_pixels_of_ffmpegs_own_reading(tmp_path: Path, pix_fmt: str) -> None:
    make_clip(tmp_path / "a.mkv", size="64x48", seconds=0.2, args=("-c:v", "ffv1", "-pix_fmt", "yuv420p"))
    ffmpeg("-i", tmp_path / "a.mkv", "-f", "rawvideo", "-pix_fmt", "yuv420p", tmp_path / "a.yuv")
    read = ("-f", "rawvideo", "-video_size", "64x48", "-pixel_format", pix_fmt, "-i", tmp_path / "a.yuv")
    ffmpeg(*read, "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "rgb")  # as skvideo asks for it
    want = np.fromfile(tmp_path / "rgb", np.uint8).reshape(-1, 48, 64, 3).astype(int)
    camera, pixels = _Camera(), PixelWish("rgb24", "reference")
    order = _order(tmp_path, camera)
    order = replace(order, model=replace(order.model, pixels=pixels), raw=RawFormat(Size(64, 48), pix_fmt))
    with Runner() as runner:
        (done,) = extract(["a.yuv"], order, runner=runner, ffmpeg=find_ffmpeg(runner))
    assert done.error is None
    assert np.abs(np.array(camera.frames).reshape(want.shape) - want).max() <= 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--yuv-size", "128"), "error: no frame size: 128"),
        (("--yuv-size", "127x96"), "error: raw frames need even sides: 127x96"),
        (("--yuv-size", "128x96", "--yuv-pix-fmt", "i420p"), "error: no such pixel format: i420p"),
        (("--shard", "3/2"), "error: no share of the videos: 3/2"),
    ],
)
def test_what_cannot_be_meant_is_refused(vqa: Vqa, tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    table = _table(tmp_path, "a.yuv")
    done = vqa("extract", table, "--videos", tmp_path, "-o", tmp_path / "f", *args)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, message)


def test_shares_are_all_of_it_once() -> None:
    names = [str(i) for i in range(11)]
    shares = [shard(names, index, 4) for index in range(1, 5)]
    assert sorted(sum(shares, ()), key=int) == names
    assert {len(share) for share in shares} == {2, 3}


@pytest.mark.ffmpeg
def test_processes_fill_one_folder(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    names = [f"{i}.mp4" for i in range(4)]
    for name in names:
        (tmp_path / name).write_bytes(clip.read_bytes())
    table = _table(tmp_path, *names)
    same = ("extract", table, "--videos", tmp_path, "-o", tmp_path / "f", "--every", "20", "--device", "cpu")
    # Two shares, and a third process that meets them at the same files.
    with ThreadPoolExecutor(3) as pool:
        one, two, all_of_it = pool.map(lambda args: vqa(*same, *args), [("--shard", "1/2"), ("--shard", "2/2"), ()])
    assert [each.returncode for each in (one, two, all_of_it)] == [0, 0, 0]
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == sorted(f"{name}.safetensors" for name in names)
    assert [len(open_features(features_path(tmp_path / "f", name))) for name in names] == [3] * 4
    assert vqa(*same).stdout == "0 extracted, 4 were there, 0 failed\n"


class _Slow:
    """A network that takes its time, and counts the frames that it was shown.

    Args:
        go_on: until then it shows no more than its first features of a video.
    """

    def __init__(self, go_on: threading.Event | None = None) -> None:
        self.frames = 0
        self._go_on = go_on

    def features(self, frames: Iterable[np.ndarray], frame_format: FrameFormat) -> Iterator[torch.Tensor]:
        for number, chunk in enumerate(frames):
            if number and self._go_on is not None:
                self._go_on.wait(PATIENCE_S)
            self.frames += len(chunk)
            time.sleep(0.01)
            yield torch.ones(len(chunk), 2)


def _order(folder: Path, network: object, height: int = 48) -> ExtractOrder:
    identity = brisque_network(torch.device("cpu"), 1)[1]
    return ExtractOrder(folder, folder / "f", cast(Any, network), identity, "brisque", 1, RawFormat(Size(64, height)))


def _raw_file(path: Path, frames: int) -> None:
    with path.open("wb") as file:
        file.truncate(64 * 48 * 3 // 2 * frames)


@pytest.mark.ffmpeg
def test_breaking_off_does_not_wait_for_a_long_video(tmp_path: Path) -> None:
    _raw_file(tmp_path / "short.yuv", 1)
    _raw_file(tmp_path / "long.yuv", 64 * 200)
    closed = threading.Event()
    slow = _Slow(closed)

    class Told(Runner):
        def close(self) -> None:
            super().close()
            closed.set()

    with Told() as runner:
        work = extract(
            ["short.yuv", "long.yuv"], _order(tmp_path, slow), runner=runner, ffmpeg=find_ffmpeg(runner), jobs=2
        )
        assert next(work).video == "short.yuv"
        cast(Any, work).close()
    assert slow.frames < 64 * 200
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["short.yuv.safetensors"]


@pytest.mark.ffmpeg
def test_features_of_a_headerless_file_are_made_again_for_another_frame_size(tmp_path: Path) -> None:
    _raw_file(tmp_path / "a.yuv", 4)
    kept = []
    with Runner() as runner:
        for height in (48, 48, 96):
            order = _order(tmp_path, _Slow(), height)
            (result,) = extract(["a.yuv"], order, runner=runner, ffmpeg=find_ffmpeg(runner))
            kept.append((result.kept, len(open_features(features_path(tmp_path / "f", "a.yuv")))))
    assert kept == [(False, 4), (True, 4), (False, 2)]


@pytest.mark.ffmpeg
def test_features_of_a_headerless_file_are_made_again_when_it_was_written_again(tmp_path: Path) -> None:
    _raw_file(tmp_path / "a.yuv", 4)
    kept = []
    with Runner() as runner:
        for _ in range(2):
            (result,) = extract(["a.yuv"], _order(tmp_path, _Slow(), 48), runner=runner, ffmpeg=find_ffmpeg(runner))
            kept.append(result.kept)
            made = features_path(tmp_path / "f", "a.yuv").stat().st_mtime
            os.utime(tmp_path / "a.yuv", (made + 1, made + 1))
    assert kept == [False, False]


def test_headerless_files_that_were_read_at_two_ranges_are_not_taken_together(tmp_path: Path) -> None:
    names = ("a.mp4", "b.yuv", "c.yuv")
    for name, raw in zip(names, (None, "2x2 yuv420p", "2x2 yuvj420p"), strict=True):
        origin = Provenance(
            extractor="vsfa", extractor_sha256="0", precision="fp32", preprocessing="none", every=1, measurement=MEASUREMENT,
            video=name, video_bytes=1, width=2, height=2, raw=raw,
        )  # fmt: skip
        write_features(features_path(tmp_path, name), np.zeros((2, 3), np.float16), origin)
    assert common_provenance(tmp_path, names[:2]).extractor_sha256 == "0"
    with pytest.raises(InputError, match=r"read in different ways: b\.yuv as yuv420p, c\.yuv as yuvj420p"):
        common_provenance(tmp_path, names)


@pytest.mark.ffmpeg
def test_a_folder_that_takes_no_features_ends_it(vqa: Vqa, tmp_path: Path) -> None:
    _raw_file(tmp_path / "a.yuv", 1)
    (tmp_path / "f").write_text("no folder")
    args = ("--videos", tmp_path, "-o", tmp_path / "f", "--yuv-size", "64x48", "--model", "brisque")
    done = vqa("extract", _table(tmp_path, "a.yuv"), *args)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        6,
        f"error: cannot write features: {tmp_path / 'f' / 'a.yuv.safetensors'}",
    )


@pytest.mark.ffmpeg
def test_videos_of_konvid_are_found_under_the_names_that_they_have_today(clip: Path, tmp_path: Path) -> None:
    old, new = ("1_cut_centercrop_960x540_8s.mp4", "2_original_centercrop_960x540_8s.mp4"), ("1.mp4", "2.mp4")
    for name in (old[0], *new):
        (tmp_path / name).write_bytes(clip.read_bytes())
    assert [find_video(tmp_path, name).name for name in (*old, "3.mp4")] == [old[0], new[1], "3.mp4"]
    with Runner() as runner:
        (done,) = extract([old[1]], _order(tmp_path, _Slow()), runner=runner, ffmpeg=find_ffmpeg(runner))
    assert done.error is None
    assert [path.name for path in (tmp_path / "f").iterdir()] == [f"{old[1]}.safetensors"]


@pytest.mark.ffmpeg
def test_a_name_that_no_system_takes_is_one_bad_video(tmp_path: Path) -> None:
    with Runner() as runner:
        (failed,) = extract(["x" * 300], _order(tmp_path, _Slow()), runner=runner, ffmpeg=find_ffmpeg(runner))
    assert failed.error is not None and failed.error.message.startswith("File name too long: ")


def _plain_brisque(luma: np.ndarray) -> list[float]:
    """18 features of one scale, as the paper writes them (secs. III-A and III-B)."""
    taps = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    taps /= taps.sum()

    def smooth(x: np.ndarray) -> Any:
        return correlate1d(correlate1d(x, taps, 0, mode="nearest"), taps, 1, mode="nearest")

    mean = smooth(luma)
    normal = (luma - mean) / (np.sqrt(np.abs(smooth(luma**2) - mean**2)) + 1)
    shapes = np.arange(0.2, 10, 0.001)
    inverse = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    nearest = np.argmin(np.abs(inverse - np.mean(np.abs(normal)) ** 2 / np.mean(normal**2)))
    values = [shapes[nearest], np.mean(normal**2)]
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        pair = normal * np.roll(normal, (down, right), (0, 1))
        left, right_side = np.sqrt(np.mean(pair[pair < 0] ** 2)), np.sqrt(np.mean(pair[pair > 0] ** 2))
        skew, ratio = left / right_side, np.mean(np.abs(pair)) ** 2 / np.mean(pair**2)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
        shape = shapes[np.argmin((inverse - ratio) ** 2)]
        centre = (right_side - left) * gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
        values += [shape, centre, left**2, right_side**2]
    return values


def test_brisque_is_what_the_paper_writes() -> None:
    rng = np.random.default_rng(3)
    smooth = correlate1d(correlate1d(rng.normal(0, 60, (2, 120, 160)), np.ones(5) / 5, 1), np.ones(5) / 5, 2)
    luma = np.clip(128 + smooth + rng.normal(0, [[[2]], [[9]]], smooth.shape), 16, 235).astype(np.uint8)
    frames = np.concatenate([luma, np.full((2, 60, 160), 128, np.uint8)], axis=1)
    ours = BrisqueBackbone()(torch.from_numpy(frames), FrameFormat(160, 120, full_range=False)).numpy()
    for got, picture in zip(ours, luma, strict=True):
        full = (picture.astype(float) - 16) * 255 / 219
        half = np.asarray(Image.fromarray(full.astype(np.float32)).resize((80, 60), Image.Resampling.BICUBIC), float)
        assert got[:18] == pytest.approx(_plain_brisque(full), abs=2e-3)
        assert got[18:] == pytest.approx(_plain_brisque(half), abs=2e-3)
    assert not np.allclose(ours[0], ours[1], atol=0.05)


def test_brisque_of_a_flat_picture_is_finite() -> None:
    flat = torch.full((1, 144, 128), 80, dtype=torch.uint8)
    assert torch.isfinite(BrisqueBackbone()(flat, FrameFormat(128, 96))).all()


@pytest.mark.ffmpeg
def test_training_without_content_takes_brisque_and_gives_a_model_that_scores(vqa: Vqa, tmp_path: Path) -> None:
    names = [f"{i}.mp4" for i in range(5)]
    for i, name in enumerate(names):
        args = ("-c:v", "libx264", "-crf", str(15 + 8 * i), "-pix_fmt", "yuv420p")
        make_clip(tmp_path / name, size="128x96", seconds=0.3, args=args)
    table, model = _table(tmp_path, *names), tmp_path / "m.safetensors"
    done = vqa("extract", table, "--videos", tmp_path, "-o", tmp_path / "b", "--model", "brisque")
    assert done.returncode == 0, done.stderr
    for name in names:
        origin = Provenance(
            extractor="vsfa-lite", extractor_sha256="0", precision="fp32", preprocessing="none", every=1,
            video=name, video_bytes=1, width=128, height=96, measurement=MEASUREMENT,
        )  # fmt: skip
        write_features(features_path(tmp_path / "l", name), np.zeros((2, 3), np.float16), origin)
    lines = ["video,mos,split", *(f"{n},{i},{p}" for i, (n, p) in enumerate(zip(names, ("train", "val", "val", "test", "test"), strict=True)))]  # fmt: skip
    table.write_text("\n".join(lines) + "\n")
    train = ("train", "--dataset", table, "--ablate", "content", "-o", model, "--epochs", "2", "--standardise")
    refused = vqa(*train, "--features", tmp_path / "l")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        3,
        f"error: features that know content: {tmp_path / 'l'}",
    )
    done = vqa(*train, "--features", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert vqa("evaluate", model, "--dataset", table, "--features", tmp_path / "b").returncode == 0
    score = vqa("score", tmp_path / names[0], "--model", model)
    assert score.returncode == 0 and np.isfinite(float(score.stdout))
    assert vqa("score", tmp_path / names[0], "--model", "brisque").returncode == 5
