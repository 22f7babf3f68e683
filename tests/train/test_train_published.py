"""Published models judged by their registered names, with heads of the published shape on made-up features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Vqa

from vqa_cli._version import MEASUREMENT
from vqa_cli.model.registry import RESNET50
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.train.features import Provenance, features_path, write_features

_THEIR_NAMES = {"ann.fc0": "dimemsion_reduction", "rnn": "feature_aggregation", "q": "regression"}
_LINES = {"K": (3.0, 1.0), "C": (90.0, -6.0), "L": (50.0, 20.0), "N": (80.0, 6.0)}


def _database(folder: Path, name: str, network: str = RESNET50.sha256) -> tuple[str | Path, ...]:
    """Six videos of a few frames as if seen by ResNet-50; gives the arguments that name them."""
    rng = np.random.default_rng(4)
    for index in range(6):
        origin = Provenance(
            extractor="mdtvsfa", extractor_sha256=network, precision="mixed", preprocessing="rgb", every=1, measurement=MEASUREMENT,
            video=f"{index}.mp4", video_bytes=1, width=2, height=2,
        )  # fmt: skip
        values = rng.normal(0.4, 0.3, (int(rng.integers(2, 30)), 4096)).astype(np.float16)
        write_features(features_path(folder / name, f"{index}.mp4"), values, origin)
    (folder / f"{name}.csv").write_text("video,mos\n" + "".join(f"{i}.mp4,{3 + i % 3 + i / 10}\n" for i in range(6)))
    return "--dataset", folder / f"{name}.csv", "--features", folder / name


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded heads in the form of the published files."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(6)
    state = VsfaHead(4096).state_dict()
    torch.save(state, folder / "VSFA.pt")
    theirs = {}
    for key, value in state.items():
        prefix = next(name for name in _THEIR_NAMES if key.startswith(f"{name}."))
        theirs[key.replace(prefix, _THEIR_NAMES[prefix], 1)] = value
    lines = {"nlm.0": (3.4, -1.7), "nlm.2": (1.0, 0.0), **{f"lm.{key}": line for key, line in _LINES.items()}}
    for name, (gain, offset) in lines.items():
        theirs |= {f"{name}.weight": torch.tensor([[gain]]), f"{name}.bias": torch.tensor([offset])}
    torch.save(theirs, folder / "MDTVSFA.pt")
    return folder


def _pooled(weights: Path, folder: Path) -> np.ndarray:
    """Each clip's pooled number by a plain loop over its frame scores."""
    from safetensors.numpy import load_file

    head = VsfaHead(4096)
    head.load_state_dict(torch.load(weights / "VSFA.pt", weights_only=True))
    pooled = []
    for index in range(6):
        frames = torch.from_numpy(load_file(folder / f"{index}.mp4.safetensors")["features"].astype(np.float32))
        with torch.no_grad():
            q = head(frames[None])[0][0].double().numpy()
        worst = [q[max(0, t - 11) : t + 1].min() for t in range(len(q))]
        ahead = [np.average(q[t : t + 12], weights=np.exp(-q[t : t + 12])) for t in range(len(q))]
        pooled.append(np.mean(0.5 * np.array(ahead) + 0.5 * np.array(worst)))
    return np.array(pooled)


def _bounded(pooled: np.ndarray) -> Any:
    return 1 / (1 + np.exp(-(3.4 / (1 + np.exp(-pooled)) - 1.7)))


@pytest.mark.parametrize(
    ("model", "database", "line"),
    [
        ("vsfa", "mine", (4.64, 0.0)),
        ("mdtvsfa", "mine", _LINES["K"]),
        ("mdtvsfa", "LIVE-VQC", _LINES["K"]),  # the file has a line for it that was never trained
    ],
)
def test_a_database_of_strangers_is_judged_whole(
    vqa: Vqa, weights: Path, tmp_path: Path, model: str, database: str, line: tuple[float, float]
) -> None:
    args = _database(tmp_path, database)
    done = vqa("evaluate", model, *args, "--format", "json", env={"VQA_MODEL_DIR": str(weights)})
    (row,) = json.loads(done.stdout)["results"]
    assert (row["model"], row["dataset"], row["split"], row["n"]) == (model, database, None, 6)
    raw = _pooled(weights, tmp_path / database)
    scores = (raw if model == "vsfa" else _bounded(raw)) * line[0] + line[1]
    rated = np.array([3 + i % 3 + i / 10 for i in range(6)])
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((scores - rated) ** 2)), rel=1e-4)
    assert row["plcc"] == pytest.approx(np.corrcoef(scores, rated)[0, 1], abs=1e-3)
    assert row["remarks"] == [f"{model.upper()}.pt is not the published file"]


def test_a_database_that_it_learnt_from_is_judged_only_on_demand_and_says_so(
    vqa: Vqa, weights: Path, tmp_path: Path
) -> None:
    args = ("evaluate", "vsfa", "--model-dir", weights, *_database(tmp_path, "KoNViD_1k_subset"))
    for more in ((), ("--exp-ids", "9"), ("--part", "test")):
        done = vqa(*args, *more)
        assert (done.returncode, done.stderr.splitlines()) == (
            3,
            [
                "error: vsfa was trained on videos of KoNViD_1k_subset, and which it has not seen is not known",
                "hint: --part all judges it on every video, those that it learnt from too",
            ],
        )
    table = vqa(*args, "--part", "all").stdout.splitlines()
    assert table[1].endswith("VSFA.pt is not the published file; trained on some of these videos")


def test_what_is_not_in_place_is_said_as_in_scoring(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    args = _database(tmp_path, "mine")
    (tmp_path / "any.pth").write_bytes(b"")
    missing = vqa("evaluate", "vsfa", "--model-dir", tmp_path, *args)
    assert missing.returncode == 5
    assert f"\nerror: weights of vsfa are not here: VSFA.pt in {tmp_path}\n" in missing.stderr
    scoring = ("--model-dir", tmp_path, "--backbone-weights", tmp_path / "any.pth")
    # Only `vqa score` can be told to take another model.
    scored = vqa("score", clip, "--model", "vsfa", *scoring).stderr
    assert scored == f"{missing.stderr.rstrip()}; --model vsfa-lite needs none\n"
    unknown = vqa("evaluate", "vfsa", *args)
    assert (unknown.returncode, unknown.stderr.splitlines()[0]) == (5, "error: no such model: vfsa")
    assert vqa("score", clip, "--model", "vfsa").stderr == unknown.stderr


def test_features_of_other_weights_are_refused(vqa: Vqa, weights: Path, tmp_path: Path) -> None:
    done = vqa("evaluate", "mdtvsfa", "--model-dir", weights, *_database(tmp_path, "mine", network="0"))
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        f"error: features of another network than that of mdtvsfa: {tmp_path / 'mine'}",
    )
