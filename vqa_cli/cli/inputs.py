"""From what was typed to files: directories, patterns, and names that ffmpeg would take for something else."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli.cli.console import note
from vqa_cli.errors import InputError, UsageError, VqaError
from vqa_cli.names import without_secrets
from vqa_cli.scratch import scratch
from vqa_cli.values import Awaited, Fetched

if TYPE_CHECKING:
    from vqa_cli.media.binaries import Ffmpeg
    from vqa_cli.media.process import Runner

VIDEO_SUFFIXES = frozenset(
    [
        ".264",
        ".265",
        ".3gp",
        ".avi",
        ".h264",
        ".h265",
        ".hevc",
        ".ivf",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".nut",
        ".obu",
        ".ts",
        ".webm",
        ".wmv",
        ".y4m",
    ]
)
_PROTOCOL = re.compile(r"^[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_STDIN, _LOCAL, _LIST = "-", "file:", "@"


class Bring:
    """Brings what is no local file into ``folder``, by the ffmpeg ``program``; addresses only if that is ``allowed``.

    ``later``: an address need not be fetched before its turn comes.
    """

    def __init__(self, folder: Path, program: str | None, *, allowed: bool, later: bool = False) -> None:
        self._folder, self._program, self._allowed, self._later = folder, program, allowed, later
        self._brought: list[Fetched] = []

    def about(self, err: VqaError) -> VqaError:
        """The error by the names that were typed, not those of local copies."""
        for one in self._brought:
            err = err.about(str(one.path), one.origin)
        return err

    def address(self, name: str) -> Fetched:
        """What an address names."""
        from vqa_cli.media.fetch import fetch

        if not self._allowed:
            raise InputError(
                f"only local files can be read: {without_secrets(name)}",
                hint="fetch it first; --allow-protocols does that",
            )
        if self._later:
            return self._awaited(name)
        return self._run(lambda runner, ffmpeg: fetch(runner, ffmpeg, name, self._folder))

    def _awaited(self, name: str) -> Awaited:
        """What is brought when its turn comes, to a place that is known now."""
        from vqa_cli.media.fetch import fetch, new_file

        shown = without_secrets(name)
        target = new_file(self._folder, shown.split("?")[0])

        def bring() -> None:
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                found = self._run(lambda runner, ffmpeg: fetch(runner, ffmpeg, name, Path(folder)))
                os.replace(found, target)

        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return Awaited(target, shown, bring, shown if shown == name else f"{shown} {digest}")

    def parts(self, path: Path) -> Path | Fetched:
        """A file, or what it names where it is a playlist. Where that is not allowed, its probe refuses it."""
        from vqa_cli.media.fetch import join
        from vqa_cli.media.opening import referring_format

        if not self._allowed or not path.is_file() or not referring_format(path):
            return path
        return self._run(lambda runner, ffmpeg: join(runner, ffmpeg, path, self._folder))

    def pipe(self, path: Path) -> Fetched:
        """What comes through a named pipe, or one that the shell has made."""
        from vqa_cli.media.fetch import spool_pipe

        return self._noted(spool_pipe(path, self._folder))

    def standard_input(self) -> Fetched:
        """What comes through our own."""
        from vqa_cli.media.fetch import spool

        if sys.stdin is None:
            raise _nothing_came()
        found = self._noted(spool(sys.stdin.fileno(), self._folder, _STDIN))
        if not found.path.stat().st_size:
            raise _nothing_came()
        return found

    def _run(self, work: Callable[[Runner, Ffmpeg], Fetched]) -> Fetched:
        from vqa_cli.media.binaries import find_ffmpeg
        from vqa_cli.media.process import Runner

        with Runner() as runner:
            return self._noted(work(runner, find_ffmpeg(runner, self._program)))

    def _noted(self, one: Fetched) -> Fetched:
        self._brought.append(one)
        return one


def _nothing_came() -> InputError:
    return InputError("standard input is empty or closed", hint="pipe a video into it, or name a file")


@contextmanager
def local_inputs(options: dict[str, Any]) -> Iterator[Bring]:
    """For a command with these options; what it brings is gone afterwards, and errors do not name it."""
    shared = options.get("shared")  # where all nodes of a cluster see it
    with scratch(shared, alone=shared is None) as folder:
        later = bool(options.get("catalogue"))
        bring = Bring(folder, options["ffmpeg"], allowed=options["allow_protocols"], later=later)
        try:
            yield bring
        except VqaError as err:
            raise bring.about(err) from err


def expand_inputs(names: Sequence[str], bring: Bring) -> list[Path | Fetched]:
    """Files in the order given, each once; directories give their videos, sorted; patterns that the shell left are expanded.

    A missing file stays in the list, so that it is reported by the work that needs it.

    Raises:
        InputError: an address that is not allowed or gives nothing, a directory without a video, or a pattern that matches
            nothing.
        UsageError: standard input beside others.
    """
    if _STDIN in names and len(names) > 1:
        raise UsageError("- (standard input) cannot be mixed with files")
    found: list[Path | Fetched] = []
    for name in _listed(names):
        path = Path(name)
        if path.is_dir():
            found += _videos(path)
        elif glob.has_magic(name) and not path.exists() and not _PROTOCOL.match(name):
            matches = sorted(match for match in glob.glob(name, recursive=True) if not os.path.isdir(match))
            if not matches:
                raise InputError(f"no file matches: {name}")
            found += [Path(match) for match in matches]
        else:
            found.append(one_input(name, bring))
    once: dict[str, Path | Fetched] = {}
    for one in found:
        once.setdefault(os.path.abspath(one), one)
    return list(once.values())


def _listed(names: Sequence[str]) -> Iterator[str]:
    """The names, and those in lists (``@titles.txt``) in their place."""
    for name in names:
        if name.startswith(_LIST) and not os.path.lexists(name):
            yield from read_list(Path(name.removeprefix(_LIST)))
        else:
            yield name


def read_list(path: Path) -> list[str]:
    """Files, directories, patterns and addresses, one a line, from the folder of the list; ``#`` begins a remark.

    Raises:
        InputError: it cannot be read, is no text, or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as err:
        raise InputError(f"cannot read list: {path}", detail=err.strerror) from err
    except UnicodeDecodeError as err:
        raise InputError(f"list is not UTF-8: {path}", detail=str(err)) from err
    entries = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    entries = [(number, entry) for number, entry in entries if entry and not entry.startswith("#")]
    if not entries:
        raise InputError(f"no title in list: {path}", hint="one file, directory, pattern or address a line")
    found = []
    for number, entry in entries:
        place = entry if _PROTOCOL.match(entry) else str(path.parent / entry)
        if not _PROTOCOL.match(entry) and not glob.has_magic(place) and not os.path.lexists(place):
            note(f"warning: line {number} of {path} is no file: {entry}")
        found.append(place)
    return found


def one_input(name: str, bring: Bring) -> Path | Fetched:
    """The file of this name, wherever it is to be had from."""
    if name == _STDIN:
        return bring.standard_input()
    path = Path(name)
    if path.is_fifo():
        return bring.pipe(path)
    if path.exists():
        return bring.parts(path)
    if name.startswith(_LOCAL):
        return one_input(name.removeprefix(_LOCAL), bring)
    return bring.address(name) if _PROTOCOL.match(name) else path


def typed(arguments: Sequence[str]) -> tuple[str, ...]:
    """A command line for the record, without the secrets in its addresses."""
    return ("vqa", *map(without_secrets, arguments))


def refuse_all_missing(paths: Sequence[Path | Fetched]) -> None:
    """Before something large is loaded or fetched for nothing.

    Raises:
        InputError: none of the files is there.
    """
    if not any(isinstance(path, Awaited) or os.path.lexists(path) for path in paths):
        raise InputError(f"no such file: {', '.join(map(str, paths))}")


def _videos(folder: Path) -> list[Path]:
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not videos:
        raise InputError(f"no video in directory: {folder}")
    return videos
