"""From data to a trained model's file, and from a model's file to its figures, on cached features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from vqa_cli.errors import InputError, ModelError
from vqa_cli.model.checkpoint import Card, Scale, load_model, save_model
from vqa_cli.model.pooling import effective_tau
from vqa_cli.model.registry import LITE, PUBLISHED, lite_path
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.train.correlation import Agreement, agreement
from vqa_cli.train.datasets import Dataset
from vqa_cli.train.features import Provenance, features_path, read_features, read_provenance
from vqa_cli.train.loop import Clips, Epoch, Fit, TrainSettings, predict, resume_fit, run_fit, save_fit, start_fit
from vqa_cli.train.splits import Split, make_split


@dataclass(frozen=True)
class TrainOrder:
    """A training: ratings, their features, which split, where the model goes."""

    data: Dataset
    features: Path
    output: Path
    exp_id: int = 0
    settings: TrainSettings = field(default_factory=TrainSettings)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def train(order: TrainOrder, watch: Callable[[Epoch], None]) -> tuple[Card, Agreement]:
    """Train (or go on training), write the model file with the best epoch, judge it on the test part.

    Raises:
        InputError: features are missing, mixed, or a part of the split is empty.
        ModelError: training gave no usable model, or the network of the features is not here.
    """
    data, settings = order.data, order.settings
    split, origin = make_split(data, order.exp_id), common_provenance(order.features, data.names)
    gain = float(data.mos.max())
    if gain <= 0:
        raise InputError(f"the largest rating must be above 0: {data.name} has {gain:g}")
    base, tensors = _backbone(origin)
    fit = start_fit(read_features(features_path(order.features, data.names[0])).shape[1], settings, order.device)
    checkpoint = order.output.with_suffix(".checkpoint")
    task = f"{data.sha256} {order.exp_id} {origin.key}"
    if checkpoint.exists():
        resume_fit(fit, checkpoint, task)
    parts = [_clips(order, part, gain) for part in (split.train, split.val)]
    for row in run_fit(fit, parts[0], parts[1], origin.every, lambda now: save_fit(now, checkpoint, task)):
        watch(row)
    assert fit.best_state is not None
    fit.head.load_state_dict(fit.best_state)
    raw = predict(
        fit.head, _clips(order, split.test, gain).paths,
        tau=effective_tau(settings.tau, origin.every), beta=settings.beta,
    )  # fmt: skip
    result = agreement(raw * gain, data.mos[split.test])
    card = _card(order, split, origin, base, fit, result)
    save_model(order.output, card, tensors | {f"head.{k}": v for k, v in fit.best_state.items()})
    checkpoint.unlink()
    return card, result


def evaluate(model: Path, data: Dataset, features: Path, *, part: str = "auto") -> Agreement:
    """Judge a trained model on cached features.

    Args:
        part: ``"test"`` is the model's own test part, ``"all"`` every video, ``"auto"`` the former on the database that
            it was trained on and the latter on any other.

    Raises:
        InputError: the features are of another network, or ``test`` was asked of another database.
    """
    card, tensors, _ = load_model(model)
    own = card.training.get("dataset_sha256") == data.sha256
    if part == "test" and not own:
        raise InputError(f"{model} was not trained on {data.name}: it has no test part there", hint="use --part all")
    wanted = set(card.training["test"]) if own and part != "all" else set(data.names)
    chosen = [i for i, name in enumerate(data.names) if name in wanted]
    names = tuple(data.names[i] for i in chosen)
    origin = common_provenance(features, names)
    if origin.extractor_sha256 != card.training.get("extractor_sha256"):
        raise InputError(f"features of another network than the model's: {features}", hint="`vqa extract` with its own")
    head = VsfaHead(**card.head_config)
    head.load_state_dict({k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")})
    paths = [features_path(features, name) for name in names]
    raw = predict(head, paths, tau=effective_tau(card.tau, origin.every), beta=card.beta)
    return agreement(raw * card.scale.gain + card.scale.offset, data.mos[chosen])


def common_provenance(folder: Path, names: tuple[str, ...]) -> Provenance:
    """How all features of ``names`` were made.

    Raises:
        InputError: a video has none, or they were not all made in the same way.
    """
    first = read_provenance(features_path(folder, names[0]))
    for name in names[1:]:
        if read_provenance(features_path(folder, name)).key != first.key:
            raise InputError(f"features made in different ways: {names[0]} and {name} in {folder}")
    return first


def _clips(order: TrainOrder, part: np.ndarray[tuple[int], np.dtype[np.int64]], gain: float) -> Clips:
    names = [order.data.names[i] for i in part]
    return Clips.of(order.features, names, (order.data.mos[part] / gain).tolist())


def _backbone(origin: Provenance) -> tuple[Card | None, dict[str, torch.Tensor]]:
    """Card and tensors of the network that made the features; a ResNet-50 stays outside the model file."""
    if origin.extractor in PUBLISHED:
        return None, {}
    path = lite_path() if origin.extractor == LITE else Path(origin.extractor)
    card, tensors, digest = load_model(path)
    if card.backbone == "lite" and digest != origin.extractor_sha256:
        raise ModelError(f"features were made by another version of {origin.extractor}", hint="run `vqa extract` again")
    return card, {k: v for k, v in tensors.items() if k.startswith("backbone.")}


def _card(order: TrainOrder, split: Split, origin: Provenance, base: Card | None, fit: Fit, result: Agreement) -> Card:
    data, settings = order.data, order.settings
    figures = {k: v for k, v in result.document().items() if isinstance(v, (int, float))}
    low, high = float(data.mos.min()), float(data.mos.max())
    return Card(
        name=order.output.stem,
        backbone=base.backbone if base else "resnet50",
        backbone_config=base.backbone_config if base else {},
        head_config={"dim": fit.head.dim, "reduced": fit.head.reduced, "hidden": fit.head.hidden},
        scale=Scale(
            name=f"MOS ({data.name})", minimum=low, maximum=high, gain=high,
            description=f"Rating as in {data.name}, whose videos lie between {low:g} and {high:g}.",
        ),
        tau=settings.tau,
        beta=settings.beta,
        preprocessing=origin.preprocessing,
        training_data=f"{data.name}, {len(split.train)} of {len(data)} videos, split {order.exp_id}",
        licence="that of the training data and of the feature network",
        metrics={f"test_{k}": float(v) for k, v in figures.items()},
        training={
            "dataset": data.name, "dataset_sha256": data.sha256, "exp_id": order.exp_id, "settings": asdict(settings),
            "extractor": origin.extractor, "extractor_sha256": origin.extractor_sha256, "every": origin.every,
            "best_epoch": fit.best_epoch, "val_srocc": fit.best_srocc,
            "test": [data.names[i] for i in split.test],
        },
    )  # fmt: skip
