"""A scorer that is loaded again elsewhere: the same one, or none."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vqa_cli.errors import ModelError
from vqa_cli.model.load import load_scorer
from vqa_cli.model.registry import lite_path
from vqa_cli.values import FrameFormat


def test_an_order_travels_and_loads_the_same_scorer() -> None:
    scorer = load_scorer(precision="int8", tau=5, pooling="paper")
    again = pickle.loads(pickle.dumps(scorer.order)).load(threads=1)
    assert again.identity == scorer.identity
    frames = np.random.default_rng(7).integers(16, 235, (3, 96, 64), dtype=np.uint8)
    assert again.score([frames], FrameFormat(64, 64)).score == scorer.score([frames], FrameFormat(64, 64)).score


def test_what_auto_means_is_decided_once() -> None:
    scorer = load_scorer()
    assert scorer.order is not None and scorer.order.precision == scorer.identity.precision != "auto"


def test_a_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(lite_path(), tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    order = load_scorer("mine.safetensors").order
    monkeypatch.chdir("/")
    assert order is not None and order.load(threads=1).identity.sha256 == order.sha256


def test_other_weights_under_the_same_name_are_refused() -> None:
    order = load_scorer().order
    assert order is not None
    found = order.sha256[:16]
    with pytest.raises(ModelError) as refused:
        replace(order, sha256="0" * 64).load(threads=1)
    assert refused.value.message == f"other weights of vsfa-lite: sha256 {found}…, not 0000000000000000…"
