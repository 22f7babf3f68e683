"""How well a no-reference model orders and predicts VMAF on sources that it has not seen.

    python benchmarks/accuracy.py MEDIA                   # the held-out clips of vsfa-lite's manifest
    python benchmarks/accuracy.py CLIPS --display 540     # every video in a folder of your own

Each source becomes a short lossless reference at its display size. ``vqa ladder``'s own pipeline encodes it (x264, x265,
SVT-AV1; full and half size), measures VMAF against the reference, frames paired by number, and scores each encode with the
model, which sees no reference. Intervals are 95 % bootstrap intervals over groups of sources (clips of one footage are one
group), because rungs of one source are not independent.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from training.lite.make_data import cut_arguments
from training.lite.material import LiteSource, read_sources
from vqa_cli.analysis.bdrate import RatePoints, bd
from vqa_cli.errors import VqaError
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.pipeline import run_ladder
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.model.load import load_scorer
from vqa_cli.settings import CodecSettings, LadderSettings

CODECS = (
    CodecSettings(encoder="libx264", preset="fast", crf=(18, 24, 30, 36, 42)),
    CodecSettings(encoder="libx265", preset="fast", crf=(20, 26, 32, 38, 44)),
    CodecSettings(encoder="libsvtav1", preset="10", crf=(20, 32, 43, 53, 62)),
)
VIDEO = {".mp4", ".mov", ".mkv", ".webm", ".264", ".y4m"}


@dataclass(frozen=True)
class Rung:
    """One encode: VMAF (mean over frames) and the model's score, both 0..100."""

    source: str
    group: str
    clean: bool
    codec: str
    height: int
    crf: float
    kbps: float
    vmaf: float
    score: float


@dataclass(frozen=True)
class Source:
    """The reference itself, as the model sees it."""

    source: str
    group: str
    clean: bool
    score: float


def measure(item: LiteSource, media: Path, model: str, precision: str, workers: int) -> tuple[Source, list[Rung]]:
    """Encode the ladder of one source and judge every rung both ways."""
    heights = (item.short_side, item.short_side // 4 * 2)
    settings = LadderSettings(
        display=item.short_side, heights=heights, codecs=CODECS, threads=1, metrics=("vmaf",), gop_s=1.0
    )
    with tempfile.TemporaryDirectory() as temporary, Runner() as runner:
        reference = Path(temporary) / "reference.mkv"
        make_reference(runner, str(find_ffmpeg(runner).path), media, item, reference)
        scorer = load_scorer(model, precision=precision, device="cpu")
        job = LadderJob((reference,), settings, scorer, workers=workers, scratch=Path(temporary))
        result = run_ladder(job, lambda _event: None).run.sources[0]
    assert result.score is not None
    rungs = []
    for rung in result.rungs:
        vmaf, score = rung.quality("vmaf"), rung.quality("model")
        if vmaf is not None and score is not None and rung.encode is not None and rung.rate.crf is not None:
            short = min(rung.width, rung.height)
            rate = rung.encode.bitrate_kbps
            rungs.append(Rung(item.key, item.group, item.clean, rung.encoder, short, rung.rate.crf, rate, vmaf, score))
    return Source(item.key, item.group, item.clean, result.score.score), rungs


def make_reference(runner: Runner, ffmpeg: str, media: Path, source: LiteSource, out: Path) -> None:
    """Write the lossless clip at display size that encodes of ``source`` are made from and compared with."""
    path = media / source.file
    size = probe(path).size.with_short_side(source.short_side)
    cut = cut_arguments(path, source.start_frame, source.frames, size, out)
    runner.run([ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "level+error", "-y", *cut])


def within(rungs: Sequence[Rung]) -> float:
    """Mean over sources of the rank correlation inside one source."""
    return float(np.mean([_srocc(members) for members in _by(rungs, lambda r: (r.source,)).values()]))


def _srocc(rungs: Sequence[Rung]) -> float:
    return float(stats.spearmanr([r.vmaf for r in rungs], [r.score for r in rungs])[0])


def _by(rungs: Sequence[Rung], key: Callable[[Rung], tuple[object, ...]]) -> dict[tuple[object, ...], list[Rung]]:
    groups: dict[tuple[object, ...], list[Rung]] = defaultdict(list)
    for rung in rungs:
        groups[key(rung)].append(rung)
    return groups


def neighbours(rungs: Sequence[Rung], least: float = 3.0) -> list[bool]:
    """For neighbouring rungs of one source, encoder and size, at least ``least`` VMAF apart: is the order wrong or tied?"""
    wrong = []
    for members in _by(rungs, lambda r: (r.source, r.codec, r.height)).values():
        ordered = sorted(members, key=lambda r: r.vmaf)
        wrong += [a.score >= b.score for a, b in itertools.pairwise(ordered) if b.vmaf - a.vmaf >= least]
    return wrong


def half_size_wrong(rungs: Sequence[Rung], least: float = 3.0) -> list[bool]:
    """Half size against full size at the same CRF: is the order other than VMAF's?"""
    wrong = []
    for members in _by(rungs, lambda r: (r.source, r.codec, r.crf)).values():
        for a, b in itertools.combinations(sorted(members, key=lambda r: r.vmaf), 2):
            if b.vmaf - a.vmaf >= least:
                wrong.append(a.score >= b.score)
    return wrong


def span(rungs: Sequence[Rung]) -> float:
    """Mean over sources whose ladder spans VMAF 20 to 95: how far the model's scores lie apart."""
    wide = [
        max(r.score for r in members) - min(r.score for r in members)
        for members in _by(rungs, lambda r: (r.source,)).values()
        if min(r.vmaf for r in members) <= 20 and max(r.vmaf for r in members) >= 95
    ]
    return float(np.mean(wide)) if wide else float("nan")


@dataclass(frozen=True)
class BdPair:
    """One encoder against another on one source and size: BD-rate in percent by VMAF and by the model, ``None`` for none."""

    test: str
    anchor: str
    by_vmaf: float | None
    by_model: float | None


def bd_pairs(rungs: Sequence[Rung]) -> list[BdPair]:
    """What ``vqa bdrate`` says by either metric, of every encoder against the first one of :data:`CODECS`."""
    anchor = CODECS[0].encoder
    pairs = []
    for members in _by(rungs, lambda r: (r.source, r.height)).values():
        curves = {codec: own for (codec,), own in _by(members, lambda r: (r.codec,)).items()}
        for codec in curves.keys() - {anchor}:
            by_vmaf, by_model = (
                bd(*(_curve(curves[name], value) for name in (anchor, codec)), metric=metric, quality=False).bd_rate
                for metric, value in (("vmaf", lambda r: r.vmaf), ("model", lambda r: r.score))
            )
            pairs.append(BdPair(codec, anchor, by_vmaf, by_model))
    return pairs


def _curve(rungs: Sequence[Rung], value: Callable[[Rung], float]) -> RatePoints:
    return RatePoints(tuple(r.kbps for r in rungs), tuple(value(r) for r in rungs))


def bd_table(rungs: Sequence[Rung]) -> list[str]:
    """How near the model's BD-rates are to VMAF's, as Markdown lines: how many there are, their medians, their rank
    correlation over the pairs that have both, and the median of how far they lie apart.
    """
    lines = [
        "| BD-rate of … | pairs | by VMAF | median | by the model | median | SROCC | apart |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_test: dict[tuple[str, str], list[BdPair]] = defaultdict(list)
    for pair in bd_pairs(rungs):
        by_test[pair.test, pair.anchor].append(pair)
    for (test, anchor), pairs in sorted(by_test.items()):
        both = np.array([(p.by_vmaf, p.by_model) for p in pairs if None not in (p.by_vmaf, p.by_model)], dtype=float)
        columns: list[str] = []
        for values in ([p.by_vmaf for p in pairs], [p.by_model for p in pairs]):
            known = [value for value in values if value is not None]
            columns += [str(len(known)), f"{np.median(known):+.1f} %" if known else "-"]
        ranked = f"{stats.spearmanr(both[:, 0], both[:, 1])[0]:.2f}" if len(both) > 2 else "-"
        apart = f"{np.median(np.abs(both[:, 0] - both[:, 1])):.1f}" if len(both) else "-"
        lines.append("| " + " | ".join([f"{test} against {anchor}", str(len(pairs)), *columns, ranked, apart]) + " |")
    return lines


def _mean_of(flags: list[bool]) -> float:
    return 100 * float(np.mean(flags)) if flags else float("nan")


def _error(rungs: Sequence[Rung]) -> float:
    return float(np.mean([abs(r.vmaf - r.score) for r in rungs]))


def _rmse(rungs: Sequence[Rung]) -> float:
    return float(np.sqrt(np.mean([(r.vmaf - r.score) ** 2 for r in rungs])))


def _plcc(rungs: Sequence[Rung]) -> float:
    return float(stats.pearsonr([r.vmaf for r in rungs], [r.score for r in rungs])[0])


FIGURES: dict[str, tuple[Callable[[Sequence[Rung]], float], bool]] = {
    "SROCC within a source, mean": (within, False),
    "neighbouring rungs (≥ 3 VMAF apart) in the wrong order, %": (lambda r: _mean_of(neighbours(r)), False),
    "half against full size at one CRF in the wrong order, %": (lambda r: _mean_of(half_size_wrong(r)), False),
    "pooled SROCC": (_srocc, False),
    "pooled SROCC, clean sources": (_srocc, True),
    "pooled PLCC, clean sources": (_plcc, True),
    "mean absolute error, clean sources": (_error, True),
    "RMSE, clean sources": (_rmse, True),
    "score range where VMAF spans 20 to 95, clean sources": (span, True),
}


def interval(rungs: Sequence[Rung], figure: Callable[[Sequence[Rung]], float], seed: int = 1) -> tuple[float, float]:
    """95 % bootstrap interval of a figure, groups of sources drawn with replacement."""
    groups = list(_by(rungs, lambda r: (r.group,)).values())
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(400):
        drawn = [
            Rung(**{**asdict(rung), "source": f"{copy}:{rung.source}"})
            for copy, pick in enumerate(rng.integers(len(groups), size=len(groups)))
            for rung in groups[pick]
        ]
        values.append(figure(drawn))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def report(sources: Sequence[Source], rungs: Sequence[Rung]) -> list[str]:
    """The table, as Markdown lines."""
    clean = [r for r in rungs if r.clean]
    lines = [
        f"{len(rungs)} rungs of {len(sources)} sources ({len({s.source for s in sources if s.clean})} clean), "
        f"{len({s.group for s in sources})} groups",
        "",
        "| figure | value | 95 % |",
        "|---|---|---|",
    ]
    for name, (figure, only_clean) in FIGURES.items():
        chosen = clean if only_clean else list(rungs)
        if len(chosen) > 2:
            low, high = interval(chosen, figure)
            lines.append(f"| {name} | {figure(chosen):.3f} | {low:.3f} to {high:.3f} |")
    own = [s.score for s in sources if s.clean]
    if own:
        lines.append(f"| score of a clean source, mean (worst) | {np.mean(own):.1f} ({min(own):.1f}) | |")
    worst = min((_srocc(members), str(key[0])) for key, members in _by(rungs, lambda r: (r.source,)).items())
    lines.append(f"| SROCC within a source, worst | {worst[0]:.3f} ({worst[1]}) | |")
    lines += ["", "| encoder | SROCC within | wrong neighbours | mean absolute error |", "|---|---|---|---|"]
    for (codec,), members in _by(rungs, lambda r: (r.codec,)).items():
        wrong = neighbours(members)
        lines.append(f"| {codec} | {within(members):.3f} | {sum(wrong)} of {len(wrong)} | {_error(members):.1f} |")
    lines += ["", *bd_table(rungs)]
    lines += ["", "| source | clean | own score | SROCC | wrong neighbours | mean error |", "|---|---|---|---|---|---|"]
    for source in sources:
        members = [r for r in rungs if r.source == source.source]
        bias = float(np.mean([r.score - r.vmaf for r in members]))
        mark = "yes" if source.clean else "no"
        wrong = neighbours(members)
        lines.append(
            f"| {source.source} | {mark} | {source.score:.1f} | {_srocc(members):.3f} | {sum(wrong)} of {len(wrong)} | {bias:+.1f} |"
        )
    return lines


def chosen_sources(args: argparse.Namespace) -> list[LiteSource]:
    """Held-out clips of the manifest that lie in the folder, or every video of it."""
    if args.display:
        files = sorted(p for p in args.media.iterdir() if p.suffix.lower() in VIDEO)
        return [LiteSource(p.name, "clip", p.stem, "test", args.display, 0, args.frames, True) for p in files]
    held_out = [s for s in read_sources() if s.split == "test" and s.kind == "clip"]
    return [s for s in held_out if (args.media / s.file).exists()][:: args.every]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path, help="folder of clips, or the folder that sources.csv speaks of")
    parser.add_argument("--model", default="vsfa-lite")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--display", type=int, help="take every video in the folder, reduced to this short side")
    parser.add_argument("--frames", type=int, default=48, help="frames of each video, with --display")
    parser.add_argument("--every", type=int, default=1, help="each how many sources of the manifest")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="write every rung")
    parser.add_argument("--json", type=Path, help="write every rung and source")
    args = parser.parse_args()
    sources: list[Source] = []
    rungs: list[Rung] = []
    for item in chosen_sources(args):
        try:
            source, members = measure(item, args.media, args.model, args.precision, args.workers)
        except VqaError as err:
            print(f"left out: {item.key}: {err.message}", flush=True)
            continue
        sources.append(source)
        rungs += members
        print(f"{item.key}: SROCC {_srocc(members):.3f}, own score {source.score:.1f}", flush=True)
    print("\n".join(report(sources, rungs)))
    if args.csv:
        with args.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(rungs[0])))
            writer.writeheader()
            writer.writerows(asdict(rung) for rung in rungs)
    if args.json:
        document = {"sources": [asdict(s) for s in sources], "rungs": [asdict(r) for r in rungs]}
        args.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
