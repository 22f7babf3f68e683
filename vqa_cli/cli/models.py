"""``vqa models``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import emit_json, note, say, table, tell, window
from vqa_cli.cli.options import LISTING_FORMAT_OPTION, MODEL_DIR_OPTION
from vqa_cli.cli.weights import download
from vqa_cli.errors import ModelError, UsageError

if TYPE_CHECKING:
    from vqa_cli.cli.listing import ModelListed, ModelTold, ScaleTold, WeightsTold
    from vqa_cli.identity import ScoreScale
    from vqa_cli.model.card import Interval, Scale
    from vqa_cli.model.registry import PublishedModel


@click.group(name="models", cls=Group)
def command() -> None:
    """Quality models: vsfa-lite ships with vqa; vsfa and mdtvsfa need published weights."""


@command.command(name="list")
@MODEL_DIR_OPTION
@LISTING_FORMAT_OPTION
def list_(model_dir: Path | None, output_format: str) -> None:
    """Every model and whether it is ready."""
    from vqa_cli.model.registry import LITE, PUBLISHED
    from vqa_cli.model.store import default_dir, is_there

    folder = model_dir or default_dir()
    found: list[ModelListed] = [{"name": LITE, "state": "bundled", "scale": "0-100, trained on VMAF", "licence": "MIT"}]
    for model in PUBLISHED.values():
        ready = all(is_there(folder / file.name) for file in model.files)
        state: Literal["installed", "not installed"] = "installed" if ready else "not installed"
        found.append({"name": model.name, "state": state, "scale": model.scale.name, "licence": model.head.licence})
    if output_format == "json":
        return emit_json(found)
    rows = [[model["name"], model["state"], model["scale"], model["licence"]] for model in found]
    tell(table(["model", "state", "scale", "licence"], rows, leave=("licence",), width=window()))


@command.command()
@click.argument("name", shell_complete=suggest.models)
@MODEL_DIR_OPTION
@LISTING_FORMAT_OPTION
def info(name: str, model_dir: Path | None, output_format: str) -> None:
    """Files, hashes, scale, training data, preprocessing, licence and citation of a model."""
    from vqa_cli.model.registry import LITE
    from vqa_cli.model.store import default_dir

    told = _bundled() if name == LITE else _told(_published(name), model_dir or default_dir())
    if output_format == "json":
        return emit_json(told)
    scale = told["scale"]
    say(f"{told['name']}: {scale['name']}, {scale['minimum']:g} to {scale['maximum']:g}, higher is better")
    say(scale["description"])
    say(f"trained on: {told['training_data']}")
    say(f"shown: {told['preprocessing']}")
    if told["card"] is not None and told["card"].interval is not None:
        say(_promise(told["card"].interval))
    for file in told["files"]:
        say(f"{file['name']}: {'here' if file['here'] else 'not here'}: {file['path']}")
        size = f"sha256 {file['sha256']}, {file['size_bytes']} bytes"
        for fact in (file["url"], size, file["licence"], file["citation"]):
            if fact:
                say(f"  {fact}")


@command.command()
@click.argument("name", shell_complete=suggest.models)
@click.option(
    "--from",
    "origin",
    type=click.Path(path_type=Path),
    help="Install this file, or the files in this folder.",
)
@click.option("--force", is_flag=True, help="Download again what is already here.")
@MODEL_DIR_OPTION
def pull(name: str, origin: Path | None, force: bool, model_dir: Path | None) -> None:
    """Download (or with --from install) the weights of a model, or `resnet50` alone."""
    from vqa_cli.model.registry import RESNET50
    from vqa_cli.model.store import default_dir, install_files, is_there, verify

    folder = model_dir or default_dir()
    files = (RESNET50,) if name == "resnet50" else _published(name, "resnet50").files
    if origin is not None:
        installed, left_out = install_files(files, origin, folder)
        for path in installed:
            say(f"installed {path}")
        for file in left_out:
            note(f"{file.name} is not in {origin}; it comes from {file.url}")
        return
    for file in files:
        if is_there(folder / file.name) and not force:
            verify(file, folder / file.name)
            say(f"already here: {folder / file.name}")
            continue
        say(f"installed {download(file, folder)}")


@command.command(name="verify")
@click.argument("name", required=False, shell_complete=suggest.models)
@MODEL_DIR_OPTION
def verify_(name: str | None, model_dir: Path | None) -> None:
    """Check size and hash of the weights that are here; with NAME all of that model must be."""
    from vqa_cli.model.registry import PUBLISHED
    from vqa_cli.model.store import default_dir, is_there, verify

    folder = model_dir or default_dir()
    models = [_published(name)] if name else list(PUBLISHED.values())
    files = {file.name: file for model in models for file in model.files}
    missing = [file.name for file in files.values() if not is_there(folder / file.name)]
    for file in files.values():
        if file.name in missing:
            say(f"{file.name}: not here")
            continue
        verify(file, folder / file.name)
        say(f"{file.name}: as published")
    if name and missing:
        raise ModelError(
            f"weights of {name} are not here: {' and '.join(missing)} in {folder}", hint=f"`vqa models pull {name}`"
        )


@command.command()
@click.argument("name", required=False, shell_complete=suggest.models)
@MODEL_DIR_OPTION
def path(name: str | None, model_dir: Path | None) -> None:
    """The folder where weights lie, or with NAME the files of that model, one per line."""
    from vqa_cli.model.registry import LITE, lite_path
    from vqa_cli.model.store import default_dir

    folder = model_dir or default_dir()
    if name is None:
        say(folder)
    elif name == LITE:
        say(lite_path())
    else:
        for file in _published(name).files:
            say(folder / file.name)


def _published(name: str, *others: str) -> Any:
    from vqa_cli.model.registry import LITE, MODEL_NAMES, PUBLISHED

    if name == LITE:
        raise UsageError(f"{LITE} ships with vqa: there is nothing to fetch", hint=f"`vqa models info {LITE}`")
    if name not in PUBLISHED:
        raise UsageError(f"no published model: {name}", hint=f"one of {', '.join((*MODEL_NAMES[1:], *others))}")
    return PUBLISHED[name]


def _bundled() -> ModelTold:
    from vqa_cli.model.card import read_model_file
    from vqa_cli.model.registry import lite_path

    file = read_model_file(lite_path())
    card = file.card
    return {
        "name": card.name, "state": "bundled", "licence": card.licence, "preprocessing": card.preprocessing,
        "training_data": card.training_data, "card": card,
        "scale": _scale(card.scale),
        "files": [{"name": file.path.name, "path": str(file.path), "here": True, "sha256": file.sha256,
                   "size_bytes": len(file.data), "url": None, "licence": card.licence, "citation": card.citation}],
    }  # fmt: skip


def _promise(interval: Interval) -> str:
    """What one score, or two of one source, say of VMAF."""
    return (
        f"{100 * interval.level:g} % intervals: VMAF lies within {interval.score:.0f} points of the score of a clean source's encode, "
        f"and a difference of two encodes of one source within {interval.difference:.0f} points of that of their scores "
        f"(over {interval.difference_groups} groups of footage)"
    )


def _told(model: PublishedModel, folder: Path) -> ModelTold:
    from vqa_cli.model.store import is_there

    files: list[WeightsTold] = [
        {"name": file.name, "path": str(folder / file.name), "here": is_there(folder / file.name), "sha256": file.sha256,
         "size_bytes": file.size_bytes, "url": file.url, "licence": file.licence, "citation": file.citation}
        for file in model.files
    ]  # fmt: skip
    ready = all(file["here"] for file in files)
    return {
        "name": model.name, "state": "installed" if ready else "not installed", "licence": model.head.licence,
        "preprocessing": model.preprocessing, "training_data": model.training_data, "card": None,
        "scale": _scale(model.scale), "files": files,
    }  # fmt: skip


def _scale(scale: Scale | ScoreScale) -> ScaleTold:
    return {
        "name": scale.name, "minimum": scale.minimum, "maximum": scale.maximum, "higher_is_better": scale.higher_is_better,
        "description": scale.description,
    }  # fmt: skip
