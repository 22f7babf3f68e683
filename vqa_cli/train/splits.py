"""Training, validation and test parts that share no reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.train.datasets import Dataset


@dataclass(frozen=True)
class Split:
    """Indices into the dataset, each ascending; no reference id is in two parts."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def make_split(data: Dataset, exp_id: int, *, mixed: bool = False) -> Split:
    """The table's own parts where it names them, else 60/20/20 of the references in the order of ``exp_id``.

    The order is the database's permutation where it brings some (as in the authors' code, modulo their number), else
    one that NumPy draws with ``exp_id`` as seed.

    Args:
        mixed: bounds between parts are rounded down, as MDTVSFA's code does, and not up as VSFA's.

    Raises:
        InputError: a part is empty, or a named part shares a reference with another.
    """
    if data.parts is not None and "val" not in data.parts:
        data = replace(data, parts=_with_val(data, exp_id))
    parts = _named(data) if data.parts is not None else _drawn(data, exp_id, math.floor if mixed else math.ceil)
    for name, members in zip(("train", "val", "test"), (parts.train, parts.val, parts.test), strict=True):
        if not len(members):
            raise InputError(f"no video in part {name}: {data.name}", hint="give more references, or a column split")
    return parts


def _with_val(data: Dataset, exp_id: int) -> tuple[str, ...]:
    """A fifth of the references that may be trained on serves for validation, drawn with ``exp_id`` as seed."""
    named = np.asarray(data.parts)
    refs = np.random.default_rng(exp_id).permutation(np.unique(data.ref_ids[named == "train"]))
    chosen = np.isin(data.ref_ids, refs[: math.ceil(len(refs) / 5)]) & (named == "train")
    return tuple(np.where(chosen, "val", named).tolist())


def _named(data: Dataset) -> Split:
    named = np.asarray(data.parts)
    for ref in np.unique(data.ref_ids):
        found = sorted(set(named[data.ref_ids == ref].tolist()))
        if len(found) > 1:
            video = data.names[int(np.argmax(data.ref_ids == ref))]
            raise InputError(f"a reference is in two parts, {' and '.join(found)}: that of {video}")
    train, val, test = (np.flatnonzero(named == part) for part in ("train", "val", "test"))
    return Split(train, val, test)


def _drawn(data: Dataset, exp_id: int, rounded: Callable[[float], int]) -> Split:
    order = _order(data, exp_id)
    first, last = rounded(len(order) * 3 / 5), rounded(len(order) * 4 / 5)
    if data.permutations is not None:
        # As in the authors' code, where 1 - 0.2 - 0.2 is a little over 0.6: of 1200 videos VSFA trains on 721.
        first = rounded((1 - 0.2 - 0.2) * len(order))
    train, test = np.isin(data.ref_ids, order[:first]), np.isin(data.ref_ids, order[last:])
    return Split(np.flatnonzero(train), np.flatnonzero(~train & ~test), np.flatnonzero(test))


def _order(data: Dataset, exp_id: int) -> NDArray[np.int64]:
    if data.permutations is not None:
        return data.permutations[:, exp_id % data.permutations.shape[1]]
    return np.random.default_rng(exp_id).permutation(np.unique(data.ref_ids))
