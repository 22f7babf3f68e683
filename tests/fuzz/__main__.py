"""``python -m fuzz``: attack by numbers, print what ended how, exit 1 where something ended as nothing may.

Ctrl-C or SIGTERM ends what is under attack: what was attacked so far is reported, and the next target follows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fuzz.kills import kill_all
from fuzz.pool import Done, run_all
from fuzz.targets import TARGETS, Ending

# What `make fuzz` does; the nightly job's seed is its date.
_COUNTS = {
    "containers": 20_000,
    "documents": 5_000,
    "weights": 1_000,
    "cache": 1_000,
    "names": 500,
    "environments": 200,
    "kills": 200,
}
_TOLD_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--one", metavar="TARGET:NUMBER", help="repeat one attack")
    for name, count in _COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N", help=f"[{count}]")
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored by what a shell put into the background
        signal.signal(number, signal.default_int_handler)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # attacks run side by side
    if args.one:
        name, _, number = args.one.partition(":")
        return _report({name: _attacks(name, args.seed, range(int(number), int(number) + 1), 1)}, args.json)
    counts = {name: getattr(args, name) for name in _COUNTS}
    found = {name: _attacks(name, args.seed, range(count), args.jobs) for name, count in counts.items() if count}
    return _report(found, args.json)


def _attacks(name: str, seed: int, numbers: range, jobs: int) -> dict[str, object]:
    begun, codes, faults, peak = time.monotonic(), Counter[int](), {}, 0.0
    told = begun
    with contextlib.suppress(KeyboardInterrupt):
        for done in _made(name, seed, numbers, jobs):
            codes[done.ending.code] += 1
            peak = max(peak, done.peak_mb)
            if done.ending.fault:
                faults[done.number] = _told(done.ending)
                print(f"{name}:{done.number}: {_told(done.ending)}", flush=True)
            if time.monotonic() - told > _TOLD_S:
                told = time.monotonic()
                print(f"{name}: {codes.total()} of {len(numbers)}", flush=True)
    return {
        "attacks": codes.total(), "codes": dict(sorted(codes.items())), "faults": faults,
        "peak_mb": round(peak), "seconds": round(time.monotonic() - begun), "seed": seed,
    }  # fmt: skip


def _made(name: str, seed: int, numbers: range, jobs: int) -> Iterator[Done]:
    if name in TARGETS:
        return run_all(name, seed, numbers, jobs)
    return (Done(number, ending, 0.0) for number, ending in kill_all(seed, numbers))


def _told(ending: Ending) -> str:
    return f"{ending.fault} ({ending.said})"


def _report(found: dict[str, dict[str, object]], path: Path | None) -> int:
    for name, what in found.items():
        codes = ", ".join(f"{code}: {count}" for code, count in what["codes"].items())  # type: ignore[attr-defined]
        print(f"{name}: {what['attacks']} attacks, {len(what['faults'])} faults; exit codes {codes}; "  # type: ignore[arg-type]
              f"{what['peak_mb']} MB, {what['seconds']} s")  # fmt: skip
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(what["faults"] for what in found.values()))


if __name__ == "__main__":
    sys.exit(main())
