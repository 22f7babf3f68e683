"""What it costs and saves that ``vsfa-lite`` sees one frame of N, which stands for all N, and tiles of large frames by turns.

    PYTHONPATH=. python benchmarks/hold.py LADDERS --part choosing --see 1,2,3
    PYTHONPATH=. python benchmarks/hold.py RUN RUN... --see 1,3,3/8,5

LADDERS is what ``python -m training.lite ladders`` made; its frames are at most 288 lines high. RUN is the folder of a ``vqa ladder
--metric vmaf --keep-encodes`` of one clip. ``3/8`` sees one frame of three, and of frames of eight tiles or more every second tile. For
each: CPU time of a 1280x720 frame of noise in one thread, agreement with VMAF, and how far scores lie from those of the first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from training.lite import agreement
from training.lite.agreement import Rung
from training.lite.judging import judge, rungs_of
from training.lite.ladders import read_ladders
from training.lite.shots import Part
from vqa_cli.api.measuring import score_files
from vqa_cli.document import read_run
from vqa_cli.measure.score import ScoreRequest
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.load import load_scorer
from vqa_cli.model.registry import lite_path
from vqa_cli.values import FrameFormat, Scorer

_SHOWN = FrameFormat(1280, 720)
_FRAMES = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--part", default="choosing", choices=("training", "choosing"))
    parser.add_argument("--see", default="1,2,3", help="[1,2,3]")
    args = parser.parse_args()
    print("| seen | CPU ms a frame | verdict | sizes | encoders | SROCC within | wrong neighbours | mean error, clean "
          "| moved by: mean, p95, most |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    first: list[Rung] = []
    for see in args.see.split(","):
        with tempfile.TemporaryDirectory() as folder:
            path = _variant(Path(folder), *map(int, see.split("/")))
            cost, scorer = _cost(path), load_scorer(path, device="cpu")
            of_runs = (args.data[0] / "run.json").exists()
            rungs = list(_of_runs(args.data, scorer) if of_runs else _of_ladders(args.data[0], scorer, args.part))
        first = first or rungs
        print(f"| {see} | {cost:.1f} | {_agreement(rungs)} | {_moved(rungs, first)} |", flush=True)


def _of_ladders(data: Path, scorer: Scorer, part: Part) -> Iterator[Rung]:
    ladders = {ladder.key: ladder for ladder in read_ladders(data, part)}
    for judged in judge(data, scorer, part):
        yield from rungs_of(ladders[judged.key], judged)


def _of_runs(folders: list[Path], scorer: Scorer) -> Iterator[Rung]:
    for folder in folders:
        (source,) = read_run(folder).sources
        files = {path.stem: path for path in (folder / "encodes").rglob("*.*")}
        shown = ScoreRequest(at=(source.display_width, source.display_height))
        for rung in source.rungs:
            vmaf = rung.quality("vmaf")
            if rung.encode is not None and vmaf is not None:
                ((_, found),) = score_files([files[rung.id]], shown, scorer=scorer)
                kbps, score = rung.encode.bitrate_kbps, found.score.score
                yield Rung(folder.name, folder.name, True, rung.encoder, rung.height, kbps, vmaf, score)


def _agreement(rungs: list[Rung]) -> str:
    verdicts = agreement.verdicts(rungs)
    shares = [
        agreement.mean([(v.group, v.agrees) for v in verdicts if kind in ("all", v.between)]).value
        for kind in ("all", "sizes", "encoders")
    ]
    within = agreement.mean(agreement.within(rungs)).value
    wrong = agreement.mean(agreement.neighbours(rungs)).value
    error = agreement.mean(agreement.errors([rung for rung in rungs if rung.clean])).value
    return f"{' | '.join(f'{share:.3f}' for share in shares)} | {within:.3f} | {wrong:.3f} | {error:.2f}"


def _moved(rungs: list[Rung], first: list[Rung]) -> str:
    moved = np.abs([one.score - other.score for one, other in zip(rungs, first, strict=True)])
    return f"{moved.mean():.2f}, {np.percentile(moved, 95):.2f}, {moved.max():.2f}"


def _variant(folder: Path, hold: int, by_turns: int = 0) -> Path:
    card, tensors, _ = load_model(lite_path())
    path = folder / "variant.safetensors"
    config = card.backbone_config | {"hold": hold, "by_turns": by_turns}
    save_model(path, card.model_copy(update={"backbone_config": config}), tensors)
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
