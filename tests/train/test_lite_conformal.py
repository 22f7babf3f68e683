"""Intervals over groups: what they promise, and that they keep it for groups that they have not seen."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from training.lite import promise as promising
from training.lite.agreement import Rung
from training.lite.conformal import difference_errors, half_width, interval, level_errors
from training.lite.judging import Judged
from training.lite.mill import Encode, Ladder
from training.lite.promise import promise
from vqa_cli.errors import InputError
from vqa_cli.model.card import read_model_file
from vqa_cli.model.load import load_scorer
from vqa_cli.model.registry import lite_path


def test_a_group_counts_once_however_many_rungs_it_has() -> None:
    few = {str(group): np.array([float(group)]) for group in range(1, 40)}
    many = {group: np.repeat(errors, int(errors[0])) for group, errors in few.items()}
    # 95 % of 40 groups, the new one among them, are 38.
    assert half_width(few, 0.95) == half_width(many, 0.95) == 38
    assert half_width(few, 0.5) == 20


def test_too_few_groups_promise_nothing() -> None:
    assert half_width({str(group): np.array([1.0]) for group in range(18)}, 0.95) == math.inf
    assert half_width({str(group): np.array([1.0]) for group in range(19)}, 0.95) == 1.0


def test_new_groups_are_covered_as_promised_where_rungs_of_one_group_err_alike() -> None:
    rng = np.random.default_rng(1)

    def draw(count: int) -> dict[str, np.ndarray]:
        return {str(g): np.abs(rng.normal(0, 5) + rng.normal(0, 2, rng.integers(5, 60))) for g in range(count)}

    held = [np.mean(own <= half_width(draw(40), 0.9)) for _ in range(150) for own in draw(4).values()]
    assert np.mean(held) == pytest.approx(0.91, abs=0.03)
    told = interval(draw(200), 0.9)
    assert told.coverage == pytest.approx(0.9, abs=0.04)
    assert told.groups == 200


def test_levels_are_of_clean_sources_and_differences_of_one_source() -> None:
    def rung(source: str, vmaf: float, score: float, *, clean: bool = True) -> Rung:
        return Rung(source, f"group {source[0]}", clean, "libx264", 270, 100.0, vmaf, score)

    rungs = [
        rung("a1", 80, 70), rung("a1", 60, 55), rung("a2", 90, 90), rung("a2", 50, 53), rung("a2", 40, 46),
        rung("b1", 90, 50, clean=False), rung("b1", 70, 32, clean=False),
    ]  # fmt: skip
    levels, differences = level_errors(rungs), difference_errors(rungs)
    assert {group: sorted(errors) for group, errors in levels.items()} == {"group a": [0, 3, 5, 6, 10]}
    assert {group: sorted(errors) for group, errors in differences.items()} == {"group a": [3, 3, 5, 6], "group b": [2]}


def test_a_card_says_what_was_measured_and_nothing_of_too_few_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encodes = tuple(Encode("libx264", 270, crf, 100.0, (vmaf,), f"{crf}") for crf, vmaf in ((20, 90.0), (30, 70.0)))
    ladders = [Ladder(str(g), str(g), "clip", "choosing", True, 480, 270, encodes, {}) for g in range(24)]
    monkeypatch.setattr(promising, "read_ladders", lambda data, *parts: ladders)

    def judged(data: Path, scorer: object, *parts: str) -> Iterator[Judged]:
        for number, ladder in enumerate(ladders):
            yield Judged(ladder.key, 100.0, {"20": 90.0 + number, "30": 70.0 + number / 2}, {})

    monkeypatch.setattr(promising, "judge", judged)
    model = tmp_path / "m.safetensors"
    shutil.copy(lite_path(), model)
    found = promise(tmp_path, model, "choosing")
    assert read_model_file(model).card.interval == found
    # Of 25 groups, the new one among them, 24 have a share of 0.96; half the last one is too much to leave out.
    assert (found.score, found.difference, found.score_groups) == (23.0, 11.5, 24)
    assert found.score_held == pytest.approx(23.5 / 24, abs=1e-4)
    assert load_scorer(str(model), device="cpu").identity.name == "vsfa-lite"
    monkeypatch.setattr(promising, "read_ladders", lambda data, *parts: ladders[:19])
    del ladders[19:]
    with pytest.raises(InputError, match="too few groups for 95 % intervals: 19 of clean sources"):
        promise(tmp_path, model, "choosing")
