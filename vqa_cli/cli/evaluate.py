"""``vqa evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.agreements import FORMATS, Labels, Row, print_agreements
from vqa_cli.cli.command import Command
from vqa_cli.cli.databases import SKIP_MISSING_OPTION, read_databases
from vqa_cli.cli.options import MODEL_DIR_OPTION, IdList, format_option
from vqa_cli.cli.weights import with_weights
from vqa_cli.errors import UsageError

if TYPE_CHECKING:
    from vqa_cli.report.scatter import Cloud
    from vqa_cli.train.evaluate import Judgement

_PLOTS = (".svg", ".png")


@click.command(name="evaluate", cls=Command)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", shell_complete=suggest.models)
@click.option(
    "--dataset", "datasets", type=click.Path(path_type=Path), required=True, multiple=True,
    help="info.mat, or CSV with video,mos; several for a table across databases.",
)  # fmt: skip
@click.option(
    "--features", type=click.Path(path_type=Path), required=True, multiple=True,
    help="What `vqa extract` wrote, one for each --dataset.",
)  # fmt: skip
@click.option(
    "--part", type=click.Choice(["auto", "test", "all"]), default="auto", show_default=True,
    help="auto: the model's own test part on the data it was trained on, every video of other data.",
)  # fmt: skip
@click.option(
    "--exp-ids", type=IdList(), metavar="0-9",
    help="Test parts of these splits: each with the model that was trained for it; a model that has not seen the "
    "database is judged on all of them.",
)  # fmt: skip
@SKIP_MISSING_OPTION
@MODEL_DIR_OPTION
@click.option("--plot", type=click.Path(path_type=Path), help="Ratings against scores with the fit, *.svg or *.png.")
@format_option(*FORMATS)
def command(
    models: tuple[str, ...], datasets: tuple[Path, ...], features: tuple[Path, ...], part: str,
    exp_ids: tuple[int, ...] | None, skip_missing: bool, model_dir: Path | None, plot: Path | None, output_format: str,
) -> None:  # fmt: skip
    """Agreement of trained MODELs with ratings: SROCC, KROCC, PLCC, RMSE, also after VQEG's logistic fit.

    MODEL is a file that `vqa train` wrote, or vsfa-lite, vsfa or mdtvsfa; the latter two are judged on a database that they
    were trained on by --part all alone. Several results on a database give mean and standard deviation
    too: of each model over its splits, or of the models where each has one.
    """
    if plot is not None and plot.suffix not in _PLOTS:
        raise UsageError(f"a plot ends in .svg or .png: {plot}")
    from vqa_cli.train.evaluate import evaluate

    databases = read_databases(datasets, features, skip_missing=skip_missing)
    judged = with_weights(lambda: evaluate(models, databases, part=part, exp_ids=exp_ids, model_dir=model_dir))
    if plot is not None:
        from vqa_cli.report.scatter import write_scatter

        write_scatter([_cloud(each) for each in judged], plot)
    rows = [(_labels(each, count_missing=skip_missing), each.agreement) for each in judged]
    print_agreements(rows, output_format, _groups(rows))


def _labels(judged: Judgement, *, count_missing: bool) -> Labels:
    missing = {"missing": list(judged.left_out)} if count_missing else {}
    return {"model": judged.model, "dataset": judged.dataset, "split": judged.split, **missing}


def _groups(rows: list[Row]) -> list[tuple[Labels, list[Row]]]:
    """What to average: a model's splits of a database where it has several, else the models on it."""
    groups: list[tuple[Labels, list[Row]]] = []
    for dataset in dict.fromkeys(labels["dataset"] for labels, _ in rows):
        here = [row for row in rows if row[0]["dataset"] == dataset]
        by_model = [[row for row in here if row[0]["model"] == m] for m in dict.fromkeys(r[0]["model"] for r in here)]
        single = [row for members in by_model if len(members) == 1 for row in members]
        several = [(members[0][0]["model"], members) for members in by_model if len(members) > 1]
        if len(single) > 1:
            several.append((f"{len(single)} models", single))
        groups += [(_shared(name, members), members) for name, members in several]
    return groups


def _shared(name: str, members: list[Row]) -> Labels:
    """Labels of a mean; what is missing in one of its results is missing in it."""
    labels = members[0][0] | {"model": name, "split": "each"}
    if "missing" in labels:
        labels["missing"] = list(dict.fromkeys(video for each, _ in members for video in each["missing"]))
    return labels


def _cloud(judged: Judgement) -> Cloud:
    import numpy as np

    from vqa_cli.report.scatter import Cloud
    from vqa_cli.train.correlation import logistic_fit

    where = "every video" if judged.split is None else f"split {judged.split}"
    x = np.linspace(judged.predicted.min(), judged.predicted.max(), 80)
    try:
        curve = list(zip(x.tolist(), logistic_fit(judged.predicted, judged.rated, x).tolist(), strict=True))
    except ValueError:  # the reason stands in the table
        curve = []
    return Cloud(
        title=f"{judged.model} on {judged.dataset}, {where}",
        subtitle=f"SROCC {judged.agreement.srocc:.3f}, PLCC {judged.agreement.plcc_fit:.3f} after the fit, n = {judged.agreement.n}",
        points=list(zip(judged.predicted.tolist(), judged.rated.tolist(), strict=True)),
        curve=curve,
    )  # fmt: skip
