"""What a 1280x720 frame costs ``vsfa-lite`` and libvmaf, in CPU time, on this machine.

    python benchmarks/frame.py [clip.mp4]     # noise by default
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/frame.py --cpuflags=-avx512

``libvmaf`` is what a rung's measurement runs for VMAF: two decodes and the metric, on one thread. ``vsfa-lite`` is the network on
decoded frames. Each is the difference of two lengths, so that starts are in neither; the smallest of ``--rounds``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from noise import make_clip
from variants import children_cpu_s, describe_machine

from vqa_cli.model.memory import prepare_process
from vqa_cli.values import FrameFormat

_SHORT, _LONG = 30, 120
_SHOWN = FrameFormat(1280, 720)


def main() -> None:
    """Measure both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, help="at least 120 frames; noise when left out")
    parser.add_argument("--cpuflags", help="ffmpeg's own, to leave instructions out")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    prepare_process(1)
    with tempfile.TemporaryDirectory(prefix="vqa-bench-") as folder:
        source = options.clip or make_clip(Path(folder) / "noise.mp4", "1280x720", _LONG)
        encode = _encode(source, Path(folder) / "encode.mp4")
        frames = _decode(encode)
        vmaf = min(_vmaf(encode, source, options.cpuflags) for _ in range(options.rounds))
        score = min(_score(frames) for _ in range(options.rounds))
    print(", ".join(f"{key} {value}" for key, value in describe_machine(1, load).items()))
    print(f"libvmaf with two decodes {vmaf:.1f} ms a frame, vsfa-lite {score:.1f} ms: {score / vmaf:.2f}")


def _encode(source: Path, encode: Path) -> Path:
    _ffmpeg("-i", source, "-frames:v", _LONG, "-an", "-vf", "scale=1280:720", "-c:v", "libx264", "-crf", "30", encode)
    return encode


def _decode(encode: Path) -> np.ndarray[Any, Any]:
    raw = _ffmpeg("-i", encode, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    return np.frombuffer(bytearray(raw), np.uint8).reshape(-1, *_SHOWN.shape)


def _vmaf(encode: Path, source: Path, cpuflags: str | None) -> float:
    """CPU milliseconds a frame."""

    def run(count: int) -> float:
        before = children_cpu_s()
        flags = ("-cpuflags", cpuflags) if cpuflags else ()
        graph = (
            f"[0:v]trim=end_frame={count}[a];[1:v]trim=end_frame={count},scale=1280:720[b];[a][b]libvmaf=n_threads=1"
        )
        _ffmpeg(*flags, "-threads", 1, "-i", encode, "-threads", 1, "-i", source, "-filter_complex_threads", 1,
                "-lavfi", graph, "-frames:v", count, "-f", "null", "-")  # fmt: skip
        return children_cpu_s() - before

    return (run(_LONG) - run(_SHORT)) / (_LONG - _SHORT) * 1000


def _score(frames: np.ndarray[Any, Any]) -> float:
    """CPU milliseconds a frame."""
    from vqa_cli.model.load import load_scorer

    scorer = load_scorer(device="cpu")

    def run(count: int) -> float:
        before = time.process_time()
        scorer.score((frames[at : at + 6] for at in range(0, count, 6)), _SHOWN)
        return time.process_time() - before

    run(_SHORT)
    return (run(_LONG) - run(_SHORT)) / (_LONG - _SHORT) * 1000


def _ffmpeg(*arguments: object) -> bytes:
    argv = [get_ffmpeg_exe(), "-v", "error", *map(str, arguments)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout


if __name__ == "__main__":
    main()
