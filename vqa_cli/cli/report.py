"""``vqa report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import note, say
from vqa_cli.cli.pictures import page_album
from vqa_cli.errors import InputError, UsageError
from vqa_cli.stills import STILLS_FOLDER

if TYPE_CHECKING:
    from vqa_cli.document import Run


@click.command(name="report", cls=Command)
@click.argument(
    "documents",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN.json... | CATALOGUE",
    shell_complete=suggest.runs,
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write [report.html beside the first document].",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "svg", "png"]),
    help="The page, or its rate charts as a picture [by the output's name, else html].",
)
@click.option(
    "--metric",
    help="What headline and recommendation go by, and the one chart of a picture: model, vmaf, psnr, … "
    "[vmaf where it was measured].",
)
@click.option(
    "--theme",
    type=click.Choice(["light", "dark"]),
    default="light",
    show_default=True,
    help="Colours of a picture; the page has both.",
)
@click.option(
    "--compare/--overlay",
    default=None,
    help="Two runs: what the second costs against the first, or all rungs in one chart [the first, where they can be compared].",
)
@click.option(
    "--policy", type=click.Path(path_type=Path), metavar="FILE.toml", help="Limits that --compare judges by [1 %]."
)
def command(
    documents: tuple[Path, ...],
    output: Path | None,
    form: Literal["html", "svg", "png"] | None,
    metric: str | None,
    theme: Literal["light", "dark"],
    compare: bool | None,
    policy: Path | None,
) -> None:
    """Render run documents again, without encoding anything.

    Two become a page that holds the second, the candidate, against the first, with the verdict of `vqa gate` on top; more
    are overlaid source by source. A CATALOGUE becomes a page of distributions over its titles. RUN.json is what `vqa ladder` wrote, or the directory that holds it. frames.parquet beside
    it is used when it is there.
    """
    from vqa_cli.catalogue import catalogue_folder
    from vqa_cli.document import read_run, run_file

    if any(map(catalogue_folder, documents)):
        say(
            _write_catalogue(
                documents, output, metric, plain=form in (None, "html") and compare is None and policy is None
            )
        )
        return
    paths = [run_file(path) for path in documents]
    wanted = form or _form_of(output)
    target = output or paths[0].with_name(f"report.{wanted}")
    if target.resolve() in {path.resolve() for path in paths}:
        raise UsageError(f"the report would replace the run document: {target}", hint="give -o another name")
    if (compare or policy) and (len(paths) != 2 or wanted != "html"):
        raise UsageError("--compare and --policy need two run documents and a page")
    runs = [read_run(path) for path in paths]
    if wanted != "html":
        from vqa_cli.report.picture import write_picture

        write_picture(runs, target, wanted, metric=metric, theme=theme)
    elif len(runs) == 2 and compare is not False:
        _write_comparison(paths, runs, target, metric, policy, must=bool(compare or policy))
    else:
        _write_page(paths, runs, target, metric)
    say(target)


def _write_catalogue(documents: tuple[Path, ...], output: Path | None, metric: str | None, *, plain: bool) -> Path:
    from vqa_cli.catalogue import catalogue_folder, read_catalogue
    from vqa_cli.report.catalogue import write_catalogue_report

    folder = catalogue_folder(documents[0])
    if folder is None or len(documents) > 1 or not plain:
        raise UsageError(
            "a catalogue has a page of its own: give it alone", hint="--format, --compare and --policy are for runs"
        )
    target = output or folder / "report.html"
    write_catalogue_report(read_catalogue(folder), folder, target, metric)
    return target


def _form_of(output: Path | None) -> Literal["html", "svg", "png"]:
    suffix = output.suffix.lower() if output else ""
    return "svg" if suffix == ".svg" else "png" if suffix == ".png" else "html"


def _write_comparison(
    paths: Sequence[Path], runs: Sequence[Run], target: Path, metric: str | None, policy: Path | None, *, must: bool
) -> None:
    """The page of two runs; where nobody asked for it and they cannot be compared, the overlay and why."""
    from vqa_cli.analysis.curves import default_metric
    from vqa_cli.analysis.gate import judge
    from vqa_cli.analysis.policy import default_policy, read_policy
    from vqa_cli.report.compare_page import write_comparison

    chosen = metric or default_metric(runs[0])
    limits = read_policy(policy) if policy else default_policy(chosen)
    frames = [run.frame_values() for run in runs]
    try:
        verdict = judge(runs[0], runs[1], limits, (frames[0], frames[1]))
    except InputError as err:
        if must:
            raise
        note(f"not compared, overlaid: {err.message}")
        _write_page(paths, runs, target, metric)
        return
    names = (str(paths[0]), str(paths[1]))
    album = page_album(runs, [path.with_name(STILLS_FOLDER) for path in paths], target)
    write_comparison(runs[0], runs[1], verdict, chosen, target, (frames[0], frames[1]), names, album)


def _write_page(paths: Sequence[Path], runs: Sequence[Run], target: Path, metric: str | None) -> None:
    from vqa_cli.report.html import write_report

    frames = [run.frame_values() for run in runs]
    labels = [str(path) for path in paths] if len(paths) > 1 else None
    album = page_album(runs, [path.with_name(STILLS_FOLDER) for path in paths], target)
    write_report(runs, target, frames, labels_of_runs=labels, metric=metric, album=album)
