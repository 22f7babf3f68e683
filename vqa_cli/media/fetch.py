"""Brings a stream that is no local file (``http:``, ``concat:``, …) to disk once, so that everything else reads a file."""

from __future__ import annotations

import re
from pathlib import Path

from vqa_cli.errors import InputError, ToolError
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.process import Runner


def fetch(runner: Runner, ffmpeg: Ffmpeg, address: str, folder: Path) -> Path:
    """Copy the first video stream without decoding it.

    Raises:
        InputError: it cannot be read.
    """
    name = re.sub(r"[^\w.-]+", "_", address.rstrip("/").rsplit("/", 1)[-1])[-80:] or "stream"
    target = folder / f"{name}.mkv"
    argv = [str(ffmpeg.path), "-hide_banner", "-nostdin", "-loglevel", "level+error", "-i", address]
    try:
        runner.run([*argv, "-map", "0:v:0", "-c", "copy", "-y", str(target)])
    except ToolError as err:
        raise InputError(f"cannot fetch: {address}", detail=err.detail) from err
    return target
