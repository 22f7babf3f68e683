"""Trained models judged on cached features: one database or several, on the splits that they were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vqa_cli.errors import InputError, UsageError
from vqa_cli.model.checkpoint import Card, below, load_model, network_sha256
from vqa_cli.model.heads import Head, make_head
from vqa_cli.model.load import calibration_of
from vqa_cli.model.pooling import effective_tau
from vqa_cli.model.registry import LITE, lite_path
from vqa_cli.train.correlation import Agreement, agreement
from vqa_cli.train.datasets import Dataset
from vqa_cli.train.loop import TrainSettings, pooled_scores
from vqa_cli.train.rated import Rated
from vqa_cli.train.splits import make_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Part = tuple[int | None, NDArray[np.int64]]


@dataclass(frozen=True)
class Judgement:
    """Scores of a model beside ratings, both of shape (videos,); ``split`` is ``None`` where it is every video.

    ``left_out`` are videos of the part that have no features.
    """

    model: str
    dataset: str
    split: int | None
    predicted: NDArray[np.float64]
    rated: NDArray[np.float64]
    left_out: tuple[str, ...] = ()

    @cached_property
    def agreement(self) -> Agreement:
        return agreement(self.predicted, self.rated)


def evaluate(
    models: Sequence[str], databases: Sequence[Rated], *, part: str = "auto", exp_ids: Sequence[int] | None = None
) -> list[Judgement]:
    """Judge each model on each database, never on videos that it may have learnt from unless ``part`` says so.

    Args:
        models: files that training wrote, or ``vsfa-lite``.
        part: ``"test"`` is the model's own test part, ``"all"`` every video, ``"auto"`` the former on a database that
            it was trained on and the latter on any other.
        exp_ids: these splits' test parts instead. On a database that it was trained on a model stands for its own
            split alone, so that each split needs its model there; any other model is judged on all of them.

    Raises:
        InputError: features are of another network, ``test`` was asked of a database that is not the model's, or the
            table has changed since the model was trained on it.
        UsageError: a split has no model that was trained for it, or ``exp_ids`` meet ``"all"``.
    """
    if exp_ids is not None and part == "all":
        raise UsageError("every video is in no split", hint="give either --exp-ids or --part all")
    opened = [_Model.read(model) for model in models]
    results = []
    for each in databases:
        parts = [_parts(model, each.data, part, exp_ids) for model in opened]
        _refuse_gaps(opened, parts, each.data, exp_ids)
        for model, wanted in zip(opened, parts, strict=True):
            results += _judge(model, each, wanted)
    return results


@dataclass(frozen=True)
class _Model:
    """A model file without its network."""

    name: str
    card: Card
    head: Head
    network: str | None

    @classmethod
    def read(cls, model: str) -> _Model:
        path = lite_path() if model == LITE else Path(model)
        card, tensors, _ = load_model(path)
        head = make_head(card.head, card.head_config)
        head.load_state_dict(below(tensors, "head."))
        return cls(model if model == LITE else path.stem, card, head, network_sha256(card, tensors))

    def lessons(self, data: Dataset) -> list[dict[str, Any]]:
        """How the database was split in each training of the model that used it."""
        seen = [*self.card.training.get("datasets", []), *self.card.training.get("datasets_before", [])]
        return [entry for entry in seen if entry["sha256"] == data.sha256]

    def learnt_from_another_version(self, data: Dataset) -> bool:
        """Whether it was trained on a table of the same name and videos that says something else by now."""
        seen = [*self.card.training.get("datasets", []), *self.card.training.get("datasets_before", [])]
        others = [entry for entry in seen if entry["sha256"] != data.sha256 and entry["name"] == data.name]
        return any(not set(entry["test"]).isdisjoint(data.names) for entry in others)


def _parts(model: _Model, data: Dataset, part: str, exp_ids: Sequence[int] | None) -> list[Part]:
    lessons = model.lessons(data)
    if part != "all" and not lessons and model.learnt_from_another_version(data):
        raise InputError(
            f"{model.name} was trained on another version of the table {data.name}, so that its test part is not known",
            hint="give that version, or --part all, which counts what it learnt from too",
        )
    if part == "all" or (part == "auto" and not lessons and exp_ids is None):
        return [(None, np.arange(len(data)))]
    if not lessons:
        if exp_ids is None:
            raise InputError(
                f"{model.name} was not trained on {data.name}: it has no test part there", hint="use --part all"
            )
        return [(exp_id, make_split(data, exp_id).test) for exp_id in exp_ids]
    own: int = lessons[0]["exp_id"]
    if exp_ids is not None and own not in exp_ids:
        return []
    unseen = set.intersection(*(set(lesson["test"]) for lesson in lessons))
    if not unseen:
        raise InputError(f"no video of {data.name} is unknown to {model.name}: it was trained on two splits of it")
    return [(own, np.array([i for i, name in enumerate(data.names) if name in unseen]))]


def _refuse_gaps(
    models: Sequence[_Model], parts: Sequence[list[Part]], data: Dataset, exp_ids: Sequence[int] | None
) -> None:
    if exp_ids is None or not any(model.lessons(data) for model in models):
        return
    covered = {part[0][0] for model, part in zip(models, parts, strict=True) if part and model.lessons(data)}
    missing = [str(exp_id) for exp_id in exp_ids if exp_id not in covered]
    if missing:
        raise UsageError(
            f"no model was trained for split {', '.join(missing)} of {data.name}",
            hint=f"a model knows the test videos of other splits; `vqa train --exp-id {missing[0]}` makes the one needed",
        )


def _judge(model: _Model, database: Rated, parts: Sequence[Part]) -> list[Judgement]:
    """Each video is scored once, however many parts it is in."""
    if not parts:
        return []
    data = database.data
    empty = next((split for split, part in parts if not len(database.present(part))), -1)
    if empty != -1:
        where = data.name if empty is None else f"the test part of split {empty} of {data.name}"
        raise InputError(f"no video of {where} has features in {database.features}", hint="`vqa extract` makes them")
    chosen = np.unique(np.concatenate([indices for _, indices in parts]))
    scores = np.full(len(data), np.nan)
    scores[database.present(chosen)] = _scores(model, database, chosen)
    return [
        Judgement(model.name, data.name, split, scores[here], data.mos[here], database.missing_of(part))
        for split, part, here in ((split, part, database.present(part)) for split, part in parts)
    ]


def _scores(model: _Model, database: Rated, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """On the database's own scale where the model has learnt it, else on the model's."""
    data, card = database.data, model.card
    origin = database.provenance(chosen)
    if origin.extractor_sha256 != model.network:
        raise InputError(
            f"features of another network than that of {model.name}: {database.features}",
            hint="`vqa extract` with its own",
        )
    clips = database.clips(chosen)
    settings = TrainSettings(tau=card.tau, beta=card.beta)
    pooled = torch.from_numpy(pooled_scores(model.head, clips, settings, effective_tau(card.tau, origin.every)))
    calibration = calibration_of(card.scale)
    raw = calibration.raw(pooled)
    lines = {name: (gain, offset) for name, gain, offset in calibration.others}
    line = lines.get(data.name)
    scores: NDArray[np.float64] = (raw * line[0] + line[1] if line else calibration.score(raw)).numpy()
    return scores
