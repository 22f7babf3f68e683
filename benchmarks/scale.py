"""What a Ray cluster costs: throughput against one machine with as many cores, and the driver's time for a task.

    python benchmarks/scale.py ladder [--rounds 3] [--clip CLIP...]
    python benchmarks/scale.py driver [--tasks 20000]

`ladder` runs the same ladder by turns with two workers on this machine, and on a cluster of two nodes with a core each that
it starts here; with more cores than two, pin it (`taskset -c 0,1`). Times begin when the first rung could begin: what starting
costs is said apart. `driver` carries out tasks that do nothing, so that what is left is the driver, Ray, and its wire.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.cluster.executor import RayExecutor, Steps
from vqa_cli.cluster.place import RayCluster, join
from vqa_cli.cluster.travel import Made, Outfit, Parcel, Ready, Sealed
from vqa_cli.cluster.work import here
from vqa_cli.document import EncodeResult
from vqa_cli.events import Planned
from vqa_cli.identity import PixelWish
from vqa_cli.ladder.executor import ThisMachine
from vqa_cli.ladder.job import LadderJob, open_bench
from vqa_cli.ladder.pipeline import run_ladder
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.steps import Judged
from vqa_cli.ladder.task import Conditions, RungTask, plan_tasks, source_ref
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.load import load_scorer
from vqa_cli.settings import LadderSettings
from vqa_cli.store.rungs import Measured

SETTINGS = LadderSettings.model_validate({
    "display": 360, "heights": [180, 360], "threads": 1, "metrics": ["vmaf"],
    "codecs": [{"encoder": "libx264", "preset": "medium", "crf": [20, 28, 36]}],
})  # fmt: skip
NOTHING = EncodeResult(
    bitrate_kbps=1.0, peak_kbps=1.0, video_bytes=1, file_bytes=1, frames=1, duration_s=1.0, wall_s=1.0, cpu_s=1.0, fps=1.0,
    sha256="0" * 64, simd="none",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ladder", "driver"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--clip", type=Path, nargs="+")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _two_nodes() as place:
        clips = args.clip or [_clip(Path(folder, f"{name}.mp4"), seed) for seed, name in enumerate("abc")]
        if args.what == "ladder":
            _compare(clips, place, args.rounds)
        else:
            _driver(clips[0], args.tasks)


@contextmanager
def _two_nodes() -> Iterator[RayCluster]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 2**28})
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=2**28)
    try:
        with join(cluster.address, None) as place:
            yield place
    finally:
        cluster.shutdown()


def _clip(path: Path, seed: int) -> Path:
    """Four seconds of a moving test picture with noise, 640x360 at 25 fps."""
    with Runner() as runner:
        program = str(find_ffmpeg(runner).path)
    picture = f"testsrc2=size=640x360:rate=25:duration=4,noise=alls=8:allf=t:all_seed={seed}"
    line = [
        program,
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        picture,
        "-c:v",
        "libx264",
        "-crf",
        "10",
        "-pix_fmt",
        "yuv420p",
    ]
    subprocess.run([*line, str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


@dataclass
class _Time:
    """Seconds from the first plan to the end, and before that."""

    work_s: float
    start_s: float


def _compare(clips: list[Path], place: RayCluster, rounds: int) -> None:
    scorer = load_scorer()
    rungs = len(clips) * 6
    local, ray = [], []
    for number in range(rounds):
        local.append(_timed(LadderJob(clips, SETTINGS, scorer, workers=2, place=ThisMachine())))
        ray.append(_timed(LadderJob(clips, SETTINGS, scorer, place=place)))
        print(f"round {number + 1}: local {local[-1].work_s:.1f} s, two nodes {ray[-1].work_s:.1f} s", flush=True)
    one, two = (sorted(time.work_s for time in times)[rounds // 2] for times in (local, ray))
    print(f"{rungs} rungs of {len(clips)} clips, median of {rounds}: local {one:.1f} s, two one-core nodes {two:.1f} s")
    print(
        f"throughput {one / two:.2f} of local; nodes ready after {ray[0].start_s:.1f} s, then {ray[-1].start_s:.1f} s"
    )


def _timed(job: LadderJob) -> _Time:
    begun = first = time.perf_counter()

    def watch(event: object) -> None:
        nonlocal first
        if isinstance(event, Planned) and first == begun:
            first = time.perf_counter()

    outcome = run_ladder(job, watch)
    bad = [rung.reason for source in outcome.run.sources for rung in source.rungs if rung.status != "ok"]
    assert not bad, bad
    return _Time(time.perf_counter() - first, first - begun)


def _empty_encode(sealed: Sealed, task: RungTask, board: Any, number: int) -> tuple[Made, Parcel]:
    return Made(here(), "none"), Parcel(NOTHING, task.output)


class _EmptyMeasurer:
    """Answers at once."""

    def __init__(self, sealed: Sealed) -> None:
        pass

    def ready(self) -> Ready:
        return Ready(here(), "none", None)

    def measure(self, task: RungTask, parcel: Parcel) -> Judged:
        return Judged(Measured(encode=NOTHING, fidelity={}), None, {})


def _driver(clip: Path, count: int) -> None:
    with open_bench(LadderJob(clip, SETTINGS, None)) as bench:
        (task, *_) = _tasks(clip, bench)
        site = bench.site
        outfit = Outfit("empty", None, site.ffmpeg.sha256, None, site.ffmpeg.sha256, None, 1)
        executor = RayExecutor(bench.job, site, outfit, Steps(_empty_encode, _EmptyMeasurer))
        many = (replace(task, blank=task.blank.model_copy(update={"id": f"rung{n}"})) for n in range(count))
        try:
            _report(executor, many, count)
        finally:
            executor.close()


def _tasks(clip: Path, bench: Any) -> Iterator[RungTask]:
    source = bench.look(clip, SETTINGS)
    on = Conditions(SETTINGS, PixelWish(), False, bench.ffmpeg.sha256, {"libx264": "x264"}, {})
    ref = replace(source_ref(source, 0, clip.name), fps=Fraction(25))
    for task in plan_tasks(source, ref, plan_ladder(source.info, SETTINGS), on):
        if isinstance(task, RungTask):
            yield task


def _report(executor: RayExecutor, tasks: Iterator[RungTask], count: int) -> None:
    begun = mark = time.perf_counter()
    cpu = time.process_time()
    print("tasks       wall ms/task   MiB of the driver")
    done = 0
    for _ in executor.run(tasks, lambda task, share: None, print):
        done += 1
        if done == 1:
            begun = mark = time.perf_counter()
        if done % (count // 10) == 0:
            now = time.perf_counter()
            print(f"{done:8}    {(now - mark) / (count // 10) * 1000:8.2f}       {_memory():.0f}", flush=True)
            mark = now
    spent = time.perf_counter() - begun
    print(
        f"{done} tasks: {spent / done * 1000:.2f} ms each, {(time.process_time() - cpu) / done * 1000:.2f} ms of the driver's CPU"
    )
    print(f"peak memory of the driver {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _memory() -> float:
    """Resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
