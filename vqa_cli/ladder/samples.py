"""A long source stands in by samples: stratified by scene, cut losslessly, weighted by the frames that each stands for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.ladder.plan import gop_frames
from vqa_cli.measure.source import Inspector, Source
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.media.scenes import build_cut_argv, find_cuts
from vqa_cli.scratch import scratch
from vqa_cli.settings import LadderSettings
from vqa_cli.store.inspections import Inspections


@dataclass(frozen=True, slots=True)
class Sample:
    """``frames`` frames from ``start`` on, which stand for ``weight`` frames of the source."""

    start: int
    frames: int
    weight: int


@dataclass(frozen=True, slots=True)
class SampledSource:
    """Files that stand for a source."""

    source: Source
    paths: tuple[Path, ...]
    samples: tuple[Sample, ...]
    scenes: int
    frames: int
    duration_s: float

    @property
    def weights(self) -> tuple[int, ...]:
        return tuple(sample.weight for sample in self.samples)

    @property
    def sampled_s(self) -> float:
        return sum(sample.frames for sample in self.samples) / self.frames * self.duration_s


def choose_samples(frames: int, cuts: Sequence[int], count: int, length: int, gop: int) -> tuple[Sample, ...]:
    """Divide a source into ``count`` strata and take the middle of the longest scene of each. Pure.

    Strata are of about equal length and end at scene cuts where one lies near. Samples start where an encode of the whole
    source has a key frame: a closed GOP of fixed length then costs in a sample what it costs there.

    Args:
        cuts: frames that start a new scene, rising.
        length: frames of a sample, a whole number of GOPs of ``gop`` frames.

    Returns:
        Nothing where the samples would hold half of the source or more: then the whole is measured as quickly.
    """
    if 2 * count * length > frames:
        return ()
    edges = [0, *(_edge(frames * k / count, cuts, frames / count / 4) for k in range(1, count)), frames]
    samples = []
    for low, high in itertools.pairwise(edges):
        inner = [low, *(cut for cut in cuts if low < cut < high), high]
        start, end = max(itertools.pairwise(inner), key=lambda scene: scene[1] - scene[0])
        first = round(max(start, (start + end - length) / 2) / gop) * gop
        last = (frames - length) // gop * gop
        samples.append(Sample(min(first, last), length, high - low))
    return tuple(samples)


def _edge(ideal: float, cuts: Sequence[int], reach: float) -> int:
    near = min(cuts, key=lambda cut: abs(cut - ideal), default=None)
    return near if near is not None and abs(near - ideal) <= reach else round(ideal)


@contextmanager
def sampled(
    path: Path,
    settings: LadderSettings,
    count: int,
    sample_s: float,
    ffmpeg_name: str | None,
    shared: Path | None = None,
) -> Iterator[SampledSource | None]:
    """Cut samples into a temporary folder; gives ``None`` where the source is too short for it.

    Args:
        sample_s: length of a sample in s, rounded to whole GOPs.
        shared: where the temporary folder is to be, so that the nodes of a cluster see it.

    Raises:
        InputError, ToolError: as :meth:`vqa_cli.measure.source.Inspector.look`.
    """
    with scratch(shared, alone=shared is None) as folder, Runner(bound=True) as runner:
        ffmpeg = find_ffmpeg(runner, ffmpeg_name)
        source = Inspector(runner, ffmpeg, folder, Inspections(None)).look(path, settings.treatment)
        fps = source.view.fps
        gop = gop_frames(settings.gop_s, fps, 1)
        length = max(1, round(sample_s * fps / gop)) * gop
        cuts = find_cuts(runner, ffmpeg.path, source.view, folder)
        samples = choose_samples(source.frames, cuts, count, length, gop)
        if not samples:
            yield None
            return
        # Of the source's own name nothing: it may be as long as a name can be.
        names = [f"frame{sample.start}.mkv" for sample in samples]
        spans = [(sample.start, sample.frames) for sample in samples]
        argv = build_cut_argv(ffmpeg.path, source.view, spans, names)
        runner.run(argv, cwd=folder, on_line=lambda line: line.startswith("frame="))
        paths = tuple(folder / name for name in names)
        yield SampledSource(source, paths, samples, len(cuts) + 1, source.frames, float(source.frames / fps))


def weighted(values: Sequence[float], weights: Sequence[int], pooling: str = "mean") -> float:
    """Mean, or libvmaf's harmonic mean, of per-sample values as the frames that they stand for would give it. Pure."""
    total = sum(weights)
    pairs = list(zip(values, weights, strict=True))
    if pooling == "harmonic_mean":
        return total / sum(weight / (value + 1) for value, weight in pairs) - 1
    return sum(value * weight for value, weight in pairs) / total
