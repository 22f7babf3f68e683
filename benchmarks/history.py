"""How soon `vqa history` sees a known change of an encoder, and how often it sees one that is not there.

Harmless commits are simulated by real x264 encodes: each changes `qcomp` by a hair, as harmless commits move results a little. A
known change is then injected (`--injected`, more options of the encoder). Histories of 100 commits are drawn from them in many
orders, the change at any place, and watched as CI would: run by run, with what was known by then.

    python benchmarks/history.py CLIP
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from variants import describe_machine

from vqa_cli._version import __version__
from vqa_cli.document import Run
from vqa_cli.history.entries import Entry
from vqa_cli.history.regressions import find_steps
from vqa_cli.history.series import BD, make_series
from vqa_cli.ladder.job import LadderJob, open_bench
from vqa_cli.ladder.pipeline import run_on
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.settings import LadderSettings

CRFS = (22.0, 27.0, 32.0, 37.0)
# Runs that are watched after a change: one that is not seen in these counts as missed.
AFTER = 20


def settings(extra: str, metric: str) -> LadderSettings:
    """A small ladder with these options of the encoder."""
    codec = {"encoder": "libx264", "preset": "veryfast", "crf": CRFS, "extra": tuple(extra.split())}
    return LadderSettings.model_validate({"display": 180, "heights": [180], "codecs": [codec], "metrics": [metric]})


def encode_all(clip: Path, extras: list[str], metric: str, cache: Path | None) -> list[Run]:
    """A run for each set of options."""
    with open_bench(LadderJob(clip, settings(extras[0], metric), None, cache_dir=cache)) as bench:
        found = []
        for number, extra in enumerate(extras):
            found.append(run_on(bench, settings(extra, metric)).run)
            if number % 20 == 0:
                print(f"  {number} of {len(extras)} commits encoded", flush=True)
        return found


def history(runs: list[Run]) -> list[Entry]:
    """The runs as one commit a minute."""
    return [
        Entry(commit=f"{n:040x}", date=f"2026-01-01T{n // 60:02}:{n % 60:02}:00+00:00", run=run)
        for n, run in enumerate(runs)
    ]


def watch(entries: list[Entry]) -> list[int]:
    """The numbers of the runs at which CI would have failed."""
    series = [item for item in make_series(entries) if item.kind.name == BD]
    alarms = []
    for last in range(2, len(entries) + 1):
        known = [item.__class__(item.place, item.kind, item.values[:last]) for item in series]
        if any(step.new and step.is_regression for step in find_steps(known)):
            alarms.append(last - 1)
    return alarms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--distinct", type=int, default=100, help="harmless commits that are encoded")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--metric", default="vmaf")
    parser.add_argument("--injected", default="-aq-strength 1.15")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1, help="draws other harmless commits, and other histories of them")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--cache", type=Path, help="folder that remembers encodes")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    harmless = [f"-qcomp {0.6 + rng.gauss(0, 0.004):.4f}" for _ in range(given.distinct)]
    with tempfile.TemporaryDirectory() as folder, Runner() as runner:
        small = Path(folder, "clip.mkv")
        argv = [
            str(find_ffmpeg(runner).path),
            "-v",
            "error",
            "-i",
            str(given.clip),
            "-vf",
            "scale=-2:180",
            "-t",
            str(given.seconds),
        ]
        runner.run([*argv, "-an", "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(small)])
        good = encode_all(small, harmless, given.metric, given.cache)
        bad = encode_all(
            small, [f"{extra} {given.injected}" for extra in harmless[: given.distinct // 4]], given.metric, given.cache
        )
    values = [v.value for v in next(s for s in make_series(history([*good, *bad])) if s.kind.name == BD).values]
    level = statistics.mean(values[len(good) :]) - statistics.mean(values[: len(good)])
    noise = statistics.stdev(values[: len(good)])
    print(
        f"injected: {level:+.2f} % BD-rate by {given.metric}; harmless commits move it by {noise:.2f} % (standard deviation)"
    )
    found = draw(good, bad, given.orders, given.commits, rng)
    delays = found.delays
    print(
        f"false alarms: {found.false} in {found.harmless} harmless commits ({100 * found.false / found.harmless:.2f} per 100)"
    )
    told = ", ".join(f"{delays.count(d)} after {d}" for d in sorted(set(delays)))
    print(f"found: {len(delays)} of {given.orders}, commits later: {told}; missed: {found.missed}")
    if given.json:
        figures = {
            "injected": given.injected,
            "seed": given.seed,
            "metric": given.metric,
            "bd_rate": level,
            "noise": noise,
        }
        machine = describe_machine(2, os.getloadavg()[0], vqa=__version__)
        text = json.dumps({"machine": machine, "figures": figures | asdict(found)}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")


@dataclass
class Found:
    """What watching histories came to: false alarms in so many harmless commits, and ``delays`` in commits after the change."""

    harmless: int = 0
    false: int = 0
    missed: int = 0
    delays: list[int] = field(default_factory=list)


def draw(good: list[Run], bad: list[Run], orders: int, commits: int, rng: random.Random) -> Found:
    """Watch as many histories without a change, and as many with one at any place."""
    found = Found()
    for _ in range(orders):
        found.false += len(watch(history(rng.choices(good, k=commits))))
        place = rng.randrange(30, commits - AFTER)
        alarms = watch(history([*rng.choices(good, k=place), *rng.choices(bad, k=AFTER)]))
        found.false += sum(alarm < place for alarm in alarms)
        found.harmless += commits + place
        hit = next((alarm - place for alarm in alarms if alarm >= place), None)
        found.missed += hit is None
        found.delays += [] if hit is None else [hit]
    return found


if __name__ == "__main__":
    main()
