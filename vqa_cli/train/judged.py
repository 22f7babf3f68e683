"""Models as judging needs them: a head without its network, and what it has learnt from."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vqa_cli.model.card import calibration_of, read_model_file
from vqa_cli.model.checkpoint import tensors_of
from vqa_cli.model.heads import Head, load_head
from vqa_cli.model.published import load_published_head, refuse_missing
from vqa_cli.model.registry import (
    LITE,
    MODEL_NAMES,
    PUBLISHED,
    RESNET50,
    PublishedModel,
    is_file_name,
    lite_path,
    unknown_model,
)
from vqa_cli.model.temporal import BETA, TAU_FRAMES
from vqa_cli.model.verdict import Calibration
from vqa_cli.names import distinct_ends
from vqa_cli.train.datasets import Dataset


@dataclass(frozen=True)
class JudgedModel:
    """A model without its network.

    ``seen`` are its trainings, which know the test part of their splits; ``learnt_from`` names databases of which nothing is
    known but that it was trained on some of their videos. ``preprocessing`` and ``every`` are those of the features that its
    head learnt from; ``None`` where more than one kind will do.
    """

    name: str
    head: Head
    calibration: Calibration
    network: str | None
    tau: int = TAU_FRAMES
    beta: float = BETA
    preprocessing: str | None = None
    every: int = 1
    seen: tuple[dict[str, Any], ...] = ()
    learnt_from: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def lessons(self, data: Dataset) -> list[dict[str, Any]]:
        """How the database was split in each training of the model that used it."""
        return [entry for entry in self.seen if entry["sha256"] == data.sha256]

    def learnt_from_another_version(self, data: Dataset) -> bool:
        """Whether it was trained on a table of the same name and videos that says something else by now."""
        others = [entry for entry in self.seen if entry["sha256"] != data.sha256 and entry["name"] == data.name]
        return any(not set(entry["test"]).isdisjoint(data.names) for entry in others)

    def learnt(self, videos: Collection[str]) -> int:
        """From how many of these videos, by their content, it learnt; names say nothing, as databases count from 1."""
        known = {content for entry in self.seen for content in entry.get("learnt_sha256", ())}
        return len(known.intersection(videos))

    def learnt_from_some(self, data: Dataset) -> bool:
        """Whether the table is of a public database that it was trained on, by its name: KoNViD-1k, konvid_1k_subset, …"""
        return any(_letters(data.name).startswith(_letters(name)) for name in self.learnt_from)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def open_models(models: Sequence[str], directory: Path) -> list[JudgedModel]:
    """Read models by their registered names or files, each once; no two get the same name.

    Args:
        directory: where heads of published models lie.

    Raises:
        ModelError: no such model, or its weights are missing or damaged.
    """
    spelled: dict[str, str] = {}
    for model in models:
        spelled.setdefault(model if model in MODEL_NAMES else os.path.abspath(model), model)
    files = [path for path in spelled if path not in MODEL_NAMES]
    names = dict(zip(files, short_names(files, taken=MODEL_NAMES), strict=True))
    return [replace(_open(model, directory), name=names.get(path, model)) for path, model in spelled.items()]


def short_names(paths: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """The end of each absolute path, without suffix, that no other one has: ``m``, or ``a/m`` beside ``b/m``.

    Args:
        paths: all different.
        taken: names that none of them may get.
    """
    ends = distinct_ends([Path(path).with_suffix("") for path in paths], taken)
    # Those that differ in nothing but their suffix keep all of their path.
    return [path if end is None else end for path, end in zip(paths, ends, strict=True)]


def _open(model: str, directory: Path) -> JudgedModel:
    if model in PUBLISHED:
        return _read_published(PUBLISHED[model], directory)
    if model != LITE and not is_file_name(model):
        raise unknown_model(model)
    path = lite_path() if model == LITE else Path(model)
    file = read_model_file(path)
    card = file.card
    return JudgedModel(
        model, load_head(card, tensors_of(file), path), calibration_of(card.scale), file.network, card.tau, card.beta,
        preprocessing=card.preprocessing, every=card.every,
        seen=(*card.training.get("datasets", []), *card.training.get("datasets_before", [])),
    )  # fmt: skip


def _read_published(model: PublishedModel, directory: Path) -> JudgedModel:
    """The head alone: features are there already, and say themselves whether they are ResNet-50's."""
    refuse_missing(model.name, [model.head], directory)
    found = load_published_head(model, directory / model.head.name)
    other = () if found.sha256 == model.head.sha256 else (f"{model.head.name} is not the published file",)
    return JudgedModel(
        model.name, found.head, found.calibration, RESNET50.sha256, learnt_from=model.databases, remarks=other
    )
