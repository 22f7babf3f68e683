"""What `vqa report` costs: CPU seconds of the whole command for one source of 48 rungs, and for ten.

    python benchmarks/report.py vqa-clip-mobile

The first source of a run is blown up to that many rungs and sources, with its frame values: rungs are repeated at slightly other
bitrates.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from variants import children_cpu_s, describe_machine, publish

from vqa_cli.document import Run, RungResult, read_run
from vqa_cli.frametable import SOURCE_RUNG, RunFrames
from vqa_cli.ladder.output import write_outcome
from vqa_cli.ladder.pipeline import LadderOutcome

RUNGS = 48


@dataclass(frozen=True)
class Cost:
    """Of one page: CPU seconds, the best of several, and its size."""

    sources: int
    rungs: int
    cpu_s: float
    page_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="what `vqa ladder` wrote")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    run = read_run(options.run)
    frames = run.frame_values() or {}
    with tempfile.TemporaryDirectory() as folder:
        costs = [measured(run, frames, sources, Path(folder), options.repeat) for sources in (1, 10)]
    lines = [f"{c.sources} x {c.rungs} rungs: {c.cpu_s:.2f} CPU s, {c.page_bytes / 1e6:.1f} MB" for c in costs]
    publish("\n".join(lines), options.json, describe_machine(1, load), costs)


def measured(run: Run, frames: RunFrames, sources: int, folder: Path, repeat: int) -> Cost:
    """Write the document and its frame values, and time the command."""
    larger = blown_up(run, frames, sources)
    write_outcome(larger, folder)
    best = min(cpu_seconds([sys.executable, "-m", "vqa_cli", "report", str(folder)]) for _ in range(repeat))
    return Cost(sources, RUNGS, best, (folder / "report.html").stat().st_size)


def cpu_seconds(argv: list[str]) -> float:
    """User and system time of a command."""
    before = children_cpu_s()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return children_cpu_s() - before


def blown_up(run: Run, frames: RunFrames, sources: int) -> LadderOutcome:
    """A run of ``sources`` times :data:`RUNGS` rungs, made of the first source's."""
    first = run.sources[0]
    rungs = [copy(first.rungs[number % len(first.rungs)], number // len(first.rungs)) for number in range(RUNGS)]
    values = {}
    made = []
    for index in range(sources):
        info = first.source.model_copy(update={"name": f"{index} {first.source.name}", "sha256": f"{index:064x}"})
        made.append(first.model_copy(update={"source": info, "rungs": tuple(rungs)}))
        values[index, SOURCE_RUNG] = dict(frames.get((0, SOURCE_RUNG), {}))
        for number, rung in enumerate(rungs):
            values[index, rung.id] = dict(frames.get((0, first.rungs[number % len(first.rungs)].id), {}))
    return LadderOutcome(run.model_copy(update={"sources": tuple(made)}), values)


def copy(rung: RungResult, number: int) -> RungResult:
    """A rung again, a little dearer each time."""
    if rung.encode is None or not number:
        return rung
    encode = rung.encode.model_copy(update={"bitrate_kbps": rung.encode.bitrate_kbps * (1 + number / 50)})
    return rung.model_copy(update={"id": f"{rung.id}_{number}", "encode": encode})


if __name__ == "__main__":
    main()
