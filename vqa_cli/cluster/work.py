"""What runs on the nodes of a cluster: encodes as tasks without state, measuring in processes that hold a loaded scorer."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vqa_cli.cluster.station import Refused, Station, check_source, node_memory, station
from vqa_cli.cluster.travel import Lost, Made, Node, Outfit, Parcel, Ready, Sealed, Unfit
from vqa_cli.errors import StorageError, ToolError, VqaError
from vqa_cli.files import passing_folder
from vqa_cli.ladder import steps
from vqa_cli.ladder.execute import ENCODING
from vqa_cli.ladder.outcome import Outcome, failed
from vqa_cli.ladder.steps import Encoded, Judged
from vqa_cli.ladder.task import LadderTask, RungTask, SourceTask
from vqa_cli.machine import simd_level
from vqa_cli.measure.source import Inspector, Source
from vqa_cli.media.process import Killed
from vqa_cli.store.inspections import Inspections
from vqa_cli.values import ClipScore, Treatment

# What Ray's object store carries of an encode; more goes through the shared folder.
LIMIT_BYTES = 64 * 2**20
_TELL_S = 1.0


def here() -> Node:
    """The node that this process is on."""
    import ray

    host, address = os.uname().nodename, ray.util.get_node_ip_address()
    number = ray.get_runtime_context().get_node_id()
    return Node(number, f"{host} ({address}, {number[:8]})")


def encode(
    sealed: Sealed, task: RungTask, board: Any, number: int
) -> tuple[Made | Unfit | Lost | Outcome, Parcel | None]:
    """Encode a rung, and give the file into Ray's object store or the shared folder.

    Args:
        board: hears of progress, under this number.
    """

    def work(at: Station) -> tuple[Made, Parcel]:
        check_source(at, task.source)
        with passing_folder(at.site.scratch) as folder:
            encoded = steps.encode(task, at.site, folder, _teller(board, number))
            return Made(at.node, simd_level()), _pack(encoded, at.outfit)

    done = _on_station(sealed, task, work, scoring=False)
    return done if isinstance(done, tuple) else (done, None)


def look(sealed: Sealed, path: Path, treatment: Treatment) -> Source | Unfit | Lost | VqaError:
    """Look at a source whole. What is found is remembered on this node."""
    node = here()
    try:
        with station(sealed, node, scoring=False) as at, passing_folder(at.site.scratch) as folder:
            if not os.access(path, os.R_OK):
                return Unfit(node, f"{path} cannot be read there", str(path))
            return Inspector(at.site.runner, at.site.ffmpeg, folder, Inspections(node_memory())).look(path, treatment)
    except Refused as refused:
        return refused.unfit
    except StorageError as err:
        return Unfit(node, err.message)
    except VqaError as err:
        return _lost(err) or err


class Measurer:
    """One process with a loaded scorer, to be used for one task after the other."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def ready(self) -> Ready | Unfit:
        """Whether it can be used."""
        try:
            with station(self._sealed, here(), scoring=True) as at:
                scorer = at.site.scorer
                return Ready(at.node, simd_level(), scorer.identity if scorer else None)
        except Refused as refused:
            return refused.unfit

    def measure(self, task: RungTask, parcel: Parcel) -> Judged | Unfit | Lost | Outcome:
        """Decode an encode once, for the scorer and the metrics."""

        def work(at: Station) -> Judged:
            check_source(at, task.source)
            with passing_folder(at.site.scratch) as folder:
                judged = steps.measure(task, _unpack(parcel, folder), at.site)
            if parcel.path is not None and task.keep is None:
                parcel.path.unlink(missing_ok=True)
            return judged

        done: Judged | Unfit | Lost | Outcome = _on_station(self._sealed, task, work, scoring=True)
        return done

    def score(self, task: SourceTask) -> ClipScore | Unfit | Lost | Outcome:
        """Score a source itself."""

        def work(at: Station) -> ClipScore:
            check_source(at, task.source)
            with passing_folder(at.site.scratch) as folder:
                return steps.score_source(task, at.site, folder)

        done: ClipScore | Unfit | Lost | Outcome = _on_station(self._sealed, task, work, scoring=True)
        return done


class Board:
    """Where encodes on all nodes write how far they are, and the driver reads it."""

    def __init__(self) -> None:
        self._shares: dict[int, float] = {}

    def tell(self, number: int, share: float) -> None:
        """Write."""
        self._shares[number] = share

    def take(self) -> dict[int, float]:
        """Read what is new."""
        new, self._shares = self._shares, {}
        return new


def _on_station(sealed: Sealed, task: LadderTask, work: Callable[[Station], Any], *, scoring: bool) -> Any:
    """What came of the work; a fault of the node is told from one of the task."""
    node = here()
    try:
        with station(sealed, node, scoring=scoring) as at:
            return work(at)
    except Refused as refused:
        return refused.unfit
    except StorageError as err:  # other nodes have room
        return Unfit(node, err.message)
    except OSError as err:
        return Unfit(node, f"{err.strerror or err}: {err.filename}" if err.filename else str(err))
    except VqaError as err:
        return _lost(err) or failed(task, err)


def _lost(err: VqaError) -> Lost | None:
    """That a program was killed, if that is why it failed, whatever was made of it on the way."""
    cause: BaseException | None = err
    while cause is not None and not isinstance(cause, Killed):
        cause = cause.__cause__ or cause.__context__
    return None if cause is None else Lost(err.line)


def _teller(board: Any, number: int) -> Callable[[float], None]:
    last = 0.0

    def tell(share: float) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > _TELL_S:
            last = now
            board.tell.remote(number, share * ENCODING)

    return tell


def _pack(encoded: Encoded, outfit: Outfit) -> Parcel:
    size, name = encoded.result.file_bytes, encoded.path.name
    if size <= LIMIT_BYTES:
        return Parcel(encoded.result, name, content=np.fromfile(encoded.path, np.uint8))
    if outfit.shared is None:
        raise ToolError(
            f"the encode has {size / 2**20:.0f} MB, and more than {LIMIT_BYTES / 2**20:.0f} MB travel only through a folder "
            "that all nodes see: --shared DIR"
        )
    path = Path(outfit.shared, f"{encoded.result.sha256}-{os.urandom(8).hex()}")
    try:
        shutil.copyfile(encoded.path, path)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return Parcel(encoded.result, name, path=path)


def _unpack(parcel: Parcel, folder: Path) -> Encoded:
    path = folder / parcel.name
    if parcel.content is not None:
        parcel.content.tofile(path)
    else:
        assert parcel.path is not None
        shutil.copyfile(parcel.path, path)
    return Encoded(path, parcel.result)
