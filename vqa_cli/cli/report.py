"""``vqa report``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import click

from vqa_cli.errors import StorageError, UsageError
from vqa_cli.run import Run, read_run


@click.command(name="report")
@click.argument("documents", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN.json...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where to write [report.html beside the first document].",
)
@click.option("--format", "output_format", type=click.Choice(["html", "svg", "png"]), default="html", show_default=True)
@click.option("--metric", help="Which chart, for svg and png [the model, else the first metric].")
def command(documents: tuple[Path, ...], output: Path | None, output_format: str, metric: str | None) -> None:
    """Render run documents again, without encoding anything; several are overlaid."""
    paths = [path / "run.json" if path.is_dir() else path for path in documents]
    runs = [read_run(path) for path in paths]
    frames = [read_frames(path.with_name("frames.csv"), run) for path, run in zip(paths, runs, strict=True)]
    target = output or paths[0].with_name(f"report.{output_format}")
    if output_format == "html":
        from vqa_cli.report.html import write_report

        write_report(runs, target, frames)
    else:
        _write_picture(runs, frames, target, output_format, metric)
    click.echo(target)


def read_frames(path: Path, run: Run) -> dict[tuple[int, str], dict[str, Any]]:
    """Frame values from ``frames.csv``; nothing when there is no such file.

    Raises:
        StorageError: the file is damaged.
    """
    import csv

    import numpy as np

    if not path.exists():
        return {}
    index = {source.source.name: number for number, source in enumerate(run.sources)}
    columns: dict[tuple[int, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                table = columns[index[row["source"]], row["rung"]]
                for name, text in row.items():
                    if name not in ("source", "rung", "frame") and text:
                        table[name].append(float(text))
    except (OSError, KeyError, ValueError, TypeError) as err:
        raise StorageError(f"damaged frame table: {path}", hint="delete it to report without frames") from err
    return {key: {name: np.array(values) for name, values in table.items()} for key, table in columns.items()}


def _write_picture(runs: list[Run], frames: list[Any], target: Path, output_format: str, metric: str | None) -> None:
    import vl_convert

    from vqa_cli.report.charts import rate_quality_chart
    from vqa_cli.report.html import merged
    from vqa_cli.report.view import view_runs

    views = view_runs(runs, frames)
    sources = [view.sources[0] for view in views]
    titles = dict(sources[0].metrics)
    chosen = metric or next(iter(titles))
    if chosen not in titles:
        raise UsageError(f"the run did not measure {chosen}", hint=f"one of {', '.join(titles)}")
    spec = rate_quality_chart(merged(sources), chosen, titles[chosen])
    try:
        if output_format == "svg":
            target.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
        else:
            target.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
    except OSError as err:
        raise StorageError(f"cannot write: {target}", detail=err.strerror) from err
