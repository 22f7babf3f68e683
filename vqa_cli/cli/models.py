"""``vqa models``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vqa_cli.cli import suggest
from vqa_cli.cli.command import Group
from vqa_cli.cli.console import note, say, table, tell, window
from vqa_cli.cli.options import MODEL_DIR_OPTION
from vqa_cli.cli.weights import download
from vqa_cli.errors import ModelError, UsageError


@click.group(name="models", cls=Group)
def command() -> None:
    """Quality models: vsfa-lite ships with vqa; vsfa and mdtvsfa need published weights."""


@command.command(name="list")
@MODEL_DIR_OPTION
def list_(model_dir: Path | None) -> None:
    """Every model and whether it is ready."""
    from vqa_cli.model.registry import LITE, PUBLISHED
    from vqa_cli.model.store import default_dir, is_there

    folder = model_dir or default_dir()
    rows = [[LITE, "bundled", "0-100, trained on VMAF", "MIT"]]
    for model in PUBLISHED.values():
        ready = all(is_there(folder / file.name) for file in model.files)
        rows.append([model.name, "installed" if ready else "not installed", model.scale.name, model.head.licence])
    tell(table(["model", "state", "scale", "licence"], rows, leave=("licence",), width=window()))


@command.command()
@click.argument("name", shell_complete=suggest.models)
@MODEL_DIR_OPTION
def info(name: str, model_dir: Path | None) -> None:
    """Files, hashes, scale, training data, preprocessing, licence and citation of a model."""
    from vqa_cli.model.registry import LITE, lite_path
    from vqa_cli.model.store import default_dir, is_there

    if name == LITE:
        from vqa_cli.model.checkpoint import load_model

        card, _, digest = load_model(lite_path())
        say(card.scale.description)
        say(lite_path())
        say(f"sha256 {digest}")
        tell(card.model_dump_json(indent=1))
        return
    model = _published(name)
    say(f"{model.name}: {model.scale.name}, {model.scale.minimum:g} to {model.scale.maximum:g}, higher is better")
    say(f"trained on: {model.training_data}")
    say(f"shown: {model.preprocessing}")
    for file in model.files:
        path = (model_dir or default_dir()) / file.name
        say(f"{file.name}: {'here' if is_there(path) else 'not here'}: {path}")
        for fact in (file.url, f"sha256 {file.sha256}, {file.size_bytes} bytes", file.licence, file.citation):
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
