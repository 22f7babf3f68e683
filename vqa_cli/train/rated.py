"""A rating database beside its features, and what to do about videos that have none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError
from vqa_cli.train.clips import Clips
from vqa_cli.train.datasets import Dataset
from vqa_cli.train.features import Provenance, common_provenance, features_path, read_provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMED = 3


@dataclass(frozen=True)
class Rated:
    """A database and the folder of its features.

    ``left_out`` are videos without features that are gone on without, in the order of the database. Splits are drawn from
    all videos before these leave their part, so that every other video is where it is with all features.
    """

    data: Dataset
    features: Path
    left_out: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """Which videos are left out, for people: a number and the first names."""
        return name_some(self.left_out, len(self.data), self.data.name)

    def present(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        """The indices of ``part`` whose videos are not left out."""
        left_out = set(self.left_out)
        here: NDArray[np.int64] = part[np.array([self.data.names[i] not in left_out for i in part], dtype=bool)]
        return here

    def missing_of(self, part: NDArray[np.int64]) -> tuple[str, ...]:
        """The videos of ``part`` that are left out."""
        return tuple(self.data.names[i] for i in np.setdiff1d(part, self.present(part)))

    def clips(self, part: NDArray[np.int64]) -> Clips:
        """Features and ratings of the videos of ``part`` that are there.

        Raises:
            InputError: see :meth:`Clips.of`.
        """
        here = self.present(part)
        return Clips.of(self.features, [self.data.names[i] for i in here], self.data.mos[here].tolist())

    def contents(self, part: NDArray[np.int64]) -> frozenset[str]:
        """Which videos of ``part`` are there, by their content."""
        names = [self.data.names[i] for i in self.present(part)]
        known = (read_provenance(features_path(self.features, name)).video_sha256 for name in names)
        return frozenset(filter(None, known))

    def provenance(self, part: NDArray[np.int64]) -> Provenance:
        """How the features of ``part`` were made.

        Raises:
            InputError: some are missing, or all are, or they were not all made in the same way.
        """
        names = [self.data.names[i] for i in self.present(part)]
        if not names:
            raise InputError(
                f"no video of {self.data.name} has features in {self.features}", hint="`vqa extract` makes them"
            )
        gone = [name for name in names if not features_path(self.features, name).exists()]
        if gone:
            raise InputError(
                f"no features in {self.features} of {name_some(gone, len(names), self.data.name)}",
                hint="`vqa extract` makes them; --skip-missing goes on without them",
            )
        return common_provenance(self.features, tuple(names))


def without_missing(rated: Rated) -> Rated:
    """The same database, videos that have no features left out."""
    names = rated.data.names
    return replace(rated, left_out=tuple(name for name in names if not features_path(rated.features, name).exists()))


def name_some(names: tuple[str, ...] | list[str], total: int, database: str) -> str:
    """``2 of 1200 videos (KoNViD-1k): a.mp4, b.mp4``, with no more than a few names."""
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} of {total} videos ({database}): {', '.join(names[:_NAMED])}{more}"
