"""``vqa baseline``."""

from __future__ import annotations

from pathlib import Path

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import note, say, table, tell, window


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
    note(f"{sum(len(s.rungs) for s in kept.sources)} rungs of {len(kept.sources)} sources: {file}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.json")
def show(file: Path) -> None:
    """What a baseline holds: where its figures come from, and each source with its range."""
    from vqa_cli.analysis.curves import default_metric, points
    from vqa_cli.document import read_run

    run = read_run(file)
    metric = default_metric(run)
    model = f"{run.model.name} {run.model.sha256[:12]}" if run.model else "none"
    say(f"made {run.created} by vqa {run.environment.vqa}, {run.environment.ffmpeg_version}")
    say(f"preset {run.settings.name}, model {model}, metrics {', '.join(run.metrics) or 'none'}")
    rows = []
    for source in run.sources:
        found = [point for _, point in points(source, metric)]
        rates = f"{found[0].kbps:.0f} to {found[-1].kbps:.0f}" if found else "-"
        quality = [point.quality for point in found]
        ends = f"{min(quality):.2f} to {max(quality):.2f}" if found else "-"
        size = f"{source.display_width}x{source.display_height}"
        rows.append([source.source.name, source.source.sha256[:12], size, str(len(source.rungs)), rates, ends])
    headers = ["source", "sha256", "judged at", "rungs", "kb/s", metric]
    tell("\n" + table(headers, rows, leave=("sha256", "judged at"), width=window()))
