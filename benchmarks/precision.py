"""How far less than fp32 moves the scores of VSFA and MDTVSFA, and whether it changes the order of a ladder's rungs.

    python benchmarks/precision.py CLIP... --backbone-weights resnet50-0676ba61.pth --heads DIR
    python benchmarks/precision.py CLIP... --backbone-weights FILE --heads DIR --variants mixed,first3,bf16,fp16

Every clip becomes a ladder of x264 rungs at ``--crf``; ``--frames`` frames of each rung, evenly spread over its first two
seconds, go through ResNet-50 in fp32 and in each variant, then through both published heads (``VSFA.pt`` and ``MDTVSFA.pt``
in DIR). ``firstN`` is bf16 with the first N of 16 blocks in fp32; ``mixed`` and ``fp16`` are what the package takes by itself
on a CPU and on a GPU (``--device cuda``). Changes are of the raw score, whose scale is 1.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from torch import Tensor

from vqa_cli.model.device import FULL_FP32
from vqa_cli.model.published import PublishedHead, load_published_head
from vqa_cli.model.registry import PUBLISHED
from vqa_cli.model.resnet import ResNetBackbone
from vqa_cli.model.temporal import TemporalPooling
from vqa_cli.values import FrameFormat

_FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
_FORMAT = FrameFormat(2, 2, full_range=True, layout="rgb24")
_TOLD_APART = 0.002
_FPS, _SECONDS = 24, 2


@dataclass(frozen=True)
class Rung:
    """One rung of a clip's ladder: features by variant, (frames, 4096) each."""

    clip: str
    features: dict[str, Tensor]


def main() -> None:
    """Measure every ladder and print a table for each model."""
    options = _parse()
    names = ["fp32", *options.variants.split(",")]
    networks = {name: _network(options.backbone_weights, name).to(options.device) for name in names}
    rungs = []
    with tempfile.TemporaryDirectory(prefix="vqa-bench-") as folder, torch.inference_mode(), FULL_FP32:
        for clip in options.clips:
            for frames in _ladder(clip, options, Path(folder)):
                shown = frames.to(options.device)
                parts = {
                    name: torch.cat([net(one[None], _FORMAT).cpu() for one in shown]) for name, net in networks.items()
                }
                rungs.append(Rung(str(clip), parts))
            print(f"{clip.name}: done", flush=True)
        print(f"\nfeatures, relative change (RMS): {_features(rungs, names)}\n")
        print("| model | variant | largest | mean | ladders beyond 0.002 | pairs swapped | furthest apart of these |")
        print("|---|---|---|---|---|---|---|")
        for model in PUBLISHED.values():
            head = load_published_head(model, options.heads / model.head.name)
            for name in names[1:]:
                print(_row(model.name, name, rungs, head))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--backbone-weights", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--variants", default="mixed,bf16,fp16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="480x270")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--crf", default="16,22,28,34,40,46")
    return parser.parse_args()


def _network(weights: Path, variant: str) -> ResNetBackbone:
    net = ResNetBackbone()
    net.load_torchvision(torch.load(weights, map_location="cpu", weights_only=True), weights)
    net = net.fold().requires_grad_(False)
    if variant.startswith("first"):
        net.round_after(int(variant.removeprefix("first")), torch.bfloat16)
    else:
        net.lower(variant)
    return net


def _ladder(clip: Path, options: argparse.Namespace, folder: Path) -> Iterator[Tensor]:
    """Frames of each rung, (frames, height, width, 3) uint8."""
    width, height = (int(side) for side in options.size.split("x"))
    for crf in options.crf.split(","):
        rung = folder / "rung.mp4"
        _ffmpeg("-i", clip, "-t", _SECONDS, "-an", "-vf", f"fps={_FPS},scale={width}:{height}:flags=bicubic,format=yuv420p",
                "-c:v", "libx264", "-preset", "fast", "-crf", crf, "-y", rung)  # fmt: skip
        step = max(1, _FPS * _SECONDS // options.frames)
        raw = _ffmpeg("-i", rung, "-vf", f"select=not(mod(n\\,{step}))", "-fps_mode", "passthrough",
                      "-frames:v", options.frames, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")  # fmt: skip
        yield torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, height, width, 3)


def _ffmpeg(*arguments: object) -> bytes:
    argv = [_FFMPEG, "-v", "error", *map(str, arguments)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout


def _features(rungs: list[Rung], names: list[str]) -> str:
    def relative(name: str) -> float:
        parts = [float((r.features[name] - r.features["fp32"]).norm() / r.features["fp32"].norm()) ** 2 for r in rungs]
        return float(np.sqrt(np.mean(parts)))

    return ", ".join(f"{name} {relative(name):.4f}" for name in names[1:])


def _row(model: str, variant: str, rungs: list[Rung], head: PublishedHead) -> str:
    def raw(features: Tensor) -> float:
        scores, _ = head.head(features[None])
        return float(head.calibration.raw(TemporalPooling()(scores[0].double().numpy())))

    ladders: dict[str, list[tuple[float, float]]] = {}
    for rung in rungs:
        ladders.setdefault(rung.clip, []).append((raw(rung.features["fp32"]), raw(rung.features[variant])))
    changes = {clip: [abs(new - old) for old, new in scores] for clip, scores in ladders.items()}
    every = [change for those in changes.values() for change in those]
    pairs = [pair for scores in ladders.values() for pair in combinations(scores, 2)]
    gaps = [abs(a[0] - b[0]) for a, b in pairs if (a[0] - b[0]) * (a[1] - b[1]) < 0]
    beyond = sum(max(those) > _TOLD_APART for those in changes.values())
    cells = [model, variant, f"{max(every):.5f}", f"{np.mean(every):.5f}", f"{beyond} of {len(ladders)}",
             f"{len(gaps)} of {len(pairs)}", f"{max(gaps):.5f}" if gaps else ""]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
