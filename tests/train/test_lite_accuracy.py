"""What benchmarks/accuracy.py prints of ladders whose truth is known."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from training.lite.judging import Judged
from training.lite.mill import FAULTS, Encode, Ladder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
RATES = (100.0, 200.0, 400.0, 800.0, 1600.0)
GAINS = {"libx264": 0.0, "libx265": 9.0, "libsvtav1": 6.0}


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("not a checkout")
    spec = importlib.util.spec_from_file_location("accuracy", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SCRIPT.parent))  # where the script's own imports are
    sys.modules["accuracy"] = module
    spec.loader.exec_module(module)
    return module


def ladder(key: str, level: float = 30.0, *, clean: bool = True) -> Ladder:
    """VMAF is a line over log2 of rate; the smaller size is better up to a rate and worse beyond."""
    encodes = [
        Encode(codec, height, crf, rate, (vmaf,), f"{key}/{codec}_{height}_{crf}.mp4")
        for codec, gain in GAINS.items()
        for height, start, slope in ((270, 0, 14), (134, 12, 8))
        for crf, rate in enumerate(RATES)
        for vmaf in (level + gain + start + slope * math.log2(rate / 100),)
    ]
    return Ladder(key, key, "clip", "choosing", clean, 480, 270, tuple(encodes), {})


def judged(of: Ladder, *, bias: float = 0.0, favour: float = 0.0, fault: float = 10.0) -> Judged:
    """Scores that are VMAF and a bias, and more for x265."""
    scores = {e.file: e.vmaf + bias + favour * (e.codec == "libx265") for e in of.encodes}
    faults = dict.fromkeys(FAULTS, 96.0 - fault) | {"grain": 96.0}
    return Judged(of.key, 96.0, scores, faults)


def test_a_perfect_model_is_perfect_and_bitrate_is_a_coin(accuracy: ModuleType) -> None:
    pairs = [(each, judged(each)) for each in (ladder("a"), ladder("b", 35.0), ladder("c", 28.0))]
    text = "\n".join(accuracy.report(pairs))
    assert text.startswith("90 rungs of 3 sources (3 clean), 3 groups\n")
    right, coin = "1.000 (1.000 to 1.000)", "0.500 (0.500 to 0.500)"
    (line,) = [line for line in text.splitlines() if line.startswith("| verdict, all pairs |")]
    assert line.split(" | ")[2:4] == [right, coin]
    assert "| crossover, median error in log2 of rate | 9 | 0.00 (0.00 to 0.00) | - |" in text
    assert "| BD-rate of libx265, median lean in points | 6 | 0.0 (0.0 to 0.0) |" in text
    assert "| mean absolute error, clean sources | 90 | 0.00 (0.00 to 0.00) |" in text
    assert "| frozen | -10.0 (-10.0 to -10.0) | 1.00 (1.00 to 1.00) |" in text
    assert "| grain | 0.0 (0.0 to 0.0) | 0.00 (0.00 to 0.00) |" in text
    assert "| a | yes | 96.0 | 1.000 | 1.000 | +0.0 |" in text


def test_a_model_that_favours_an_encoder_is_found_where_order_inside_a_source_hides_it(accuracy: ModuleType) -> None:
    pairs = [(each, judged(each, favour=-12.0)) for each in (ladder("a"), ladder("b", 35.0))]
    rungs = [rung for of, told in pairs for rung in accuracy.rungs_of(of, told)]
    figures = {name: measure(rungs).value for name, (measure, _) in accuracy.table_of_measures(rungs).items()}
    assert figures["SROCC within a source, mean"] > 0.9
    assert figures["neighbouring rungs (≥ 3 VMAF apart) in the wrong order"] == 0
    assert figures["verdict, libx264 and libx265"] < 0.6
    assert figures["verdict, libsvtav1 and libx264"] == 1
    assert figures["verdict, one encoder, two sizes"] == 1
    assert figures["BD-rate of libx265, median lean in points"] > 50
    assert figures["BD-rate of libsvtav1, median lean in points"] == pytest.approx(0)


def test_levels_are_of_clean_sources_alone(accuracy: ModuleType) -> None:
    dirty = ladder("b", clean=False)
    pairs = [(ladder("a"), judged(ladder("a"), bias=2.0)), (dirty, judged(dirty, bias=-30.0, fault=0.0))]
    text = "\n".join(accuracy.report(pairs))
    assert "| mean absolute error, clean sources | 30 | 2.00 (2.00 to 2.00) |" in text
    assert "| noisy | -10.0 (-10.0 to -10.0) | 1.00 (1.00 to 1.00) |" in text
    assert "| b | no | 96.0 | 1.000 | 1.000 | -30.0 |" in text


def test_a_figure_without_items_is_a_dash(accuracy: ModuleType) -> None:
    only = replace(ladder("a"), encodes=ladder("a").encodes[:5])
    assert "| verdict, all pairs | 0 | - | - | - |" in accuracy.report([(only, judged(only))])
