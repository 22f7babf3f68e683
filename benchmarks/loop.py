"""A ladder against what people write themselves: a loop over rungs with ffmpeg and ffmpeg-quality-metrics.

    python benchmarks/loop.py CLIP [--preset mobile] [--seconds 4] [--rounds 3]

In one run, without a cache and without pictures: the loop (ffmpeg with its own number of threads, then VMAF, PSNR and SSIM by the
package of that name, in an environment of its own), `vqa ladder --model none`, `vqa ladder`, and `vqa ladder --explore`, by turns. Prints
wall and CPU seconds of each, and ratios of the shortest of each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
from variants import children_cpu_s

from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.preset import build_settings, find_preset, read_preset
from vqa_cli.media.probe import probe

_PACKAGE = "ffmpeg-quality-metrics==3.*"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--preset", default="mobile")
    parser.add_argument("--seconds", type=float, help="the first so many alone")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tool", type=Path, help="an ffmpeg-quality-metrics that is installed already")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        clip = _cut(args.clip, args.seconds, folder) if args.seconds else args.clip
        tool = args.tool or _install(folder / "env")
        ladder = [
            sys.executable,
            "-m",
            "vqa_cli",
            "ladder",
            str(clip),
            "--preset",
            args.preset,
            "--no-cache",
            "--stills",
            "none",
            "-q",
        ]
        ways: dict[str, Callable[[], None]] = {
            "vqa ladder --model none": lambda: _run([*ladder, "--model", "none", "-o", str(folder / "b")]),
            "vqa ladder": lambda: _run([*ladder, "-o", str(folder / "a")]),
            "vqa ladder --explore": lambda: _run([*ladder, "--explore", "-o", str(folder / "c")]),
            "the loop": lambda: _loop(clip, args.preset, tool, folder),
        }
        rounds = [[_timed(name, way) for name, way in ways.items()] for _ in range(args.rounds)]
        bare, whole, found, loop = map(min, zip(*rounds, strict=True))
    print(f"with the model against without: {whole / bare:.2f}")
    print(f"against the loop: {whole / loop:.2f}, without the model {bare / loop:.2f}, --explore {found / loop:.2f}")


def _timed(name: str, work: Callable[[], None]) -> float:
    start, before = time.perf_counter(), children_cpu_s()
    work()
    wall, cpu = time.perf_counter() - start, children_cpu_s() - before
    print(f"{name}: {wall:.1f} s, CPU {cpu:.1f} s", flush=True)
    return wall


def _loop(clip: Path, preset: str, tool: Path, folder: Path) -> None:
    settings = build_settings(read_preset(find_preset(preset)), preset)
    for rung in plan_ladder(probe(clip), settings).rungs:
        order, out = rung.order, folder / f"{rung.id}.mp4"
        speed = order.speed or order.encoder.default_speed
        _run(["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-an", "-vf", f"scale={order.size.width}:{order.size.height}:flags=lanczos",
              "-c:v", order.encoder.name, "-crf", f"{order.rate.crf:g}", *(["-preset", speed] if speed else []), str(out)])  # fmt: skip
        _run([str(tool), str(out), str(clip), "-m", "vmaf", "psnr", "ssim"])


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _cut(clip: Path, seconds: float, folder: Path) -> Path:
    out = folder / clip.with_suffix(".mp4").name
    _run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(clip),
            "-t",
            f"{seconds:g}",
            "-an",
            "-c:v",
            "libx264",
            "-crf",
            "8",
            str(out),
        ]
    )
    return out


def _install(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    _run([str(folder / "bin" / "pip"), "install", "--quiet", _PACKAGE])
    return folder / "bin" / "ffmpeg-quality-metrics"


if __name__ == "__main__":
    main()
