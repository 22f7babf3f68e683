"""Preset files: TOML in the user's folder or bundled with the package."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from vqa_cli.errors import UsageError
from vqa_cli.files import read_toml
from vqa_cli.resources import preset_dir
from vqa_cli.settings import CodecSettings, Constraints, FixedRung, LadderSettings

_MODELS: dict[str, type[BaseModel]] = {"codecs": CodecSettings, "rungs": FixedRung, "recommend": Constraints}


def user_preset_dir() -> Path:
    """Where the user's own presets lie; they win over bundled ones of the same name."""
    from platformdirs import user_config_path

    return user_config_path("vqa", appauthor=False) / "presets"


def list_presets() -> dict[str, Path]:
    """Every preset by name."""
    found = {path.stem: path for path in sorted(preset_dir().glob("*.toml"))}
    found |= {path.stem: path for path in sorted(user_preset_dir().glob("*.toml"))}
    return found


def find_preset(name: str) -> Path:
    """A preset's file, from its name or path.

    Raises:
        UsageError: there is none.
    """
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise UsageError(f"no such preset file: {name}")
        return Path(name)
    presets = list_presets()
    if name not in presets:
        near = difflib.get_close_matches(name, presets, n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(presets)}"
        raise UsageError(f"unknown preset: {name}", hint=hint)
    return presets[name]


def read_preset(path: Path) -> dict[str, Any]:
    """The values that a preset file sets, not validated yet because flags may still override them.

    Raises:
        UsageError: unreadable or not TOML.
    """
    return {"name": path.stem, **read_toml(path, "preset")}


def build_settings(values: dict[str, Any], origin: str) -> LadderSettings:
    """Validate merged values.

    Raises:
        UsageError: an unknown key (with the nearest known one) or a value that cannot be meant.
    """
    try:
        return LadderSettings.model_validate(values)
    except ValidationError as err:
        raise UsageError(_explain(err, origin)) from err


def _explain(err: ValidationError, origin: str) -> str:
    # A misspelt key also leaves its field empty: the spelling is the cause, the emptiness its effect.
    first = min(err.errors(), key=lambda error: error["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(first["loc"]), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown key in {origin}: {where}{hint}"
    if first["type"] in ("missing", "too_short"):
        return f"{origin}: {where} is missing or empty"
    return f"{origin}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    owner = _MODELS.get(str(location[0]), LadderSettings) if len(location) > 1 else LadderSettings
    return list(owner.model_fields)
