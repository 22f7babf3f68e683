"""Lays command-line values over a preset's. Pure: dicts in the shape of a preset file, in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vqa_cli.errors import UsageError
from vqa_cli.media.encoders import find_encoder

# A sweep from good to poor for a codec that is named without rate points, by family.
_SWEEPS = {
    "h264": (20, 25, 30, 36),
    "hevc": (22, 27, 32, 38),
    "av1": (24, 33, 42, 52),
    "vp9": (24, 33, 42, 52),
    "vvc": (22, 27, 32, 37),
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """Flags that change rungs; ``None`` leaves the preset's value.

    ``speed``, ``tune`` and ``pix_fmt`` are ``VALUE`` for all codecs or ``ENCODER=VALUE,…`` for some.
    """

    codecs: tuple[str, ...] | None = None
    heights: tuple[int, ...] | None = None
    crf: tuple[float, ...] | None = None
    bitrate: tuple[float, ...] | None = None
    maxrate: float | None = None
    bufsize: float | None = None
    speed: str | None = None
    tune: str | None = None
    pix_fmt: str | None = None
    extra: str | None = None


def apply_overrides(preset: dict[str, Any], flags: Overrides) -> dict[str, Any]:
    """The preset's values with the flags' on top.

    Raises:
        UsageError: flags that contradict each other.
    """
    if flags.crf and flags.bitrate:
        raise UsageError("--crf and --bitrate contradict each other", hint="name one; --maxrate with --crf caps a CRF")
    if flags.bitrate and flags.maxrate:
        raise UsageError("--maxrate caps a CRF; with --bitrate it follows from maxrate_ratio in the preset")
    if flags.bufsize and not flags.maxrate:
        raise UsageError("--bufsize needs --maxrate")
    values = dict(preset)
    entries = [dict(entry) for entry in preset.get("codecs", [])]
    if flags.codecs:
        entries = [_entry(name, entries) for name in flags.codecs]
    fixed = values.get("rungs")
    if fixed and (flags.heights or flags.crf or flags.bitrate):
        values["heights"] = tuple(dict.fromkeys(rung["height"] for rung in fixed))
        del values["rungs"]
        fixed = None
    if flags.heights:
        values["heights"] = flags.heights
    values["codecs"] = [_with_flags(entry, flags, free=not fixed) for entry in entries]
    return values


def _entry(name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The preset's entry for an encoder, or a new one that takes rate points from nobody."""
    encoder = find_encoder(name)
    for entry in entries:
        if find_encoder(str(entry.get("encoder", ""))).name == encoder.name:
            return entry
    return {"encoder": encoder.name, "pix_fmt": encoder.pix_fmt}


def _with_flags(entry: dict[str, Any], flags: Overrides, *, free: bool) -> dict[str, Any]:
    entry = dict(entry)
    if flags.crf:
        entry.pop("bitrate", None)
        entry["crf"] = flags.crf
    if flags.bitrate:
        for key in ("crf", "maxrate", "bufsize"):
            entry.pop(key, None)
        entry["bitrate"] = flags.bitrate
    if free and not entry.get("crf") and not entry.get("bitrate"):
        entry["crf"] = _SWEEPS[find_encoder(str(entry["encoder"])).codec]
    for key, rate in (("maxrate", flags.maxrate), ("bufsize", flags.bufsize)):
        if rate is not None:
            entry[key] = rate
    for key, text in (("preset", flags.speed), ("tune", flags.tune), ("pix_fmt", flags.pix_fmt)):
        if text is not None and (value := for_encoder(text, str(entry["encoder"]))) is not None:
            entry[key] = value
    if flags.extra is not None:
        entry["extra"] = flags.extra.split()
    return entry


def for_encoder(text: str, encoder: str) -> str | None:
    """``slow`` for all, or ``libx264=slow,libsvtav1=6`` for some.

    Raises:
        UsageError: a part of the latter that names no encoder.
    """
    if "=" not in text:
        return text
    parts = [part.partition("=") for part in text.split(",")]
    if lost := [name for name, given, _ in parts if not given]:
        raise UsageError(
            f"{lost[0]} is for no encoder: {text}", hint="ENCODER=VALUE,…; several tunes of one are joined by +"
        )
    named = {find_encoder(name.strip()).name: value for name, _, value in parts}
    return named.get(find_encoder(encoder).name)
