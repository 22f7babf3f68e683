"""The CPU that results are made on: its name, its vector instructions, what an encoder says of those it uses, and how Linux shares it.

Encoders choose code by the CPU at run time. x264 gives one bitstream with AVX-512, another from SSSE3 to AVX2, a third below;
pictures of x265, SVT-AV1, libvpx, libaom and VVenC were the same with all.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from functools import cache
from pathlib import Path

# Rising; each with the flags that Linux has for all of it.
_X86 = {
    "sse2": {"sse2"},
    "ssse3": {"ssse3"},
    "sse4": {"sse4_1"},
    "avx": {"avx"},
    "avx2": {"avx2"},
    "avx512": {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"},
}
_UNKNOWN, _NONE = "unknown", "none"
# x264 and x265: "using cpu capabilities: MMX2 SSE2Fast SSSE3 SSE4.2 AVX", SVT-AV1: "[asm level selected : up to avx2]".
_SAID = re.compile(r"(?:using cpu capabilities|asm level selected) *: ([^\]\n]+)")


def cpu_name() -> str:
    """As the maker calls it."""
    return _cpuinfo().get("model name", "") or platform.processor()


def cpu_flags() -> frozenset[str]:
    """Of the CPU's instructions, by Linux' names; empty elsewhere."""
    return frozenset(_cpuinfo().get("flags", "").split())


def simd_level() -> str:
    """The CPU's widest vector instructions: ``sse2`` to ``avx512``, ``neon``, or ``unknown`` where the system does not say."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "neon"
    flags = cpu_flags()
    return next((level for level, needed in reversed(_X86.items()) if needed <= flags), _UNKNOWN)


def simd_used(log: str) -> str:
    """The vector instructions that an encode used: what its encoder logged, or what the CPU has where it logged nothing."""
    said = _SAID.findall(log)
    if not said:
        return simd_level()
    words = said[-1].lower()
    return next((level for level in (*reversed(_X86), "neon") if level in words), _NONE)


def prefer_throughput() -> None:
    """On Linux, let threads that wake up wait their turn (``SCHED_BATCH``), here and in programs that are started from here.

    Encodes and measurements side by side have ten threads a core, which push each other aside 25,000 times in half a minute else.
    Their share beside other programs stays the same. A policy that somebody chose (``chrt``) stays too. Where a container forbids
    it, nothing changes.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def may_have_gpu() -> bool:
    """Whether there may be a GPU that torch could use; ``False`` is certain, and costs no import of it."""
    return sys.platform != "linux" or any(
        Path("/dev", name).exists() for name in ("nvidiactl", "nvidia0", "kfd", "dxg")
    )


@cache
def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first core; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
