"""How the bundled vsfa-lite is made again: ``python -m training.lite make-data``, ``fit``, ``export``."""

from __future__ import annotations

import time
from ast import literal_eval
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqa_cli.cli.boundary import run_command
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import note
from vqa_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from training.lite.batches import FitSettings
    from training.lite.shots import Part
    from training.lite.teach import TeachSettings

S = TypeVar("S", "FitSettings", "TeachSettings")


@click.group(cls=Group)
def lite() -> None:
    """Make the bundled vsfa-lite again: data, fit, export, ladders, teach, blend, integers."""


_DATA = click.option("--data", type=click.Path(path_type=Path), required=True, help="Working folder (some 20 GB).")


def _logger() -> Callable[[str], None]:
    start = time.monotonic()
    return lambda text: note(f"{time.monotonic() - start:7.0f} s  {text}")


@lite.command(name="make-data")
@click.option(
    "--media",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Folder with the files that sources.csv names.",
)
@_DATA
@click.option("--seed", default=1, show_default=True)
@click.option("--jobs", default=4, show_default=True)
@click.option("--limit", type=int, help="Only so many sources.")
def make_data(media: Path, data: Path, seed: int, jobs: int, limit: int | None) -> int:
    """Degrade clips and photographs and label every frame with VMAF.

    A source that fails is reported and the others go on (exit 8).
    """
    from training.lite.make_data import make_data as work

    failed = 0
    for made in work(media, data, seed=seed, jobs=jobs, limit=limit):
        failed += made.failed
        click.echo(made.line)
    return int(ExitCode.PARTIAL if failed else ExitCode.OK)


@lite.command(name="ladders")
@click.option("--media", type=click.Path(path_type=Path, exists=True), required=True, help="As for make-data.")
@_DATA
@click.option("--part", type=click.Choice(["training", "choosing", "untouched"]), required=True)
@click.option("--jobs", default=1, show_default=True)
@click.option("--limit", type=int, help="Only so many ladders.")
def ladders(media: Path, data: Path, part: Part, jobs: int, limit: int | None) -> int:
    """Encode whole ladders of a part of the sources, VMAF of every rung beside them.

    A ladder that fails is reported and the others go on (exit 8).
    """
    from training.lite.ladders import make_ladders

    failed = 0
    for made in make_ladders(media, data, part, jobs=jobs, limit=limit):
        failed += made.failed
        click.echo(made.line)
    return int(ExitCode.PARTIAL if failed else ExitCode.OK)


@lite.command()
@_DATA
@click.option("--backbone-steps", type=int, help="Steps of the first stage; 0 keeps the backbone of --start.")
@click.option("--head-steps", type=int, help="Steps of the second stage.")
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=4, show_default=True)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Another hyper-parameter, e.g. learning_rate=1e-3."
)
@click.option(
    "--start",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Train on from the backbone of an earlier fit.pt or backbone.pt; of several, from the mean of their weights.",
)
def fit(
    data: Path,
    backbone_steps: int | None,
    head_steps: int | None,
    seed: int,
    threads: int,
    changes: tuple[str, ...],
    start: tuple[Path, ...],
) -> None:
    """Train backbone and head on what make-data made."""
    import torch

    from training.lite.batches import FitSettings
    from training.lite.fit import fit as work

    torch.set_num_threads(threads)
    given: dict[str, Any] = {"backbone_steps": backbone_steps, "head_steps": head_steps}
    settings = replace(FitSettings(seed=seed), **{key: value for key, value in given.items() if value is not None})
    settings = _changed(settings, changes)
    if settings.backbone_steps < 1 and not start:
        raise UsageError("no steps for the backbone and none to keep: --backbone-steps 0 needs --start")
    work(data, settings, log=_logger(), start=start)


def _changed(settings: S, changes: tuple[str, ...]) -> S:
    for change in changes:
        name, _, value = change.partition("=")
        try:
            kind = type(getattr(settings, name))
            changed: dict[str, Any] = {name: kind(literal_eval(value))}
            settings = replace(settings, **changed)
        except (AttributeError, ValueError, SyntaxError, TypeError) as err:
            raise UsageError(
                f"no such hyper-parameter or value: {change}", hint=f"NAME=VALUE, see {type(settings).__name__}"
            ) from err
    return settings


@lite.command()
@_DATA
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Model file [the package's own].")
@click.option("--no-evaluate", is_flag=True, help="Skip the held-out measurement.")
@click.option("--jobs", default=4, show_default=True, help="Held-out sources scored at once.")
def export(data: Path, output: Path | None, no_evaluate: bool, jobs: int) -> None:
    """Write the model file with its card and held-out figures."""
    import torch

    from training.lite.export import export as work
    from vqa_cli.model.registry import lite_path

    torch.set_num_threads(1)
    card = work(data, output or lite_path(), log=_logger(), evaluate_too=not no_evaluate, jobs=jobs)
    click.echo(card.model_dump_json(indent=1))


@lite.command(name="teach")
@_DATA
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model file to write.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="Model file to start from [the last one in floating point]."
)
@click.option("--device", default="auto", show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Another hyper-parameter, e.g. steps=600.")
def teach(
    data: Path, output: Path, model: Path | None, device: str, seed: int, threads: int, changes: tuple[str, ...]
) -> None:
    """Teach a model on the training ladders: which of two encodes at equal rate is better."""
    import torch

    from training.lite.teach import TeachSettings
    from training.lite.teach import teach as work
    from training.lite.weights import FLOATING
    from vqa_cli.model.device import pick_device

    torch.set_num_threads(threads)
    settings = _changed(TeachSettings(seed=seed), changes)
    work(data, model or FLOATING, output, settings, pick_device(device), _logger())


@lite.command(name="blend")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model file to write.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="How far to go.")
def blend(before: Path, after: Path, output: Path, share: float) -> None:
    """Weights between those before teaching and those after."""
    from training.lite.blend import blend as work

    work(before, after, share, output)


@lite.command(name="integers")
@click.argument("model", type=click.Path(path_type=Path))
@_DATA
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model file to write.")
@click.option("--part", "parts", multiple=True, type=click.Choice(["training", "choosing"]), required=True)
def integers(model: Path, data: Path, output: Path, parts: tuple[Part, ...]) -> None:
    """Bring a model from floating point to integers, as it ships; frames of ladders say how far its maps reach."""
    from training.lite.integers import integers as work

    work(model, data, output, *parts)


@lite.command(name="promise")
@_DATA
@click.option("--model", type=click.Path(path_type=Path), help="Model file to write into [the package's own].")
@click.option("--part", "parts", multiple=True, type=click.Choice(["choosing", "untouched"]), required=True)
def promise(data: Path, model: Path | None, parts: tuple[Part, ...]) -> None:
    """Measure on held-out ladders how far VMAF may lie from a score, and write it into the card."""
    from training.lite.promise import promise as work
    from vqa_cli.model.registry import lite_path

    click.echo(work(data, model or lite_path(), *parts).model_dump_json(indent=1))


if __name__ == "__main__":
    run_command(lite, "python -m training.lite")
