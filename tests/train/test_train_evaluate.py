"""Judging trained models: which videos count, on which scale, and what is printed and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Vqa
from rated import write_database

from vqa_cli._version import MEASUREMENT
from vqa_cli.errors import InputError, UsageError
from vqa_cli.model.card import Card
from vqa_cli.report.palette import LIGHT
from vqa_cli.train.correlation import logistic_fit
from vqa_cli.train.datasets import read_dataset
from vqa_cli.train.evaluate import evaluate
from vqa_cli.train.judged import short_names
from vqa_cli.train.loop import Epoch, TrainSettings
from vqa_cli.train.rated import Rated
from vqa_cli.train.splits import make_split
from vqa_cli.train.training import TrainOrder, train

SETTINGS = TrainSettings(epochs=4, learning_rate=3e-3, batch_size=8, reduced=8, hidden=4)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tensors here are tiny: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Bench:
    """Two databases, a model for each of three splits of the first, and one of both."""

    folder: Path
    ours: Rated
    other: Rated
    cards: list[Card]
    mixed: Card

    def model(self, name: str) -> str:
        return str(self.folder / f"{name}.safetensors")

    def args(self, *names: str) -> list[str | Path]:
        return [a for n in names for a in ("--dataset", self.folder / f"{n}.csv", "--features", self.folder / n)]


def _train(folder: Path, name: str, *rated: Rated, exp_id: int = 0, start: Path | None = None) -> Card:
    return train(TrainOrder(rated, folder / f"{name}.safetensors", exp_id, SETTINGS, start=start), lambda row: None)[0]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    ours, other = write_database(folder, "ours"), write_database(folder, "other", high=90.0, low=-5.0, seed=8)
    cards = [_train(folder, f"m{exp_id}", ours, exp_id=exp_id) for exp_id in range(3)]
    return Bench(folder, ours, other, cards, _train(folder, "mixed", ours, other))


def test_each_split_is_judged_with_the_model_that_was_trained_for_it(bench: Bench, started: Vqa) -> None:
    models = [bench.model(f"m{i}") for i in (2, 0, 1)]
    done = started("evaluate", *models, *bench.args("ours"), "--exp-ids", "0-1", "--format", "json")
    document = json.loads(done.stdout)
    assert [(row["model"], row["split"], row["n"]) for row in document["results"]] == [("m0", 0, 6), ("m1", 1, 6)]
    expected = [bench.cards[i].metrics["test_srocc"] for i in (0, 1)]
    assert [row["srocc"] for row in document["results"]] == pytest.approx(expected)
    (summary,) = document["summary"]
    assert (summary["model"], summary["results"]) == ("2 models", 2)
    assert summary["srocc_mean"] == pytest.approx(np.mean(expected))
    assert summary["srocc_std"] == pytest.approx(np.std(expected, ddof=1))


def test_a_split_without_its_model_is_refused(bench: Bench, vqa: Vqa) -> None:
    done = vqa("evaluate", bench.model("m0"), *bench.args("ours"), "--exp-ids", "0,2-3")
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [
            "error: no model was trained for split 2, 3 of ours",
            "hint: a model knows the test videos of other splits; `vqa train --exp-id 2` makes the one needed",
        ],
    )


def test_another_database_is_judged_whole_or_on_every_split(bench: Bench) -> None:
    (whole,) = evaluate([bench.model("m0")], [bench.other])
    assert (whole.split, len(whole.rated)) == (None, 30)
    splits = evaluate([bench.model("m0")], [bench.other], exp_ids=[0, 4])
    assert [each.split for each in splits] == [0, 4]
    for each in splits:
        test = make_split(bench.other.data, each.split or 0).test
        assert each.predicted.tolist() == pytest.approx(whole.predicted[test].tolist(), abs=1e-6)
        assert each.rated.tolist() == bench.other.data.mos[test].tolist()
    with pytest.raises(InputError, match="m0 was not trained on other"):
        evaluate([bench.model("m0")], [bench.other], part="test")
    with pytest.raises(UsageError, match="every video is in no split"):
        evaluate([bench.model("m0")], [bench.other], part="all", exp_ids=[0])


def test_a_model_of_two_databases_scores_on_the_scale_of_each(bench: Bench) -> None:
    ours, other = evaluate([bench.model("mixed")], [bench.ours, bench.other])
    metrics = bench.mixed.metrics
    for judged, prefix in ((ours, ""), (other, "other_")):
        assert judged.split == 0
        assert judged.agreement.srocc == pytest.approx(metrics[f"{prefix}test_srocc"])
        assert judged.agreement.rmse == pytest.approx(metrics[f"{prefix}test_rmse"], rel=1e-4)
    # The scales are -5..90 and 1..5: scores of one taken for the other's would be far off.
    assert 0 < other.predicted.mean() < 90 and np.ptp(ours.predicted) < 5
    assert other.agreement.rmse < 40


def test_a_model_that_was_trained_on_is_not_judged_on_what_it_learnt_before(bench: Bench, tmp_path: Path) -> None:
    _train(tmp_path, "tuned", bench.other, start=Path(bench.model("m1")))
    (judged,) = evaluate([str(tmp_path / "tuned.safetensors")], [bench.ours])
    assert judged.split == 1
    assert judged.rated.tolist() == bench.ours.data.mos[make_split(bench.ours.data, 1).test].tolist()


def test_a_table_that_changed_since_training_is_not_taken_for_another_database(bench: Bench, tmp_path: Path) -> None:
    table = tmp_path / "ours.csv"
    table.write_text((bench.folder / "ours.csv").read_text() + "\n")
    changed = Rated(read_dataset(table), bench.folder / "ours")
    for exp_ids in (None, [0]):
        with pytest.raises(InputError, match="m0 was trained on another version of the table ours"):
            evaluate([bench.model("m0")], [changed], exp_ids=exp_ids)
    (judged,) = evaluate([bench.model("m0")], [changed], part="all")
    assert len(judged.rated) == 30


def test_videos_that_a_model_learnt_from_are_noticed_in_another_table(bench: Bench, tmp_path: Path) -> None:
    table = tmp_path / "renamed.csv"
    lines = (bench.folder / "ours.csv").read_text().splitlines()
    learnt = {name for entry in bench.cards[0].training["datasets"] for name in entry["learnt"]}
    table.write_text("\n".join(lines[:20]) + "\n")
    renamed = Rated(read_dataset(table), bench.folder / "ours")
    same = len(learnt.intersection(renamed.data.names))
    assert same
    (judged,) = evaluate([bench.model("m0")], [renamed])
    assert judged.remarks == (f"trained on {same} of these videos",)
    unlearnt = [line for line in lines[1:] if line.split(",")[0] not in learnt]
    table.write_text("\n".join([lines[0], *unlearnt]) + "\n")
    (judged,) = evaluate([bench.model("m0")], [Rated(read_dataset(table), bench.folder / "ours")])
    assert (len(judged.rated), judged.remarks) == (6, ())


def test_equal_names_of_other_videos_are_not_remarked_on(bench: Bench, tmp_path: Path) -> None:
    other = write_database(tmp_path, "other", seed=77)
    assert set(other.data.names) == set(read_dataset(bench.folder / "ours.csv").names)
    (judged,) = evaluate([bench.model("m0")], [other])
    assert judged.remarks == ()


def test_features_of_older_arithmetic_are_refused_by_name(bench: Bench, tmp_path: Path) -> None:
    for folder, version in (("before", MEASUREMENT - 1), ("unknown", 0)):
        old = write_database(tmp_path / folder, "ours", measurement=version)
        with pytest.raises(InputError) as caught:
            evaluate([bench.model("m0")], [old])
        assert caught.value.message == f"features made by another version of vqa's arithmetic: {old.features}"
        assert f"by version {version}, this is version {MEASUREMENT}" in str(caught.value.detail)


def test_features_unlike_those_of_the_training_are_remarked_on(bench: Bench, tmp_path: Path) -> None:
    origin: dict[str, Any] = {"every": 8, "preprocessing": "other pixels"}
    (judged,) = evaluate([bench.model("m0")], [write_database(tmp_path, "ours", **origin)])
    assert judged.split == 0
    assert judged.remarks == (
        "trained on 1 in 1 frames, judged on 1 in 8",
        "features of other pixels than it was trained on (--matrix)",
    )


def test_what_would_be_wrong_after_the_last_epoch_is_refused_before_the_first(bench: Bench, tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    one = replace(SETTINGS, batch_size=1)
    namesake = Rated(replace(bench.other.data, name="ours"), bench.other.features)
    parts = tuple("val" if i == 0 else "test" if i < 9 else "train" for i in range(30))
    single = Rated(replace(bench.ours.data, parts=parts), bench.ours.features)
    for rated, settings, error, message in (
        ((bench.ours, namesake), SETTINGS, InputError, "two databases are called ours"),
        ((single,), SETTINGS, InputError, "ratings must differ in the validation part: ours has 1 there"),
        ((bench.ours, bench.other), one, UsageError, "batches of two videos"),
    ):
        with pytest.raises(error, match=message):
            train(TrainOrder(rated, tmp_path / "m.safetensors", settings=settings), epochs.append)
    assert not epochs


def test_tables_across_databases(bench: Bench, vqa: Vqa) -> None:
    args = ("evaluate", bench.model("m0"), bench.model("m1"), *bench.args("ours", "other"))
    markdown = vqa(*args, "--format", "markdown").stdout.splitlines()
    assert [line.split(" | ")[:3] for line in markdown[2:]] == [
        ["| m0", "ours", "0"], ["| m1", "ours", "1"], ["| m0", "other", "all"], ["| m1", "other", "all"],
        ["| 2 models", "ours", "each"], ["| 2 models", "other", "each"],
    ]  # fmt: skip
    assert "±" in markdown[-1] and markdown[-1].endswith("mean ± std of 2 |")
    table = vqa(*args, "--format", "csv").stdout.splitlines()
    assert len(table) == 5 and table[0].startswith("model,dataset,split,n,srocc,")
    unseen = vqa("evaluate", bench.model("m0"), *bench.args("other"), "--exp-ids", "0-2").stdout.splitlines()
    assert unseen[-1].split()[:3] == ["m0", "other", "each"] and unseen[-1].endswith("mean ± std of 3")


def test_models_of_one_name_are_told_apart_by_their_folders(bench: Bench, vqa: Vqa, tmp_path: Path) -> None:
    for folder, source in (("a", "m0"), ("b", "m1")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.safetensors").write_bytes(Path(bench.model(source)).read_bytes())
    models = (tmp_path / "a" / "m.safetensors", "b/../b/m.safetensors", "b/m.safetensors", bench.model("m2"))
    args = ("evaluate", *models, *bench.args("other"), "--exp-ids", "0-1", "--format", "json")
    document = json.loads(vqa(*args, cwd=tmp_path).stdout)
    assert [(row["model"], row["split"]) for row in document["results"]] == [
        ("a/m", 0), ("a/m", 1), ("b/m", 0), ("b/m", 1), ("m2", 0), ("m2", 1),
    ]  # fmt: skip
    assert [(row["model"], row["results"]) for row in document["summary"]] == [("a/m", 2), ("b/m", 2), ("m2", 2)]


def test_a_name_is_as_much_of_the_path_as_it_takes() -> None:
    paths = [
        "/r/a/x/m.safetensors",
        "/r/b/x/m.safetensors",
        "/r/a/n.safetensors",
        "/r/vsfa.safetensors",
        "/r/n.pt",
        "/r/n.bin",
    ]
    names = short_names(paths, taken=["vsfa"])
    assert names == ["a/x/m", "b/x/m", "a/n", "r/vsfa", "/r/n.pt", "/r/n.bin"]


def test_features_of_another_network_are_refused(bench: Bench, vqa: Vqa) -> None:
    done = vqa("evaluate", "vsfa-lite", *bench.args("ours"))
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        f"error: features of another network than that of vsfa-lite: {bench.folder / 'ours'}",
    )


def test_scatter_plots_show_every_video_and_the_fit(bench: Bench, vqa: Vqa, tmp_path: Path) -> None:
    args = ("evaluate", bench.model("m0"), *bench.args("ours", "other"), "--plot")
    assert vqa(*args, tmp_path / "p.svg").returncode == 0
    svg = (tmp_path / "p.svg").read_text()
    assert "m0 on ours, split 0" in svg and "m0 on other, every video" in svg
    blue, orange = LIGHT.series[:2]
    assert (svg.count(f'fill="{blue}"'), svg.count(f'stroke="{orange}"')) == (6 + 30, 2)
    assert vqa(*args, tmp_path / "p.png").returncode == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    wrong = vqa(*args, tmp_path / "p.pdf")
    assert (wrong.returncode, wrong.stderr) == (2, f"error: a plot ends in .svg or .png: {tmp_path / 'p.pdf'}\n")


def test_the_fit_can_be_read_anywhere() -> None:
    x = np.linspace(-2.0, 3.0, 12)
    y = 10 + 80 / (1 + np.exp(-(x - 0.4) / 0.7))
    between = np.linspace(-1.5, 2.5, 7)
    assert logistic_fit(x, y, between) == pytest.approx(10 + 80 / (1 + np.exp(-(between - 0.4) / 0.7)), rel=1e-4)
