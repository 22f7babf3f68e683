"""From what was typed to files: directories, patterns, and names that ffmpeg would take for something else."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from vqa_cli.errors import InputError

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


def expand_inputs(names: tuple[str, ...], fetch: Callable[[str], Path] | None = None) -> list[Path]:
    """Files in the order given, each once; directories give their videos, sorted; patterns that the shell left are expanded.

    ``fetch`` brings an address with a protocol to disk; without it such addresses are refused.
    A missing file stays in the list, so that it is reported by the work that needs it.

    Raises:
        InputError: a protocol, a directory without a video, or a pattern that matches nothing.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += _videos(path)
        elif path.exists():
            found.append(path)
        elif _PROTOCOL.match(name):
            if fetch is None:
                raise InputError(
                    f"only local files can be read: {name}", hint="fetch it first; --allow-protocols does that"
                )
            found.append(fetch(name))
        elif glob.has_magic(name):
            matches = sorted(glob.glob(name))
            if not matches:
                raise InputError(f"no file matches: {name}")
            found += [Path(match) for match in matches]
        else:
            found.append(path)
    once: dict[str, Path] = {}
    for path in found:
        once.setdefault(os.path.abspath(path), path)
    return list(once.values())


def refuse_all_missing(paths: Sequence[Path]) -> None:
    """Before something large is loaded or fetched for nothing.

    Raises:
        InputError: none of the files is there.
    """
    if not any(os.path.lexists(path) for path in paths):
        raise InputError(f"no such file: {', '.join(map(str, paths))}")


def _videos(folder: Path) -> list[Path]:
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not videos:
        raise InputError(f"no video in directory: {folder}")
    return videos
