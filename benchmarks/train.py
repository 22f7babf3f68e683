"""Training speed on cached features against the plain loop of the paper's code, everything in one run on this machine.

    python benchmarks/train.py                       # KoNViD-1k's size: 1,200 clips of 240 frames of 4096 values, 5 GB on disk
    python benchmarks/train.py --clips 300 --epochs 2 --variants plain,fp32,bf16 --json speed.json

Features and ratings are generated in a temporary folder, as float16: one .npy a clip for the plain loop, one safetensors file a
clip, as `vqa extract` writes them, for this package. An epoch is one pass of learning over all clips in batches of 16.

``plain`` is written below in the manner of the published code: a padded float32 array (4.7 GB) holds all clips, batches of it
go through reduction and GRU with their padding, and each clip is cut to its length and pooled on its own. Where the array would
need more than the memory that is free, each clip is read from its file whenever it is asked for; the table says which. ``fp32`` and
``bf16`` are `vqa train` with that ``--precision``. Each runs in a process of its own, so that its peak memory is its own.

``start`` is what comes before the first step (the plain loop's reading of all files); epochs are given as the fastest of ``--epochs``.
Ratios compare start and all epochs together, and the epoch alone. The last column shows that all learn the same.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from variants import describe_machine, in_child, print_child, publish

from vqa_cli._version import MEASUREMENT
from vqa_cli.model.memory import keep_large_blocks

VARIANTS = ("plain", "fp32", "bf16")
_DIM, _LONGEST, _BATCH, _RATE = 4096, 240, 16, 1e-4


@dataclass(frozen=True)
class Timing:
    """One variant: seconds before the first step and of each epoch, and the mean loss of each epoch."""

    variant: str
    reads: str
    start_s: float
    epochs_s: list[float]
    cpu_s: float
    peak_mb: float
    losses: list[float]

    @property
    def total_s(self) -> float:
        return self.start_s + sum(self.epochs_s)


def main() -> None:
    """Run every variant in a process of its own and print the table."""
    options = _parse()
    if options.child:
        print_child(_run(options.child, options))
        return
    with tempfile.TemporaryDirectory(prefix="vqa-bench-", dir=options.folder) as folder:
        options.data = Path(folder)
        _generate(options)
        before = os.getloadavg()[0]
        timings = [_in_child(name, options) for name in options.variants.split(",")]
    machine = describe_machine(options.threads, before, clips=options.clips)
    publish(_report(timings), options.json, machine, timings)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _generate(options: argparse.Namespace) -> None:
    """Clips whose rating shows in their features; one in ten is shorter than the rest, as in KoNViD-1k."""
    from vqa_cli.train.features import Provenance, features_path, write_features

    rng = np.random.default_rng(0)
    ratings = rng.uniform(1, 5, options.clips)
    noise = np.abs(rng.standard_normal((2 * _LONGEST, _DIM))).astype(np.float16)
    pattern = rng.uniform(0, 0.2, _DIM).astype(np.float16)
    for index, rating in enumerate(ratings):
        frames = int(rng.integers(180, _LONGEST)) if index % 10 == 9 else _LONGEST
        first = int(rng.integers(_LONGEST))
        values = noise[first : first + frames] + np.float16(rating) * pattern
        name = f"{index}.mp4"
        origin = Provenance(
            extractor="vsfa", extractor_sha256="0", precision="fp32", preprocessing="none", every=1, measurement=MEASUREMENT, video=name,
            video_bytes=1, width=2, height=2,
        )  # fmt: skip
        write_features(features_path(options.data, name), values, origin)
        np.save(options.data / f"{index}.npy", values)
    np.save(options.data / "ratings.npy", ratings)


def _in_child(variant: str, options: argparse.Namespace) -> Timing:
    sizes = ["--clips", str(options.clips), "--epochs", str(options.epochs), "--threads", str(options.threads)]
    timing = in_child(__file__, variant, ["--data", str(options.data), *sizes], Timing)
    print(f"{variant}: {timing.total_s:.1f} s", file=sys.stderr, flush=True)
    return timing


def _run(variant: str, options: argparse.Namespace) -> Timing:
    # As `vqa train` sets it, for all variants: threads that spin while they wait slow a busy machine down.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if variant != "plain":
        keep_large_blocks()  # as the program does
    import torch

    from vqa_cli.train import loop as _loop  # noqa: F401  (loading programs is not what is measured)

    torch.set_num_threads(options.threads)
    start, cpu = time.perf_counter(), _cpu_s()
    epoch, reads = _plain(options) if variant == "plain" else _ours(options, variant)
    marks, losses = [time.perf_counter()], []
    for _ in range(options.epochs):
        losses.append(epoch())
        marks.append(time.perf_counter())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = np.diff(marks).tolist()
    return Timing(variant, reads, marks[0] - start, spent, _cpu_s() - cpu, peak_mb, losses)


def _ours(options: argparse.Namespace, precision: str) -> tuple[Callable[[], float], str]:
    import torch

    from vqa_cli.train.clips import Clips
    from vqa_cli.train.loop import TrainSettings, start_fit, train_epoch
    from vqa_cli.train.objective import L1Objective

    ratings = np.load(options.data / "ratings.npy")
    clips = Clips.of(options.data, [f"{i}.mp4" for i in range(options.clips)], ratings.tolist())
    settings = TrainSettings(learning_rate=_RATE, batch_size=_BATCH, precision=precision)
    fit = start_fit(clips.dim, settings, L1Objective(float(ratings.max())), torch.device("cpu"))

    def epoch() -> float:
        loss = train_epoch(fit, [clips], settings.tau)
        fit.epoch += 1
        return loss

    return epoch, "mapped files"


def _plain(options: argparse.Namespace) -> tuple[Callable[[], float], str]:
    """The same head, seeds and order of the clips, in the way of the published loop."""
    import torch

    from vqa_cli.model.vsfa import VsfaHead

    ratings = np.load(options.data / "ratings.npy")
    labels = torch.from_numpy(ratings / ratings.max()).float()[:, None]
    fits = 4 * options.clips * _LONGEST * _DIM < 0.8 * _free_bytes()
    items = _Padded(options.data, options.clips) if fits else _Files(options.data)
    torch.manual_seed(0)
    head = VsfaHead(_DIM)
    optimiser = torch.optim.Adam(head.parameters(), lr=_RATE)
    counted = iter(range(options.epochs))

    def epoch() -> float:
        order = np.random.default_rng((0, next(counted))).permutation(options.clips)
        losses = []
        for chosen in (order[i : i + _BATCH] for i in range(0, len(order), _BATCH)):
            features, lengths = zip(*(items[int(i)] for i in chosen), strict=True)
            optimiser.zero_grad()
            loss = torch.nn.functional.l1_loss(_judged(head, torch.stack(features), lengths), labels[chosen])
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    return epoch, "array in memory" if fits else "files, each time"


class _Files:
    """Clips padded to the longest, (frames, values) float32, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import torch

        values = np.load(self._folder / f"{index}.npy")
        padded = np.zeros((_LONGEST, _DIM), np.float32)
        padded[: len(values)] = values
        return torch.from_numpy(padded), len(values)


class _Padded:
    """The same, all in one array that is filled at the start."""

    def __init__(self, folder: Path, count: int) -> None:
        self._array = np.zeros((count, _LONGEST, _DIM), np.float32)
        self._lengths = []
        for index in range(count):
            values = np.load(folder / f"{index}.npy")
            self._array[index, : len(values)] = values
            self._lengths.append(len(values))

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import torch

        return torch.from_numpy(self._array[index]), self._lengths[index]


def _judged(head: Any, features: Any, lengths: tuple[int, ...]) -> Any:
    """Clip scores (batch, 1) of padded features (batch, frames, values)."""
    import torch

    reduced = head.ann["fc0"](features)
    outputs, _ = head.rnn(reduced, torch.zeros(1, len(features), head.hidden))
    frames = head.q(outputs)
    return torch.stack([_pooled(frames[i, :length]) for i, length in enumerate(lengths)])[:, None]


def _pooled(scores: Any, tau: int = 12, beta: float = 0.5) -> Any:
    """Score of one clip from frame scores (frames, 1): windows by pooling layers, over padded copies."""
    import torch
    import torch.nn.functional as F

    row = scores.T[None]
    none_before, far_ahead = torch.full((1, 1, tau - 1), -torch.inf), torch.full((1, 1, tau - 1), 10000.0)
    worst = -F.max_pool1d(torch.cat((none_before, -row), 2), tau, stride=1)
    weighted = torch.cat((row * torch.exp(-row), far_ahead * torch.exp(-far_ahead)), 2)
    weights = torch.cat((torch.exp(-row), torch.exp(-far_ahead)), 2)
    ahead = F.avg_pool1d(weighted, tau, stride=1) / F.avg_pool1d(weights, tau, stride=1)
    return (beta * ahead + (1 - beta) * worst).mean()


def _free_bytes() -> int:
    info = Path("/proc/meminfo")
    if not info.exists():
        return 0
    (line,) = (line for line in info.read_text().splitlines() if line.startswith("MemAvailable"))
    return 1024 * int(line.split()[1])


def _cpu_s() -> float:
    spent = os.times()
    return spent.user + spent.system


def _report(timings: list[Timing]) -> str:
    plain = next((t for t in timings if t.variant == "plain"), None)
    head = "variant | reads | start s | epoch s | all s | ratio, all | ratio, epoch | CPU s | peak MB | losses"
    lines = [f"| {head} |", "|---" * len(head.split("|")) + "|"]
    lines += ["| " + " | ".join(_cells(t, plain)) + " |" for t in timings]
    return "\n".join(lines)


def _cells(t: Timing, plain: Timing | None) -> Iterator[str]:
    epoch = min(t.epochs_s)
    yield from (t.variant, t.reads, f"{t.start_s:.1f}", f"{epoch:.2f}", f"{t.total_s:.1f}")
    yield f"{plain.total_s / t.total_s:.2f}×" if plain else ""
    yield f"{min(plain.epochs_s) / epoch:.2f}×" if plain else ""
    yield from (f"{t.cpu_s:.1f}", f"{t.peak_mb:.0f}", " ".join(f"{loss:.4f}" for loss in t.losses))


if __name__ == "__main__":
    main()
