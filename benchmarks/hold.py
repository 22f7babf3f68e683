"""What it costs and saves that ``vsfa-lite`` sees one frame of N, which stands for all N.

    PYTHONPATH=. python benchmarks/hold.py DATA --part choosing

For each N: CPU time of a 1280x720 frame of noise in one thread, and agreement with VMAF on the ladders of ``benchmarks/accuracy.py``,
beside how far scores lie from those of N = 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from training.lite import agreement
from training.lite.judging import Judged, judge, rungs_of
from training.lite.ladders import read_ladders
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.load import load_scorer
from vqa_cli.model.registry import lite_path
from vqa_cli.values import FrameFormat

_SHOWN = FrameFormat(1280, 720)
_FRAMES = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", default="choosing", choices=("training", "choosing"))
    parser.add_argument("--hold", default="1,2,3", help="[1,2,3]")
    args = parser.parse_args()
    ladders = read_ladders(args.data, args.part)
    print("| one frame of | CPU ms a frame | verdict | SROCC within | mean error, clean | moved by: mean, p95, most |")
    print("|---|---|---|---|---|---|")
    first: dict[str, Judged] = {}
    for hold in map(int, args.hold.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            path = _variant(Path(folder), hold)
            cost = _cost(path)
            found = {judged.key: judged for judged in judge(args.data, load_scorer(path, device="cpu"), args.part)}
        first = first or found
        rungs = [rung for ladder in ladders for rung in rungs_of(ladder, found[ladder.key])]
        verdict = agreement.mean([(v.group, v.agrees) for v in agreement.verdicts(rungs)]).value
        within = agreement.mean(agreement.within(rungs)).value
        error = agreement.mean(agreement.errors([rung for rung in rungs if rung.clean])).value
        moved = np.abs(
            [found[k].encodes[file] - score for k, one in first.items() for file, score in one.encodes.items()]
        )
        print(f"| {hold} | {cost:.1f} | {verdict:.3f} | {within:.3f} | {error:.2f} | "
              f"{moved.mean():.2f}, {np.percentile(moved, 95):.2f}, {moved.max():.2f} |", flush=True)  # fmt: skip


def _variant(folder: Path, hold: int) -> Path:
    card, tensors, _ = load_model(lite_path())
    path = folder / "variant.safetensors"
    save_model(path, card.model_copy(update={"backbone_config": card.backbone_config | {"hold": hold}}), tensors)
    return path


def _cost(path: Path) -> float:
    torch.set_num_threads(1)
    frames = np.random.default_rng(0).integers(16, 235, (_FRAMES, *_SHOWN.shape)).astype(np.uint8)
    scorer = load_scorer(path, device="cpu")
    scorer.score([frames[:18]], _SHOWN)
    begun = time.process_time()
    scorer.score([frames[at : at + 6] for at in range(0, _FRAMES, 6)], _SHOWN)
    return (time.process_time() - begun) / _FRAMES * 1000


if __name__ == "__main__":
    main()
