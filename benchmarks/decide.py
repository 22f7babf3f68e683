"""What a recommended ladder loses, and what it costs to find it.

    python benchmarks/decide.py CLIPS.txt --data FOLDER [--codec libx264]

``CLIPS.txt`` has a line for each clip: ``tuning`` or ``untouched``, and a path. A dense grid (three sizes x CRF 16 to 46 by
2, preset ``mobile``'s speeds) is encoded once into ``FOLDER`` by `vqa ladder`, which goes on where it was stopped. From it
everything else is read:

- the best ladder of as many rungs from the whole grid, and what viewers expect of it;
- what they lose by the ladder that `recommend` finds in the fixed grid of `mobile` (its CRFs, read off the dense curves where
  the grid has no odd ones), of measured rungs alone and with those between them;
- what share of the fixed grid's CPU time the rungs of that best ladder take by themselves: to find them cannot cost less;
- what they lose by `--explore`, on the CRFs of the grid: loss, encodes, CPU seconds of the encodes.

Clips that tuned the explorer (its prior, how it goes on) are reported apart from those that nobody had looked at. Sizes are
half, three quarters and all of the source, which for 720p are those of `mobile`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.between import between
from vqa_cli.analysis.curves import Point, points
from vqa_cli.analysis.explore import Aim, explore
from vqa_cli.analysis.ladders import Choice
from vqa_cli.analysis.limits import Limits, default_audience, limits_of, metric_scale
from vqa_cli.analysis.surface import Setting, Title
from vqa_cli.cli.explore import dial_of
from vqa_cli.document import Run, read_run
from vqa_cli.ladder.preset import build_settings, find_preset, read_preset
from vqa_cli.media.encoders import find_encoder
from vqa_cli.media.probe import probe
from vqa_cli.settings import Constraints

PRESET, METRIC, CRFS, LOSS, ENCODES = "mobile", "vmaf", "16:46:2", 0.5, 8
SCALE = metric_scale(METRIC)


@dataclass(frozen=True)
class Clip:
    """A clip with the kind of evidence that it is."""

    kind: str
    path: Path


@dataclass(frozen=True)
class Result:
    """Losses in points of the metric; encodes and CPU seconds of what was encoded, and of the best ladder's own rungs."""

    kind: str
    name: str
    fixed_loss: float
    between_loss: float
    explore_loss: float
    expected_loss: float
    fixed_encodes: int
    encodes: int
    fixed_cpu_s: float
    cpu_s: float
    ladder_cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--measured", action="store_true", help="only clips whose grid is there; encode nothing")
    args = parser.parse_args()
    clips = read_clips(args.clips)
    for clip in clips:
        folder = args.data / "runs" / f"{clip.path.stem}-{args.codec}"
        if not (folder / "run.json").exists() and not args.measured:
            encode_grid(clip.path, args.codec, folder, args.data / "cache")
    grids = [grid for clip in clips if (grid := Grid.read(clip, args.data, args.codec))]
    print_results([judge(grid, args.codec) for grid in grids])


def read_clips(path: Path) -> list[Clip]:
    lines = [line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip()]
    return [Clip(kind, Path(name.strip())) for kind, name in lines]


def encode_grid(path: Path, codec: str, folder: Path, cache: Path) -> None:
    """The dense grid of a clip, by the command that users have."""
    short = probe(path).size.short_side // 4 * 4
    sizes = ",".join(str(size // 2 * 2) for size in (short // 2, short * 3 // 4, short))
    asked = ("--height", sizes, "--display", str(short), "--crf", CRFS, "--model", "none", "--metric", METRIC)
    command = (sys.executable, "-m", "vqa_cli", "ladder", str(path), "--preset", PRESET, "--codec", codec, *asked)
    subprocess.run([*command, "--cache-dir", str(cache), "-o", str(folder), "-q"], check=True)


@dataclass(frozen=True)
class Grid:
    """The dense grid of a clip: rungs that were encoded, and those between them by size and CRF."""

    clip: Clip
    dense: tuple[Point, ...]
    known: dict[tuple[int, float | None], Point]
    aim: Aim

    @classmethod
    def read(cls, clip: Clip, data: Path, codec: str) -> Grid | None:
        """``None`` where it was not encoded."""
        folder = data / "runs" / f"{clip.path.stem}-{codec}"
        if not (folder / "run.json").exists():
            return None
        run = read_run(folder)
        (source,) = run.sources
        dense = [point for _, point in points(source, METRIC)]
        known = {(p.height, p.crf): p for p in [*between(dense), *dense]}
        title = _title(run, dense, codec)
        return cls(
            clip, tuple(dense), known, Aim(title, limits(), SCALE, source.source.duration_s, None, LOSS, ENCODES)
        )

    @property
    def heights(self) -> list[int]:
        return sorted({p.height for p in self.dense})

    def measure(self, setting: Setting) -> Point:
        return self.known[setting.height, setting.crf]


def judge(grid: Grid, codec: str) -> Result:
    """Everything of one clip."""
    dense, known, clip = grid.dense, grid.known, grid.clip
    audience = default_audience(dense, SCALE)
    ladder = choice(dense, audience).solved(0.0)
    best = _value(ladder, audience)

    fixed = [replace(known[height, crf], measured=True) for height in grid.heights for crf in _crfs(codec)]
    every = [*fixed, *between(fixed)]
    found = choice(fixed, default_audience(fixed, SCALE)).solved(0.0)
    wider = choice(every, default_audience(every, SCALE)).solved()

    *_, state = explore(grid.measure, grid.aim)
    mine = choice(state.measured, default_audience(state.measured, SCALE)).solved(0.0)
    return Result(
        clip.kind, clip.path.stem, best - _value(found, audience),
        best - _value([known[p.height, p.crf] for p in wider], audience), best - _value(mine, audience), state.loss,
        len(fixed), len(state.measured), sum(p.cpu_s for p in fixed), sum(p.cpu_s for p in state.measured),
        sum(p.cpu_s for p in ladder),
    )  # fmt: skip


def limits() -> Limits:
    preset = build_settings(read_preset(find_preset(PRESET)), PRESET)
    return limits_of(Constraints(max_rungs=preset.recommend.max_rungs, interpolate=False), SCALE)


def choice(found: Sequence[Point], audience: Audience) -> Choice:
    return Choice(found, audience, SCALE, limits(), 1.0, {})


def _value(rungs: Sequence[Point], audience: Audience) -> float:
    return choice(rungs, audience).value(rungs)


def _crfs(codec: str) -> tuple[float, ...]:
    preset = build_settings(read_preset(find_preset(PRESET)), PRESET)
    return next(entry.crf for entry in preset.codecs if entry.encoder == codec)


def _title(run: Run, dense: Sequence[Point], codec: str) -> Title:
    (source,) = run.sources
    size = source.display_width, source.display_height
    grid = tuple(Setting(p.height, p.crf or 0.0) for p in sorted(dense, key=lambda p: (p.height, p.crf or 0.0)))
    unit = math.log(math.prod(size) * float(Fraction(source.source.fps)) / 1000)
    return Title(grid, dial_of(find_encoder(codec)), min(size), unit)


def print_results(results: Sequence[Result]) -> None:
    print(
        f"{'clip':26} {'fixed':>6} {'between':>8} {'explore':>8} {'expected':>9} {'encodes':>8} {'CPU':>6} {'ladder':>7}"
    )
    for kind in dict.fromkeys(r.kind for r in results):
        mine = [r for r in results if r.kind == kind]
        print(kind)
        for r in mine:
            print(
                f"  {r.name:24} {r.fixed_loss:6.2f} {r.between_loss:8.2f} {r.explore_loss:8.2f} {r.expected_loss:9.2f} "
                f"{r.encodes:4}/{r.fixed_encodes:<3} {r.cpu_s / r.fixed_cpu_s:6.2f} {r.ladder_cpu_s / r.fixed_cpu_s:7.2f}"
            )
        for name, pick in (("mean", statistics.mean), ("worst", max)):
            print(
                f"  {name:24} {pick([r.fixed_loss for r in mine]):6.2f} {pick([r.between_loss for r in mine]):8.2f} "
                f"{pick([r.explore_loss for r in mine]):8.2f} {pick([r.expected_loss for r in mine]):9.2f} "
                f"{pick([r.encodes for r in mine]):4.1f}/{mine[0].fixed_encodes:<3} "
                f"{pick([r.cpu_s / r.fixed_cpu_s for r in mine]):6.2f} "
                f"{pick([r.ladder_cpu_s / r.fixed_cpu_s for r in mine]):7.2f}"
            )
        total = sum(r.cpu_s for r in mine) / sum(r.fixed_cpu_s for r in mine)
        print(f"  CPU seconds: {sum(r.cpu_s for r in mine):.0f} of {sum(r.fixed_cpu_s for r in mine):.0f}, {total:.2f}")


if __name__ == "__main__":
    main()
