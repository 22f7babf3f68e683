"""Teaching on whole ladders: what a step sees of them, what it wants, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_clip
from torch import nn

from training.lite import mill, shots
from training.lite.blend import blend
from training.lite.ladders import append_ladder, make_ladders, read_ladders
from training.lite.lessons import Comparisons, Lesson, compare, glimpse, load_lesson, whole
from training.lite.material import LiteSource
from training.lite.mill import FAULTS, Encode
from training.lite.shots import Coding
from training.lite.sights import seen_frames, sights_path, write_sights
from training.lite.teach import (
    Model,
    Pupil,
    TeachSettings,
    bias_loss,
    lesson_loss,
    raw_scores,
    read,
    teach,
    within,
)
from training.lite.weights import FLOATING
from vqa_cli.errors import InputError, ModelError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.load import load_scorer
from vqa_cli.model.verdict import Calibration
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.values import FrameFormat, Size

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SMALL = TeachSettings(steps=2, least=2)


def crossing(shift: float, *, faster: float = 1.0) -> tuple[Encode, ...]:
    """Two encoders at one size, five rates each; the second has ``shift`` more VMAF at every quality number."""
    return tuple(
        Encode(codec, 270, crf, rate / (faster if gain else 1.0), (30 + 12 * crf + gain,), f"a/{codec}{crf}.mp4")
        for codec, gain in (("libx264", 0.0), ("libx265", shift))
        for crf, rate in enumerate((100.0, 200.0, 400.0, 800.0, 1600.0))
    )


def test_differences_at_equal_rate_are_those_of_straight_lines() -> None:
    encodes = crossing(7.0)
    vmaf = torch.tensor([e.vmaf for e in encodes])
    compared = compare(encodes)
    assert compared.rows @ vmaf == pytest.approx(torch.full((5,), -7.0), abs=1e-4)
    assert compared.codecs == 5 * (("libx264", "libx265"),)
    # 12 points for each doubling: a point is worth two thirds of one where 8 points stand for a doubling.
    assert compared.worth[1:4] == pytest.approx(torch.full((3,), 8 / 12), abs=1e-4)
    # At half the rate the same quality: one step of 12 more at equal rate.
    assert compare(crossing(7.0, faster=2.0)).rows @ vmaf == pytest.approx(torch.full((5,), -19.0), abs=1e-4)
    assert compare(crossing(7.0, faster=0.001)).rows.shape == (0, 10)


def lesson(seed: int = 0, *, versions: int = 4, frames: int = 5, shift: float = 8.0) -> Lesson:
    """Random pictures; what the second encoder shows is darker by VMAF's own scale."""
    torch.manual_seed(seed)
    encodes = crossing(shift)[:versions]
    sights = torch.randint(0, 255, (versions + 1 + len(FAULTS), frames, 80, 48), dtype=torch.uint8)
    vmaf = torch.rand(len(sights), 3 * frames)
    return Lesson("a", True, sights, vmaf, 0, versions, compare(encodes))


def test_what_is_seen_is_cut_and_turned_with_its_chroma_and_the_frame_before() -> None:
    told = lesson()
    view = whole(told, 3)
    assert view.shape == FrameFormat(48, 32)
    assert view.now.shape == view.before.shape == (11 * 5, 48, 48)
    assert torch.equal(view.now.reshape(11, 5, 48, 48), told.sights[:, :, :48])
    assert torch.equal(view.before.reshape(11, 5, 48, 48)[:, :, :32], told.sights[:, :, 48:])
    assert view.vmaf == pytest.approx(told.vmaf.mean(dim=1))
    rng = np.random.default_rng(1)
    seen = [glimpse(told, 3, 2, rng) for _ in range(60)]
    assert {each.frames // 3 for each in seen} == {2, 3, 4, 5}
    assert all(each.shape.height >= 24 and each.shape.width >= 36 for each in seen)
    assert all(each.now.shape[1] == each.shape.height * 3 // 2 for each in seen)
    assert len({each.shape for each in seen}) > 3


def test_mirrored_upended_and_backwards_are_done_to_all_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.lite import lessons

    planes = lessons._planes(lesson().sights)
    rng = np.random.default_rng(1)
    for change in (lessons._mirrored, lessons._upended, lessons._backwards):
        once, twice = change(planes, rng), change(change(planes, rng), rng)
        for name in ("luma", "chroma", "before"):
            assert torch.equal(getattr(twice, name), getattr(planes, name))
            assert not torch.equal(getattr(once, name), getattr(planes, name))
    back = lessons._backwards(planes, rng)
    assert torch.equal(back.luma[:, 0], planes.before[:, -1])
    cut = lessons._cut(planes, np.random.default_rng(3))
    assert cut.luma.shape[-1] == 2 * cut.chroma.shape[-1]


def test_scores_stay_within_the_scale_as_they_are_shown_and_can_be_learnt_back() -> None:
    raw = torch.tensor([-0.4, 0.02, 0.3, 0.7, 0.96, 1.5], dtype=torch.float64, requires_grad=True)
    shown = Calibration(knee=0.05).score(raw.detach().numpy())
    assert within(raw, 0.05).detach().numpy() == pytest.approx(shown, abs=0.06)
    assert within(raw, 0.05)[2:4].tolist() == [0.3, 0.7]
    within(raw, 0.05).sum().backward()
    assert raw.grad is not None
    assert raw.grad.min() >= 0.1
    assert torch.equal(within(raw, 0.0), raw)


def test_the_loss_is_least_for_vmaf_itself_and_bias_is_of_encoders() -> None:
    encodes = crossing(8.0)
    vmaf = torch.tensor([e.vmaf / 100 for e in encodes])
    newer = torch.tensor([float(e.codec == "libx265") for e in encodes])
    told = Lesson("a", True, torch.empty(0), torch.empty(0), 0, 10, compare(encodes))
    settings = TeachSettings(rank=0.0)

    def of(scores: torch.Tensor) -> tuple[float, float]:
        loss, error = lesson_loss(scores, told, vmaf, settings)
        return float(loss), float(bias_loss([told], [error]))

    assert of(vmaf) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert of(vmaf + 0.1)[0] > 0.01
    assert of(vmaf + 0.1)[1] == pytest.approx(0.0, abs=1e-6)
    assert of(vmaf + 0.05 * newer)[1] > 0.02
    dirty = replace(told, clean=False)
    assert float(lesson_loss(vmaf + 0.1, dirty, vmaf, settings)[0]) == pytest.approx(0.0, abs=1e-6)
    # Errors of two ladders that make up for each other are no bias, whichever encoder is named first.
    ones = torch.ones(5)
    turned = replace(told, compared=Comparisons(told.compared.rows, ones, 5 * (("libx265", "libx264"),)))
    assert float(bias_loss([told, turned], [ones, ones])) == 0
    assert float(bias_loss([told, told], [ones, ones])) > 0.9


def small_model() -> Model:
    torch.manual_seed(0)
    backbone = LiteBackbone((8, 8), (False, True), (0, 1), tile=(32, 48), hold=3)
    from training.lite.teach import _Steady

    backbone.blocks = nn.ModuleList(_Steady(*block.children()) for block in backbone.blocks)
    return Model(backbone, VsfaHead(backbone.dim, 8, 8))


def test_a_pupil_learns_and_its_normalisation_keeps_its_statistics() -> None:
    lessons = [lesson(seed, versions=10, frames=2) for seed in range(2)]
    # Brighter is better, and that alone is to be learnt.
    for each in lessons:
        light = torch.linspace(20, 220, len(each.sights)).to(torch.uint8)
        each.sights[:] = light[:, None, None, None] + each.sights % 16
    wanted = torch.linspace(0.1, 0.9, len(lessons[0].sights))[:, None].expand(-1, 6)
    lessons = [replace(each, vmaf=wanted) for each in lessons]
    settings = TeachSettings(backbone_rate=3e-3, head_rate=3e-2, ema=0.9, rank=0.0)
    pupil = Pupil(small_model(), settings, 0.05)
    statistics = {name: value.clone() for name, value in pupil.model.named_buffers()}
    views = [whole(each, 3) for each in lessons]
    losses = [float(pupil.step(lessons, views, 0.2)) for _ in range(60)]
    assert losses[-1] < losses[0] / 4
    assert all(torch.equal(value, statistics[name]) for name, value in pupil.model.named_buffers())
    scores = raw_scores(pupil.average, lessons[0])
    assert np.corrcoef(scores.numpy(), wanted[:, 0].numpy())[0, 1] > 0.95


@pytest.mark.ffmpeg
def test_what_is_taught_is_what_is_scored_and_a_model_file_comes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4", size="128x96", rate="25", seconds=0.6)
    sources = [LiteSource("a.mp4", "clip", "first", "train", 64, 0, 15)]
    monkeypatch.setattr(shots, "read_sources", lambda: sources)
    monkeypatch.setattr(shots, "read_parts", lambda: {"first": "training"})
    codings = (Coding("libx264", "fast", (26, 40), (1.0,)), Coding("libx265", "fast", (26, 40), (1.0,)))
    monkeypatch.setattr(shots, "_varied", lambda rng: codings)
    monkeypatch.setattr(shots, "FRAMES", 10)
    monkeypatch.setattr(mill, "FRAMES", 10)
    data, out = tmp_path / "data", tmp_path / "taught.safetensors"
    data.mkdir()
    with pytest.raises(InputError, match="no ladders"):
        teach(data, FLOATING, out, SMALL, CPU, lambda _: None)
    assert [made.failed for made in make_ladders(tmp_path, data, "training")] == [False]
    (ladder,) = read_ladders(data)
    append_ladder(data, replace(ladder, key="unseen", part="choosing"))
    teach(data, FLOATING, out, SMALL, CPU, lambda _: None)
    _, model = read(FLOATING, SMALL)
    told = load_lesson(data, ladder, 3, CPU, rng=np.random.default_rng(0))
    with Runner() as runner:
        frames = mill.shown(
            runner, str(find_ffmpeg(runner).path), data / ladder.key, ["reference.mkv"], Size(ladder.width, 64)
        )
    scorer = load_scorer(FLOATING, device="cpu")
    score = scorer.score([frames[0]], FrameFormat(ladder.width, 64))
    assert float(raw_scores(model, told)[len(ladder.encodes)]) == pytest.approx(score.raw, abs=2e-5)
    (before, old, _), (after, new, _) = load_model(FLOATING), load_model(out)
    assert {name.partition(".")[0] for name in old if not torch.equal(old[name], new[name])} == {"backbone", "head"}
    assert all(torch.equal(old[name], new[name]) for name in old if "running" in name)
    assert (after.training["taught"]["done"], after.training["taught"]["ladders"]) == (2, 1)
    assert (after.metrics, after.scale) == ({}, before.scale)
    assert 0 < load_scorer(str(out), device="cpu").score([frames[0]], FrameFormat(ladder.width, 64)).score < 100
    held = load_lesson(data, ladder, 3, CPU, held=2, rng=np.random.default_rng(0))
    assert held.sights.shape[1] == 2
    sights_path(data, ladder).unlink()
    with Runner() as runner:
        write_sights(runner, str(find_ffmpeg(runner).path), data, ladder, 3)
    assert np.load(sights_path(data, ladder)).shape == tuple(told.sights.shape)


def test_the_frames_seen_are_those_that_scoring_sees() -> None:
    count = 11
    frames = torch.zeros(count + 1, 48, 48, dtype=torch.uint8)
    frames[1:, :32] = torch.arange(count, dtype=torch.uint8)[:, None, None] * 20
    backbone = small_model_blocks().fold()
    shape = FrameFormat(48, 32)
    with torch.inference_mode():
        whole_clip = backbone(frames, shape)
        at = torch.from_numpy(seen_frames(count, 3))
        seen = backbone.judge(frames[at + 1], frames[at], shape)
    assert torch.equal(seen.repeat_interleave(3, dim=0)[:count], whole_clip)


def small_model_blocks() -> LiteBackbone:
    torch.manual_seed(0)
    return LiteBackbone((8, 8), (False, True), (0, 1), tile=(32, 48), hold=3)


def test_half_the_way_is_the_mean_and_other_shapes_are_refused(tmp_path: Path) -> None:
    card, tensors, _ = load_model(FLOATING)
    after, out = tmp_path / "after.safetensors", tmp_path / "out.safetensors"
    save_model(after, card, {name: value + 1 for name, value in tensors.items()})
    blend(FLOATING, after, 0.25, out)
    mixed, new, _ = load_model(out)
    assert new["head.q.bias"] == pytest.approx(tensors["head.q.bias"] + 0.25)
    assert {name: value.dtype for name, value in new.items()} == {name: value.dtype for name, value in tensors.items()}
    assert (mixed.training["blended"], mixed.metrics) == (0.25, {})
    save_model(after, card, {**tensors, "head.q.bias": torch.zeros(2)})
    with pytest.raises(ModelError, match="weights of other shapes"):
        blend(FLOATING, after, 0.5, out)
