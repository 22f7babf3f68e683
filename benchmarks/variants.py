"""What benchmarks of several variants share: a process for each, the machine they ran on, and where the figures go."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def in_child(script: str, variant: str, arguments: Sequence[str], kind: Callable[..., T]) -> T:
    """What ``script --child VARIANT`` prints as JSON: each variant has a process, and so a peak of memory, of its own."""
    argv = [sys.executable, script, *arguments, "--child", variant]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return kind(**json.loads(done.stdout))


def print_child(timing: DataclassInstance) -> None:
    """The other end of :func:`in_child`."""
    print(json.dumps(asdict(timing)))


def children_cpu_s() -> float:
    """CPU seconds of all programs that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def describe_machine(threads: int, load: float, **more: object) -> dict[str, Any]:
    """CPU, cores, threads, torch's version, ``more``, and the load before the first run."""
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu, "cores": os.cpu_count(), "threads": threads, "torch": torch.__version__, **more,
        "load_before": round(load, 1),
    }  # fmt: skip


def publish(report: str, path: Path | None, machine: dict[str, Any], timings: Sequence[DataclassInstance]) -> None:
    """Print the report, below a line on the machine, and write everything as JSON where that is wanted."""
    print(", ".join(f"{key} {value}" for key, value in machine.items()) + f"\n\n{report}")
    if path is not None:
        document = {"machine": machine, "timings": [asdict(timing) for timing in timings]}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
