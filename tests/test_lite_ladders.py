"""Ladders that agreement is measured on: parts of the manifest, real encodes, scores of a real model, and faults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_clip

from training.lite import ladders as making
from training.lite.impair import IMPAIRMENTS, banded, blurred, dropped, frozen, grainy, noisy
from training.lite.judging import features_path, judge, rungs_of
from training.lite.ladders import Encode, Ladder, chosen, make_ladders, read_ladders, read_parts
from training.lite.material import LiteSource, read_sources
from training.lite.tune import Lesson, TuneSettings, equal_rate, tune, tune_head
from vqa_cli.errors import InputError
from vqa_cli.model.checkpoint import load_model
from vqa_cli.model.load import load_scorer
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.registry import lite_path
from vqa_cli.model.vsfa import VsfaHead


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """What is this small is slower by several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.mark.ffmpeg
def test_a_ladder_is_made_once_judged_once_and_damage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "a.mp4", size="256x144", rate="25", seconds=0.6)
    sources = [
        LiteSource("a.mp4", "clip", "first", "test", 128, 0, 15),
        LiteSource("b.mp4", "clip", "second", "test", 128, 0, 15),
    ]
    monkeypatch.setattr(making, "read_sources", lambda: sources)
    monkeypatch.setattr(making, "read_parts", lambda: {"first": "choosing", "second": "choosing"})
    monkeypatch.setattr(making, "FRAMES", 12)
    monkeypatch.setattr(making, "_PRESET", re.sub(r"crf = \[.*\]", "crf = [26, 40]", making._PRESET))
    data = tmp_path / "data"
    lines = list(make_ladders(tmp_path, data, "choosing"))
    assert lines[0] == "a_0: 18 rungs, choosing"
    assert lines[1].startswith("b_0: FAILED: ")
    assert [line.split(":")[0] for line in make_ladders(tmp_path, data, "choosing")] == ["b_0"]
    (ladder,) = read_ladders(data, "choosing")
    assert read_ladders(data, "untouched") == []
    assert (ladder.key, ladder.group, ladder.height) == ("a_0", "first", 128)
    assert {(e.codec, e.height) for e in ladder.encodes} == {
        (codec, height) for codec in ("libx264", "libx265", "libsvtav1") for height in (128, 86, 64)
    }
    for encode in ladder.encodes:
        assert (data / encode.file).stat().st_size * 8 / 1000 >= encode.kbps * 12 / 25 - 1
    x264 = sorted((e for e in ladder.encodes if (e.codec, e.height) == ("libx264", 128)), key=lambda e: e.crf)
    assert [e.vmaf for e in x264] == sorted((e.vmaf for e in x264), reverse=True)
    scorer = load_scorer("vsfa-lite", precision="fp32", device="cpu")
    (judged,) = judge(data, scorer, "choosing", keep_features=True)
    assert list(judge(data, scorer, "choosing")) == [judged]
    features = np.load(features_path(data, ladder))
    assert features.shape[:2] == (19, 12)
    first = scorer.score_features(features[0]).score
    assert first == pytest.approx(judged.encodes[ladder.encodes[0].file], abs=0.1)
    assert [r.score for r in rungs_of(ladder, judged)] == [judged.encodes[e.file] for e in ladder.encodes]
    with pytest.raises(InputError, match="no ladder to train on"):
        tune(data, lite_path(), tmp_path / "tuned.safetensors", TuneSettings(steps=2), lambda _: None)
    text = (data / "ladders.jsonl").read_text()
    (data / "ladders.jsonl").write_text(text.replace('"choosing"', '"training"'))
    tune(data, lite_path(), tmp_path / "tuned.safetensors", TuneSettings(steps=2), lambda _: None)
    (before, old, _), (card, new, _) = load_model(lite_path()), load_model(tmp_path / "tuned.safetensors")
    changed = {name.partition(".")[0] for name, value in old.items() if not torch.equal(value, new[name])}
    assert changed == {"head"}, "a backbone that moved would cost or see something else"
    assert (card.training["tuned"]["steps"], card.training["tuned"]["ladders"]) == (2, 1)
    assert card.metrics == {}
    assert card.scale == before.scale
    assert load_scorer(str(tmp_path / "tuned.safetensors"), device="cpu").score_features(features[0]).score > 0
    (data / "ladders.jsonl").write_text(json.dumps({"key": "a_0"}) + "\n")
    with pytest.raises(InputError, match=r"damaged ladder: line 1 of .*ladders\.jsonl"):
        read_ladders(data)


def test_no_ladders_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ladders: "):
        read_ladders(tmp_path)


def crossing_ladder(shift: float) -> Ladder:
    """Two encoders at one size, five rates each; the second has ``shift`` more VMAF at every rate."""
    encodes = [
        Encode(codec, 270, crf, rate, 30 + 12 * crf + gain, f"a/{codec}{crf}.mp4")
        for codec, gain in (("libx264", 0.0), ("libx265", shift))
        for crf, rate in enumerate((100.0, 200.0, 400.0, 800.0, 1600.0))
    ]
    return Ladder("a", "a", "clip", "training", True, 480, 270, tuple(encodes))


def test_differences_at_equal_rate_are_those_of_straight_lines() -> None:
    ladder = crossing_ladder(7.0)
    vmaf = torch.tensor([e.vmaf for e in ladder.encodes])
    assert equal_rate(ladder) @ vmaf == pytest.approx(torch.full((5,), -7.0), abs=1e-4)
    halved = replace(
        ladder, encodes=tuple(replace(e, kbps=e.kbps / 2) if e.codec == "libx265" else e for e in ladder.encodes)
    )
    # At half the rate the same quality: one step of 12 more at equal rate.
    assert equal_rate(halved) @ vmaf == pytest.approx(torch.full((5,), -19.0), abs=1e-4)
    apart = replace(
        ladder, encodes=tuple(replace(e, kbps=e.kbps * (1 + 999 * (e.codec == "libx265"))) for e in ladder.encodes)
    )
    assert equal_rate(apart).shape == (0, 10)


def test_tuning_learns_which_encoder_is_better_and_keeps_what_it_began_with() -> None:
    """Features that tell VMAF and the encoder apart; the head before believes the other encoder better."""
    torch.manual_seed(0)
    lessons = []
    for level in range(6):
        ladder = crossing_ladder(8.0)
        vmaf = torch.tensor([e.vmaf / 100 for e in ladder.encodes])
        newer = torch.tensor([float(e.codec == "libx265") for e in ladder.encodes])
        one = torch.stack((vmaf - 0.16 * newer, newer, torch.full((10,), level / 6)), dim=1)
        source = torch.tensor([[1.0, 0.0, level / 6]])
        features = torch.cat((one, source))[:, None].repeat(1, 16, 1)
        lessons.append(Lesson(True, features, vmaf, equal_rate(ladder)))
    head = VsfaHead(3, 8, 8).eval()
    first = deepcopy(head.state_dict())
    tuned = tune_head(head, lessons, TuneSettings(steps=150, learning_rate=2e-2, stay=0.0), lambda _: None)
    assert all(torch.equal(head.state_dict()[name], value) for name, value in first.items())

    def gaps(of: VsfaHead) -> torch.Tensor:
        with torch.no_grad():
            frames, _ = of(lessons[0].features)
        return lessons[0].pairs @ pool_batch(frames, torch.full((11,), 16))[:-1]

    assert gaps(tuned) == pytest.approx(torch.full((5,), -0.08), abs=0.02)
    assert (gaps(head) - gaps(tuned)).abs().min() > 0.02
    held = tune_head(head, lessons, TuneSettings(steps=60, learning_rate=1e-2, stay=1e4), lambda _: None)
    moved = [(a - b).norm() / b.norm() for a, b in zip(held.parameters(), head.parameters(), strict=True)]
    assert max(moved) < 0.1
