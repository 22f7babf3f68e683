"""Runs the command lines of one encode and measures what came out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.document import EncodeResult
from vqa_cli.errors import ToolError
from vqa_cli.files import file_sha256
from vqa_cli.machine import simd_used
from vqa_cli.media.probe import read_shown
from vqa_cli.media.process import Runner
from vqa_cli.media.quantisers import logging_quantisers
from vqa_cli.series import segment_means
from vqa_cli.values import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CPU = re.compile(r"bench: utime=([\d.]+)s stime=([\d.]+)s")


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """Command lines to run in ``workdir``, and what must come out: ``frames`` frames of ``size`` at ``fps`` in ``output``.

    With ``quantisers`` a log of each frame's lies in ``workdir`` afterwards.
    """

    argv: tuple[tuple[str, ...], ...]
    workdir: Path
    output: Path
    size: Size
    frames: int
    fps: Fraction
    quantisers: bool = False


def run_encode(runner: Runner, job: EncodeJob, on_frames: Callable[[float], None] | None = None) -> EncodeResult:
    """Encode and measure.

    Args:
        on_frames: hears the share of the work done, 0..1.

    Raises:
        ToolError: the encoder failed, fell silent, or did not give one frame per source frame, or not of that size.
        Interrupted: the runner was closed.
    """
    wall_s = cpu_s = 0.0
    for index, argv in enumerate(_logged(job)):
        done = runner.run(argv, cwd=job.workdir, on_line=_watch(job, index, on_frames))
        wall_s += done.wall_s
        match = _CPU.search(done.stderr)
        cpu_s += float(match[1]) + float(match[2]) if match else 0.0
    made = read_shown(job.output)
    times, sizes = made.times_s, made.sizes
    count = len(sizes)
    if count != job.frames:
        raise ToolError(f"the encoder gave {count} of {job.frames} frames: {job.output.name}")
    if made.size != job.size:
        raise ToolError(f"the encoder made {made.size} instead of {job.size}: {job.output.name}")
    duration_s = float(job.frames / job.fps)
    video_bytes = int(sizes.sum())
    return EncodeResult(
        bitrate_kbps=video_bytes * 8 / 1000 / duration_s,
        peak_kbps=peak_kbps(times, sizes, duration_s),
        video_bytes=video_bytes,
        file_bytes=job.output.stat().st_size,
        frames=count,
        duration_s=duration_s,
        wall_s=wall_s,
        cpu_s=cpu_s,
        fps=count / wall_s,
        sha256=file_sha256(job.output),
        simd=simd_used(done.stderr),
        segments_kbps=_segment_rates(sizes, job.fps),
    )


def _logged(job: EncodeJob) -> tuple[tuple[str, ...], ...]:
    """The command lines as they are run: the last, which writes the file, tells quantisers where they are wanted."""
    *before, last = job.argv
    return (*before, logging_quantisers(last)) if job.quantisers else job.argv


def peak_kbps(times: NDArray[np.float64], sizes: NDArray[np.int64], duration_s: float) -> float:
    """Highest rate in kb/s over any window of one second that starts with a frame.

    A clip shorter than a second is one window of its own length.

    Args:
        times, sizes: presentation time in s and size in bytes of each packet, in order of time.
    """
    window_s = min(1.0, duration_s)
    # Half a millisecond of slack: containers round times, and the frame exactly one second on is outside.
    edge = window_s - 5e-4
    # Of each packet's window, the first packet in it: it is no further back than the edge, or as late as the packet itself.
    first = np.minimum(np.searchsorted(times, times - edge, side="right"), np.searchsorted(times, times))
    sums = np.concatenate(([0], np.cumsum(sizes)))
    return float((sums[1:] - sums[first]).max()) * 8 / 1000 / window_s


def _segment_rates(sizes: NDArray[np.int64], fps: Fraction) -> tuple[float, ...]:
    """kb/s of each one-second window; ``sizes`` in bytes, in order of presentation."""
    return segment_means(sizes.astype(np.float64) * 8 * float(fps) / 1000, fps)


def _watch(job: EncodeJob, index: int, on_frames: Callable[[float], None] | None) -> Callable[[str], bool]:
    """Read ``-progress`` lines: only a rising frame count is a sign of life."""
    last = ""

    def on_line(line: str) -> bool:
        nonlocal last
        key, _, value = line.partition("=")
        if key != "frame" or value == last:
            return False
        last = value
        if on_frames and value.strip().isdigit():
            on_frames((index + min(1.0, int(value) / job.frames)) / len(job.argv))
        return True

    return on_line
