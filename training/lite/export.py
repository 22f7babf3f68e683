"""From fitted weights to the file that ships, with its card and how well it does on material it has never seen."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from training.lite.fit import Log, read_fit
from training.lite.recipes import Recipe
from training.lite.takes import WINDOW_FORMAT, Take, read_takes
from vqa_cli.errors import InputError
from vqa_cli.model.card import Card, Scale
from vqa_cli.model.checkpoint import save_model
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.load import load_scorer
from vqa_cli.model.vsfa import VsfaHead

# Of the weights that ship: benchmarks/accuracy.py says so. Look at it again before new ones do.
DESCRIPTION = (
    "No-reference estimate of VMAF: 100 looks like a clean source, 0 is ruined. "
    "Use it to order the encodes of one source and to see that an encode got worse. "
    "At equal bitrate it tells the better of two sizes nine times in ten. "
    "Of x265 and SVT-AV1 it tells the better one only three times in four: take verdicts on encoders from VMAF. "
    "Its level does not carry from one source to another, and of frozen, missing, banded or noisy frames it finds only some."
)
_LICENCE = (
    "MIT; trained on pictures and clips in the public domain or under CC0, CC-BY, Apache-2.0, BSD, MIT, Unsplash, "
    "Pexels, Pixabay and Kodak terms, each named in training/lite/sources.csv"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One held-out version of a take: mean VMAF against it and the model's score, both 0..100."""

    take: Take
    recipe: Recipe
    vmaf: float
    score: float


def export(out: Path, target: Path, *, log: Log, evaluate_too: bool = True, jobs: int = 1) -> Card:
    """Write ``out/fit.pt`` as a model file with a card; the card's metrics come from the held-out groups.

    Raises:
        InputError: nothing has been fitted.
        ModelError: what was fitted is damaged.
    """
    if not (out / "fit.pt").exists():
        raise InputError(f"nothing fitted: {out / 'fit.pt'}", hint="run `python -m training.lite fit` first")
    saved = read_fit(out / "fit.pt")
    backbone = LiteBackbone(**saved["config"])
    settings = saved["settings"]
    config = {"dim": backbone.dim, "reduced": settings["reduced"], "hidden": settings["hidden"]}
    VsfaHead(**config).load_state_dict(saved["head"])
    card = Card(
        name="vsfa-lite",
        backbone="lite",
        backbone_config=backbone.config,
        head_config=config,
        scale=Scale(
            name="0-100, VMAF-trained", minimum=0, maximum=100, gain=100, knee=0.05,
            description=DESCRIPTION,
        ),
        preprocessing="yuv420p as decoded, whole frame at the scoring size, cells of 4x4 luma pixels, change since the frame before",
        training_data=f"{saved['clips']} encodes of {len(saved['groups'])} groups of openly licensed footage, photographs and drawn pictures, VMAF v0.6.1 per frame as label",
        licence=_LICENCE,
        training={
            "settings": settings, "earlier": saved.get("earlier", []), "averaged": saved.get("averaged", 1),
            "groups": len(saved["groups"]),
        },
    )  # fmt: skip
    # Kernels in half precision halve the file; the figures below are those of the file as it is.
    tensors = {f"backbone.{k}": v.half() if v.dim() == 4 else v for k, v in saved["backbone"].items()}
    tensors |= {f"head.{k}": v for k, v in saved["head"].items()}
    save_model(target, card, tensors)
    if evaluate_too:
        judged = judge(out, target, log, jobs=jobs)
        card = card.model_copy(update={"metrics": summarise(judged)})
        save_model(target, card, tensors)
    return card


def judge(
    out: Path, model: Path, log: Log, *, split: str = "test", precision: str = "fp32", jobs: int = 1
) -> list[Judged]:
    """Score every held-out version as ``vqa score`` would, ``jobs`` takes at once."""
    takes = read_takes(out, split)
    scorer = load_scorer(str(model), precision=precision, device="cpu")

    def work(take: Take) -> list[Judged]:
        # The last version is the reference itself, which has no label of its own.
        return [
            Judged(take, recipe, 100 * float(vmaf.mean()), scorer.score([frames], WINDOW_FORMAT).score)
            for recipe, vmaf, frames in zip(take.recipes, take.vmaf, take.frames(out), strict=False)
        ]

    judged: list[Judged] = []
    with ThreadPoolExecutor(jobs) as pool:
        for count, found in enumerate(pool.map(work, takes)):
            judged += found
            if count % 20 == 0:
                log(f"held-out take {count + 1} of {len(takes)}")
    return judged


def summarise(judged: list[Judged]) -> dict[str, float]:
    """Agreement with VMAF on held-out groups.

    ``srocc``, ``plcc``, ``rmse``, ``mae`` over all versions of clean takes; ``within_srocc``: mean over takes of the rank
    correlation within one take; ``ladder_order``: share of rightly ordered neighbours on ladders (same take, encoder and
    size, rising quality number) whose VMAF differs by more than one point.
    """
    vmaf = np.array([j.vmaf for j in judged if j.take.clean])
    score = np.array([j.score for j in judged if j.take.clean])
    groups: dict[str, list[Judged]] = {}
    for item in judged:
        groups.setdefault(item.take.key, []).append(item)
    within = [_srocc(members) for members in groups.values() if len(members) > 3]
    return {
        "versions": float(len(judged)),
        "takes": float(len(groups)),
        "srocc": round(float(stats.spearmanr(vmaf, score)[0]), 4),
        "plcc": round(float(stats.pearsonr(vmaf, score)[0]), 4),
        "mae": round(float(np.mean(np.abs(vmaf - score))), 3),
        "rmse": round(float(np.sqrt(np.mean((vmaf - score) ** 2))), 3),
        "within_srocc": round(float(np.mean(within)), 4),
        "ladder_order": round(_ladder_order(judged), 4),
    }


def _srocc(members: list[Judged]) -> float:
    return float(stats.spearmanr([m.vmaf for m in members], [m.score for m in members])[0])


def _ladder_order(judged: list[Judged]) -> float:
    ladders: dict[tuple[str, int], list[Judged]] = {}
    for item in judged:
        ladders.setdefault((item.take.key, item.recipe.ladder), []).append(item)
    right = total = 0
    for members in ladders.values():
        ordered = sorted(members, key=lambda j: j.vmaf)
        for low, high in itertools.pairwise(ordered):
            if high.vmaf - low.vmaf > 1.0:
                total += 1
                right += high.score > low.score
    return right / total
