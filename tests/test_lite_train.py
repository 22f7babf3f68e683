"""How vsfa-lite is made: recipes, what a training step sees, and the whole chain from clip to model file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_clip
from hypothesis import given
from hypothesis import strategies as st

from vqa_cli.errors import InputError
from vqa_cli.model.checkpoint import load_model
from vqa_cli.model.registry import load_scorer
from vqa_cli.train.lite import make_data as making
from vqa_cli.train.lite.batches import FitSettings, draw_chances, draw_sources, recolour
from vqa_cli.train.lite.cache import by_source
from vqa_cli.train.lite.export import export
from vqa_cli.train.lite.fit import fit, rank_loss
from vqa_cli.train.lite.make_data import LiteSource, make_data, read_labels, read_sources
from vqa_cli.train.lite.recipes import ENCODERS, draw
from vqa_cli.types import FrameFormat

TINY = FitSettings(
    backbone_steps=3, head_steps=3, sources_per_step=2, versions_per_source=4, crop_px=64, longest_sequence=6
)


@given(st.text(min_size=1, max_size=20), st.sampled_from(["clip", "photo"]), st.integers(0, 99))
def test_recipes_are_the_same_every_time_and_ladders_differ_in_quality_alone(name: str, kind: str, seed: int) -> None:
    recipes = draw(name, kind, seed)  # type: ignore[arg-type]
    assert recipes == draw(name, kind, seed)  # type: ignore[arg-type]
    for ladder in {r.ladder for r in recipes}:
        members = [r for r in recipes if r.ladder == ladder]
        assert {replace(r, quality=0) for r in members} == {replace(members[0], quality=0)}
        low, high = ENCODERS[members[0].encoder][2:]
        assert all(low <= r.quality <= high for r in members)
        assert [r.quality for r in members] == sorted(r.quality for r in members)


def test_no_footage_is_on_both_sides_of_the_split() -> None:
    sources = read_sources()
    train = {s.group for s in sources if s.split == "train"}
    test = {s.group for s in sources if s.split == "test"}
    assert not train & test
    assert "blender_bbb" in test
    assert len({s.group for s in sources if s.split == "test" and s.kind == "clip"}) >= 12
    assert sum(s.split == "test" and s.kind == "photo" for s in sources) >= 40
    assert len({s.key for s in sources}) == len(sources)


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
    groups = ["photo:a", "photo:b", "walk", "photo:c"]
    picks = [draw_sources(groups, replace(TINY, clip_weight=3.0, sources_per_step=1), rng)[0] for _ in range(3000)]
    assert np.mean(np.array(picks) == 2) == pytest.approx(0.5, abs=0.05)


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
    """Two sources with every degradation and their labels, one of them held out."""
    folder = tmp_path_factory.mktemp("lite")
    make_clip(folder / "a.mp4", size="192x128", rate="25", seconds=0.6)
    make_clip(folder / "b.mp4", size="128x192", rate="30000/1001", seconds=0.6)
    sources = [
        LiteSource("a.mp4", "clip", "first", "train", 96, 2, 8),
        LiteSource("b.mp4", "clip", "second", "test", 96, 0, 8),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "read_sources", lambda: sources)
        lines = list(make_data(folder, folder / "out", seed=1, jobs=2))
        again = list(make_data(folder, folder / "out", seed=1, jobs=2))
    assert not again, "what is there is not made twice"
    return folder / "out", lines


@pytest.mark.ffmpeg
def test_labels_pair_frames_and_follow_quality(data: tuple[Path, list[str]]) -> None:
    out, lines = data
    clips = read_labels(out)
    assert len(lines) == 2
    assert all("clips" in line for line in lines), lines
    assert {(c.source, c.width, c.height) for c in clips} == {("a_2", 144, 96), ("b_0", 96, 144)}
    assert all(len(c.vmaf) == 8 for c in clips)
    for members in by_source(clips).values():
        for ladder in {c.recipe["ladder"] for c in members}:
            means = [float(np.mean(c.vmaf)) for c in members if c.recipe["ladder"] == ladder]
            # Recipes run from hardly visible to ruined; a wrong pairing of frames would leave no such order.
            assert means[0] > means[-1]


@pytest.mark.ffmpeg
def test_fit_and_export_give_a_model_that_scores(data: tuple[Path, list[str]], tmp_path: Path) -> None:
    out, _ = data
    messages: list[str] = []
    fit(out, TINY, jobs=2, log=messages.append)
    fit(out, replace(TINY, seed=2), jobs=2, log=messages.append, start=out / "fit.pt")
    card = export(out, tmp_path / "model.safetensors", log=messages.append)
    assert load_model(tmp_path / "model.safetensors")[0] == card
    assert card.metrics["sources"] == 1
    assert card.metrics["clips"] == 30, messages
    assert card.training["settings"]["seed"] == 2
    assert [earlier["seed"] for earlier in card.training["earlier"]] == [1]
    clip = np.random.default_rng(0).integers(16, 235, (5, 96, 96), dtype=np.uint8)
    score = load_scorer(str(tmp_path / "model.safetensors"), precision="fp32", device="cpu").score(
        [clip], FrameFormat(96, 64)
    )
    assert np.isfinite(score.score)


def test_nothing_made_and_nothing_fitted_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labels"):
        read_labels(tmp_path)
    with pytest.raises(InputError, match="nothing fitted"):
        export(tmp_path, tmp_path / "model.safetensors", log=lambda _: None)
