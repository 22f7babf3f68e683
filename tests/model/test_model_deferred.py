"""A score that is known needs neither the network nor torch, and says the same as one that is made."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Vqa
from safetensors.numpy import load, save

from vqa_cli.errors import ModelError
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.deferred import DeferredScorer, defer
from vqa_cli.model.load import load_scorer
from vqa_cli.model.registry import LITE, lite_path
from vqa_cli.model.scorer import StreamingScorer
from vqa_cli.model.verdict import Calibration, Verdicts
from vqa_cli.values import FrameFormat

PLAIN: dict[str, Any] = {
    "device": "cpu", "precision": "auto", "batch_size": "auto", "model_dir": None, "backbone_weights": None,
    "head_weights": None, "tau": None, "beta": None, "pooling": "hysteresis", "color": "auto",
}  # fmt: skip


def never() -> Any:
    raise AssertionError("the network was built")


@pytest.mark.parametrize("wanted", [{}, {"tau": 3, "beta": 0.2}, {"pooling": "mean"}, {"color": "reference"}])
def test_what_is_said_of_a_model_is_what_it_says_once_it_is_loaded(wanted: dict[str, Any]) -> None:
    deferred, loaded = defer(LITE, PLAIN | wanted, never), load_scorer(LITE, **PLAIN | wanted)
    assert deferred is not None and deferred.identity == loaded.identity
    outputs = np.random.default_rng(0).normal(0.5, 0.3, 100)
    ours, theirs = deferred.pool(outputs, every=2), loaded.pool(outputs, every=2)
    assert (ours.score, ours.raw, ours.model) == (theirs.score, theirs.raw, theirs.model)
    assert np.array_equal(ours.frame_scores, theirs.frame_scores)


@pytest.mark.parametrize(
    ("model", "wanted"),
    [("vsfa", {}), (LITE, {"precision": "bf16"}), (LITE, {"device": "cuda"}), (LITE, {"backbone_weights": Path("x")})],
)
def test_what_the_file_alone_does_not_say_is_loaded(model: str, wanted: dict[str, Any]) -> None:
    assert defer(model, PLAIN | wanted, never) is None


def test_what_is_expected_is_loaded_once_and_before_it_is_shown() -> None:
    loads: list[threading.Thread] = []
    done = threading.Event()

    def load() -> StreamingScorer:
        loads.append(threading.current_thread())
        done.set()
        return load_scorer(LITE, **PLAIN)

    deferred = defer(LITE, PLAIN, load)
    assert deferred is not None
    for _ in range(3):
        deferred.expect()
    assert done.wait(60)
    frames = np.full((3, 96, 96), 128, np.uint8)
    assert (
        deferred.score([frames], FrameFormat(96, 64)).score
        == load_scorer(LITE, **PLAIN).score([frames], FrameFormat(96, 64)).score
    )
    assert len(loads) == 1 and loads[0] is not threading.current_thread()


def test_what_goes_wrong_before_it_is_shown_is_said_then() -> None:
    def load() -> StreamingScorer:
        raise ModelError("no room")

    deferred = defer(LITE, PLAIN, load)
    assert deferred is not None
    deferred.expect()
    with pytest.raises(ModelError, match="no room"):
        deferred.score_features(np.zeros((3, 8), np.float16))


def test_a_file_that_changed_meanwhile_is_not_believed(tmp_path: Path) -> None:
    card, tensors, _ = load_model(lite_path())
    path = tmp_path / "m.safetensors"
    save_model(path, card, tensors)
    deferred = defer(str(path), PLAIN, lambda: load_scorer(path, **PLAIN))
    assert isinstance(deferred, DeferredScorer)
    save_model(path, card.model_copy(update={"licence": "another"}), tensors)
    with pytest.raises(ModelError, match="changed while it was read"):
        deferred.score_features(np.zeros((3, 8), np.float16))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["gain", "offset", "knee", "minimum"])
def test_a_card_whose_numbers_are_none_is_no_card(tmp_path: Path, key: str, value: float) -> None:
    card, tensors, _ = load_model(lite_path())
    path = tmp_path / "m.safetensors"
    save_model(path, card, tensors)
    text = card.model_dump()
    text["scale"][key] = value
    path.write_bytes(save(load(path.read_bytes()), metadata={"card": json.dumps(text)}))
    with pytest.raises(ModelError, match="not a vqa model file"):
        defer(str(path), PLAIN, never)
    with pytest.raises(ModelError, match="not a vqa model file"):
        load_scorer(path, **PLAIN)


@pytest.mark.parametrize("outputs", [[0.5, np.nan], [np.inf, 1.0]])
def test_frames_that_are_no_number_give_no_score(outputs: list[float]) -> None:
    scorer = load_scorer(LITE, **PLAIN)
    with pytest.raises(ModelError, match="a score that is no number: frame"):
        scorer.pool(np.array(outputs))


def test_a_score_beyond_all_numbers_is_none() -> None:
    scorer = load_scorer(LITE, **PLAIN)
    verdicts = Verdicts(scorer.identity, Calibration(gain=1e308, offset=0), scorer._verdicts.pooling)
    with pytest.raises(ModelError, match="no number: the clip's"), np.errstate(over="ignore"):
        verdicts.of(np.full(3, 1e10))


@pytest.mark.ffmpeg
def test_a_known_score_needs_no_torch(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    made = vqa("score", clip, "--cache-dir", tmp_path / "c", "--format", "json")
    assert made.returncode == 0, made.stderr
    (tmp_path / "without" / "torch").mkdir(parents=True)
    (tmp_path / "without" / "torch" / "__init__.py").write_text('raise ImportError("torch is not to be imported")\n')
    without = {"PYTHONPATH": str(tmp_path / "without")}
    known = vqa("score", clip, "--cache-dir", tmp_path / "c", "--format", "json", env=without)
    assert (known.returncode, known.stdout) == (0, made.stdout)
    assert vqa("score", clip, "--no-cache", env=without).returncode != 0, "the block on torch blocks nothing"


@pytest.mark.parametrize(
    ("key", "value"), [("tau", 10**400), ("hold", [1]), ("hold", 0), ("hold", "3"), ("by_turns", -1), ("by_turns", "8")]
)
def test_windows_that_no_clip_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    card, tensors, _ = load_model(lite_path())
    path = tmp_path / "m.safetensors"
    save_model(path, card, tensors)
    text = card.model_dump()
    if key in text["backbone_config"]:
        text["backbone_config"][key] = value
    else:
        text[key] = value
    path.write_bytes(save(load(path.read_bytes()), metadata={"card": json.dumps(text)}))
    with pytest.raises(ModelError):
        load_scorer(path, **PLAIN)
