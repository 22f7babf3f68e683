"""Command lines with names in the place of paths, so that any machine can fill in its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Argv = tuple[str, ...]

# What stands for a path in a template.
FFMPEG, SOURCE, ENCODE = Path("FFMPEG"), Path("SOURCE"), Path("ENCODE")


def fill(argv: Argv, paths: Mapping[Path, Path | str]) -> Argv:
    """The command line with real paths, also where ffmpeg reads them as ``file:…``."""
    names = {str(name): str(path) for name, path in paths.items()}
    names |= {f"file:{name}": path if "://" in path else f"file:{path}" for name, path in names.items()}
    return tuple(names.get(part, part) for part in argv)
