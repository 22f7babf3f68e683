"""Short names for files that are told apart by nothing but where they lie. Pure."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Container, Sequence
from itertools import count
from pathlib import Path, PurePath

from vqa_cli.errors import UsageError

_NAME_BYTES = 200  # of the 255 that file systems take, with room for what is put before and after
_USER = re.compile(r"(?<=://)[^/?#@|]*@")
_QUERY = re.compile(r"[?#][^|]*")


def distinct_ends(paths: Sequence[PurePath], taken: Sequence[str] = ()) -> list[str | None]:
    """The shortest end of each path that no other one has: ``m``, or ``a/m`` beside ``b/m``; ``None`` where none is.

    Args:
        taken: names that none of them may get.
    """
    depths = [1] * len(paths)
    while True:
        names = [PurePath(*path.parts[-depth:]).as_posix() for path, depth in zip(paths, depths, strict=True)]
        times = Counter(names)
        twice = {i for i, name in enumerate(names) if times[name] > 1 or name in taken}
        deeper = [i for i in twice if depths[i] < len(paths[i].parts)]
        if not deeper:
            return [None if i in twice else name for i, name in enumerate(names)]
        for i in deeper:
            depths[i] += 1


def source_names(paths: Sequence[Path]) -> list[str]:
    """File names of a run's sources, with as much of their folders as tells them apart.

    Raises:
        UsageError: a file is there twice.
    """
    names = distinct_ends([PurePath(os.path.abspath(path)) for path in paths])
    for path, name in zip(paths, names, strict=True):
        if name is None:
            raise UsageError(f"given twice: {path}")
    return [name for name in names if name is not None]


def run_folder(source: PurePath, preset: str) -> str:
    """The folder of a run that is named by nobody: its first source's name and its preset, as much as a name can hold.

    A name that is cut ends in a hash of the whole one, so that two long ones do not share a folder. What a preset file
    calls itself leads to no other folder.
    """
    whole = re.sub(r"[/\\\x00-\x1f]+", "_", f"vqa-{source.stem}-{preset}")
    if len(os.fsencode(whole)) <= _NAME_BYTES:
        return whole
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    kept = os.fsencode(whole)[: _NAME_BYTES - 9].decode(errors="ignore")
    return f"{kept}-{digest}"


def title_folder(address: str, taken: Container[str]) -> str:
    """A folder for a title of a catalogue: the name of its file without suffix, numbered where another title has it."""
    stem = re.sub(r"[/\\\x00-\x1f]+", "_", PurePath(address.split("?")[0]).stem).strip(". ") or "title"
    name = os.fsencode(stem)[:_NAME_BYTES].decode(errors="ignore")
    return name if name not in taken else next(n for k in count(2) if (n := f"{name}-{k}") not in taken)


def without_secrets(address: str) -> str:
    """An address, or an argument that holds one, as it may be shown and stored: no user, no password, no query.

    Tokens are as often in the query as in front of the host.
    """
    return _QUERY.sub("?...", _USER.sub("", address)) if "://" in address else address


def folder_names(names: Sequence[str]) -> list[str]:
    """A relative folder for each of a run's sources: its name without suffix, or whole names where these are not distinct."""
    paths = [PurePath(name) for name in names]
    inner = [path.relative_to(path.anchor) for path in paths]
    bare = [path.with_suffix("").as_posix() for path in inner]
    return bare if len(set(bare)) == len(bare) else [path.as_posix() for path in inner]
