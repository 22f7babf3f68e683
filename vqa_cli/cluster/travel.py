"""What travels between the driver and the nodes of a cluster. Values alone."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli._version import MEASUREMENT, __version__
from vqa_cli.document import EncodeResult
from vqa_cli.identity import ModelIdentity
from vqa_cli.model.order import ScorerOrder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What versions of vqa must agree in, to read each other's values and to measure alike.
VERSION = f"{__version__} (measurement {MEASUREMENT})"


@dataclass(frozen=True, slots=True)
class Outfit:
    """What each node of a run must have.

    Attributes:
        run: a name of the run, by which its files on nodes are known.
        ffmpeg, encode_ffmpeg: names of the programs that measure and encode, as the user gave them.
        ffmpeg_sha256, encode_sha256: of the builds that they must be.
        scorer: ``None`` where there is no model.
        threads: of one task.
        shared: folder that all nodes see, for encodes too large for Ray's object store.
    """

    run: str
    ffmpeg: str | None
    ffmpeg_sha256: str
    encode_ffmpeg: str | None
    encode_sha256: str
    scorer: ScorerOrder | None
    threads: int
    shared: str | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """An outfit that another version of vqa need not be able to read before it can say that it is another one."""

    version: str
    content: bytes


def seal(outfit: Outfit) -> Sealed:
    """The outfit, ready to travel."""
    return Sealed(VERSION, pickle.dumps(outfit))


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster: Ray's id for it, and what people call it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a node cannot take part.

    Attributes:
        source: path of the source that it cannot work on; ``None`` where it can work on none.
    """

    node: Node
    reason: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A task whose program was killed: Ray kills the children of a process that it ends before it ends the process."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A node that can take part; ``simd`` are its vector instructions, ``model`` the scorer that it has loaded."""

    node: Node
    simd: str
    model: ModelIdentity | None


@dataclass(frozen=True, slots=True)
class Made:
    """An encode was made on a node."""

    node: Node
    simd: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """An encode on its way to be measured: its bytes, or the file in the shared folder.

    Attributes:
        name: of the file in its working folder, because command lines hold it.
    """

    result: EncodeResult
    name: str
    content: NDArray[np.uint8] | None = None
    path: Path | None = None
