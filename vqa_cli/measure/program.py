"""Which ffmpeg is used, without asking one that was asked before."""

from __future__ import annotations

from pathlib import Path

from vqa_cli.media.binaries import EMBEDDED, Ffmpeg, ask_ffmpeg, locate_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.store.programs import Program, Programs


def known_ffmpeg(runner: Runner, explicit: str | None, cache: Path | None) -> Ffmpeg:
    """As :func:`vqa_cli.media.binaries.find_ffmpeg`.

    Only what the embedded one said is remembered. It is one static file; behind another there may be a script or libraries,
    which change without it.

    Raises:
        ToolError: none found, or it does not run.
    """
    path, origin = locate_ffmpeg(explicit)
    if origin != EMBEDDED:
        return ask_ffmpeg(runner, path, origin)
    programs = Programs(cache)
    if (known := programs.find(path)) is not None:
        return Ffmpeg(path, origin, known.version, known.sha256, frozenset(known.encoders), frozenset(known.filters))
    told = ask_ffmpeg(runner, path, origin)
    encoders, filters = (tuple(sorted(names)) for names in (told.encoders, told.filters))
    programs.write(path, Program(version=told.version, sha256=told.sha256, encoders=encoders, filters=filters))
    return told
