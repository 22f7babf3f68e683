"""How far a no-reference score says what VMAF says, beside what bitrate alone says.

    python -m training.lite ladders --media MEDIA --data DATA --part choosing
    python benchmarks/accuracy.py DATA --part choosing

Each source has a ladder: x264, x265 and SVT-AV1, three sizes, five qualities. VMAF measured every encode against its source,
frames paired by number. The model scores the same encodes and sees no source. "Bitrate" is log bitrate alone; "bitrate,
encoder, size" is a line over it for each encoder and size, fitted on the other groups. Intervals are 95 % bootstrap intervals
over groups of footage.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from variants import describe_machine

from training.lite import agreement
from training.lite.agreement import Figure, Rung, Verdict
from training.lite.judging import judge, rungs_of
from training.lite.ladders import read_ladders
from training.lite.mill import FAULTS, Ladder
from vqa_cli.model.load import load_scorer

if TYPE_CHECKING:
    from training.lite.judging import Judged

ANCHOR = "libx264"
# A fall of the score that a reader would take for a fault.
NOTICED = 3.0
Measure = Callable[[Sequence[Rung]], Figure]


def verdict_share(wanted: Callable[[Verdict], bool]) -> Measure:
    """Share of verdicts on which the score agrees with VMAF."""
    return lambda rungs: agreement.mean([(v.group, v.agrees) for v in agreement.verdicts(rungs) if wanted(v)])


def saved(test: str, *, lean: bool) -> Measure:
    """BD-rate against the anchor: rank correlation over curves, or the median of how far the score's lies from VMAF's."""

    def measure(rungs: Sequence[Rung]) -> Figure:
        both = [
            (s.group, (s.by_vmaf, s.by_score))
            for s in agreement.savings(rungs, ANCHOR)
            if s.test == test and s.by_vmaf is not None and s.by_score is not None
        ]
        if lean:
            return agreement.median([(group, score - vmaf) for group, (vmaf, score) in both])
        return agreement.correlation(both)

    return measure


def crossing_error(rungs: Sequence[Rung]) -> Figure:
    """Distance of the rates at which the larger size begins to pay, in log2."""
    known = [c for c in agreement.crossings(rungs) if c.by_vmaf is not None and c.by_score is not None]
    return agreement.median([(c.group, abs(float(c.by_score or 0) - float(c.by_vmaf or 0))) for c in known])


def crossing_found(rungs: Sequence[Rung]) -> Figure:
    """Share of VMAF's crossovers that the score has too."""
    return agreement.mean([(c.group, float(c.by_score is not None)) for c in agreement.crossings(rungs)])


def table_of_measures(rungs: Sequence[Rung]) -> dict[str, tuple[Measure, int]]:
    """Every figure that is measured at any score, and its decimals."""
    others = sorted({r.codec for r in rungs} - {ANCHOR})
    found: dict[str, tuple[Measure, int]] = {"verdict, all pairs": (verdict_share(lambda v: True), 3)}
    found["verdict, one encoder, two sizes"] = (verdict_share(lambda v: v.between == "sizes"), 3)
    found["verdict, two encoders, one size"] = (verdict_share(lambda v: v.between == "encoders"), 3)
    for pair in sorted({tuple(sorted(v.codecs)) for v in agreement.verdicts(rungs) if v.between != "sizes"}):
        found[f"verdict, {pair[0]} and {pair[1]}"] = (_between(pair), 3)
    for test in others:
        found[f"BD-rate of {test}, SROCC"] = (saved(test, lean=False), 2)
        found[f"BD-rate of {test}, median lean in points"] = (saved(test, lean=True), 1)
    found["crossovers between sizes that it has too"] = (crossing_found, 2)
    found["crossover, median error in log2 of rate"] = (crossing_error, 2)
    found["SROCC within a source, mean"] = (lambda rungs: agreement.mean(agreement.within(rungs)), 3)
    found["neighbouring rungs (≥ 3 VMAF apart) in the wrong order"] = (
        lambda rungs: agreement.mean(agreement.neighbours(rungs)), 3
    )  # fmt: skip
    return found


def _between(pair: tuple[str, ...]) -> Measure:
    return verdict_share(lambda v: tuple(sorted(v.codecs)) == pair)


def agreement_lines(rungs: Sequence[Rung]) -> list[str]:
    """The table of agreement, as Markdown lines."""
    bare = agreement.by_bitrate(rungs, knows_encoder=False)
    knowing = agreement.by_bitrate(rungs, knows_encoder=True)
    lines = ["| figure | items | score | bitrate | bitrate, encoder, size |", "|---|---|---|---|---|"]
    for name, (measure, digits) in table_of_measures(rungs).items():
        own = measure(rungs)
        cells = [shown(found, digits) for found in (own, measure(bare), measure(knowing))]
        lines.append(f"| {name} | {own.items} | {' | '.join(cells)} |")
    clean = [[r for r in each if r.clean] for each in (rungs, agreement.as_vmaf(bare), agreement.as_vmaf(knowing))]
    levels = [agreement.mean(agreement.errors(each)) for each in clean]
    cells = [shown(level, 2) for level in levels]
    lines.append(f"| mean absolute error, clean sources | {levels[0].items} | {' | '.join(cells)} |")
    return lines


def fault_lines(pairs: Sequence[tuple[Ladder, Judged]]) -> list[str]:
    """What faults of the clean sources do to the score, as Markdown lines."""
    lines = ["| fault of the source | change of the score, median | falls by 3 or more |", "|---|---|---|"]
    for name in FAULTS:
        falls = [(ladder.group, judged.impaired[name] - judged.source) for ladder, judged in pairs if ladder.clean]
        noticed = [(group, float(fall <= -NOTICED)) for group, fall in falls]
        lines.append(f"| {name} | {shown(agreement.median(falls), 1)} | {shown(agreement.mean(noticed), 2)} |")
    own = [(ladder.group, judged.source) for ladder, judged in pairs if ladder.clean]
    return [*lines, "", f"score of a clean source, mean: {shown(agreement.mean(own), 1)}"]


def source_lines(pairs: Sequence[tuple[Ladder, Judged]]) -> list[str]:
    """A line for each source."""
    lines = ["| source | clean | own score | verdict | SROCC | mean error |", "|---|---|---|---|---|---|"]
    for ladder, judged in pairs:
        rungs = rungs_of(ladder, judged)
        verdict = agreement.mean([(v.group, v.agrees) for v in agreement.verdicts(rungs)]).value
        bias = sum(r.score - r.vmaf for r in rungs) / len(rungs)
        lines.append(
            f"| {ladder.key} | {'yes' if ladder.clean else 'no'} | {judged.source:.1f} | {verdict:.3f} | "
            f"{agreement.within(rungs)[0][1]:.3f} | {bias:+.1f} |"
        )
    return lines


def shown(found: Figure, digits: int) -> str:
    """A figure with its interval, or a dash where there is none."""
    if found.value != found.value:
        return "-"
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def report(pairs: Sequence[tuple[Ladder, Judged]]) -> list[str]:
    """Everything, as Markdown lines."""
    rungs = [rung for ladder, judged in pairs for rung in rungs_of(ladder, judged)]
    clean, groups = sum(ladder.clean for ladder, _ in pairs), len({ladder.group for ladder, _ in pairs})
    head = f"{len(rungs)} rungs of {len(pairs)} sources ({clean} clean), {groups} groups"
    return [head, "", *agreement_lines(rungs), "", *fault_lines(pairs), "", *source_lines(pairs)]


def main() -> None:
    """Score what is there, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="what `python -m training.lite ladders` made")
    parser.add_argument("--part", choices=["choosing", "untouched"], default="choosing")
    parser.add_argument("--model", default="vsfa-lite")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="write every rung")
    parser.add_argument("--json", type=Path, help="write the tables, with machine and weights")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    scorer = load_scorer(args.model, precision=args.precision, device="cpu")
    ladders = {ladder.key: ladder for ladder in read_ladders(args.data, args.part)}
    pairs = [(ladders[judged.key], judged) for judged in judge(args.data, scorer, args.part)]
    lines, load = report(pairs), os.getloadavg()[0]
    print("\n".join(lines))
    if args.json:
        made_by = {
            "model": scorer.identity.name,
            "sha256": scorer.identity.sha256,
            "precision": scorer.identity.precision,
        }
        found = {"machine": describe_machine(args.threads, load, **made_by), "part": args.part, "report": lines}
        args.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if args.csv:
        rows = [asdict(rung) for ladder, judged in pairs for rung in rungs_of(ladder, judged)]
        with args.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
