"""Where the files that are not code lie: in a wheel beside the package, in a checkout at the top level."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def _folder(name: str) -> Path:
    inside = Path(str(files("vqa_cli"))) / name
    return inside if inside.is_dir() else inside.parent.parent / name


def template_dir() -> Path:
    """Folder of the report's templates."""
    return _folder("templates")


def preset_dir() -> Path:
    """Folder of the bundled presets."""
    return _folder("presets")
