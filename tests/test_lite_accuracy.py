"""The figures of benchmarks/accuracy.py on rungs whose truth is known."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "accuracy.py"


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("not a checkout")
    spec = importlib.util.spec_from_file_location("accuracy", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def ladder(accuracy: ModuleType, source: str = "a", bias: float = 0.0, group: str = "g") -> list:
    """Five rungs at two sizes, scored exactly as VMAF is, plus a bias."""
    return [
        accuracy.Rung(source, group, True, "libx264", height, crf, 100.0, vmaf, vmaf + bias)
        for height, loss in ((720, 0), (360, 12))
        for crf, vmaf in zip((18, 24, 30, 36, 42), (97 - loss, 90 - loss, 75 - loss, 50 - loss, 20 - loss), strict=True)
    ]


def test_a_perfect_model_is_perfect(accuracy: ModuleType) -> None:
    rungs = ladder(accuracy)
    assert accuracy.within(rungs) == pytest.approx(1)
    assert not any(accuracy.neighbours(rungs))
    assert len(accuracy.neighbours(rungs)) == 8
    assert not any(accuracy.half_size_wrong(rungs))
    assert accuracy.span(rungs) == 89


def test_one_swap_is_one_wrong_pair_and_ties_are_wrong(accuracy: ModuleType) -> None:
    rungs = ladder(accuracy)
    first, second = rungs[0], rungs[1]
    rungs[:2] = [replace(first, score=second.score), replace(second, score=first.score)]
    assert sum(accuracy.neighbours(rungs)) == 1
    rungs[1] = replace(rungs[1], score=rungs[0].score)
    assert sum(accuracy.neighbours(rungs)) == 1
    assert accuracy.within(rungs) < 1


def test_close_rungs_are_not_judged(accuracy: ModuleType) -> None:
    base = ladder(accuracy)[0]
    pair = [replace(base, vmaf=90.0, score=10.0), replace(base, vmaf=92.9, score=5.0, crf=20)]
    assert accuracy.neighbours(pair) == []
    assert math.isnan(accuracy.span(pair))


def test_small_pictures_that_score_too_well_are_found(accuracy: ModuleType) -> None:
    rungs = [replace(r, score=r.score + (40 if r.height == 360 else 0)) for r in ladder(accuracy)]
    assert all(accuracy.half_size_wrong(rungs))
    assert not any(accuracy.neighbours(rungs)), "each size on its own is still in order"


def test_a_bias_between_sources_shows_in_pooled_figures_alone(accuracy: ModuleType) -> None:
    rungs = ladder(accuracy, "a", 0.0, "g") + ladder(accuracy, "b", -40.0, "h")
    assert accuracy.within(rungs) == pytest.approx(1)
    figures = {name: figure(rungs) for name, (figure, _) in accuracy.FIGURES.items()}
    assert figures["pooled SROCC"] < 0.9
    assert figures["mean absolute error, clean sources"] == pytest.approx(20)
    low, high = accuracy.interval(rungs, accuracy.FIGURES["mean absolute error, clean sources"][0])
    assert (low, high) == pytest.approx((0, 40))


def test_the_table_names_every_source(accuracy: ModuleType) -> None:
    sources = [accuracy.Source("a", "g", True, 96.0), accuracy.Source("b", "h", False, 60.0)]
    rungs = ladder(accuracy) + [replace(r, clean=False) for r in ladder(accuracy, "b", -30.0, "h")]
    text = "\n".join(accuracy.report(sources, rungs))
    assert "| a | yes | 96.0 | 1.000 | 0 of 8 | +0.0 |" in text
    assert "| b | no | 60.0 | 1.000 | 0 of 8 | -30.0 |" in text
    assert "score of a clean source, mean (worst) | 96.0 (96.0)" in text


def test_an_encoder_is_judged_as_vmaf_judges_it(accuracy: ModuleType) -> None:
    anchor = [replace(r, kbps=6000 * 0.5**i) for i, r in enumerate(ladder(accuracy)[:5])]
    cheaper = [replace(r, codec="libx265", kbps=r.kbps * 0.8) for r in anchor]
    (pair,) = accuracy.bd_pairs([*anchor, *cheaper])
    assert (pair.test, pair.anchor) == ("libx265", "libx264")
    assert pair.by_vmaf == pytest.approx(-20, abs=0.1)
    assert pair.by_model == pytest.approx(-20, abs=0.1)
    assert "| libx265 against libx264 | 1 | 1 | -20.0 % | 1 | -20.0 % | - | 0.0 |" in accuracy.bd_table(
        [*anchor, *cheaper]
    )
    fooled = [replace(r, score=r.score - 15) for r in cheaper]
    assert accuracy.bd_pairs([*anchor, *fooled])[0].by_model > 0
    tied = [replace(r, score=50.0) for r in cheaper]
    assert accuracy.bd_pairs([*anchor, *tied])[0].by_model is None
