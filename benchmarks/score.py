"""Scoring speed against the plain way of the paper's demo, everything in one run on this machine.

    python benchmarks/score.py                     # 240 generated frames of 960x540
    python benchmarks/score.py clip.mp4 --threads 4 --variants baseline,fp32,bf16,lite --json speed.json

``baseline`` is written below in the manner of the published demo: every frame decoded to RGB and normalised into one
float32 tensor, batches of 32 through an unfolded fp32 NCHW ResNet-50, then the head. ``fp32``, ``mixed``, ``bf16`` and ``auto``
are ``vsfa`` through this package, ``lite`` is ``vsfa-lite``. Each runs in a process of its own, so that its peak memory
is its own. Weights are seeded noise unless given: speed does not depend on what they say, scores do.

Wall time suffers from whatever else runs; CPU seconds (decoder included) suffer less. Both ratios are printed, with the
machine's load before the first run. Time starts when the models are in memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noise import make_clip, make_weights
from variants import describe_machine, in_child, print_child, publish

from vqa_cli.model.memory import keep_large_blocks

VARIANTS = ("baseline", "fp32", "mixed", "bf16", "auto", "lite")
_BATCH = 32


@dataclass(frozen=True)
class Timing:
    """One variant's run; ``raw`` is the score it came to, before any scale."""

    variant: str
    frames: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    raw: float
    precision: str


def main() -> None:
    """Run every variant in a process of its own and print the table."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="vqa-bench-") as folder:
        if options.child:
            print_child(_run(options.child, options))
            return
        _prepare(options, Path(folder))
        before = os.getloadavg()[0]
        timings = [_in_child(name, options) for name in options.variants.split(",")]
    publish(_report(timings), options.json, describe_machine(options.threads, before), timings)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, help="a video; generated when left out")
    parser.add_argument("--size", default="960x540", help="of the generated clip")
    parser.add_argument("--frames", type=int, default=240, help="of the generated clip")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--variants", default="baseline,fp32,bf16")
    parser.add_argument("--backbone-weights", type=Path)
    parser.add_argument("--head-weights", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _prepare(options: argparse.Namespace, folder: Path) -> None:
    """Clip and weights, where they were not given."""
    if options.clip is None:
        options.clip = make_clip(folder / "clip.mp4", options.size, options.frames)
    for name, path in make_weights(folder).items():
        if getattr(options, name) is None:
            setattr(options, name, path)


def _in_child(variant: str, options: argparse.Namespace) -> Timing:
    weights = ["--backbone-weights", str(options.backbone_weights), "--head-weights", str(options.head_weights)]
    arguments = [str(options.clip), "--threads", str(options.threads), *weights]
    timing = in_child(__file__, variant, arguments, Timing)
    print(f"{variant}: {timing.wall_s:.1f} s", file=sys.stderr, flush=True)
    return timing


def _run(variant: str, options: argparse.Namespace) -> Timing:
    if variant != "baseline":
        keep_large_blocks()  # as the program does
    import torch

    torch.set_num_threads(options.threads)
    return _baseline(options) if variant == "baseline" else _ours(variant, options)


def _ours(variant: str, options: argparse.Namespace) -> Timing:
    from vqa_cli.measure.score import score_file
    from vqa_cli.model.load import load_scorer

    if variant == "lite":
        scorer = load_scorer(device="cpu")
    else:
        weights: dict[str, Any] = {n: getattr(options, n) for n in ("backbone_weights", "head_weights")}
        scorer = load_scorer("vsfa", device="cpu", precision=variant, **weights)
    wall, cpu = time.perf_counter(), _cpu_s()
    result = score_file(options.clip, scorer=scorer)
    return _timing(variant, result.frames, (wall, cpu), result.score.raw, scorer.identity.precision)


def _baseline(options: argparse.Namespace) -> Timing:
    import imageio_ffmpeg
    import torch
    from torchvision.models import resnet50

    from vqa_cli.media.probe import probe
    from vqa_cli.model.temporal import pool_clip
    from vqa_cli.model.vsfa import VsfaHead

    net, head = resnet50(weights=None), VsfaHead(4096)
    net.load_state_dict(torch.load(options.backbone_weights, weights_only=True))
    published = torch.load(options.head_weights, map_location="cpu", weights_only=True)
    head.load_state_dict({key: published[key] for key in head.state_dict()})
    stages = torch.nn.Sequential(*list(net.eval().children())[:-2])
    size = probe(options.clip).size
    wall, cpu = time.perf_counter(), _cpu_s()
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(options.clip), "-f", "rawvideo"]
    pixels = subprocess.run([*argv, "-pix_fmt", "rgb24", "-"], check=True, stdout=subprocess.PIPE).stdout
    video = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(-1, size.height, size.width, 3)
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    frames = torch.zeros(len(video), 3, size.height, size.width)
    for index, frame in enumerate(video):
        frames[index] = (frame.permute(2, 0, 1).float() / 255 - mean[:, None, None]) / spread[:, None, None]
    features = []
    with torch.no_grad():
        for batch in frames.split(_BATCH):
            x = stages(batch)
            features.append(torch.cat((x.mean((2, 3)), x.flatten(2).std(2)), dim=1))
        raw = float(pool_clip(head(torch.cat(features)[None])[0][0].double().numpy()))
    return _timing("baseline", len(video), (wall, cpu), raw, "fp32")


def _timing(variant: str, frames: int, start: tuple[float, float], raw: float, precision: str) -> Timing:
    wall, cpu = time.perf_counter() - start[0], _cpu_s() - start[1]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Timing(variant, frames, wall, cpu, peak_mb, raw, precision)


def _cpu_s() -> float:
    """CPU seconds of this process and of the decoders it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _report(timings: list[Timing]) -> str:
    base = next((t for t in timings if t.variant == "baseline"), None)
    head = "| variant | precision | frames | wall s | CPU s | frames/s | wall ratio | CPU ratio | peak MB | raw |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for t in timings:
        ratios = (f"{base.wall_s / t.wall_s:.2f}×", f"{base.cpu_s / t.cpu_s:.2f}×") if base else ("", "")
        cells = [
            t.variant,
            t.precision,
            str(t.frames),
            f"{t.wall_s:.1f}",
            f"{t.cpu_s:.1f}",
            f"{t.frames / t.wall_s:.2f}",
        ]
        lines.append("| " + " | ".join([*cells, *ratios, f"{t.peak_mb:.0f}", f"{t.raw:.6f}"]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
