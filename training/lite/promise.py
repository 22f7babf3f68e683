"""Writes into a model's card how far VMAF may lie from its scores."""

from __future__ import annotations

from pathlib import Path

from training.lite.conformal import difference_errors, interval, level_errors
from training.lite.judging import judge, rungs_of
from training.lite.ladders import read_ladders
from training.lite.shots import Part
from vqa_cli.errors import InputError
from vqa_cli.model.card import Interval
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.load import load_scorer

LEVEL = 0.95
# With fewer, none can be left out.
_FEWEST = 20


def promise(data: Path, model: Path, *parts: Part) -> Interval:
    """Measure the intervals of a model file on held-out ladders, and write them into its card.

    Raises:
        InputError: no ladders, damaged ones, or too few groups to promise anything.
        ModelError: no model file.
    """
    ladders = {ladder.key: ladder for ladder in read_ladders(data, *parts)}
    scorer = load_scorer(str(model), device="cpu")
    rungs = [rung for judged in judge(data, scorer, *parts) for rung in rungs_of(ladders[judged.key], judged)]
    levels, differences = level_errors(rungs), difference_errors(rungs)
    if min(len(levels), len(differences)) < _FEWEST:
        raise InputError(f"too few groups for {100 * LEVEL:g} % intervals: {len(levels)} of clean sources: {data}")
    score, difference = interval(levels, LEVEL), interval(differences, LEVEL)
    found = Interval(
        level=LEVEL, score=round(score.half_width, 2), score_held=round(score.coverage, 4), score_groups=score.groups,
        difference=round(difference.half_width, 2), difference_held=round(difference.coverage, 4),
        difference_groups=difference.groups,
    )  # fmt: skip
    card, tensors, _ = load_model(model)
    save_model(model, card.model_copy(update={"interval": found}), tensors)
    return found
