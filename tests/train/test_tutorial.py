"""docs/tutorial-train.md from videos to figures: what is trained ranks held-out footage, and every part of it is worth something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEDIA = Path(os.environ.get("VQA_DEV_MEDIA", ROOT.parent / "shared"))
TRAIN = ("--epochs", "200", "--lr", "3e-3", "--reduce", "32", "--weight-decay", "1e-3", "--device", "cpu")


def run(*command: object) -> str:
    """A command's output; fails with what it said where it fails. There is no time limit."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.tutorial
@pytest.mark.shared
@pytest.mark.skipif(not (MEDIA / "clips").is_dir(), reason="the development media are not here")
def test_training_ranks_held_out_sources_and_every_part_helps(tmp_path: Path) -> None:
    vqa = Path(sys.executable).with_name("vqa")
    groups = ROOT / "training" / "lite" / "sources.csv"
    make = (sys.executable, ROOT / "benchmarks" / "ratings.py", MEDIA, "-o", tmp_path)
    run(*make, "--groups", groups, "--per-group", "2", "--jobs", os.cpu_count() or 1)
    table = tmp_path / "held-out.csv"
    extract = (vqa, "extract", table, "--videos", tmp_path / "videos", "--device", "cpu")
    run(*extract, "-o", tmp_path / "lite")
    run(*extract, "-o", tmp_path / "brisque", "--model", "brisque", "--every", "8")

    def train(name: str, features: str, *options: str) -> float:
        data, model = ("--dataset", table, "--features", tmp_path / features), tmp_path / f"{name}.safetensors"
        run(vqa, "train", *data, "-o", model, *TRAIN, *options)
        (figures,) = json.loads(run(vqa, "evaluate", model, *data, "--format", "json"))["results"]
        assert figures["n"] >= 250
        return float(figures["srocc"])

    full = train("full", "lite")
    without = {
        "pooling": train("no-pooling", "lite", "--ablate", "pooling"),
        "gru": train("no-gru", "lite", "--ablate", "gru"),
        "content": train("no-content", "brisque", "--ablate", "content", "--standardise"),
    }
    assert full >= 0.9
    assert all(full > ablated for ablated in without.values()), (full, without)
