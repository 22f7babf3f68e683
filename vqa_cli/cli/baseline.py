"""``vqa baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import emit_json, note, say, table, tell, window
from vqa_cli.cli.options import LISTING_FORMAT_OPTION
from vqa_cli.text import plural

if TYPE_CHECKING:
    from vqa_cli.cli.listing import BaselineTold, SourceKept
    from vqa_cli.document import Run, SourceResult


@click.group(name="baseline", cls=Group)
def command() -> None:
    """Baselines of the gate: run documents as plain files, fit for git."""


@command.command()
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN", shell_complete=suggest.runs)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.json")
def save(run: Path, file: Path) -> None:
    """Keep RUN (a run.json or its folder) as FILE.json for `vqa gate`; refused when a rung failed."""
    from vqa_cli.analysis.baseline import make_baseline
    from vqa_cli.document import read_run
    from vqa_cli.files import write_text

    kept = make_baseline(read_run(run))
    write_text(file, kept.model_dump_json(indent=1) + "\n")
    rungs = sum(len(source.rungs) for source in kept.sources)
    note(f"{plural(rungs, 'rung')} of {plural(len(kept.sources), 'source')}: {file}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.json")
@LISTING_FORMAT_OPTION
def show(file: Path, output_format: str) -> None:
    """What a baseline holds: where its figures come from, and each source with its range."""
    from vqa_cli.document import read_run

    told = _told(read_run(file))
    if output_format == "json":
        return emit_json(told)
    model = f"{told['model']} {(told['model_sha256'] or '')[:12]}" if told["model"] else "none"
    say(f"made {told['created']} by vqa {told['vqa']}, {told['ffmpeg']}")
    say(f"preset {told['preset']}, model {model}, metrics {', '.join(told['metrics']) or 'none'}")
    headers = ["source", "sha256", "judged at", "rungs", "kb/s", told["metric"]]
    tell("\n" + table(headers, [_row(kept) for kept in told["sources"]], leave=("sha256", "judged at"), width=window()))


def _told(run: Run) -> BaselineTold:
    from vqa_cli.analysis.curves import default_metric

    metric = default_metric(run)
    return {
        "created": run.created, "vqa": run.environment.vqa, "ffmpeg": run.environment.ffmpeg_version, "preset": run.settings.name,
        "model": run.model.name if run.model else None, "model_sha256": run.model.sha256 if run.model else None, "metrics": list(run.metrics),
        "metric": metric, "sources": [_kept(source, metric) for source in run.sources],
    }  # fmt: skip


def _kept(source: SourceResult, metric: str) -> SourceKept:
    from vqa_cli.analysis.curves import points

    found = [point for _, point in points(source, metric)]
    quality = [point.quality for point in found]
    return {
        "source": source.source.name, "sha256": source.source.sha256, "judged_at": (source.display_width, source.display_height),
        "rungs": len(source.rungs), "kbps": (found[0].kbps, found[-1].kbps) if found else None,
        "quality": (min(quality), max(quality)) if found else None,
    }  # fmt: skip


def _row(kept: SourceKept) -> list[str]:
    width, height = kept["judged_at"]
    rates = "-" if kept["kbps"] is None else "{:.0f} to {:.0f}".format(*kept["kbps"])
    ends = "-" if kept["quality"] is None else "{:.2f} to {:.2f}".format(*kept["quality"])
    return [kept["source"], kept["sha256"][:12], f"{width}x{height}", str(kept["rungs"]), rates, ends]
