"""Curves for TensorBoard, read back with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Vqa
from rated import write_database

from vqa_cli.train.board import Board
from vqa_cli.train.loop import Epoch, TrainSettings
from vqa_cli.train.training import TrainOrder, train

SETTINGS = TrainSettings(epochs=6, learning_rate=1e-2, reduced=8, hidden=4)


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """Each curve's values by step."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder)).Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


class Stop(Exception):
    pass


def test_a_resumed_training_goes_on_in_the_same_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    rated = write_database(tmp_path, "set")
    order = TrainOrder((rated,), tmp_path / "m.safetensors", settings=SETTINGS)
    broken = Board(tmp_path / "curves")

    def stop_in_the_fourth(row: Epoch) -> None:
        if row.epoch == 3:
            raise Stop  # after the checkpoint, before its point
        broken(row)

    with pytest.raises(Stop):
        train(order, stop_in_the_fourth)
    broken(Epoch(4, 99.0, 0.5, 0.5, 1e-2, False))  # as if points had been written that no checkpoint stands for
    broken.close()
    rows: list[Epoch] = []
    resumed = Board(tmp_path / "curves")

    def watch(row: Epoch) -> None:
        rows.append(row)
        resumed(row)

    train(order, watch)
    resumed.close()
    drawn = curves(tmp_path / "curves")
    assert set(drawn) == {"loss/train", "validation/SROCC", "validation/PLCC", "learning rate"}
    assert [row.epoch for row in rows] == [4, 5]
    assert list(drawn["loss/train"]) == [1, 2, 3, 5, 6]
    assert drawn["loss/train"][5] == pytest.approx(rows[0].train_loss)
    assert drawn["validation/PLCC"][6] == pytest.approx(rows[1].val_plcc)


def test_train_writes_curves_below_the_models_name(vqa: Vqa, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    rated = write_database(tmp_path, "set")
    done = vqa(
        "train", "--dataset", tmp_path / "set.csv", "--features", rated.features, "-o", tmp_path / "m.safetensors",
        "--epochs", "3", "--tensorboard", tmp_path / "curves", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(curves(tmp_path / "curves" / "m")["learning rate"]) == [1, 2, 3]


def test_without_the_package_one_line_says_so(vqa: Vqa, tmp_path: Path) -> None:
    rated = write_database(tmp_path, "set")
    (tmp_path / "away" / "tensorboard").mkdir(parents=True)
    (tmp_path / "away" / "tensorboard" / "__init__.py").write_text("raise ImportError('not here')\n")
    done = vqa(
        "train", "--dataset", tmp_path / "set.csv", "--features", rated.features, "-o", tmp_path / "m.safetensors",
        "--tensorboard", tmp_path / "curves", env={"PYTHONPATH": str(tmp_path / "away")},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: --tensorboard needs the package tensorboard",
        "hint: pip install 'vqa-cli[train]'",
    ]
    assert not (tmp_path / "m.safetensors").exists()
