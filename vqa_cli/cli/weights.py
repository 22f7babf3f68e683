"""Downloads of published weights, as the person at the terminal sees them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vqa_cli.cli.console import note
from vqa_cli.errors import ModelError, StorageError

if TYPE_CHECKING:
    from vqa_cli.model.published import MissingWeights
    from vqa_cli.model.store import WeightFile

T = TypeVar("T")
_POLL_S = 1.0


def download(file: WeightFile, folder: Path) -> Path:
    """Say what is fetched and from where, fetch it, and give where it lies. Where another command does so already, as
    several do at a model's first use, wait for that one.

    Raises:
        ModelError: the network failed, or what came is not the file.
        StorageError: it cannot be written.
    """
    from tqdm import tqdm

    from vqa_cli.model.store import Busy, is_there, pull

    note(f"fetching {file.url} ({file.size_bytes / 1e6:.1f} MB, {file.licence}) into {folder}")
    size, silent, waited = file.size_bytes, not sys.stderr.isatty(), False
    while True:
        try:
            with tqdm(total=size, unit="B", unit_scale=True, disable=silent, leave=False, file=sys.stderr) as bar:
                return pull(file, folder, lambda have, _: bar.update(have - bar.n))
        except Busy as err:
            if not waited:
                note(f"{err.message}: waiting for it to end")
            waited = True
            time.sleep(_POLL_S)
            if is_there(folder / file.name):
                return folder / file.name


def with_weights(load: Callable[[], T]) -> T:
    """What ``load`` gives, after fetching the published files that it is found to lack.

    Raises:
        MissingWeights: one cannot be fetched or written; the reason is in the detail.
    """
    from vqa_cli.model.published import MissingWeights

    while True:
        try:
            return load()
        except MissingWeights as missing:
            _fetch(missing)


def _fetch(missing: MissingWeights) -> None:
    """Put in place what a model was found to lack; raises as :func:`with_weights`."""
    from vqa_cli.model.published import MissingWeights

    for index, file in enumerate(missing.files):
        try:
            download(file, missing.directory)
        except (ModelError, StorageError) as err:
            reason = f"{err.message} ({err.detail})" if err.detail else err.message
            raise MissingWeights(missing.name, missing.files[index:], missing.directory, detail=reason) from err
