"""How vsfa-lite is made: recipes, what a training step sees, and the whole chain from clip to model file."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, make_clip
from hypothesis import given
from hypothesis import strategies as st

from training.lite import fit as fitting
from training.lite import make_data as making
from training.lite.batches import (
    Features,
    FitSettings,
    FrameBatches,
    clip_batch,
    compose,
    draw_chances,
    draw_takes,
    mirror,
    recolour,
    upend,
)
from training.lite.camera import Style, film
from training.lite.export import export
from training.lite.fit import fit, rank_loss, widen
from training.lite.make_data import make_data
from training.lite.material import LiteSource, read_sources
from training.lite.pictures import STYLES, draw_picture
from training.lite.recipes import CODERS, draw
from training.lite.takes import FRAMES, WINDOW, WINDOW_FORMAT, Take, read_takes
from vqa_cli.errors import InputError, ModelError
from vqa_cli.model.checkpoint import load_model
from vqa_cli.model.lite import LiteBackbone, to_cells
from vqa_cli.model.load import load_scorer
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.values import FrameFormat, Size

TINY = FitSettings(
    widths=(8, 8, 8), halve=(False, True, False), taps=(0, 2), backbone_steps=3, head_steps=3, takes_per_step=2,
    versions_per_take=4, longest_sequence=6,
)  # fmt: skip


@given(st.text(min_size=1, max_size=20), st.sampled_from(["clip", "photo", "drawn"]), st.integers(0, 99))
def test_recipes_are_the_same_every_time_and_ladders_differ_in_quality_alone(name: str, kind: str, seed: int) -> None:
    recipes = draw(name, kind, seed)  # type: ignore[arg-type]
    assert recipes == draw(name, kind, seed)  # type: ignore[arg-type]
    for ladder in {r.ladder for r in recipes}:
        members = [r for r in recipes if r.ladder == ladder]
        assert {replace(r, quality=0) for r in members} == {replace(members[0], quality=0)}
        coder = CODERS[members[0].coder]
        low, high = sorted((coder.best, coder.worst))
        assert all(low <= r.quality <= high for r in members)
        assert [r.quality for r in members] == sorted((r.quality for r in members), reverse=coder.rate)


def test_no_footage_is_on_both_sides_of_the_split() -> None:
    sources = read_sources()
    train = {s.group for s in sources if s.split == "train"}
    test = {s.group for s in sources if s.split == "test"}
    assert not train & test
    assert "blender_bbb" in test
    assert len({s.group for s in sources if s.split == "test" and s.kind == "clip"}) >= 12
    assert sum(s.split == "test" and s.kind == "photo" for s in sources) >= 40
    assert len({s.key for s in sources}) == len(sources)


@pytest.mark.parametrize("style", STYLES)
def test_drawn_pictures_are_the_same_every_time_and_differ_by_number(style: str) -> None:
    first = draw_picture(f"{style}_0")
    assert first.shape == (720, 1280, 3)
    assert (first == draw_picture(f"{style}_0")).all()
    assert (first != draw_picture(f"{style}_1")).any()
    assert first.std() > 5


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(InputError, match="no such style"):
        draw_picture("nothing_1")


@pytest.mark.parametrize("style", ["sharp", "soft", "recorded"])
@pytest.mark.parametrize("seed", range(6))
def test_takes_fill_the_window_and_move(seed: int, style: Style) -> None:
    picture, other = draw_picture("noise_0"), draw_picture("text_0")
    frames = film(picture, other, 4, Size(96, 64), np.random.default_rng(seed), style)
    assert frames.shape == (4, 64, 96, 3)
    assert (frames == film(picture, other, 4, Size(96, 64), np.random.default_rng(seed), style)).all()
    # No border shows: a view beyond the picture's edge would repeat its last column.
    assert (frames[:, :, -1] != frames[:, :, -2]).any()
    assert (frames[:, -1] != frames[:, -2]).any()


def test_soft_takes_are_softer() -> None:
    picture = draw_picture("leaves_0")

    def detail(style: Style) -> float:
        takes = [film(picture, picture, 2, Size(96, 64), np.random.default_rng(seed), style) for seed in range(12)]
        return float(np.mean([np.abs(np.diff(take.astype(float), axis=2)).mean() / take.std() for take in takes]))

    assert detail("soft") < 0.8 * detail("sharp")


def test_recorded_takes_are_darker() -> None:
    picture = draw_picture("leaves_0")

    def level(style: Style) -> float:
        takes = [film(picture, picture, 2, Size(96, 64), np.random.default_rng(seed), style) for seed in range(12)]
        return float(np.mean([take.mean() for take in takes]))

    assert level("recorded") < 0.9 * level("soft")


@given(st.lists(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), min_size=1, max_size=5))
def test_rare_scores_are_drawn_more_often(vmaf: list[list[float]]) -> None:
    arrays = [np.array(v, dtype=np.float32) for v in vmaf]
    even = draw_chances(arrays, 0.0)
    assert all(np.allclose(p, 1 / len(p)) for p in even)
    flat = draw_chances([np.concatenate(arrays)], 1.0)[0]
    tenths = np.clip((10 * np.concatenate(arrays)).astype(int), 0, 9)
    totals = [flat[tenths == tenth].sum() for tenth in np.unique(tenths)]
    assert np.allclose(totals, 1 / len(totals))


def test_real_clips_are_drawn_more_often() -> None:
    rng = np.random.default_rng(0)
    kinds = ["photo", "photo", "clip", "drawn"]
    picks = [draw_takes(kinds, replace(TINY, clip_weight=3.0, takes_per_step=1), rng)[0] for _ in range(3000)]
    assert np.mean(np.array(picks) == 2) == pytest.approx(0.5, abs=0.05)


@given(st.integers(0, 2**32 - 1))
def test_turning_a_frame_moves_colour_with_luma(seed: int) -> None:
    frame = np.zeros((1, 24, 16), dtype=np.uint8)
    row, col = (2 * int(n) for n in np.random.default_rng(seed).integers(0, 8, 2))
    planes = frame[0, 16:].reshape(2, 8, 8)
    frame[0, row : row + 2, col : col + 2] = 200
    planes[0, row // 2, col // 2], planes[1, row // 2, col // 2] = 90, 170
    for turn, (down, across) in ((mirror, (row, 14 - col)), (upend, (14 - row, col))):
        out = turn(frame, 16)
        turned = out[0, 16:].reshape(2, 8, 8)
        assert (out[0, down : down + 2, across : across + 2] == 200).all()
        assert (turned[0, down // 2, across // 2], turned[1, down // 2, across // 2]) == (90, 170)
        assert (turn(out, 16) == frame).all()


def test_composed_values_lie_between_those_of_two_takes() -> None:
    values = torch.tensor([[0.0, 1.0], [10.0, 20.0], [5.0, 5.0]])
    shares = torch.tensor([1.0, 0.25, 0.0])
    assert compose(values, shares).tolist() == [[0.0, 1.0], [2.5, 5.75], [10.0, 20.0]]
    assert compose(values[..., None], shares).shape == (3, 2, 1)


def test_scores_drawn_towards_the_middle_are_widened() -> None:
    """A head of whom the middle is all that it dares comes out with the whole scale, in the same order."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    head = VsfaHead(1, 8, 8).eval()
    data = []
    for name in "abcd":
        labels = {"vmaf": [(value,) * FRAMES for value in 100 * rng.random(12)]}
        take = Take(name, name, "train", "photo", True, (), labels)
        data.append(Features(take, torch.from_numpy(take.vmaf)[..., None]))

    def scores() -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            frames = torch.cat([head(each.values)[0] for each in data])
        pooled = pool_batch(frames, torch.full((len(frames),), FRAMES))
        return pooled.numpy(), np.concatenate([each.take.vmaf.mean(axis=1) for each in data])

    before, vmaf = scores()
    if np.polyfit(vmaf, before, 1)[0] < 0:
        with torch.no_grad():
            head.q.weight.neg_()
        before, _ = scores()
    assert np.polyfit(vmaf, before, 1)[0] < 0.5
    widen(head, data)
    after, _ = scores()
    assert np.polyfit(vmaf, after, 1) == pytest.approx([1, 0], abs=0.15)
    assert (np.argsort(after) == np.argsort(before)).all()


def test_sequences_of_whole_takes_keep_features_and_labels_together() -> None:
    """Features that are labels: whatever is drawn, walked, composed and padded, they stay equal."""
    rng = np.random.default_rng(0)
    data = []
    for name in "abc":
        labels = {"vmaf": [tuple(100 * rng.random(FRAMES)) for _ in range(5)]}
        take = Take(name, name, "train", "photo", True, (), labels)
        data.append(Features(take, torch.from_numpy(take.vmaf)[..., None]))
    chances = draw_chances([each.take.vmaf.mean(axis=1) for each in data], 0.5)
    for composed in (0.0, 1.0):
        settings = replace(TINY, composed=composed)
        features, targets, lengths = clip_batch(data, chances, settings, np.random.default_rng(1))
        assert features.shape == (8, 6, 1)
        assert torch.allclose(features[..., 0], targets)
        known = torch.from_numpy(np.concatenate([each.take.vmaf for each in data]))
        own = [bool(torch.isin(row[:length], known).all()) for row, length in zip(targets, lengths, strict=True)]
        assert all(own) if composed == 0 else not any(own)


def test_features_learn_as_means_and_deviations_do() -> None:
    """Gradients by the weights, against torch's own mean and deviation."""
    torch.manual_seed(0)
    backbone = LiteBackbone((5,), (False,), (0,), motion=False)
    frames = torch.randint(16, 236, (3, WINDOW.height * 3 // 2, WINDOW.width), dtype=torch.uint8)
    towards = torch.randn(3, backbone.dim)
    seen = backbone.blocks[0](to_cells(frames, WINDOW_FORMAT).permute(0, 3, 1, 2))
    deviation, mean = torch.std_mean(seen, dim=(2, 3))
    features = backbone.judge(frames, frames, WINDOW_FORMAT)
    assert torch.allclose(features, torch.cat((mean, deviation), 1), atol=1e-5)
    weight = backbone.get_parameter("blocks.0.0.weight")
    (want,) = torch.autograd.grad((torch.cat((mean, deviation), 1) * towards).sum(), weight)
    (got,) = torch.autograd.grad((features * towards).sum(), weight)
    assert torch.allclose(got, want, rtol=1e-3, atol=1e-4 * float(want.abs().max()))


@given(st.integers(0, 2**32 - 1))
def test_recolouring_treats_every_version_alike(seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (1, 24, 16), dtype=np.uint8).repeat(3, axis=0)
    out = recolour(frames, 16, np.random.default_rng(seed))
    assert (out == out[0]).all()
    # A change of colours that swapped dark and bright would be another picture.
    dark, bright = frames[0, :16] < 60, frames[0, :16] > 200
    if dark.any() and bright.any():
        assert out[0, :16][dark].max() < out[0, :16][bright].min()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_rank_loss_is_the_formula(pairs: list[tuple[float, float]]) -> None:
    predicted = torch.tensor([[p for p, _ in pairs]], dtype=torch.float64)
    target = torch.tensor([[t for _, t in pairs]], dtype=torch.float64)
    settings = FitSettings()
    losses = [
        math.log1p(math.exp(-settings.rank_slope * (p1 - p2)))
        for p1, t1 in pairs
        for p2, t2 in pairs
        if t1 - t2 > settings.rank_margin
    ]
    want = sum(losses) / len(losses) if losses else 0.0
    assert float(rank_loss(predicted, target, settings)) == pytest.approx(want, abs=1e-9)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Three sources with every degradation and their labels, one of them held out."""
    folder = tmp_path_factory.mktemp("lite")
    make_clip(folder / "a.mp4", size="480x270", rate="25", seconds=0.6)
    make_clip(folder / "b.mp4", size="360x640", rate="30000/1001", seconds=0.6)
    sources = [
        LiteSource("a.mp4", "clip", "first", "train", 240, 0, 15),
        LiteSource("drawn/cartoon_1", "drawn", "second", "train", 192, 0, 12),
        LiteSource("b.mp4", "clip", "third", "test", 360, 0, 15),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "read_sources", lambda: sources)
        styles = {"train": ("sharp", "recorded"), "test": ("sharp",)}
        patch.setattr(making, "_TAKES", {"clip": styles, "drawn": {**styles, "train": ("soft", "recorded")}})
        made = list(make_data(folder, folder / "out", seed=1, jobs=2))
        assert not any(each.failed for each in made), made
        lines = [each.line for each in made]
        again = list(make_data(folder, folder / "out", seed=1, jobs=2))
    assert not again, "what is there is not made twice"
    return folder / "out", lines


@pytest.mark.ffmpeg
def test_labels_pair_frames_and_follow_quality(data: tuple[Path, list[str]]) -> None:
    out, lines = data
    takes = read_takes(out)
    assert len(lines) == 5
    assert all("versions" in line for line in lines), lines
    keys = [
        ("a_0_0", "train"),
        ("a_0_1", "train"),
        ("b_0_0", "test"),
        ("cartoon_1_0_0", "train"),
        ("cartoon_1_0_1", "train"),
    ]
    assert [(t.key, t.split) for t in takes] == keys
    for take in takes:
        frames = take.frames(out)
        assert frames.shape == (len(take.recipes) + 1, FRAMES, WINDOW.height * 3 // 2, WINDOW.width)
        assert take.vmaf.shape == (len(take.recipes) + 1, FRAMES)
        psnr = [_psnr(version, frames[-1]) for version in frames[:-1]]
        # libvmaf measured the very frames that are kept, in their order.
        assert psnr == pytest.approx([float(np.mean(values)) for values in take.labels["psnr"]], abs=0.1)
        for ladder in {recipe.ladder for recipe in take.recipes}:
            means = [v.mean() for r, v in zip(take.recipes, take.vmaf, strict=False) if r.ladder == ladder]
            # Recipes run from hardly visible to ruined; a wrong pairing of frames would leave no such order.
            assert means[0] > means[-1]


def _psnr(frames: np.ndarray, reference: np.ndarray) -> float:
    """Mean over frames of luma's PSNR in dB, as libvmaf bounds it for 8 bits."""
    luma = [each[:, : WINDOW.height].astype(float) for each in (frames, reference)]
    error = np.square(luma[0] - luma[1]).mean(axis=(1, 2))
    return float(np.mean([min(60.0, 10 * math.log10(255**2 / max(e, 1e-10))) for e in error]))


@pytest.mark.ffmpeg
def test_a_step_sees_the_same_moment_of_all_versions(data: tuple[Path, list[str]]) -> None:
    out, _ = data
    take = read_takes(out, "train")[0]
    settings = replace(TINY, takes_per_step=1, recolour=0.0, reverse=0.0)
    batches = FrameBatches([take], [take.frames(out)], settings)
    now, before, target = batches.draw(np.random.default_rng(3))
    assert now.shape == before.shape == (4, WINDOW.height * 3 // 2, WINDOW.width)
    assert target.shape == (1, 4)
    flat = take.frames(out).reshape(-1, *WINDOW_FORMAT.shape)
    turned = (
        flat,
        mirror(flat, WINDOW.height),
        upend(flat, WINDOW.height),
        upend(mirror(flat, WINDOW.height), WINDOW.height),
    )
    stored = np.concatenate([frames.reshape(take.frames(out).shape) for frames in turned])
    vmaf = np.concatenate([take.vmaf] * len(turned))
    for frame, earlier, value in zip(now.numpy(), before.numpy(), target[0], strict=True):
        found = [(v, t) for v in range(len(stored)) for t in range(FRAMES) if (stored[v, t] == frame).all()]
        assert any(vmaf[v, t] == float(value) and (stored[v, max(0, t - 1)] == earlier).all() for v, t in found) or any(
            vmaf[v, t] == float(value) and (stored[v, max(0, t - 2)] == earlier).all() for v, t in found
        )


@pytest.mark.ffmpeg
def test_fit_and_export_give_a_model_that_scores(data: tuple[Path, list[str]], tmp_path: Path) -> None:
    out, _ = data
    messages: list[str] = []
    fit(out, TINY, log=messages.append)
    fit(out, replace(TINY, seed=2), log=messages.append, start=[out / "fit.pt"])
    fit(out, replace(TINY, seed=3, backbone_steps=0), log=messages.append, start=[out / "backbone.pt"])
    kept, final = (torch.load(out / f"{name}.pt", weights_only=True)["backbone"] for name in ("backbone", "fit"))
    assert all(torch.equal(kept[key], final[key]) for key in kept)
    card = export(out, tmp_path / "model.safetensors", log=messages.append)
    assert load_model(tmp_path / "model.safetensors")[0] == card
    assert card.metrics["takes"] == 1
    assert card.metrics["versions"] == 16, messages
    assert card.training["settings"]["seed"] == 3
    assert [earlier["seed"] for earlier in card.training["earlier"]] == [1, 2]
    clip = np.random.default_rng(0).integers(16, 235, (5, 96, 96), dtype=np.uint8)
    score = load_scorer(str(tmp_path / "model.safetensors"), precision="fp32", device="cpu").score(
        [clip], FrameFormat(96, 64)
    )
    assert np.isfinite(score.score)


@pytest.mark.ffmpeg
def test_several_fits_are_averaged(data: tuple[Path, list[str]], tmp_path: Path) -> None:
    out, _ = data
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "labels.jsonl").symlink_to(out / "labels.jsonl")
    (folder / "frames").symlink_to(out / "frames")
    starts = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for seed, kept in enumerate(starts, 1):
        fit(folder, replace(TINY, seed=seed), log=lambda _: None)
        (folder / "fit.pt").rename(kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_RENORMALISING_STEPS", 2)
        fit(folder, replace(TINY, backbone_steps=0), log=lambda _: None, start=starts)
    one, two, mean = (torch.load(path, weights_only=True) for path in (*starts, folder / "fit.pt"))
    assert (mean["averaged"], [each["seed"] for each in mean["earlier"]]) == (2, [1, 2])
    for key, value in mean["backbone"].items():
        between = (one["backbone"][key] + two["backbone"][key]) / 2
        if key.endswith(("weight", "bias")):
            assert torch.allclose(value, between, atol=1e-6)
        elif key.endswith("running_mean"):
            assert not torch.allclose(value, between, atol=1e-6), "measured anew"


@pytest.mark.ffmpeg
def test_what_is_damaged_is_named(data: tuple[Path, list[str]], tmp_path: Path) -> None:
    out, _ = data
    (tmp_path / "labels.jsonl").write_text((out / "labels.jsonl").read_text()[:-50])
    with pytest.raises(InputError, match=r"damaged label: line 5 of .*labels\.jsonl"):
        read_takes(tmp_path)
    (tmp_path / "labels.jsonl").write_text("")
    with pytest.raises(InputError, match="no take to train on"):
        fit(tmp_path, TINY, log=lambda _: None)
    for content, message in ((b"rubbish", "not a weight file"), (None, "no fit of vsfa-lite")):
        if content is None:
            torch.save({"backbone": {}}, tmp_path / "fit.pt")
        else:
            (tmp_path / "fit.pt").write_bytes(content)
        with pytest.raises(ModelError, match=message):
            export(tmp_path, tmp_path / "model.safetensors", log=lambda _: None)
        with pytest.raises(ModelError, match=message):
            fit(out, TINY, log=lambda _: None, start=[tmp_path / "fit.pt"])


def test_takes_that_cannot_be_made_are_counted(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    args = ("make-data", "--media", tmp_path / "empty", "--data", tmp_path / "out", "--limit", "2", "--seed", "1")
    done = run_lite(*args)
    assert done.returncode == 8
    assert "FAILED" in done.stdout


def test_a_wrong_call_and_a_missing_fit_are_one_line_and_the_documented_exit(tmp_path: Path) -> None:
    wrong = run_lite("fit", "--data", tmp_path, "--set", "wings=2")
    assert wrong.returncode == 2
    assert wrong.stderr == ("error: no such hyper-parameter or value: wings=2\nhint: NAME=VALUE, see FitSettings\n")
    missing = run_lite("export", "--data", tmp_path)
    assert missing.returncode == 3
    assert missing.stderr == (
        f"error: nothing fitted: {tmp_path / 'fit.pt'}\nhint: run `python -m training.lite fit` first\n"
    )


def run_lite(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """``python -m training.lite`` as its users call it: from the checkout."""
    command = [sys.executable, "-m", "training.lite", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_nothing_made_and_nothing_fitted_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labels"):
        read_takes(tmp_path)
    with pytest.raises(InputError, match="nothing fitted"):
        export(tmp_path, tmp_path / "model.safetensors", log=lambda _: None)
