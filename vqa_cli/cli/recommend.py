"""``vqa recommend``."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.console import table

if TYPE_CHECKING:
    from vqa_cli.analysis.recommend import Recommendation
    from vqa_cli.run import Run


_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.command(name="recommend")
@click.argument("document", type=click.Path(path_type=Path), metavar="RUN.json")
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
@click.option("--max-encode-s-per-s", type=_ABOVE_ZERO, help="Slowest encode, in seconds per second of video.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "commands", "hls"]),
    default="table",
    show_default=True,
)
def command(document: Path, metric: str | None, output_format: str, **limits: Any) -> None:
    """Recommend the ladder to ship, from the convex hull of a measured one; flags win over the run's preset."""
    from vqa_cli.analysis.recommend import recommend
    from vqa_cli.run import read_run

    run = read_run(document / "run.json" if document.is_dir() else document)
    given = {key: value for key, value in limits.items() if value is not None}
    found = recommend(run, run.settings.recommend.model_copy(update=given), metric)
    click.echo(_FORMATS[output_format](run, found))


def _table(_run: Run, found: list[Recommendation]) -> str:
    parts = []
    for r in found:
        rows = [[p.rung, f"{p.kbps:.0f}", f"{p.quality:.2f}"] for p in r.chosen]
        parts.append(f"{r.source}  {r.encoder}\n" + table(["rung", "kb/s", r.metric], rows))
        for low, high, at in r.crossovers:
            parts.append(f"change from {low}p to {high}p at {at:.0f} kb/s")
        for w in r.wasted:
            parts.append(f"wasted: {w.rung}: {w.beaten_by} is as good and saves {w.saves_kbps:.0f} kb/s")
        parts += list(r.notes)
        parts.append("")
    return "\n".join(parts).rstrip()


def _json(_run: Run, found: list[Recommendation]) -> str:
    return json.dumps([asdict(r) for r in found], indent=1)


def _commands(run: Run, found: list[Recommendation]) -> str:
    chosen = {(r.source, p.rung) for r in found for p in r.chosen}
    return "\n".join(
        shlex.join(argv)
        for source in run.sources
        for rung in source.rungs
        if (source.source.name, rung.id) in chosen
        for argv in rung.encode_argv
    )


def _hls(run: Run, found: list[Recommendation]) -> str:
    """A master playlist without CODECS, which only the packager knows for certain."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:6"]
    for r in found:
        source = next(s for s in run.sources if s.source.name == r.source)
        rungs = {rung.id: rung for rung in source.rungs}
        numerator, denominator = map(int, source.source.fps.split("/"))
        for p in r.chosen:
            rung = rungs[p.rung]
            assert rung.encode is not None
            lines.append(
                f"#EXT-X-STREAM-INF:BANDWIDTH={rung.encode.peak_kbps * 1000:.0f},"
                f"AVERAGE-BANDWIDTH={rung.encode.bitrate_kbps * 1000:.0f},"
                f"RESOLUTION={rung.width}x{rung.height},FRAME-RATE={numerator / denominator:.3f}"
            )
            lines.append(f"{p.rung}.m3u8")
    return "\n".join(lines)


_FORMATS = {"table": _table, "json": _json, "commands": _commands, "hls": _hls}
