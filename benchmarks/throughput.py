"""How many frames a second a model takes at each picture size, how near that is to the device's peak, and what bounds it.

    python benchmarks/throughput.py                                      # vsfa on the GPU where there is one, else the CPU
    python benchmarks/throughput.py --model vsfa-lite --device cpu --threads 4 --frames 240 --json throughput.json

Three rates for each size: decoding alone (ffmpeg to frames in memory), the network alone (upload included, frames already
in memory), and ``score_file`` from file to score, in which the two overlap. The peak is what this device gives a large
matrix product in the same arithmetic, measured here; the network's share of it follows from the operations that torch
counts in its convolutions and products. ResNet weights are seeded noise: speed does not depend on what they say.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from noise import make_clip, make_weights
from variants import describe_machine, publish

from vqa_cli.model.memory import keep_large_blocks

if TYPE_CHECKING:
    import torch

    from vqa_cli.model.scorer import StreamingScorer
    from vqa_cli.values import FrameFormat

SIZES = ("960x540", "1920x1080", "3840x2160")


@dataclass(frozen=True)
class Throughput:
    """Rates in frames per second at one size; ``gflop`` for one frame, ``peak_tflops`` of a matrix product on this device."""

    size: str
    decode_fps: float
    network_fps: float
    whole_fps: float
    gflop: float
    peak_tflops: float | None

    @property
    def share(self) -> float | None:
        """Of the peak, 0 to 1, that the network reaches."""
        return None if self.peak_tflops is None else self.network_fps * self.gflop / 1000 / self.peak_tflops

    @property
    def bound(self) -> str:
        """The slower of the two that overlap."""
        return "decoding" if self.decode_fps < self.network_fps else "the network"


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vsfa", choices=("vsfa", "vsfa-lite"), help="mdtvsfa costs what vsfa does")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--frames", type=int, default=240, help="of each generated clip")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    keep_large_blocks()  # as the program does
    import torch

    from vqa_cli.model.load import load_scorer

    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="vqa-bench-") as folder:
        weights: dict[str, Any] = {} if options.model == "vsfa-lite" else make_weights(Path(folder))
        scorer = load_scorer(options.model, device=options.device, precision=options.precision, **weights)
        device = torch.device(scorer.identity.device)
        peak = _peak_tflops(device, scorer.identity.precision)
        rows = [_measure(scorer, size, options.frames, Path(folder), peak) for size in options.sizes.split(",")]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    machine = describe_machine(
        options.threads, load, device=name, model=options.model, precision=scorer.identity.precision
    )
    publish(_report(rows), options.json, machine, rows)


def _measure(scorer: StreamingScorer, size: str, frames: int, folder: Path, peak_tflops: float | None) -> Throughput:
    from vqa_cli.measure.score import score_file
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.decode import MeasureOrder, build_frames_argv
    from vqa_cli.media.frames import frame_format, open_frames
    from vqa_cli.media.graph import SourceView
    from vqa_cli.media.probe import probe
    from vqa_cli.media.process import Runner

    clip = make_clip(folder / f"{size}.mp4", size, frames)
    info = probe(clip)
    pixels = frame_format(info.size, info.colour, info.size, scorer.identity.pixels)
    order = MeasureOrder(info.size, layout=pixels.layout, untagged=pixels.matrix)
    with Runner() as runner:
        ffmpeg = find_ffmpeg(runner)
        argv = build_frames_argv(ffmpeg.path, SourceView.of(info), order)

        def decode() -> list[np.ndarray[Any, Any]]:
            first: list[np.ndarray[Any, Any]] = []
            with open_frames(runner, argv, pixels, expected=frames, what=size) as stream:
                for chunk in stream:
                    first = first or [chunk.copy()]
            return first

        held, decode_s = _timed(decode)
        network_fps = _network_fps(scorer, held[0], pixels)
        score_file(clip, scorer=scorer, runner=runner, ffmpeg=ffmpeg)  # once unmeasured, as the two others are warm
        _, whole_s = _timed(lambda: score_file(clip, scorer=scorer, runner=runner, ffmpeg=ffmpeg))
    gflop = _gflop(scorer, held[0][:1], pixels)
    return Throughput(size, frames / decode_s, network_fps, frames / whole_s, gflop, peak_tflops)


def _network_fps(scorer: StreamingScorer, chunk: np.ndarray[Any, Any], pixels: FrameFormat) -> float:
    """Frames of one chunk over and over, for three seconds at least."""

    def run(times: int) -> float:
        start = time.perf_counter()
        for features in scorer.extractor.features([chunk] * times, pixels):
            last = features
        last.cpu()  # waits for what was queued on a GPU
        return time.perf_counter() - start

    run(1)
    times = 1
    while (taken := run(times)) < 3:
        times *= 2
    return times * len(chunk) / taken


def _peak_tflops(device: torch.device, precision: str) -> float | None:
    """Of a square matrix product in the arithmetic that the network mostly uses; the best of several."""
    import torch

    from vqa_cli.model.card import INT8
    from vqa_cli.model.device import DTYPES, FULL_FP32

    side = 8192 if device.type == "cuda" else 2048
    # A GPU computes integers in fp32. For a CPU's there is no product of matrices in torch.
    if precision == INT8 and device.type == "cpu":
        return None
    left = torch.randn(side, side, device=device).to(DTYPES.get(precision, torch.float32))
    seconds = []
    with FULL_FP32:
        for _ in range(10):
            _, taken = _timed(lambda: (left @ left)[0, 0].item())
            seconds.append(taken)
    return 2 * side**3 / min(seconds) / 1e12


def _gflop(scorer: StreamingScorer, frame: np.ndarray[Any, Any], pixels: FrameFormat) -> float:
    """Operations of one frame, a multiplication and an addition counted as two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

    def convolution(x: list[int], weight: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
        return int(conv_flop_count(x, weight, out_shape))

    def convolution_onto(
        _: list[int], x: list[int], weight: list[int], *__: Any, out_shape: list[int], **___: Any
    ) -> int:
        return int(conv_flop_count(x, weight, out_shape))

    def of_integers(
        x: list[int], _: float, __: int, weight: list[int], *___: Any, out_shape: list[int], **____: Any
    ) -> int:
        return int(conv_flop_count(x, weight, out_shape))

    fused = {
        torch.ops.mkldnn._convolution_pointwise: convolution,
        torch.ops.mkldnn._convolution_pointwise_: convolution_onto,
        torch.ops.aten.cudnn_convolution_relu: convolution,
        torch.ops.aten.cudnn_convolution_add_relu: convolution,
        torch.ops.onednn.qconv_pointwise: of_integers,
    }
    with FlopCounterMode(display=False, custom_mapping=fused) as counter:
        list(scorer.extractor.features([frame], pixels))
    return float(counter.get_total_flops()) / 1e9


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _report(rows: list[Throughput]) -> str:
    lines = [
        "| size | decoding alone | network alone | file to score | GFLOP a frame | share of peak | bound by |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = (f"{rate:.1f}" for rate in (row.decode_fps, row.network_fps, row.whole_fps))
        share = "-" if row.share is None else f"{row.share:.0%} of {row.peak_tflops:.2f} TFLOP/s"
        lines.append("| " + " | ".join([row.size, *rates, f"{row.gflop:.2f}", share, row.bound]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
