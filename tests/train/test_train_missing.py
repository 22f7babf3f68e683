"""Videos without features: what is said of them, and training and judging without them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Vqa
from rated import write_database

from vqa_cli.errors import InputError
from vqa_cli.model.checkpoint import load_model
from vqa_cli.train.features import features_path
from vqa_cli.train.loop import Epoch, TrainSettings
from vqa_cli.train.rated import Rated, without_missing
from vqa_cli.train.splits import make_split
from vqa_cli.train.training import TrainOrder, finished, train

SETTINGS = TrainSettings(epochs=3, learning_rate=3e-3, batch_size=8, reduced=8, hidden=4)
QUICK = ("--epochs", "3", "--lr", "3e-3", "--reduce", "8", "--hidden", "4", "--device", "cpu")


def _gaps(folder: Path) -> tuple[Rated, list[str]]:
    """A database of thirty videos: features of two for training, one for validation and one for the test are gone."""
    rated = write_database(folder, "set")
    split = make_split(rated.data, 0)
    gone = [rated.data.names[i] for i in (*split.train[:2], split.val[0], split.test[0])]
    for name in gone:
        features_path(rated.features, name).unlink()
    return rated, sorted(gone, key=rated.data.names.index)


def test_missing_features_are_one_error_that_counts_them_and_names_the_way_on(vqa: Vqa, tmp_path: Path) -> None:
    rated, gone = _gaps(tmp_path)
    data = ("--dataset", tmp_path / "set.csv", "--features", rated.features)
    done = vqa("train", *data, "-o", tmp_path / "m.safetensors", *QUICK)
    assert (done.returncode, done.stderr.splitlines()) == (
        3,
        [
            f"error: no features in {rated.features} of 4 of 30 videos (set): {', '.join(gone[:3])}, …",
            "hint: `vqa extract` makes them; --skip-missing goes on without them",
        ],
    )


def test_the_others_stay_in_their_parts_and_the_model_knows_who_was_left_out(vqa: Vqa, tmp_path: Path) -> None:
    rated, gone = _gaps(tmp_path)
    split = make_split(rated.data, 0)
    data, model = ("--dataset", tmp_path / "set.csv", "--features", rated.features), tmp_path / "m.safetensors"
    done = vqa("train", *data, "-o", model, *QUICK, "--skip-missing")
    assert done.returncode == 0, done.stderr
    warning = f"warning: left out, because they have no features: 4 of 30 videos (set): {', '.join(gone[:3])}, …"
    assert done.stderr.splitlines()[0] == warning
    card = load_model(model)[0]
    assert card.training_data == "set (16 of 30 videos, 4 left out for want of features), split 0"
    (seen,) = card.training["datasets"]
    assert seen["left_out"] == gone
    assert seen["test"] == [rated.data.names[i] for i in split.test]

    refused = vqa("evaluate", model, *data)
    (absent,) = set(gone) & set(seen["test"])
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        3,
        f"error: no features in {rated.features} of 1 of 6 videos (set): {absent}",
    )
    document = json.loads(vqa("evaluate", model, *data, "--skip-missing", "--format", "json").stdout)
    (row,) = document["results"]
    assert (row["n"], row["missing"]) == (5, [absent])
    assert row["srocc"] == pytest.approx(card.metrics["test_srocc"])
    table = vqa("evaluate", model, *data, "--skip-missing", "--part", "all").stdout.splitlines()
    assert table[0].split()[:5] == ["model", "dataset", "split", "missing", "n"]
    assert table[1].split()[:5] == ["m", "set", "all", "4", "26"]


def test_a_mean_misses_what_any_of_its_results_misses(vqa: Vqa, tmp_path: Path) -> None:
    rated, _ = _gaps(tmp_path)
    train(
        TrainOrder((write_database(tmp_path, "other", seed=8),), tmp_path / "m.safetensors", settings=SETTINGS), print
    )
    data = ("--dataset", tmp_path / "set.csv", "--features", rated.features)
    args = ("evaluate", tmp_path / "m.safetensors", *data, "--exp-ids", "0-3", "--skip-missing", "--format", "json")
    document = json.loads(vqa(*args).stdout)
    each = [row["missing"] for row in document["results"]]
    assert sorted(document["summary"][0]["missing"]) == sorted({name for names in each for name in names})
    assert [row["n"] + len(row["missing"]) for row in document["results"]] == [6] * 4


def test_a_part_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    rated, _ = _gaps(tmp_path)
    for index in make_split(rated.data, 0).test:
        features_path(rated.features, rated.data.names[index]).unlink(missing_ok=True)
    epochs: list[Epoch] = []
    with pytest.raises(InputError, match="no video of part test has features: set"):
        train(TrainOrder((without_missing(rated),), tmp_path / "m.safetensors", settings=SETTINGS), epochs.append)
    assert not epochs


def test_a_finished_model_does_not_hide_that_nothing_has_features(tmp_path: Path) -> None:
    rated, _ = _gaps(tmp_path)
    order = TrainOrder((without_missing(rated),), tmp_path / "m.safetensors", settings=SETTINGS)
    train(order, lambda row: None)
    nothing = without_missing(replace(rated, features=tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no video of set has features in "):
        finished(replace(order, rated=(nothing,)))


def test_a_training_does_not_go_on_with_other_videos_than_it_began_with(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(row: Epoch) -> None:
        raise Stop

    rated, _ = _gaps(tmp_path)
    order = TrainOrder((without_missing(rated),), tmp_path / "m.safetensors", settings=SETTINGS)
    with pytest.raises(Stop):
        train(order, stop)
    write_database(tmp_path, "set")
    with pytest.raises(InputError, match="checkpoint of another training"):
        train(TrainOrder((without_missing(rated),), tmp_path / "m.safetensors", settings=SETTINGS), stop)
