"""``vqa recommend``."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, table, tell, window
from vqa_cli.cli.options import format_option
from vqa_cli.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from vqa_cli.analysis.audience import Audience
    from vqa_cli.analysis.curves import Inversion
    from vqa_cli.analysis.recommend import Recommendation
    from vqa_cli.analysis.shared import SharedLadder
    from vqa_cli.document import Run
    from vqa_cli.settings import Constraints


# Wasted rungs that the table names at most.
_SHOWN = 4
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
_FROM_ZERO = click.FloatRange(min=0)


@click.command(name="recommend", cls=Command)
@click.argument(
    "document", type=click.Path(path_type=Path), metavar="RUN.json | CATALOGUE", shell_complete=suggest.runs
)
@click.option("--metric", help="model, vmaf, … [vmaf where it was measured].")
@click.option("--max-rungs", type=click.IntRange(1), help="Most rungs per encoder [6].")
@click.option("--min-kbps", type=_ABOVE_ZERO, help="Lowest bitrate.")
@click.option("--max-kbps", type=_ABOVE_ZERO, help="Highest bitrate.")
@click.option("--min-step", type=_FROM_ZERO, help="Least quality step between rungs [VMAF: 6, else 0].")
@click.option("--min-ratio", type=click.FloatRange(min=1), help="Least ratio of neighbouring bitrates [1.4].")
@click.option(
    "--max-ratio",
    type=click.FloatRange(min=1, min_open=True),
    help="Largest ratio of neighbouring bitrates [2.2, more where few rungs could not serve the title].",
)
@click.option("--top-quality", type=float, help="End at the cheapest rung that reaches this [VMAF: 95].")
@click.option(
    "--max-delta-to-source",
    type=_FROM_ZERO,
    help="End at the first rung this near to the source's own score.",
)
@click.option("--knee-kbps-per-point", type=_ABOVE_ZERO, help="End where one more point costs more than this.")
@click.option("--max-encode-s-per-s", type=_ABOVE_ZERO, help="Dearest encode, in CPU seconds per second of video.")
@click.option("--max-ladder-s-per-s", type=_ABOVE_ZERO, help="All its encodes together, in the same unit.")
@click.option("--measured-only", is_flag=True, help="Only rungs that were measured, none between their CRFs.")
@click.option(
    "--throughput", type=click.Path(path_type=Path), metavar="FILE.csv",
    help="Viewers' throughput, columns kbps and share [log-uniform over each title's useful rates].",
)  # fmt: skip
@click.option("--across-codecs", is_flag=True, help="One ladder per source over all codecs, not one per codec.")
@click.option(
    "--shared-ladder", type=click.Choice(["crf", "bitrate"]),
    help="One ladder of sizes and CRFs, or of sizes and bitrates, for all sources.",
)  # fmt: skip
@click.option("--source", metavar="NAME", help="Only this source.")
@click.option(
    "--codec", metavar="NAME", shell_complete=suggest.encoders, help='Only this codec, e.g. x264 or "x264 medium".'
)
@format_option(
    "table",
    "json",
    "csv",
    "hls",
    "dash",
    "ffmpeg",
    about="For people, for programs, for packagers, or lines that encode.",
)
def command(
    document: Path, metric: str | None, across_codecs: bool, shared_ladder: Any, source: str | None, codec: str | None,
    throughput: Path | None, output_format: str, measured_only: bool, **limits: Any,
) -> int:  # fmt: skip
    """Recommend the ladder to ship: the one from which viewers expect the most; flags win over the run's preset.

    Exit 7 where no rung is within the limits.
    """
    from vqa_cli.analysis.recommend import recommend
    from vqa_cli.catalogue import catalogue_folder, read_document

    _check(limits)
    if shared_ladder and (across_codecs or output_format not in ("table", "json")):
        raise UsageError("--shared-ladder is printed as a table or JSON, one ladder per codec")
    if output_format == "ffmpeg" and catalogue_folder(document):
        raise UsageError(
            "the index of a catalogue has no command lines",
            hint="give the folder of one of its titles: CATALOGUE/TITLE",
        )
    audience = _audience(throughput) if throughput else None
    run = read_document(document)
    given = {key: value for key, value in limits.items() if value is not None}
    given |= {"interpolate": False} if measured_only else {}
    constraints = run.settings.recommend.model_copy(update=given)
    kept = _only(run, source, codec)
    if shared_ladder:
        return _share(kept, constraints, shared_ladder, metric, audience, output_format)
    found = recommend(kept, constraints, metric, across=across_codecs, audience=audience)
    text = _text(run, found, output_format)
    (tell if output_format == "table" else emit)(text)
    return _refusal(found)


def _check(limits: dict[str, Any]) -> None:
    for name, value in limits.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} is no finite number: {value}")
    for low, high in (("min_kbps", "max_kbps"), ("min_ratio", "max_ratio")):
        if limits[low] is not None and limits[high] is not None and limits[low] > limits[high]:
            flags = f"--{low.replace('_', '-')} {limits[low]:g} and --{high.replace('_', '-')} {limits[high]:g}"
            raise UsageError(f"nothing lies between {flags}")


def _audience(path: Path) -> Audience:
    """The audience of a table.

    Raises:
        UsageError: it cannot be read or holds what is no throughput, with the line.
    """
    from vqa_cli.analysis.audience import measured
    from vqa_cli.tables import read_table

    try:
        given = read_table(path)
        rates, shares = given.numbers("kbps"), given.numbers("share")
    except InputError as err:
        raise UsageError(err.message, detail=err.detail, hint=err.hint or "columns kbps and share") from err
    for row, rate, share in zip(given.rows, rates, shares, strict=True):
        if rate <= 0:
            raise UsageError(f"no rate in line {row.line}: {path}", detail=f"it is {rate:g}; rates are above zero")
        if share < 0:
            raise UsageError(f"no share in line {row.line}: {path}", detail=f"it is {share:g}; shares are not negative")
    try:
        return measured(zip(rates, shares, strict=True), path.name)
    except ValueError as err:
        raise UsageError(f"{err}: {path}") from err


def _refusal(found: list[Recommendation]) -> int:
    """0 where every source has a ladder; else 8, or 7 where none has. The limits that leave nothing are told."""
    empty = [r for r in found if not r.chosen]
    if not empty:
        return ExitCode.OK
    from vqa_cli.cli.console import note

    for r in empty:
        names = [binding.limit for binding in r.bindings] or ["all limits together"]
        leave = "leaves" if len(r.bindings) == 1 else "leave"
        note(f"error: no ladder for {r.source} {r.codec}: {', '.join(names)} {leave} no rung")
    return ExitCode.PARTIAL if len(empty) < len(found) else ExitCode.INCONCLUSIVE


def _share(
    run: Run, constraints: Constraints, by: Any, metric: str | None, audience: Audience | None, output_format: str
) -> int:
    from vqa_cli.analysis.shared import shared_ladders

    found = shared_ladders(run, constraints, by, metric, audience)
    if output_format == "json":
        emit(json.dumps([asdict(s) | {"mean_loss": s.mean_loss} for s in found], indent=1))
    else:
        tell("\n\n".join(_shared_text(s) for s in found))
    if all(s.rungs for s in found):
        return ExitCode.OK
    from vqa_cli.cli.console import note

    note("error: the sources have no ladder in common: their sizes and CRFs, or the limits, leave no rung")
    return ExitCode.INCONCLUSIVE


def _shared_text(s: SharedLadder) -> str:
    rungs = [
        [f"{r.height}p", r.setting, _range(r.kbps, 0), _range(r.quality, 2), f"{r.titles} of {len(s.titles)}"]
        for r in s.rungs
    ]
    titles = [[t.source, f"{t.own:.2f}", f"{t.shared:.2f}", f"{t.loss:.2f}"] for t in s.titles]
    return "\n".join(
        [
            f"{len(s.titles)} source{'s' * (len(s.titles) > 1)}  {s.codec}",
            table(["size", "rate", "kb/s", s.metric, "sources"], rungs, width=window()),
            "",
            table(["source", "own ladder", "shared", "loss"], titles, width=window()),
            f"viewers lose {s.metric} {s.mean_loss:.2f} on average to ladders of each source's own",
        ]
    )


def _range(ends: tuple[float, float], decimals: int) -> str:
    low, high = (f"{end:.{decimals}f}" for end in ends)
    return low if low == high else f"{low}–{high}"


def _text(run: Run, found: list[Recommendation], output_format: str) -> str:
    from vqa_cli.cli import shipping

    if output_format == "table":
        return _table(run, found)
    if output_format == "json":
        return shipping.as_json(found, [{"inversions": [asdict(i) for i in _turned(run, r)]} for r in found])
    written = {"csv": shipping.as_csv, "hls": shipping.as_hls, "dash": shipping.as_dash, "ffmpeg": shipping.as_ffmpeg}
    return written[output_format](run, found)


def _only(run: Run, source: str | None, codec: str | None) -> Run:
    """The run without other sources and codecs."""
    from vqa_cli.analysis.curves import codec_name
    from vqa_cli.media.encoders import full_name

    kept = [s for s in run.sources if source in (None, s.source.name)]
    if not kept:
        raise UsageError(f"no such source: {source}", hint=", ".join(s.source.name for s in run.sources))
    if codec is not None:
        known = dict.fromkeys(codec_name(rung) for s in kept for rung in s.rungs)
        wanted, codec = codec, full_name(codec)
        if not any(codec in (name, name.split()[0]) for name in known):
            raise UsageError(f"no such codec: {wanted}", hint=", ".join(known))
        kept = [
            s.model_copy(update={"rungs": tuple(r for r in s.rungs if codec in (r.encoder, codec_name(r)))})
            for s in kept
        ]
    return run.model_copy(update={"sources": tuple(kept)})


def _table(run: Run, found: list[Recommendation]) -> str:
    from vqa_cli.cli.ladders import ladder_lines

    parts = []
    for r in found:
        parts += ladder_lines(r)
        for step in r.crossovers:
            where = "" if step.interpolated else " (half-way between two rungs)"
            parts.append(f"change from {step.lower}p to {step.higher}p at {step.kbps:.0f} kb/s{where}")
        for w in r.wasted[:_SHOWN]:
            parts.append(f"wasted: {w.rung}: {w.beaten_by} is as good and saves {w.saves_kbps:.0f} kb/s")
        if len(r.wasted) > _SHOWN:
            parts.append(f"and {len(r.wasted) - _SHOWN} more are wasted")
        if r.wasted:
            parts.append(
                f"dropping them saves {r.saves_kbps:.0f} kb/s of storage and {r.saves_cpu_s:.1f} CPU s of encoding"
            )
        parts += [*_inversions(run, r), *r.notes, ""]
    return "\n".join(parts).rstrip()


def _inversions(run: Run, r: Recommendation) -> list[str]:
    """Where the metric goes backwards on this ladder's curves."""
    return [
        f"metric inversion, not a gain: {item.higher} costs more than {item.lower} and scores {item.drop:.3g} less"
        for item in _turned(run, r)
    ]


def _turned(run: Run, r: Recommendation) -> list[Inversion]:
    from vqa_cli.analysis.curves import inversions

    mine = {rung.id for s in run.sources if s.source.name == r.source for rung in s.rungs}
    known = {p.rung for p in r.hull} | {w.rung for w in r.wasted}
    turned = [item for item in inversions(run, r.metric) if item.source == r.source and item.higher in mine]
    return [item for item in turned if item.higher in known or item.lower in known]
