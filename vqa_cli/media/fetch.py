"""Brings a stream that is no local file (``http:``, ``concat:``, …) to disk once, so that everything else reads a file."""

from __future__ import annotations

import re
from pathlib import Path

from vqa_cli.errors import InputError, ToolError
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.graph import GLOBAL, PROGRESS
from vqa_cli.media.process import Runner, Silent


def fetch(runner: Runner, ffmpeg: Ffmpeg, address: str, folder: Path) -> Path:
    """Copy the first video stream without decoding it, into a new folder below ``folder``: two addresses may end in one name.

    Raises:
        InputError: it cannot be read.
    """
    name = re.sub(r"[^\w.-]+", "_", address.rstrip("/").rsplit("/", 1)[-1])[-80:] or "stream"
    own = folder / str(1 + sum(1 for _ in folder.iterdir()))  # numbered, because a source's name may show it
    own.mkdir()
    target = own / f"{name}.mkv"
    argv = [str(ffmpeg.path), *GLOBAL, *PROGRESS, "-i", address]
    try:
        runner.run([*argv, "-map", "0:v:0", "-c", "copy", "-y", str(target)], on_line=_Grows())
    except Silent as err:
        raise InputError(f"cannot fetch: {address}", detail=err.message) from err
    except ToolError as err:
        raise InputError(f"cannot fetch: {address}", detail=err.detail) from err
    return target


class _Grows:
    """Says of a line of ffmpeg's progress whether more frames have come than ever before."""

    def __init__(self) -> None:
        self._most = 0

    def __call__(self, line: str) -> bool:
        key, _, value = line.partition("=")
        if key != "frame" or not value.isdigit() or int(value) <= self._most:
            return False
        self._most = int(value)
        return True
