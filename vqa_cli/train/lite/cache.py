"""Decoded frames of the labelled clips, one memory-mapped array per source, so that training never waits for a decoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.train.lite.make_data import LabelledClip
from vqa_cli.types import FrameFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Evenly spread over each clip: neighbours teach nothing new, and the whole would not fit in memory.
FRAMES_PER_CLIP = 3
_REFERENCE_VMAF = 100.0


@dataclass(frozen=True)
class SourceData:
    """All versions of one source; the last one is the clean reference.

    Attributes:
        frames: (versions, FRAMES_PER_CLIP, height * 3 // 2, width) uint8, memory-mapped.
        vmaf: (versions, FRAMES_PER_CLIP) in 0..1.
        ladders: (versions,) number of the ladder that a version belongs to, -1 for the reference.
    """

    key: str
    group: str
    split: str
    frame_format: FrameFormat
    frames: NDArray[np.uint8]
    vmaf: NDArray[np.float32]
    ladders: NDArray[np.int64]


def by_source(clips: Sequence[LabelledClip]) -> dict[str, list[LabelledClip]]:
    """Labelled clips of each source, in the order in which they were made."""
    groups: dict[str, list[LabelledClip]] = defaultdict(list)
    for clip in clips:
        groups[clip.source].append(clip)
    return groups


def build(out: Path, clips: Sequence[LabelledClip], jobs: int) -> list[SourceData]:
    """Decode what is not cached under ``out/cache`` yet and open everything."""
    (out / "cache").mkdir(exist_ok=True)
    with Runner() as runner, ThreadPoolExecutor(jobs) as pool:
        ffmpeg = str(find_ffmpeg(runner).path)
        work = [(runner, ffmpeg, out, members) for members in by_source(clips).values()]
        return list(pool.map(lambda job: _source(*job), work))


def _source(runner: Runner, ffmpeg: str, out: Path, clips: list[LabelledClip]) -> SourceData:
    first = clips[0]
    count = len(first.vmaf)
    picks = np.unique(np.linspace(1, count - 1, FRAMES_PER_CLIP).round().astype(int))
    path = out / "cache" / f"{first.source}.npy"
    frame_format = FrameFormat(first.width, first.height)
    files = [clip.file for clip in clips] + [f"{first.source}/reference.mkv"]
    if not path.exists():
        stacks = [_decode(runner, ffmpeg, out / file, frame_format)[picks] for file in files]
        np.save(path.with_suffix(".tmp.npy"), np.stack(stacks))
        path.with_suffix(".tmp.npy").replace(path)
    vmaf = np.array([[clip.vmaf[i] for i in picks] for clip in clips] + [[_REFERENCE_VMAF] * len(picks)])
    return SourceData(
        first.source, first.group, first.split, frame_format, np.load(path, mmap_mode="r"),
        (vmaf / 100).astype(np.float32), np.array([c.recipe["ladder"] for c in clips] + [-1]),
    )  # fmt: skip


def versions(out: Path, clips: list[LabelledClip], runner: Runner, ffmpeg: str) -> Iterator[NDArray[np.uint8]]:
    """All frames of every version of one source, the reference last: (frames, height * 3 // 2, width)."""
    frame_format = FrameFormat(clips[0].width, clips[0].height)
    for file in [*(clip.file for clip in clips), f"{clips[0].source}/reference.mkv"]:
        yield _decode(runner, ffmpeg, out / file, frame_format)


def _decode(runner: Runner, ffmpeg: str, path: Path, frame_format: FrameFormat) -> NDArray[np.uint8]:
    width, height = frame_format.width, frame_format.height
    argv = [
        ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "level+error", "-threads", "1", "-i", str(path),
        "-vf", f"scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int,format=yuv420p",
        "-f", "rawvideo", "-fps_mode", "passthrough", "pipe:1",
    ]  # fmt: skip
    buffer = np.empty((64, height * 3 // 2, width), dtype=np.uint8)
    with runner.pipe(argv) as pipe:
        got = pipe.read_into(buffer.data.cast("B"))
        pipe.finish()
    return buffer[: got // frame_format.frame_bytes]
