"""From rated features to a trained model's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqa_cli.errors import InputError, ModelError, UsageError
from vqa_cli.model.brisque import BRISQUE, BRISQUE_SHA256
from vqa_cli.model.card import Card, Scale, read_model_file
from vqa_cli.model.checkpoint import below, load_model, save_model, tensors_of
from vqa_cli.model.registry import LITE, PUBLISHED, lite_path
from vqa_cli.model.temporal import effective_tau
from vqa_cli.train.clips import Standard
from vqa_cli.train.correlation import Agreement, agreement
from vqa_cli.train.features import Provenance
from vqa_cli.train.loop import Epoch, Fit, TrainSettings, load_best, predict_ratings, run_fit, start_fit
from vqa_cli.train.objective import L1Objective, MixedObjective, Objective
from vqa_cli.train.rated import Rated
from vqa_cli.train.resume import resume_fit, save_fit
from vqa_cli.train.splits import Split, make_split


@dataclass(frozen=True)
class TrainOrder:
    """A training: one database (L1 loss) or several (MDTVSFA's losses), which split, where the model goes.

    ``start`` is a trained model whose head is trained on, e.g. one that saw a larger database. ``without_content`` is the
    ablation that takes no features of a network that was trained on content.
    """

    rated: tuple[Rated, ...]
    output: Path
    exp_id: int = 0
    settings: TrainSettings = field(default_factory=TrainSettings)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    start: Path | None = None
    without_content: bool = False

    @property
    def checkpoint(self) -> Path:
        """Where the last finished epoch is kept until the model is written."""
        return self.output.with_suffix(".checkpoint")


Results = list[tuple[str, Agreement]]


def finished(order: TrainOrder) -> tuple[Card, Results] | None:
    """What this very training gave when it was run before: the same data, split, features, start and settings.

    ``None`` where there is no such model, or where a checkpoint lies beside it, which is of a later training.

    Raises:
        InputError: as for :func:`train`.
    """
    if order.checkpoint.exists() or not order.output.exists():
        return None
    try:
        card = load_model(order.output)[0]
    except ModelError:
        return None
    task = _task(order, _one_origin(order.rated))
    if (card.training.get("task"), card.training.get("settings")) != (task, asdict(order.settings)):
        return None
    names = [each.data.name for each in order.rated]
    return card, [
        (name, Agreement.recalled(below(card.metrics, prefix)))
        for name, prefix in zip(names, _prefixes(names), strict=True)
    ]


def _prefixes(names: list[str]) -> list[str]:
    """What a card's figures of each database begin with; those of the first, on whose scale the model is, have no name."""
    return ["test_", *(f"{name}_test_" for name in names[1:])]


def train(order: TrainOrder, watch: Callable[[Epoch], None]) -> tuple[Card, Results]:
    """Train (or go on training), write the model file with the best epoch, judge it on each database's test part.

    Raises:
        InputError: features are missing, mixed, a part of a split is empty or cannot be judged, or two databases have
            one name.
        UsageError: batches of one video, which say nothing of several databases.
        ModelError: training gave no usable model, or the network of the features is not here.
    """
    settings = order.settings
    splits = [make_split(each.data, order.exp_id, mixed=len(order.rated) > 1) for each in order.rated]
    _refuse_doubtful(order, splits)
    origin = _one_origin(order.rated)
    if order.without_content and origin.extractor_sha256 != BRISQUE_SHA256:
        raise InputError(
            f"features that know content: {order.rated[0].features}",
            hint=f"`vqa extract --model {BRISQUE}` makes others",
        )
    base, tensors = _backbone(origin)
    trained, judged, tested = (
        [each.clips(getattr(split, part)) for each, split in zip(order.rated, splits, strict=True)]
        for part in ("train", "val", "test")
    )
    standard = Standard.of(trained) if settings.standardise else None
    fit = start_fit(trained[0].dim, settings, _objective(order.rated), order.device, standard)
    task = _task(order, origin)
    earlier = _load_start(fit, order.start, origin) if order.start is not None else []
    if order.checkpoint.exists():
        resume_fit(fit, order.checkpoint, task)
    for row in run_fit(fit, trained, judged, origin.every, lambda now: save_fit(now, order.checkpoint, task)):
        watch(row)
    load_best(fit)
    tau = effective_tau(settings.tau, origin.every)
    results = []
    for index, (each, part) in enumerate(zip(order.rated, tested, strict=True)):
        predicted = predict_ratings(fit, part, tau, index)
        results.append((each.data.name, agreement(predicted, part.ratings.double().numpy())))
    card = _card(order, splits, origin, base, fit, results, earlier)
    head = {k: v.detach().cpu() for k, v in fit.head.state_dict().items()}
    head = standard.folded(head) if standard else head
    save_model(order.output, card, tensors | {f"head.{k}": v for k, v in head.items()})
    order.checkpoint.unlink()
    return card, results


def _refuse_doubtful(order: TrainOrder, splits: list[Split]) -> None:
    """What would come to light after the last epoch, or in the scores of the finished model."""
    names = [each.data.name for each in order.rated]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"two databases are called {double}", hint="a model has one scale for a name; rename a table")
    for each, split in zip(order.rated, splits, strict=True):
        for part in ("train", "val", "test"):
            if not len(each.present(getattr(split, part))):
                raise InputError(
                    f"no video of part {part} has features: {each.data.name}", hint="`vqa extract` makes them"
                )
        val = each.present(split.val)
        if np.ptp(each.data.mos[val]) == 0:
            raise InputError(
                f"ratings must differ in the validation part: {each.data.name} has {len(val)} there",
                hint="give more videos, or another --exp-id",
            )
    if len(order.rated) > 1 and order.settings.batch_size == 1:
        raise UsageError("several databases need batches of two videos and more: --batch 1")


def _objective(rated: tuple[Rated, ...]) -> Objective:
    for each in rated:
        if each.data.mos.max() <= 0 or np.ptp(each.data.mos) == 0:
            raise InputError(f"the largest rating must be above 0, and ratings must differ: {each.data.name}")
    if len(rated) == 1:
        return L1Objective(float(rated[0].data.mos.max()))
    return MixedObjective(*zip(*((float(r.data.mos.min()), float(np.ptp(r.data.mos))) for r in rated), strict=True))


def _one_origin(rated: tuple[Rated, ...]) -> Provenance:
    origins = [each.provenance(np.arange(len(each.data))) for each in rated]
    if any(origin.key != origins[0].key for origin in origins):
        raise InputError("features of the databases were made in different ways")
    return origins[0]


def _task(order: TrainOrder, origin: Provenance) -> str:
    """What a checkpoint or model is of, beside its settings. The head to start from counts by its content."""
    data = " ".join(" ".join((each.data.sha256, *each.left_out)) for each in order.rated)
    return f"{data} {order.exp_id} {origin.key} {origin.raw} {load_model(order.start)[2] if order.start else None}"


def _load_start(fit: Fit, path: Path, origin: Provenance) -> list[dict[str, Any]]:
    """Take the head of the model at ``path``; gives the databases that it has seen, the latest first."""
    file = read_model_file(path)
    card = file.card
    if file.network != origin.extractor_sha256:
        raise InputError(f"features of another network than the model's: {path}")
    state = below(tensors_of(file), "head.")
    try:
        fit.head.load_state_dict(fit.standard.unfolded(state) if fit.standard else state)
    except RuntimeError as err:
        raise InputError(f"a head of another shape: {path}", hint="repeat its --head, --reduce and --hidden") from err
    return [*card.training.get("datasets", []), *card.training.get("datasets_before", [])]


def _backbone(origin: Provenance) -> tuple[Card | None, dict[str, torch.Tensor]]:
    """Card and tensors of the network that made the features; ResNet-50 and BRISQUE stay outside the model file."""
    if origin.extractor in PUBLISHED or origin.extractor_sha256 == BRISQUE_SHA256:
        return None, {}
    path = lite_path() if origin.extractor == LITE else Path(origin.extractor)
    file = read_model_file(path)
    if file.network != origin.extractor_sha256:
        raise ModelError(f"features were made by another version of {origin.extractor}", hint="run `vqa extract` again")
    return file.card, {k: v for k, v in tensors_of(file).items() if k.startswith("backbone.")}


def _card(
    order: TrainOrder, splits: list[Split], origin: Provenance, base: Card | None, fit: Fit,
    results: Results, earlier: list[dict[str, Any]],
) -> Card:  # fmt: skip
    settings = order.settings
    figures = {
        f"{prefix}{k}": v
        for prefix, (_, result) in zip(_prefixes([name for name, _ in results]), results, strict=True)
        for k, v in result.document().items() if isinstance(v, (int, float))
    }  # fmt: skip
    trained = [
        {"name": r.data.name, "sha256": r.data.sha256, "exp_id": order.exp_id,
         "learnt": [r.data.names[i] for i in (*split.train, *split.val)], "test": [r.data.names[i] for i in split.test],
         "left_out": list(r.left_out), "learnt_sha256": sorted(r.contents(np.concatenate((split.train, split.val))))}
        for r, split in zip(order.rated, splits, strict=True)
    ]  # fmt: skip
    sizes = ", ".join(_size(r, s) for r, s in zip(order.rated, splits, strict=True))
    return Card(
        name=order.output.stem,
        backbone=base.backbone if base else BRISQUE if origin.extractor_sha256 == BRISQUE_SHA256 else "resnet50",
        backbone_config=base.backbone_config if base else {},
        head=settings.head,
        head_config={"dim": fit.head.ann["fc0"].in_features, **settings.head_config},
        scale=_scale(order.rated, fit.objective),
        tau=settings.tau,
        beta=settings.beta,
        preprocessing=origin.preprocessing,
        training_data=f"{sizes}, split {order.exp_id}",
        licence="that of the training data and of the feature network",
        metrics={k: float(v) for k, v in figures.items()},
        training={
            "datasets": trained, "settings": asdict(settings), "start": str(order.start) if order.start else None,
            "datasets_before": earlier, "task": _task(order, origin),
            "extractor": origin.extractor, "extractor_sha256": origin.extractor_sha256, "every": origin.every,
            "best_epoch": fit.best_epoch, "val_srocc": fit.best_srocc,
        },
    )  # fmt: skip


def _size(rated: Rated, split: Split) -> str:
    gone = f", {len(rated.left_out)} left out for want of features" if rated.left_out else ""
    return f"{rated.data.name} ({len(rated.present(split.train))} of {len(rated.data)} videos{gone})"


def _scale(rated: tuple[Rated, ...], objective: Objective) -> Scale:
    data = rated[0].data
    low, high = float(data.mos.min()), float(data.mos.max())
    text = f"Rating as in {data.name}, whose videos lie between {low:g} and {high:g}."
    scale = Scale(name=f"MOS ({data.name})", minimum=low, maximum=high, gain=high, description=text)
    if isinstance(objective, L1Objective):
        return scale
    slope, shift = objective.inner.detach().cpu().tolist()
    lines = objective.lines.detach().cpu().tolist()
    others = tuple((r.data.name, *line) for r, line in zip(rated, lines, strict=True))
    change = {"gain": lines[0][0], "offset": lines[0][1], "bound": (slope, shift), "others": others[1:]}
    return scale.model_copy(update=change)
