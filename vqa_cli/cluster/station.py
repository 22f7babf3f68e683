"""A node's side of a run: what one of its processes has, made ready once, and what is refused."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vqa_cli.cluster.travel import VERSION, Node, Outfit, Sealed, Unfit
from vqa_cli.errors import StorageError, ToolError, VqaError
from vqa_cli.files import file_sha256
from vqa_cli.ladder.prepared import PreparedSources
from vqa_cli.ladder.steps import Site
from vqa_cli.ladder.task import SourceRef
from vqa_cli.media.binaries import Ffmpeg, find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.memory import prepare_process
from vqa_cli.scratch import sweep
from vqa_cli.store.rungs import Rungs
from vqa_cli.store.seen import Seen
from vqa_cli.values import Scorer

_PREFIX, _LOCK, _SEEN = "vqa-ray-", "in-use", "vqa-ray-sources"


class Refused(Exception):
    """This node cannot take part, or not work on one source."""

    def __init__(self, unfit: Unfit) -> None:
        super().__init__(unfit.reason)
        self.unfit = unfit


@dataclass(frozen=True)
class Station:
    """One process of a node."""

    node: Node
    outfit: Outfit
    site: Site
    lock: IO[str]


_open: dict[Sealed, Station] = {}


@contextmanager
def station(sealed: Sealed, node: Node, *, scoring: bool) -> Iterator[Station]:
    """This process, made ready at the first call; after an interruption the next call begins anew.

    Args:
        scoring: whether the scorer is loaded too.

    Raises:
        Refused: the node lacks something, or has it otherwise than the driver.
    """
    try:
        if (here := _open.get(sealed)) is None:
            here = _open[sealed] = _make(sealed, node, scoring=scoring)
        yield here
    except (KeyboardInterrupt, SystemExit):
        if (left := _open.pop(sealed, None)) is not None:
            left.site.runner.close()
            left.lock.close()
        raise


def check_source(here: Station, source: SourceRef) -> None:
    """Make sure that this node sees the source that was planned; read whole once per node, not once per process.

    Raises:
        Refused: it does not.
    """
    path = Path(source.path)
    try:
        found = path.stat()
        if found.st_size == source.size_bytes:
            key = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size}-{found.st_mtime_ns}"
            fault = None if _hash_once(path, key) == source.sha256 else "has other content there"
        else:
            fault = f"has {found.st_size} bytes there, not {source.size_bytes}"
    except OSError as err:
        fault = f"cannot be read there: {err.strerror}"
    if fault:
        raise Refused(Unfit(here.node, f"{path} {fault}", source.path))


def _hash_once(path: Path, key: str) -> str:
    """The file's hash, by whichever process of this node comes first; the others wait for it."""
    folder = node_memory() / "hashes"
    folder.mkdir(exist_ok=True)
    with (folder / key).open("a+", encoding="ascii") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        if known := note.read().strip():
            return known
        note.write(found := file_sha256(path))
        return found


def node_memory() -> Path:
    """Where this node remembers what it has read of sources, beyond a run: little, and of no harm when it is lost."""
    folder = Path(tempfile.gettempdir(), f"{_SEEN}-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _make(sealed: Sealed, node: Node, *, scoring: bool) -> Station:
    if sealed.version != VERSION:
        raise Refused(Unfit(node, f"has vqa {VERSION}, not {sealed.version}"))
    outfit: Outfit = pickle.loads(sealed.content)
    try:
        runner = Runner(bound=True)
        ffmpeg = _find(runner, outfit.ffmpeg, outfit.ffmpeg_sha256)
        encoding = _find(runner, outfit.encode_ffmpeg, outfit.encode_sha256) if outfit.encode_ffmpeg else ffmpeg
        if outfit.shared is not None and not os.access(outfit.shared, os.W_OK):
            raise StorageError(f"cannot write the shared folder {outfit.shared}")
        scratch, lock = _scratch(outfit.run)
        scorer = _load(outfit) if scoring else None
    except VqaError as err:
        raise Refused(Unfit(node, err.line)) from err
    sources = PreparedSources(runner, ffmpeg, scratch)
    site = Site(runner, ffmpeg, encoding, scorer, Rungs(None), Seen(None), scratch, sources)
    return Station(node, outfit, site, lock)


def _find(runner: Runner, name: str | None, sha256: str) -> Ffmpeg:
    ffmpeg = find_ffmpeg(runner, name)
    if ffmpeg.sha256 != sha256:
        raise ToolError(
            f"has another ffmpeg: {ffmpeg.path} ({ffmpeg.version}, sha256 {ffmpeg.sha256[:16]}…), not {sha256[:16]}…"
        )
    return ffmpeg


def _load(outfit: Outfit) -> Scorer | None:
    if outfit.scorer is None:
        return None
    prepare_process()
    return outfit.scorer.load(outfit.threads)


def _scratch(run: str) -> tuple[Path, IO[str]]:
    """The run's folder on this node, and a lock that tells others that somebody uses it; what nobody uses any more goes.

    Raises:
        StorageError: there is no room for temporary files.
    """
    folder = _folder(run)
    for old in folder.parent.glob(f"{_PREFIX}*/{_LOCK}"):
        if old.parent != folder:
            sweep(old)
    try:
        while True:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = (folder / _LOCK).open("a")
            fcntl.flock(lock, fcntl.LOCK_SH)
            if (folder / _LOCK).exists():  # else it was swept away in between
                return folder, lock
    except OSError as err:
        raise StorageError("cannot make a temporary folder", detail=err.strerror) from err


def _folder(run: str) -> Path:
    return Path(tempfile.gettempdir(), f"{_PREFIX}{run}")


def clear(run: str) -> None:
    """Remove what a run that has ended left on this node."""
    shutil.rmtree(_folder(run), ignore_errors=True)
