"""Where and in which arithmetic a model runs."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from vqa_cli.errors import ModelError, UsageError
from vqa_cli.machine import cpu_flags
from vqa_cli.model.fused import takes_bf16

# "mixed" is ResNet-50 in bf16 but for its first blocks, which stay in fp32.
DTYPES = {"fp32": torch.float32, "mixed": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Close:
    """The cheapest arithmetic that keeps a model's scores: on a CPU, and on a GPU where each costs the same but fp32.

    To keep them means that they move by no more than the model's documents say, on any machine that takes it: a baseline
    made on one is to be compared with a run on another.
    """

    cpu: str = "fp32"
    gpu: str = "fp32"


# By at most 0.002 of the raw scale: docs/performance.md. fp16 has three binary digits more than bf16. vsfa-lite has no such
# arithmetic: bf16 moves single rungs by more than half a point of 100.
RESNET_CLOSE = Close("mixed", "fp16")
# The first GPUs that multiply each natively (Volta, Ampere); torch.cuda.is_bf16_supported counts emulation too.
_SINCE = {"fp32": (0, 0), "fp16": (7, 0), "bf16": (8, 0)}


def pick_device(wanted: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` to a device that is there.

    Raises:
        UsageError: the name is none of these, or there is no such device.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as err:
        raise UsageError(f"unknown device: {wanted}", hint="auto, cpu, cuda, cuda:N or mps") from err
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise UsageError(f"no such device on this machine: {wanted}", hint="use --device auto")
    return device


def pick_precision(wanted: str, device: torch.device, close: Close) -> str:
    """``auto`` is what is ``close`` where the hardware has it natively, else fp32.

    On a CPU the fused operators must take it too: without them sums are rounded once more, and scores move further.

    Raises:
        UsageError: an arithmetic that the device does not have.
    """
    if wanted == "auto":
        if device.type == "cuda":
            return close.gpu if torch.cuda.get_device_capability(device) >= _SINCE[close.gpu] else "fp32"
        return close.cpu if device.type == "cpu" and cpu_has_bf16() and takes_bf16() else "fp32"
    refuse_precision(wanted, device)
    return wanted


def refuse_precision(wanted: str, device: torch.device) -> None:
    """Raise where ``wanted`` is no arithmetic of this device.

    Raises:
        UsageError: with those that there are.
    """
    if wanted not in ("auto", *DTYPES):
        raise UsageError(f"unknown precision: {wanted}", hint=f"auto, {', '.join(DTYPES)}")
    if wanted == "fp16" and device.type == "cpu":
        raise UsageError("fp16 needs a GPU", hint="use --precision bf16 or fp32 on a CPU")


def cpu_has_bf16() -> bool:
    """Whether the CPU has AVX512-BF16 or AMX-BF16; emulated bf16 would be slower than fp32."""
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})


# What torch says of memory that it cannot get, where it says so by a plain RuntimeError: cuBLAS, cuDNN, the driver, MPS, a CPU.
_NO_MEMORY = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED", "DefaultCPUAllocator")


def is_out_of_memory(err: RuntimeError) -> bool:
    """Whether an error of torch's means that memory did not suffice, so that less at once may work."""
    return isinstance(err, torch.cuda.OutOfMemoryError) or any(words in str(err) for words in _NO_MEMORY)


def short_of_memory(what: str, device: torch.device) -> ModelError:
    """Memory that does not hold ``what``, with the way out."""
    if device.type == "cpu":
        return ModelError(
            f"memory does not hold {what}", hint="end other programs; use a smaller --score-at; use a smaller --display"
        )
    return ModelError(f"GPU memory does not hold {what}", hint="use --device cpu")


class _FullFp32:
    """Inside, cuDNN multiplies fp32 as such. Left to itself it takes TF32, whose 10 bits do not keep scores to 1e-5.

    torch has one switch for the whole process, and a ladder scores in several threads: the first to come throws it, the
    last to leave puts back what was found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._found = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._found.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._found.close()


FULL_FP32 = _FullFp32()
