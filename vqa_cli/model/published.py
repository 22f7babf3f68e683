"""The authors' own files of heads: whether they are here, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.errors import ModelError, misfit
from vqa_cli.model.authors import calibration_in, head_state
from vqa_cli.model.checkpoint import load_state
from vqa_cli.model.registry import LITE, PublishedModel
from vqa_cli.model.store import WeightFile, is_there, sha256_of
from vqa_cli.model.verdict import Calibration
from vqa_cli.model.vsfa import VsfaHead


@dataclass(frozen=True)
class PublishedHead:
    """A head that is ready, what its numbers mean, and the hash of its file."""

    head: VsfaHead
    calibration: Calibration
    sha256: str


class MissingWeights(ModelError):
    """Published files that are not in place yet, with where each of them comes from and goes to.

    Args:
        name: what ``vqa models pull`` calls them.
    """

    def __init__(self, name: str, files: Sequence[WeightFile], directory: Path, *, detail: str | None = None) -> None:
        origins = ", ".join(f"{file.url} ({file.size_bytes / 1e6:.0f} MB)" for file in files)
        super().__init__(
            f"weights of {name} are not here: {' and '.join(file.name for file in files)} in {directory}",
            hint=f"`vqa models pull {name}` fetches {origins}; without network put the files there by hand; "
            f"--model {LITE} needs none",
            detail=detail,
        )
        self.name, self.files, self.directory = name, files, directory


def refuse_missing(name: str, files: Sequence[WeightFile], directory: Path) -> None:
    """Stop where a published file is not in place yet.

    Raises:
        MissingWeights: one or several are not.
    """
    if missing := [file for file in files if not is_there(directory / file.name)]:
        raise MissingWeights(name, missing, directory)


def load_published_head(model: PublishedModel, path: Path) -> PublishedHead:
    """Read the head of a published model, or another one of its kind.

    Raises:
        ModelError: unreadable, or no such head.
    """
    state = load_state(path)
    head = VsfaHead(dim=4096)
    try:
        head.load_state_dict(head_state(model.name, state))
        calibration = calibration_in(model.name, state)
    except KeyError as err:
        raise ModelError(f"not a head of {model.name}: {path}", detail=f"it has no {err}") from err
    except (RuntimeError, TypeError, ValueError) as err:
        raise ModelError(f"not a head of {model.name}: {path}", detail=misfit(err)) from err
    return PublishedHead(head, calibration, sha256_of(path))
