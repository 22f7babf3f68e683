"""Ladders that agreement is measured on: parts of the manifest, real encodes, scores of a real model, and faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Vqa, make_clip

from training.lite import mill, shots
from training.lite.impair import IMPAIRMENTS, banded, blurred, dropped, frozen, grainy, noisy
from training.lite.judging import judge, rungs_of
from training.lite.ladders import make_ladders, read_ladders
from training.lite.material import LiteSource, read_sources
from training.lite.shots import Coding, chosen, plan, read_parts
from vqa_cli.errors import InputError
from vqa_cli.model.load import load_scorer

pytestmark = pytest.mark.usefixtures("one_thread")

CODINGS = (
    Coding("libx264", "fast", (26, 40), (1.0, 0.5)),
    Coding("libx265", "fast", (26, 40), (1.0, 0.5)),
    Coding("libsvtav1", "10", (32, 53), (1.0, 0.5)),
)


def test_every_group_is_in_one_part_and_held_out_ones_are_shared_out() -> None:
    parts = read_parts()
    sources = read_sources()
    assert {s.group for s in sources} == set(parts)
    assert all((parts[s.group] == "training") == (s.split == "train") for s in sources)
    clips = {s.group for s in sources if s.kind == "clip" and s.split == "test"}
    held_out = [parts[group] for group in clips]
    assert min(held_out.count("choosing"), held_out.count("untouched")) >= 7


def test_no_file_gives_two_ladders() -> None:
    for part in ("choosing", "untouched", "training"):
        files = [source.file for source in chosen(part)]
        assert len(files) == len(set(files)) > 0


def pictures() -> np.ndarray:
    """Twenty-four frames of 64x32 with a slope that moves."""
    slope = (np.arange(64)[None, None] + 2 * np.arange(24)[:, None, None]) % 180 + 30
    luma = np.broadcast_to(slope, (24, 32, 64))
    return np.concatenate((luma, np.full((24, 16, 64), 128)), axis=1).astype(np.uint8)


def test_frames_stand_still_and_jump_or_are_missing() -> None:
    frames = pictures()
    same = [(a == b).all() for a, b in zip(frozen(frames, 32), frames, strict=True)]
    assert same == 2 * (6 * [True] + 6 * [False])
    assert (frozen(frames, 32)[[6, 11, 18]] == frames[[5, 5, 17]]).all()
    assert (dropped(frames, 32)[[0, 1, 2, 3]] == frames[[0, 1, 1, 3]]).all()


@pytest.mark.parametrize("fault", [*IMPAIRMENTS.values(), grainy])
def test_faults_keep_shape_and_colour_and_leave_their_input_alone(fault) -> None:  # type: ignore[no-untyped-def]
    frames = pictures()
    out = fault(frames, 32)
    assert out.shape == frames.shape
    assert (out[:, 32:] == 128).all()
    assert (out[:, :32] != frames[:, :32]).any()
    assert (frames == pictures()).all()


def test_faults_have_the_strength_they_claim() -> None:
    frames = np.full((4, 96, 64), 120, dtype=np.uint8)
    assert noisy(frames, 64)[:, :64].std() == pytest.approx(12, rel=0.03)
    assert grainy(frames, 64)[:, :64].std() == pytest.approx(4, rel=0.05)
    assert set(np.unique(banded(pictures(), 32)[:, :32]) % 12) == {0}
    edge = frames.copy()
    edge[:, :64, 32:] = 200
    row = blurred(edge, 64)[0, 30].astype(float)
    # The widest step of an edge under a Gaussian of 1.5 pixels is its height over sigma root of two pi, between two pixels.
    assert np.diff(row).max() == pytest.approx(80 / (1.5 * np.sqrt(2 * np.pi)), abs=1.5)


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of two groups, and ladders that are short."""
    make_clip(tmp_path / "a.mp4", size="256x144", rate="25", seconds=0.6)
    sources = [
        LiteSource("a.mp4", "clip", "first", "test", 128, 0, 15),
        LiteSource("a.mp4", "clip", "second", "test", 128, 600, 15),
    ]
    monkeypatch.setattr(shots, "read_sources", lambda: sources)
    monkeypatch.setattr(shots, "read_parts", lambda: {"first": "choosing", "second": "choosing"})
    monkeypatch.setattr(shots, "CODINGS", CODINGS)
    monkeypatch.setattr(mill, "FRAMES", 12)
    return tmp_path


@pytest.mark.ffmpeg
def test_a_ladder_is_made_once_judged_once_and_damage_is_named(media: Path) -> None:
    data = media / "data"
    made = sorted(make_ladders(media, data, "choosing"), key=lambda each: each.line)
    assert [each.failed for each in made] == [False, True]
    assert made[0].line == "a_0: 12 rungs, choosing"
    assert made[1].line.startswith("a_600: FAILED: ")
    assert [each.line.split(":")[0] for each in make_ladders(media, data, "choosing")] == ["a_600"]
    (ladder,) = read_ladders(data, "choosing")
    assert read_ladders(data, "untouched") == []
    assert (ladder.key, ladder.group, ladder.height) == ("a_0", "first", 128)
    assert {(e.codec, e.height) for e in ladder.encodes} == {
        (codec, height) for codec in ("libx264", "libx265", "libsvtav1") for height in (128, 64)
    }
    assert {len(frames) for frames in ladder.faults.values()} == {12}
    x264 = [e for e in ladder.encodes if (e.codec, e.height) == ("libx264", 128)]
    assert x264[0].vmaf > x264[1].vmaf
    scorer = load_scorer("vsfa-lite", device="cpu")
    (judged,) = judge(data, scorer, "choosing")
    assert list(judge(data, scorer, "choosing")) == [judged]
    assert [r.score for r in rungs_of(ladder, judged)] == [judged.encodes[e.file] for e in ladder.encodes]
    (data / "ladders.jsonl").write_text(json.dumps({"key": "a_0"}) + "\n")
    with pytest.raises(InputError, match=r"damaged ladder: line 1 of .*ladders\.jsonl"):
        read_ladders(data)


@pytest.mark.ffmpeg
def test_encodes_of_a_slow_source_gain_no_frame(media: Path) -> None:
    make_clip(media / "a.mp4", size="256x144", rate="12", seconds=1.25)
    assert not next(make_ladders(media, media / "data", "choosing")).failed
    (ladder,) = read_ladders(media / "data")
    assert {len(encode.frames) for encode in ladder.encodes} == {12}


@pytest.mark.ffmpeg
def test_rates_and_labels_are_those_of_vqa_ladder(media: Path, vqa: Vqa) -> None:
    data = media / "data"
    assert not next(make_ladders(media, data, "choosing")).failed
    (ladder,) = read_ladders(data)
    codecs = "".join(
        f'[[codecs]]\nencoder = "{c.encoder}"\npreset = "{c.preset}"\ncrf = {[int(crf) for crf in c.crf]}\n'
        for c in CODINGS
    )
    preset = f'display = 128\nheights = [128, 64]\ngop_s = 1.0\nthreads = 1\nmetrics = ["vmaf"]\n{codecs}'
    (media / "same.toml").write_text(preset)
    reference = str(data / "a_0" / "reference.mkv")
    out = media / "run"
    vqa(
        "ladder", reference, "--preset", str(media / "same.toml"), "-o", str(out), "--model", "none", "--no-cache", "-q"
    )
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))["sources"][0]
    told = {(r["encoder"], r["height"], r["rate"]["crf"]): r for r in run["rungs"]}
    assert len(told) == len(ladder.encodes)
    for encode in ladder.encodes:
        rung = told[encode.codec, encode.height, encode.crf]
        assert encode.vmaf == pytest.approx(rung["fidelity"]["vmaf"]["pooled"]["mean"], abs=1e-9)
        # The colour that vqa writes into AV1's header costs it a few bytes.
        assert encode.kbps == pytest.approx(rung["encode"]["bitrate_kbps"], rel=0.01)


def test_no_ladders_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ladders: "):
        read_ladders(tmp_path)


def test_training_sees_other_presets_pieces_of_clips_and_each_photograph_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4", size="640x480", rate="25", seconds=8)
    sources = [
        LiteSource("a.mp4", "clip", "first", "train", 400, 10, 180),
        *(LiteSource(f"p{i}.jpg", "photo", f"photo{i}", "train", 360, 0, 12) for i in range(8)),
        LiteSource("drawn/leaves_1", "drawn", "drawn:leaves_1", "train", 192, 0, 12),
    ]
    monkeypatch.setattr(shots, "read_sources", lambda: sources)
    monkeypatch.setattr(shots, "read_parts", lambda: {s.group: "training" for s in sources})
    planned = plan(tmp_path, "training")
    assert planned == plan(tmp_path, "training")
    assert len({shot.key for shot in planned}) == len(planned)
    pieces = sorted((shot for shot in planned if shot.kind == "clip"), key=lambda shot: shot.first)
    assert [shot.first for shot in pieces] == [10, 70, 130]
    assert [shot.scaled.short_side for shot in pieces] == [288, 400, 288]
    assert {shot.size.short_side for shot in pieces} == {288}
    photos = [shot for shot in planned if shot.kind == "photo"]
    assert sorted(shot.style for shot in photos) == 8 * ["sharp"] + 8 * ["soft"]
    assert {shot.group for shot in planned[-8:]} == {shot.group for shot in photos}, "second takes come last"
    assert len([shot for shot in planned if shot.kind == "drawn"]) == 1
    presets = {(coding.encoder, coding.preset) for shot in planned for coding in shot.codings}
    assert len({preset for encoder, preset in presets if encoder == "libx264"}) > 1
    assert ("libvpx-vp9", "8") in presets
