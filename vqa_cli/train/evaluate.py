"""Trained models judged on cached features: one database or several, on the splits that they were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError, UsageError
from vqa_cli.model.store import default_dir
from vqa_cli.model.temporal import effective_tau
from vqa_cli.train.correlation import Agreement, agreement
from vqa_cli.train.datasets import Dataset
from vqa_cli.train.features import Provenance
from vqa_cli.train.judged import JudgedModel, open_models
from vqa_cli.train.loop import TrainSettings, pooled_scores
from vqa_cli.train.rated import Rated
from vqa_cli.train.splits import make_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Part = tuple[int | None, NDArray[np.int64]]


@dataclass(frozen=True)
class Judgement:
    """Scores of a model beside ratings, both of shape (videos,); ``split`` is ``None`` where it is every video.

    ``left_out`` are videos of the part that have no features, ``remarks`` what speaks against the figures.
    """

    model: str
    dataset: str
    split: int | None
    predicted: NDArray[np.float64]
    rated: NDArray[np.float64]
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @cached_property
    def agreement(self) -> Agreement:
        return replace(agreement(self.predicted, self.rated), remarks=self.remarks)


def evaluate(
    models: Sequence[str],
    databases: Sequence[Rated],
    *,
    part: str = "auto",
    exp_ids: Sequence[int] | None = None,
    model_dir: Path | None = None,
) -> list[Judgement]:
    """Judge each model on each database, never on videos that it has learnt from unless ``part`` says so.

    A table that it was not trained on may hold such videos all the same: where their contents are equal, a remark says so.

    Args:
        models: files that training wrote, or registered names. A published model has seen databases of which it is not
            recorded which part: there it can be judged on ``"all"`` alone, and the result says so.
        part: ``"test"`` is the model's own test part, ``"all"`` every video, ``"auto"`` the former on a database that
            it was trained on and the latter on any other.
        exp_ids: these splits' test parts instead. On a database that it was trained on a model stands for its own
            split alone, so that each split needs its model there; any other model is judged on all of them.
        model_dir: where heads of published models lie, the user's data folder by default.

    Raises:
        ModelError: no such model, or its weights are missing or damaged.
        InputError: features are of another network, ``test`` was asked of a database that is not the model's, the table
            has changed since the model was trained on it, or which part of it the model has seen is not known.
        UsageError: a split has no model that was trained for it, or ``exp_ids`` meet ``"all"``.
    """
    if exp_ids is not None and part == "all":
        raise UsageError("every video is in no split", hint="give either --exp-ids or --part all")
    opened = open_models(models, model_dir or default_dir())
    results = []
    for each in databases:
        parts = [_parts(model, each.data, part, exp_ids) for model in opened]
        _refuse_gaps(opened, parts, each.data, exp_ids)
        for model, wanted in zip(opened, parts, strict=True):
            results += _judge(model, each, wanted)
    return results


def _parts(model: JudgedModel, data: Dataset, part: str, exp_ids: Sequence[int] | None) -> list[Part]:
    lessons = model.lessons(data)
    if part != "all" and not lessons and model.learnt_from_another_version(data):
        raise InputError(
            f"{model.name} was trained on another version of the table {data.name}, so that its test part is not known",
            hint="give that version, or --part all, which counts what it learnt from too",
        )
    if part != "all" and model.learnt_from_some(data):
        raise InputError(
            f"{model.name} was trained on videos of {data.name}, and which it has not seen is not known",
            hint="--part all judges it on every video, those that it learnt from too",
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
    models: Sequence[JudgedModel], parts: Sequence[list[Part]], data: Dataset, exp_ids: Sequence[int] | None
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


def _judge(model: JudgedModel, database: Rated, parts: Sequence[Part]) -> list[Judgement]:
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
    origin = database.provenance(chosen)
    scores[database.present(chosen)] = _scores(model, database, chosen, origin)
    unlike = _unlike(model, origin)
    return [
        Judgement(
            model.name,
            data.name,
            split,
            scores[here],
            data.mos[here],
            database.missing_of(part),
            (*_remarks(model, database, split, part), *unlike),
        )
        for split, part, here in ((split, part, database.present(part)) for split, part in parts)
    ]


def _remarks(model: JudgedModel, database: Rated, split: int | None, part: NDArray[np.int64]) -> tuple[str, ...]:
    data = database.data
    lessons = model.lessons(data)
    learnt = lessons or model.learnt_from_another_version(data) or model.learnt_from_some(data)
    remarks = [*model.remarks]
    if split is None and learnt:
        remarks.append("trained on some of these videos")
    elif not lessons and (same := model.learnt(database.contents(part))):
        remarks.append(f"trained on {same} of these videos")
    return tuple(remarks)


def _unlike(model: JudgedModel, origin: Provenance) -> tuple[str, ...]:
    """How features differ from those that the head learnt from, although the network is the same."""
    remarks = []
    if model.every != origin.every:
        remarks.append(f"trained on 1 in {model.every} frames, judged on 1 in {origin.every}")
    if model.preprocessing not in (None, origin.preprocessing):
        remarks.append("features of other pixels than it was trained on (--matrix)")
    return tuple(remarks)


def _scores(model: JudgedModel, database: Rated, chosen: NDArray[np.int64], origin: Provenance) -> NDArray[np.float64]:
    """On the database's own scale where the model has learnt it, else on the model's."""
    if origin.extractor_sha256 != model.network:
        raise InputError(
            f"features of another network than that of {model.name}: {database.features}",
            hint="`vqa extract` with its own",
        )
    clips = database.clips(chosen)
    settings = TrainSettings(tau=model.tau, beta=model.beta)
    raw = model.calibration.raw(pooled_scores(model.head, clips, settings, effective_tau(model.tau, origin.every)))
    lines = {name: (gain, offset) for name, gain, offset in model.calibration.others}
    line = lines.get(database.data.name)
    scores: NDArray[np.float64] = raw * line[0] + line[1] if line else model.calibration.score(raw)
    return scores
