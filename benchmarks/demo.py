"""What README and docs/figures.md say of whole commands: the demo's ladder, the same again, a known score, the help.

    python benchmarks/demo.py CLIP --json benchmarks/results/demo.json

The ladder starts with an empty cache, once. What is known already is asked ``--rounds`` times, and the fastest counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from variants import children_cpu_s, describe_machine, publish


@dataclass(frozen=True)
class Timing:
    """Seconds of one command."""

    command: str
    wall_s: float
    cpu_s: float


def main() -> None:
    """Time every command and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load, clip = os.getloadavg()[0], str(options.clip)
    with tempfile.TemporaryDirectory(prefix="vqa-bench-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        ladder = ("ladder", clip, "--preset", "mobile", "-q", "-o", f"{folder}/run")
        timings = [_timed(*ladder)]
        _timed("score", clip)
        for args in ((*ladder, "--stills", "none"), ("score", clip), ("--help",)):
            timings.append(min((_timed(*args) for _ in range(options.rounds)), key=lambda timing: timing.wall_s))
    rows = [f"| `{timing.command}` | {timing.wall_s:.2f} | {timing.cpu_s:.2f} |" for timing in timings]
    report = "\n".join(["| command | wall, s | CPU, s |", "|---|---|---|", *rows])
    publish(report, options.json, describe_machine(os.cpu_count() or 1, load), timings)


def _timed(*args: str) -> Timing:
    before, start = children_cpu_s(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "vqa_cli", *args], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    shown = [Path(arg).name if "/" in arg else arg for arg in args]
    return Timing(" ".join(("vqa", *shown)), time.perf_counter() - start, children_cpu_s() - before)


if __name__ == "__main__":
    main()
