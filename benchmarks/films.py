"""Whether memory stays flat: over two hours instead of a minute, and over a thousand titles instead of ten.

    python benchmarks/films.py length [score ladder]      # a generated clip of 320x180, 25 fps, and 120 times the same
    python benchmarks/films.py titles [--titles 1000]     # ladders of tiny clips, in a catalogue and in one run

Figures are the largest resident memory of the program itself in MB (ffmpeg's processes are not in it), and wall time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

MINUTES = 120
LADDER = ("--codec", "x264", "--crf", "30,40", "--encoder-preset", "ultrafast", "--model", "none", "-q", "--no-cache")
_PERIOD_S = 0.2


@dataclass(frozen=True)
class Cost:
    """Of one command."""

    megabytes: float
    wall_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["length", "titles"])
    parser.add_argument("commands", nargs="*", default=["score", "ladder"])
    parser.add_argument("--titles", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vqa-films-") as folder:
        if options.what == "length":
            over_length(Path(folder), options.commands)
        else:
            over_titles(Path(folder), options.titles)


def over_length(folder: Path, commands: list[str]) -> None:
    """A minute, and two hours of it by copying its stream."""
    minute, film = folder / "minute.mp4", folder / "film.mp4"
    picture = "testsrc2=size=320x180:rate=25:duration=60,noise=alls=6:allf=t:all_seed=7"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "2", minute)
    listed = folder / "list.txt"
    listed.write_text("file minute.mp4\n" * MINUTES)
    ffmpeg("-f", "concat", "-i", listed, "-c", "copy", film)
    flags = {
        "score": ("--no-cache", "-q"),
        "ladder": (*LADDER, "--height", "90", "--display", "90", "--metric", "vmaf,psnr"),
    }
    for command in commands:
        costs = []
        for path in (minute, film):
            output = ("-o", str(folder / f"{path.stem}-out")) if command == "ladder" else ()
            costs.append(measured(command, str(path), *flags[command], *output))
            print(f"{command} {path.stem}: {costs[-1].megabytes:.0f} MB, {costs[-1].wall_s:.0f} s", flush=True)
        print(
            f"{command}: {costs[1].megabytes - costs[0].megabytes:+.0f} MB for {MINUTES} times the length", flush=True
        )


def over_titles(folder: Path, most: int) -> None:
    """Clips of ten frames, each another one."""
    clips = folder / "clips"
    clips.mkdir()
    for number in range(most):
        picture = f"testsrc2=size=96x64:rate=25:duration=0.4,noise=alls=20:allf=t:all_seed={number}"
        ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", clips / f"t{number:04}.mp4")
    names = sorted(map(str, clips.iterdir()))
    flags = (*LADDER[:3], "24,28,32,36", *LADDER[4:], "--height", "64", "--display", "64", "--metric", "psnr")
    for way in (("--catalogue",), ()):
        for count in (most // 100 or 1, most // 10 or 1, most):
            out = folder / f"out{count}{len(way)}"
            cost = measured("ladder", *names[:count], *flags, *way, "-o", str(out))
            print(
                f"{' '.join(way) or 'one run'} {count} titles: {cost.megabytes:.0f} MB, {cost.wall_s:.0f} s", flush=True
            )


def ffmpeg(*args: str | Path) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *map(str, args)], check=True, stdin=subprocess.DEVNULL)


def measured(*args: str) -> Cost:
    """Run ``vqa`` and watch its memory."""
    start = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "vqa_cli", *args], stdout=subprocess.DEVNULL)
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while child.poll() is None:
            peak = max(peak, resident_mb(child.pid))
            time.sleep(_PERIOD_S)

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    if child.returncode:
        raise SystemExit(f"vqa {args[0]} ended with {child.returncode}")
    return Cost(peak, time.monotonic() - start)


def resident_mb(pid: int) -> float:
    """The most that a process has held, by Linux's own count."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = next((line for line in lines if line.startswith("VmHWM")), None)
    return int(found.split()[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
