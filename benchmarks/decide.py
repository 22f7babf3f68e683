"""What a recommended ladder loses, and what it costs to find it.

    python benchmarks/decide.py CLIPS.txt --data FOLDER [--codec libx264] [--whole]

``CLIPS.txt`` has a line for each clip: ``tuning`` or ``untouched``, and a path. A dense grid (three sizes x CRF 16 to 46 by
2, preset ``mobile``'s speeds) is encoded once into ``FOLDER`` by `vqa ladder`, which goes on where it was stopped. From it
everything else is read:

- the best ladder of as many rungs from the whole grid, and what viewers expect of it;
- what they lose by the ladder that `recommend` finds in the fixed grid of `mobile` (its CRFs, read off the dense curves where
  the grid has no odd ones), of measured rungs alone and with those between them;
- what they lose by `--explore`, on the CRFs of the grid, or with `--whole` on odd ones too, read off the dense curves: loss,
  encodes, CPU time of the encodes as a share of the fixed grid's;
- the same share without the CPU time that decoding the clip takes, which every encode does again ("coding");
- what share the rungs of the best ladder take by themselves, and the least that a ladder can take which loses no more than
  `--loss`, for one who knows everything once the first encode is made ("least"): to find ladders cannot cost less.

Clips that tuned the explorer (its prior, how it goes on) are reported apart from those that nobody had looked at. Sizes are
half, three quarters and all of the source, which for 720p are those of `mobile`.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
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
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.encoders import find_encoder
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
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
    least_cpu_s: float
    decode_cpu_s: float

    @property
    def cpu(self) -> float:
        return self.cpu_s / self.fixed_cpu_s

    @property
    def coding(self) -> float:
        decoding = self.decode_cpu_s
        return (self.cpu_s - self.encodes * decoding) / (self.fixed_cpu_s - self.fixed_encodes * decoding)

    @property
    def ladder(self) -> float:
        return self.ladder_cpu_s / self.fixed_cpu_s

    @property
    def least(self) -> float:
        return self.least_cpu_s / self.fixed_cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--whole", action="store_true", help="odd CRFs too, read off the dense curves")
    parser.add_argument("--measured", action="store_true", help="only clips whose grid is there; encode nothing")
    args = parser.parse_args()
    clips = read_clips(args.clips)
    for clip in clips:
        folder = args.data / "runs" / f"{clip.path.stem}-{args.codec}"
        if not (folder / "run.json").exists() and not args.measured:
            encode_grid(clip.path, args.codec, folder, args.data / "cache")
    grids = [grid for clip in clips if (grid := Grid.read(clip, args.data, args.codec))]
    print_results([judge(grid.whole() if args.whole else grid, args.codec) for grid in grids])


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

    def whole(self) -> Grid:
        """The grid with what lies between its CRFs, as if that had been measured."""
        known = {at: replace(point, measured=True) for at, point in self.known.items()}
        settings = tuple(Setting(height, crf or 0.0) for height, crf in sorted(known))
        title = replace(self.aim.title, grid=settings)
        return replace(self, dense=tuple(known.values()), known=known, aim=replace(self.aim, title=title))

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

    state = list(explore(grid.measure, grid.aim))[-1]
    mine = choice(state.measured, default_audience(state.measured, SCALE)).solved(0.0)
    return Result(
        clip.kind, clip.path.stem, best - _value(found, audience),
        best - _value([known[p.height, p.crf] for p in wider], audience), best - _value(mine, audience), state.loss,
        len(fixed), len(state.measured), sum(p.cpu_s for p in fixed), sum(p.cpu_s for p in state.measured),
        sum(p.cpu_s for p in ladder), least_cpu_s(dense, state.measured[0], audience), decode_cpu_s(clip.path),
    )  # fmt: skip


def least_cpu_s(dense: Sequence[Point], first: Point, audience: Audience) -> float:
    """CPU time of ``first`` and the cheapest encodes with which it has, or does without it, a ladder that loses little."""
    spent = [replace(p, cpu_s=0.0) if p.rung == first.rung else p for p in dense]
    enough = _value(choice(dense, audience).solved(0.0), audience) - LOSS
    low, high = 0.0, sum(sorted(p.cpu_s for p in dense)[-limits().rules.rungs :])
    while high - low > 0.001 * high:
        budget = (low + high) / 2
        asked = limits().asked.model_copy(update={"max_ladder_s_per_s": budget})
        rungs = Choice(spent, audience, SCALE, replace(limits(), asked=asked), 1.0, {}).solved(0.0)
        low, high = (low, budget) if _value(rungs, audience) >= enough else (budget, high)
    return first.cpu_s + high


def decode_cpu_s(path: Path) -> float:
    """CPU time of decoding the clip alone: the least of three times."""
    with Runner() as runner:
        ffmpeg = find_ffmpeg(runner).path
    command = (ffmpeg, "-nostdin", "-benchmark", "-threads", "2", "-i", path, "-map", "0:v:0", "-f", "null", "-")
    found = []
    for _ in range(3):
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        found.append(sum(float(s) for s in re.findall(r"bench: utime=([\d.]+)s stime=([\d.]+)s", told)[-1]))
    return min(found)


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


_LOSSES = {"fixed": "fixed_loss", "between": "between_loss", "explore": "explore_loss", "expected": "expected_loss"}
_SHARES = ("cpu", "coding", "ladder", "least")


def print_results(results: Sequence[Result]) -> None:
    print(f"{'clip':24}", *(f"{name:>8}" for name in (*_LOSSES, "encodes", *_SHARES)))
    for kind in dict.fromkeys(r.kind for r in results):
        mine = [r for r in results if r.kind == kind]
        print(kind)
        for r in mine:
            print_row(r.name, [r], max)
        print_row("mean", mine, statistics.mean)
        print_row("worst", mine, max)
        spent, fixed = sum(r.cpu_s for r in mine), sum(r.fixed_cpu_s for r in mine)
        print(f"  CPU seconds: {spent:.0f} of {fixed:.0f}, {spent / fixed:.2f}")


def print_row(name: str, results: Sequence[Result], pick: Callable[[list[float]], float]) -> None:
    numbers = [pick([getattr(r, field) for r in results]) for field in (*_LOSSES.values(), "encodes", *_SHARES)]
    print(f"  {name:22}", *(f"{number:8.2f}" for number in numbers))


if __name__ == "__main__":
    main()
