"""``vqa recommend``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, table, tell, window
from vqa_cli.errors import UsageError
from vqa_cli.text import shell, visible

if TYPE_CHECKING:
    from vqa_cli.analysis.curves import Inversion
    from vqa_cli.analysis.recommend import Recommendation
    from vqa_cli.document import Run


_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.command(name="recommend", cls=Command)
@click.argument("document", type=click.Path(path_type=Path), metavar="RUN.json", shell_complete=suggest.runs)
@click.option("--metric", help="model, vmaf, … [vmaf where it was measured].")
@click.option("--max-rungs", type=click.IntRange(1), help="Most rungs per encoder.")
@click.option("--min-kbps", type=_ABOVE_ZERO, help="Lowest bitrate.")
@click.option("--max-kbps", type=_ABOVE_ZERO, help="Highest bitrate.")
@click.option("--min-step", type=_ABOVE_ZERO, help="Least quality step between rungs.")
@click.option("--top-quality", type=float, help="End at the first rung that reaches this.")
@click.option(
    "--max-delta-to-source",
    type=click.FloatRange(min=0),
    help="End at the first rung this near to the source's own score.",
)
@click.option("--knee-kbps-per-point", type=_ABOVE_ZERO, help="End where one more point costs more than this.")
@click.option("--max-encode-s-per-s", type=_ABOVE_ZERO, help="Dearest encode, in CPU seconds per second of video.")
@click.option("--across-codecs", is_flag=True, help="One ladder per source over all codecs, not one per codec.")
@click.option("--source", metavar="NAME", help="Only this source.")
@click.option(
    "--codec", metavar="NAME", shell_complete=suggest.encoders, help='Only this codec, e.g. x264 or "x264 medium".'
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "commands", "hls"]),
    default="table",
    show_default=True,
)
def command(
    document: Path, metric: str | None, across_codecs: bool, source: str | None, codec: str | None, output_format: str,
    **limits: Any,
) -> None:  # fmt: skip
    """Recommend the ladder to ship, from the convex hull of a measured one; flags win over the run's preset."""
    from vqa_cli.analysis.recommend import recommend
    from vqa_cli.document import read_run

    run = read_run(document)
    given = {key: value for key, value in limits.items() if value is not None}
    constraints = run.settings.recommend.model_copy(update=given)
    found = recommend(_only(run, source, codec), constraints, metric, across=across_codecs)
    text = _FORMATS[output_format](run, found)
    (tell if output_format == "table" else emit)(text)


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
    parts = []
    for r in found:
        rows = [[p.rung, f"{p.kbps:.0f}", f"{p.quality:.2f}"] for p in r.chosen]
        parts.append(f"{visible(r.source)}  {r.codec}\n" + table(["rung", "kb/s", r.metric], rows, width=window()))
        for step in r.crossovers:
            where = "" if step.interpolated else " (half-way between two rungs)"
            parts.append(f"change from {step.lower}p to {step.higher}p at {step.kbps:.0f} kb/s{where}")
        for w in r.wasted:
            parts.append(f"wasted: {w.rung}: {w.beaten_by} is as good and saves {w.saves_kbps:.0f} kb/s")
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


def _json(run: Run, found: list[Recommendation]) -> str:
    return json.dumps([asdict(r) | {"inversions": [asdict(i) for i in _turned(run, r)]} for r in found], indent=1)


def _commands(run: Run, found: list[Recommendation]) -> str:
    chosen = {(r.source, p.rung) for r in found for p in r.chosen}
    return "\n".join(
        shell(argv)
        for source in run.sources
        for rung in source.rungs
        if (source.source.name, rung.id) in chosen
        for argv in rung.encode_argv
    )


def _hls(run: Run, found: list[Recommendation]) -> str:
    """A master playlist without CODECS, which only the packager knows for certain."""
    if len(dict.fromkeys(r.source for r in found)) > 1:
        raise UsageError("a master playlist is for one source", hint="--source NAME")
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for r in found:
        source = next(s for s in run.sources if s.source.name == r.source)
        rungs = {rung.id: rung for rung in source.rungs}
        numerator, denominator = map(int, source.source.fps.split("/"))
        for p in r.chosen:
            rung = rungs[p.rung]
            assert rung.encode is not None
            lines.append(f"# {p.codec} {rung.rate.label}: add CODECS")
            lines.append(
                f"#EXT-X-STREAM-INF:BANDWIDTH={rung.encode.peak_kbps * 1000:.0f},"
                f"AVERAGE-BANDWIDTH={rung.encode.bitrate_kbps * 1000:.0f},"
                f"RESOLUTION={rung.width}x{rung.height},FRAME-RATE={numerator / denominator:.3f}"
            )
            lines.append(f"{p.rung}.m3u8")
    return "\n".join(lines)


_FORMATS = {"table": _table, "json": _json, "commands": _commands, "hls": _hls}
