"""What two runs were asked to do differently. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vqa_cli.document import Run
from vqa_cli.settings import CodecSettings

# The preset's name says nothing that its values do not, and what is recommended is not measured.
_NOT_MEASURED = {"name", "description", "recommend", "codecs"}


@dataclass(frozen=True, slots=True)
class Change:
    """One setting or tool that differs, as text; ``"–"`` on a side that has none."""

    what: str
    baseline: str
    candidate: str


def changes(baseline: Run, candidate: Run) -> list[Change]:
    """Settings, encoders and their libraries that are not the same, settings in the order of the preset."""
    found = [Change(what, _text(one), _text(two)) for what, one, two in _pairs(baseline, candidate)]
    return [change for change in found if change.baseline != change.candidate]


def _pairs(baseline: Run, candidate: Run) -> Iterator[tuple[str, Any, Any]]:
    one, two = baseline.settings.model_dump(exclude=_NOT_MEASURED), candidate.settings.model_dump(exclude=_NOT_MEASURED)
    yield from ((name.replace("_", " "), one[name], two[name]) for name in one)
    yield from _codecs(baseline.settings.codecs, candidate.settings.codecs)
    libraries = [run.environment.encoder_libraries for run in (baseline, candidate)]
    for name in dict.fromkeys([*libraries[0], *libraries[1]]):
        yield f"{name} library", libraries[0].get(name), libraries[1].get(name)
    yield "ffmpeg that encodes", _encoding_ffmpeg(baseline), _encoding_ffmpeg(candidate)


def _codecs(one: tuple[CodecSettings, ...], two: tuple[CodecSettings, ...]) -> Iterator[tuple[str, Any, Any]]:
    """Field by field where an encoder stands once on both sides, as a whole elsewhere."""
    sides = [{name: [c for c in side if c.encoder == name] for name in _encoders(side)} for side in (one, two)]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        mine, theirs = (side.get(name, []) for side in sides)
        if len(mine) == len(theirs) == 1:
            a, b = _fields(mine[0]), _fields(theirs[0])
            yield from ((f"{name} {field.replace('_', ' ')}", a[field], b[field]) for field in a)
        else:
            yield name, _presets(mine), _presets(theirs)


def _fields(codec: CodecSettings) -> dict[str, Any]:
    """More options of an encoder as they are typed: its other lists are numbers."""
    return codec.model_dump(exclude={"encoder"}) | {"extra": shlex.join(codec.extra) or None}


def _presets(codecs: list[CodecSettings]) -> str | None:
    return ", ".join(codec.preset or "default" for codec in codecs) or None


def _encoders(codecs: tuple[CodecSettings, ...]) -> list[str]:
    return list(dict.fromkeys(codec.encoder for codec in codecs))


def _encoding_ffmpeg(run: Run) -> str:
    return run.environment.encode_ffmpeg_version or run.environment.ffmpeg_version


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    if isinstance(value, dict):
        return " ".join(f"{key} {_text(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
