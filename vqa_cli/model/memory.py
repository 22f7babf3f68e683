"""How this process asks the system for memory and waits for its threads."""

from __future__ import annotations

import ctypes
import os

# mallopt's names for its parameters, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 1 << 30


def keep_large_blocks() -> None:
    """Hold on to freed memory and ask for large pages; call it before torch is imported. Without effect off Linux's glibc.

    A network's maps are tens of megabytes each. Left alone, glibc gives each back to the system when it is freed, and the
    next one costs a page fault for every 4 kB: 16,000 a frame, a tenth of ResNet-50's time in mixed precision. Threads share one
    arena: those of their own are made of heaps of 64 MB, and an empty heap goes back whatever is said of thresholds.
    Process-wide, hence the caller's to decide.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        for threshold in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(threshold, _KEPT_BYTES)
        mallopt(_ARENA_MAX, 1)


def prepare_process(threads: int | None = None) -> None:
    """Set this process up for scoring, as every command does for itself; call it once, before torch is imported.

    It is left to the caller because it holds for the whole process: freed memory is kept (:func:`keep_large_blocks`), and
    OpenMP's threads sleep while they wait. Spinning at barriers, the default, starves ffmpeg, which shares the machine with
    every worker, and the network with it: with twice as many busy threads as cores, scoring took 3 to 5 times as long.

    Args:
        threads: of torch; all cores without it. Results do not depend on it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads
    keep_large_blocks()
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
