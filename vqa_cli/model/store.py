"""Weight files that the user downloads: where they lie, how they get there, and whether they are what they should be."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vqa_cli.errors import ModelError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 18
Progress = Callable[[int, int], None]


class Busy(StorageError):
    """Another process writes the file that is wanted."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A published file."""

    name: str
    url: str
    sha256: str
    size_bytes: int
    licence: str
    citation: str


def default_dir() -> Path:
    """The user's own folder for downloaded weights."""
    from platformdirs import user_data_path

    return user_data_path("vqa", appauthor=False) / "models"


def is_there(path: Path) -> bool:
    """Whether there is such a file; ``Path.exists`` raises where a folder on the way may not be entered."""
    return os.path.exists(path)


def sha256_of(path: Path) -> str:
    """Hash of a file, read in blocks."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def verify(file: WeightFile, path: Path) -> None:
    """Check size and hash of a copy of ``file``.

    Raises:
        ModelError: it is something else, e.g. a truncated download, a web page or a folder, or it cannot be read.
    """
    try:
        _check(file, path)
    except OSError as err:
        raise ModelError(f"cannot read weights: {path}", detail=err.strerror) from err


def _check(file: WeightFile, path: Path) -> None:
    size = path.stat().st_size
    if size != file.size_bytes:
        with path.open("rb") as opened:
            page = opened.read(512).lstrip()[:1] == b"<"
        what = "it is a web page" if page else f"it has {size} bytes instead of {file.size_bytes}"
        raise ModelError(
            f"wrong weights: {path}: {what}", hint=f"`vqa models pull NAME --force` fetches {file.url} again"
        )
    digest = sha256_of(path)
    if digest != file.sha256:
        raise ModelError(
            f"wrong weights: {path}: sha256 {digest[:16]}… is not {file.sha256[:16]}…", hint=f"it comes from {file.url}"
        )


def install(file: WeightFile, origin: Path, directory: Path) -> Path:
    """Copy a file that the user brought (a file, or a folder that holds it) after verifying it."""
    source = origin / file.name if os.path.isdir(origin) else origin
    if not is_there(source):
        raise ModelError(f"no such file: {source}", hint=f"{file.name} comes from {file.url}")
    verify(file, source)
    with _staged(directory, file) as (staged, _), source.open("rb") as opened:
        staged.truncate(0)  # a download that broke off may lie there
        while block := opened.read(_BLOCK):
            staged.write(block)
    return directory / file.name


def install_files(files: Sequence[WeightFile], origin: Path, directory: Path) -> tuple[list[Path], list[WeightFile]]:
    """Install from one file (recognised by name, else by size) or from a folder; also gives what was not found there.

    Raises:
        ModelError: nothing of it is there, or what is there is not the published file.
    """
    if not os.path.isdir(origin):
        size = origin.stat().st_size if is_there(origin) else -1
        alike = [f for f in files if f.name == origin.name] or [f for f in files if f.size_bytes == size]
        return [install((alike or list(files))[-1], origin, directory)], []
    here = [file for file in files if is_there(origin / file.name)]
    if not here:
        names = " or ".join(file.name for file in files)
        raise ModelError(f"no weights to install: no {names} in {origin}", hint=f"they come from {files[-1].url}")
    return [install(file, origin, directory) for file in here], [file for file in files if file not in here]


def pull(file: WeightFile, directory: Path, progress: Progress) -> Path:
    """Download, resuming what an earlier try left, verify, and put in place.

    Raises:
        ModelError: the network or the server failed, or what came is not the file.
    """
    with _staged(directory, file) as (staged, have):
        if have < file.size_bytes:
            try:
                _download(file, staged, have, progress)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as err:
                reason = getattr(err, "reason", None) or err
                raise ModelError(
                    f"cannot download {file.name}: {reason}",
                    hint=f"fetch {file.url} elsewhere and run `vqa models pull --from FILE`",
                ) from err
    return directory / file.name


def _download(file: WeightFile, staged: IO[bytes], have: int, progress: Progress) -> None:
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        if have and answer.status != 206:
            staged.seek(0)
            staged.truncate()
            have = 0
        announced = have + int(answer.headers.get("Content-Length") or 0)
        while block := _read(answer):
            staged.write(block)
            have += len(block)
            progress(have, file.size_bytes)
    if have < announced:  # reading in blocks ends without an error where the connection does
        raise ConnectionError(
            f"the connection ended after {have} of {announced} bytes; the next try goes on from there"
        )


def _read(answer: IO[bytes]) -> bytes:
    """The next block. Errors of TLS and of the route are plain ``OSError``, as those of the disk that is written to."""
    try:
        return answer.read(_BLOCK)
    except OSError as err:
        raise ConnectionError(err.strerror or str(err)) from err


@contextmanager
def _staged(directory: Path, file: WeightFile) -> Iterator[tuple[IO[bytes], int]]:
    """A partial file beside the target that only one process writes; verified and renamed at the end."""
    partial = directory / f"{file.name}.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as staged:
            _lock(staged, partial)
            _refuse_another(staged, partial)
            staged.seek(0, os.SEEK_END)
            try:
                yield staged, staged.tell()
            finally:
                staged.flush()
                if not staged.tell():
                    partial.unlink()  # nothing to go on from
            try:
                verify(file, partial)
            except ModelError:
                partial.unlink()
                raise
            os.replace(partial, directory / file.name)
    except OSError as err:
        raise StorageError(f"cannot write: {partial}", detail=err.strerror) from err


def _refuse_another(opened: IO[bytes], path: Path) -> None:
    """A file that was put in place, or dropped, between its opening and its locking is no longer the partial one."""
    if not (path.exists() and os.path.samestat(os.fstat(opened.fileno()), path.stat())):
        raise Busy(f"another process has just ended a download: {path}", hint="try again")


def _lock(opened: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no fcntl; there two downloads at once are the user's to avoid
        return
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise Busy(f"another process is downloading: {path}", hint="wait for it to end") from err
