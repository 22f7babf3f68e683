"""A rating database that is made up: no videos, features in which the rating shows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from vqa_cli._version import MEASUREMENT
from vqa_cli.train.datasets import read_dataset
from vqa_cli.train.features import Provenance, features_path, write_features
from vqa_cli.train.rated import Rated

DIM = 6


def write_database(
    folder: Path,
    name: str,
    *,
    count: int = 30,
    low: float = 1.0,
    high: float = 5.0,
    seed: int = 5,
    noise: float = 0.3,
    **origin: Any,
) -> Rated:
    """``name.csv`` and its features below ``folder``, of clips of unequal length, as if by VSFA's network; ``origin`` says
    what else to claim of them.
    """
    rng = np.random.default_rng(seed)
    quality = rng.uniform(0.2, 1.0, count)
    rows = ["video,mos"]
    for index, value in enumerate(quality):
        video = f"{index}.mp4"
        frames = rng.normal(value, noise, (int(rng.integers(3, 40)), DIM)).astype(np.float16)
        made = {"extractor": "vsfa", "extractor_sha256": "0", "precision": "fp32", "preprocessing": "none", "every": 1}
        made |= {"video": video, "video_bytes": 1, "width": 2, "height": 2, "measurement": MEASUREMENT}
        made |= {"video_sha256": hashlib.sha256(frames.tobytes()).hexdigest(), **origin}
        write_features(features_path(folder / name, video), frames, Provenance.model_validate(made))
        rows.append(f"{video},{low + (high - low) * value:.4f}")
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return Rated(read_dataset(folder / f"{name}.csv"), folder / name)
