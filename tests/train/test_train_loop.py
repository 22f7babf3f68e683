"""The loop on features that are made up: against the published loop, resumed, padded; and a whole path on real clips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Vqa, make_clip
from rated import write_database

from vqa_cli._version import MEASUREMENT
from vqa_cli.errors import InputError, StorageError
from vqa_cli.model.card import Card, Scale
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.heads import batch_scores
from vqa_cli.train.clips import Clips, load_batch
from vqa_cli.train.datasets import read_dataset
from vqa_cli.train.features import Provenance, features_path, write_features
from vqa_cli.train.loop import Epoch, Fit, TrainSettings, learning_rate, load_step, pooled_scores, run_fit, train_step
from vqa_cli.train.loop import start_fit as start
from vqa_cli.train.objective import L1Objective, MixedObjective
from vqa_cli.train.rated import Rated
from vqa_cli.train.resume import resume_fit, save_fit
from vqa_cli.train.training import TrainOrder, finished, train

CPU = torch.device("cpu")
PROVENANCE = Provenance(
    extractor="made-up", extractor_sha256="0", precision="fp32", preprocessing="none", every=1, measurement=MEASUREMENT,
    video="0.mp4", video_bytes=1, width=2, height=2,
)  # fmt: skip
CARD = Card(
    name="m", backbone="lite", scale=Scale(name="s", minimum=0, maximum=1, description="d"), preprocessing="none",
    training_data="none", licence="none",
)  # fmt: skip
SETTINGS = TrainSettings(epochs=12, learning_rate=3e-3, batch_size=4, reduced=8, hidden=4)


def start_fit(dim: int, settings: TrainSettings, device: torch.device) -> Fit:
    return start(dim, settings, L1Objective(1.0), device)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors here are tiny: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _features(folder: Path, count: int, dim: int = 6) -> Clips:
    """Clips of unequal length whose rating shows in their features."""
    rng = np.random.default_rng(5)
    labels = rng.uniform(0.2, 1.0, count)
    for index, label in enumerate(labels):
        values = rng.normal(label, 0.05, (int(rng.integers(3, 40)), dim)).astype(np.float16)
        write_features(features_path(folder, f"{index}.mp4"), values, PROVENANCE)
    return Clips.of(folder, [f"{i}.mp4" for i in range(count)], labels.tolist())


class PublishedLoop:
    """What VSFA.py of github.com/lidq92/VSFA computes in training, step for step: features padded with zeros to the longest
    clip, the whole padded batch through reduction and GRU from a state of zeros, each clip cut to its length for pooling, L1
    between pooled scores and ratings over the largest rating of the database, Adam, and StepLR by 0.8.
    """

    def __init__(self, head: torch.nn.Module, clips: Clips, settings: TrainSettings) -> None:
        longest = max(len(f) for f in clips.features)
        self.features = np.zeros((len(clips), longest, clips.dim))
        self.length = np.zeros((len(clips), 1))
        self.label = clips.ratings.double().numpy()[:, None] / clips.ratings.double().numpy().max()
        for i, clip in enumerate(clips.features):
            self.features[i, : len(clip)] = clip
            self.length[i] = len(clip)
        self.head = head
        self.optimiser = torch.optim.Adam(head.parameters(), lr=settings.learning_rate, weight_decay=0.0)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimiser, settings.epochs // 10, gamma=0.8)

    def step(self, chosen: list[int]) -> float:
        features, label = (torch.from_numpy(x[chosen]).float() for x in (self.features, self.label))
        self.optimiser.zero_grad()
        loss = torch.nn.L1Loss()(self.forward(features, self.length[chosen]), label)
        loss.backward()
        self.optimiser.step()
        return float(loss.item())

    def forward(self, features: torch.Tensor, length: np.ndarray) -> torch.Tensor:
        head: Any = self.head
        reduced = head.ann["fc0"](features)
        outputs, _ = head.rnn(reduced, torch.zeros(1, len(features), head.rnn.hidden_size))
        q = head.q(outputs)
        pooled = [self.pool(q[i, : int(length[i, 0])]).mean() for i in range(len(features))]
        return torch.stack(pooled)[:, None]

    @staticmethod
    def pool(q: torch.Tensor, tau: int = 12, beta: float = 0.5) -> torch.Tensor:
        """(frames, 1): the worst of the frames before, and the mean of those ahead weighted by exp(-q)."""
        row = q.T[None]
        none_before, far_ahead = torch.full((1, 1, tau - 1), -torch.inf), torch.full((1, 1, tau - 1), 10000.0)
        worst = -F.max_pool1d(torch.cat((none_before, -row), 2), tau, stride=1)
        weighted = torch.cat((row * torch.exp(-row), far_ahead * torch.exp(-far_ahead)), 2)
        weights = torch.cat((torch.exp(-row), torch.exp(-far_ahead)), 2)
        ahead = F.avg_pool1d(weighted, tau, stride=1) / F.avg_pool1d(weights, tau, stride=1)
        return beta * ahead + (1 - beta) * worst


def test_steps_are_those_of_the_published_loop(tmp_path: Path) -> None:
    plain = _features(tmp_path, 9)
    clips = Clips(plain.features, plain.ratings * 4.64)  # on a scale of their own, as MOS are
    settings = replace(SETTINGS, epochs=30)
    ours = start(6, settings, L1Objective(float(clips.ratings.max())), CPU)
    theirs = PublishedLoop(start_fit(6, settings, CPU).head, clips, settings)
    rng = np.random.default_rng(1)
    for epoch in range(7):  # over two falls of the learning rate
        assert learning_rate(settings, epoch) == pytest.approx(theirs.scheduler.get_last_lr()[0])
        for group in ours.optimiser.param_groups:
            group["lr"] = learning_rate(settings, epoch)
        order = rng.permutation(9)
        for chosen in (order[:4], order[4:8], order[8:]):
            assert train_step(ours, load_step(ours, [clips], chosen), tau=12) == pytest.approx(
                theirs.step(chosen.tolist()), rel=2e-5
            )
        theirs.scheduler.step()
    for a, b in zip(ours.head.parameters(), theirs.head.parameters(), strict=True):
        assert torch.allclose(a, b, atol=5e-5)


class MixedLoop:
    """A step of MDTVSFA's code (model and losses of github.com/lidq92/MDTVSFA) in loops: for each database relative scores, a
    shared logistic and a line; monotonicity over pairs, linearity as (1 - PLCC) / 2, L1 over the range; softmax over databases.
    """

    def __init__(self, head: torch.nn.Module, parts: list[Clips], settings: TrainSettings) -> None:
        self.head, self.parts = head, parts
        lows = [float(part.ratings.min()) for part in parts]
        self.spans = [float(part.ratings.max()) - low for part, low in zip(parts, lows, strict=True)]
        self.inner = torch.nn.Parameter(torch.tensor([2 * 3**0.5, -(3**0.5)]))
        self.lines = torch.nn.Parameter(torch.tensor(list(zip(self.spans, lows, strict=True))))
        self.optimiser = torch.optim.Adam([*head.parameters(), self.inner, self.lines], lr=settings.learning_rate)

    def step(self, chosen: list[int]) -> float:
        losses = torch.stack([self.loss(index, chosen) for index in range(len(self.parts))])
        loss = (torch.exp(losses) / torch.exp(losses).sum() * losses).sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def loss(self, index: int, chosen: list[int]) -> torch.Tensor:
        part, pooled = self.parts[index], []
        head: Any = self.head
        for i in (i % len(part) for i in chosen):
            frames = torch.from_numpy(np.asarray(part.features[i], np.float32))[None]
            q = head.q(head.rnn(head.ann["fc0"](frames))[0])[0]
            pooled.append(PublishedLoop.pool(q).mean())
        rated = [part.ratings[i % len(part)] for i in chosen]
        relative = [torch.sigmoid(value) for value in pooled]
        mapped = [torch.sigmoid(self.inner[0] * value + self.inner[1]) for value in relative]
        aligned = [self.lines[index, 0] * value + self.lines[index, 1] for value in mapped]
        count = len(chosen)
        monotonicity = sum(
            torch.relu((relative[a] - relative[b]) * torch.sign(rated[b] - rated[a]))
            for a in range(count)
            for b in range(count)
        ) / (count * (count - 1))
        plcc = torch.corrcoef(torch.stack((torch.stack(mapped), torch.stack(rated))))[0, 1]
        error = sum((a - r).abs() for a, r in zip(aligned, rated, strict=True)) / count / self.spans[index]
        return monotonicity + (1 - plcc) / 2 + error


def test_steps_over_several_databases_are_those_of_mdtvsfa(tmp_path: Path) -> None:
    one, two = _features(tmp_path / "a", 9), _features(tmp_path / "b", 6)
    parts = [Clips(one.features, one.ratings * 4.64), Clips(two.features, 100 * two.ratings - 6)]
    ranges = [(float(part.ratings.min()), float(np.ptp(part.ratings.numpy()))) for part in parts]
    ours = start(6, SETTINGS, MixedObjective(*zip(*ranges, strict=True)), CPU)
    theirs = MixedLoop(start_fit(6, SETTINGS, CPU).head, parts, SETTINGS)
    rng = np.random.default_rng(1)
    for _ in range(12):
        chosen = rng.permutation(9)[:4]
        assert train_step(ours, load_step(ours, parts, chosen), tau=12) == pytest.approx(
            theirs.step(chosen.tolist()), rel=1e-4
        )
    learnt = [*ours.head.parameters(), *ours.objective.parameters()]
    for a, b in zip(learnt, [*theirs.head.parameters(), theirs.inner, theirs.lines], strict=True):
        assert torch.allclose(a, b, atol=5e-5)


def _run(fit: Fit, clips: Clips, checkpoint: Path, stop_after: int | None = None) -> list[tuple[float, float]]:
    rows = []
    for row in run_fit(fit, [clips], [clips], 1, lambda now: save_fit(now, checkpoint, "task")):
        rows.append((row.train_loss, row.val_srocc))
        if len(rows) == stop_after:
            break
    return rows


def test_a_broken_off_training_ends_bit_for_bit_as_an_unbroken_one(tmp_path: Path) -> None:
    clips = _features(tmp_path, 10)
    whole = start_fit(6, SETTINGS, CPU)
    curve = _run(whole, clips, tmp_path / "a")
    first = _run(start_fit(6, SETTINGS, CPU), clips, tmp_path / "b", stop_after=5)
    again = start_fit(6, SETTINGS, CPU)
    resume_fit(again, tmp_path / "b", "task")
    assert first + _run(again, clips, tmp_path / "b") == curve
    for a, b in zip(whole.head.parameters(), again.head.parameters(), strict=True):
        assert torch.equal(a, b)
    assert whole.best_epoch == again.best_epoch
    assert curve[-1][0] < curve[0][0]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    fit = start_fit(6, SETTINGS, CPU)
    save_fit(fit, tmp_path / "c", "task")
    with pytest.raises(InputError, match="checkpoint of another training"):
        resume_fit(start_fit(6, SETTINGS, CPU), tmp_path / "c", "other split")


def test_a_database_may_have_more_videos_than_a_process_may_open_files(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    one = _features(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
    try:
        clips = Clips.of(tmp_path, ["0.mp4"] * 300, [0.5] * 300)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all(np.array_equal(clip, one.features[0]) for clip in clips.features)


@pytest.mark.parametrize("write", ["features", "checkpoint", "model"])
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, write: str) -> None:
    target = tmp_path / "taken"
    (target / "by a folder").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot write"):
        if write == "features":
            write_features(target, np.zeros((1, 6), np.float16), PROVENANCE)
        elif write == "checkpoint":
            save_fit(start_fit(6, SETTINGS, CPU), target, "task")
        else:
            save_model(target, CARD, {"head.a": torch.zeros(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_clip_scores_in_a_batch_as_alone(tmp_path: Path) -> None:
    from vqa_cli.model.pooling import pool_batch

    clips = _features(tmp_path, 6)
    head = start_fit(6, SETTINGS, CPU).head
    packed, lengths = load_batch(clips.features, CPU)
    assert len(set(lengths.tolist())) > 1
    singles = [Clips(clips.features[i : i + 1], clips.ratings[i : i + 1]) for i in range(6)]
    alone = np.concatenate([pooled_scores(head, single, SETTINGS, 12) for single in singles])
    with torch.no_grad():
        together = pool_batch(batch_scores(head, packed, lengths), lengths, tau=12, beta=0.5).numpy()
    assert together == pytest.approx(alone, abs=1e-6)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ratings of ten short clips of five sources, which lie beside the table."""
    folder = tmp_path_factory.mktemp("database")
    rows = ["video,mos,ref_id"]
    for ref in range(5):
        for crf in (20, 50):
            name = f"{ref}_{crf}.mp4"
            args = ("-vf", f"hue=h={60 * ref}", "-c:v", "libx264", "-crf", str(crf), "-pix_fmt", "yuv420p")
            make_clip(folder / name, size="128x96", seconds=0.3, args=args)
            rows.append(f"{name},{100 - crf},{ref}")
    (folder / "set.csv").write_text("\n".join(rows) + "\n")
    return folder / "set.csv"


@pytest.fixture(scope="module")
def trained(started: Vqa, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Features of the table's clips, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("trained")
    features, model = folder / "f", folder / "m.safetensors"
    done = started("extract", table, "--videos", table.parent, "-o", features, "--device", "cpu")
    assert done.stdout == "10 extracted, 0 were there, 0 failed\n"
    data = ("--dataset", table, "--features", features)
    done = started("train", *data, "-o", model, "--epochs", "20", "--lr", "1e-3", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return features, model


@pytest.mark.ffmpeg
def test_features_serve_every_head_of_their_network(
    vqa: Vqa, table: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    (features, first), second = trained, tmp_path / "b.safetensors"
    extract = ("extract", table, "--videos", table.parent, "--device", "cpu")
    train = ("train", "--dataset", table, "--epochs", "2", "--lr", "1e-3", "--device", "cpu")
    evaluate = ("evaluate", first, "--dataset", table, "--part", "all")
    # The trained model brings the same network: what is there stays, and what it makes is as good.
    again = vqa(*extract, "-o", features, "--model", first)
    assert again.stdout == "0 extracted, 10 were there, 0 failed\n"
    assert vqa(*extract, "-o", tmp_path / "g", "--model", first.name, cwd=first.parent).returncode == 0
    ours, theirs = (vqa(*evaluate, "--features", folder) for folder in (features, tmp_path / "g"))
    assert (ours.returncode, theirs.returncode, theirs.stdout) == (0, 0, ours.stdout), theirs.stderr
    # Another head on them, from a model file that is its own network's only witness; nor does the folder matter that it was named from.
    assert vqa(*train, "--features", tmp_path / "g", "-o", second).returncode == 0
    assert vqa("evaluate", second, "--dataset", table, "--features", features).returncode == 0


@pytest.mark.ffmpeg
def test_extract_train_evaluate_score(vqa: Vqa, table: Path, trained: tuple[Path, Path]) -> None:
    features, model = trained
    extract = ("extract", table, "--videos", table.parent, "-o", features, "--device", "cpu")
    assert vqa(*extract).stdout == "0 extracted, 10 were there, 0 failed\n"
    data = ("--dataset", table, "--features", features)
    (figures,) = json.loads(vqa("evaluate", model, *data, "--format", "json").stdout)["results"]
    assert figures["n"] == 2
    card, _, _ = load_model(model)
    assert card.metrics["test_rmse"] == pytest.approx(figures["rmse"])
    tested = [table.parent / name for name in card.training["datasets"][0]["test"]]
    scored = json.loads(vqa("score", *tested, "--model", model, "--format", "json").stdout)
    scores = [one["score"] for one in scored]
    rated = [100.0 - int(name[2:4]) for name in card.training["datasets"][0]["test"]]
    # The evaluation reads features in float16, scoring computes them anew.
    assert np.sqrt(np.mean(np.subtract(scores, rated) ** 2)) == pytest.approx(figures["rmse"], abs=0.5)


@pytest.mark.ffmpeg
def test_a_bad_video_is_reported_and_the_others_go_on(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "good.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "t.csv").write_text("video,mos\ngood.mp4,3\nbad.mp4,2\nmissing.mp4,1\n")
    done = vqa("extract", tmp_path / "t.csv", "--videos", tmp_path, "-o", tmp_path / "f")
    assert (done.returncode, done.stdout) == (8, "1 extracted, 0 were there, 2 failed\n")
    assert "no such video" in done.stderr
    reason = next(line for line in done.stderr.splitlines() if "bad.mp4: FAILED: cannot read as video" in line)
    assert reason.endswith(" (Invalid data found when processing input)")


def test_correlate_prints_figures_and_undefined_ones_as_null(started: Vqa, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("score,mos\n1,1\n2,3\n3,2\n4,4\n5,5\n6,7\n")
    (row,) = json.loads(started("correlate", tmp_path / "s.csv", "--format", "json").stdout)["results"]
    assert row["srocc"] == pytest.approx(1 - 6 * 2 / (6 * 35))
    (tmp_path / "c.csv").write_text("score,mos\n1,1\n1,3\n")
    (row,) = json.loads(started("correlate", tmp_path / "c.csv", "--format", "json").stdout)["results"]
    assert (row["srocc"], row["reasons"]) == (None, ["all predictions are equal"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,2\n,3\n", "no number in line 3, column score"),
        ("1,2\n2,x\n", "no number in line 3, column mos"),
        ("", "no row in table"),
    ],
)
def test_correlate_says_which_number_is_missing(vqa: Vqa, tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "s.csv").write_text("score,mos\n" + rows)
    done = vqa("correlate", tmp_path / "s.csv")
    assert (done.returncode, done.stderr.splitlines()[0]) == (3, f"error: {message}: {tmp_path / 's.csv'}")


def test_train_says_what_it_needs(vqa: Vqa) -> None:
    done = vqa("train")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: vqa train needs --dataset, --features and -o")


def test_a_finished_training_is_not_done_again_unless_it_is_another_one(vqa: Vqa, tmp_path: Path) -> None:
    rated, model = write_database(tmp_path, "set"), tmp_path / "m.safetensors"
    args = ("train", "--dataset", tmp_path / "set.csv", "--features", rated.features, "-o", model, "--device", "cpu")
    first = vqa(*args, "--epochs", "2", "--tensorboard", tmp_path / "first")
    written = model.stat().st_mtime_ns
    again = vqa(*args, "--epochs", "2", "--tensorboard", tmp_path / "curves")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr.splitlines() == [
        f"finished before, with the same data and settings; delete {model} to train again",
        first.stderr.splitlines()[-1],
    ]
    assert model.stat().st_mtime_ns == written and not (tmp_path / "curves").exists()
    other = vqa(*args, "--epochs", "3")
    assert other.returncode == 0 and "finished before" not in other.stderr
    assert model.stat().st_mtime_ns > written


def test_a_training_counts_as_another_one_by_data_split_features_and_start(tmp_path: Path) -> None:
    rated = write_database(tmp_path, "set")
    epochs: list[Epoch] = []
    order = TrainOrder((rated,), tmp_path / "m.safetensors", settings=replace(SETTINGS, epochs=1))
    assert finished(order) is None
    card, results = train(order, epochs.append)
    assert finished(order) == (card, results)
    start = tmp_path / "start.safetensors"
    start.write_bytes(order.output.read_bytes())
    assert finished(replace(order, exp_id=1)) is finished(replace(order, start=start)) is None
    tuned = replace(order, output=tmp_path / "t.safetensors", start=start)
    train(tuned, epochs.append)
    assert finished(tuned) is not None
    train(replace(order, output=start, exp_id=2), epochs.append)
    assert finished(tuned) is None  # the head that it began with is another one by now
    table = tmp_path / "set.csv"
    table.write_text(table.read_text().replace("1.mp4,", "1.mp4,0"))
    assert finished(replace(order, rated=(Rated(read_dataset(table), rated.features),))) is None
    assert len(epochs) == 3


def test_two_databases_are_trained_on_with_the_falls_of_mdtvsfas_code(vqa: Vqa, tmp_path: Path) -> None:
    one, two = write_database(tmp_path, "one"), write_database(tmp_path, "two", seed=8)
    data = [a for rated in (one, two) for a in ("--dataset", f"{rated.features}.csv", "--features", rated.features)]
    output = ("-o", tmp_path / "m.safetensors", "--epochs", "20", "--lr", "1e-4", "--batch", "32", "--device", "cpu")
    done = vqa("train", *data, *output)
    assert done.returncode == 0, done.stderr
    settings = TrainSettings(**load_model(tmp_path / "m.safetensors")[0].training["settings"])
    assert [learning_rate(settings, epoch) for epoch in (0, 1, 19)] == pytest.approx([1e-4, 0.8e-4, 0.8**19 * 1e-4])


def test_a_head_without_a_gru_cannot_lose_it(vqa: Vqa, tmp_path: Path) -> None:
    paths = ("--dataset", tmp_path / "t.csv", "--features", tmp_path, "-o", tmp_path / "m.safetensors")
    done = vqa("train", *paths, "--ablate", "gru", "--head", "transformer")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: --ablate gru and --head transformer: that head has no GRU to leave out",
    )


def test_a_seed_that_torch_does_not_take_is_refused(vqa: Vqa) -> None:
    done = vqa("train", "--seed", str(2**60))
    assert done.returncode == 2 and "Invalid value for '--seed'" in done.stderr.splitlines()[0]
