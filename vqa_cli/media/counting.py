"""Decodes a file and keeps nothing: how many frames come out, and whether they are what the file holds.

Where a decoder cannot read, it makes up parts of pictures, and loses no frame. What it makes up depends on its threads and on
what lay in memory: scores of one damaged HEVC clip were 73.0, 76.4 and 76.7. So the log of a decode is read for signs of
that. Only some decoders say it of the picture itself; after any other sign the file is decoded again, and compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from vqa_cli.errors import InputError
from vqa_cli.media.changes import refuse_logged_change
from vqa_cli.media.process import Failed, Runner, without_addresses
from vqa_cli.values import MediaInfo

# Threads with which a doubtful file is decoded again (benchmarks/damage.py says how many files are found by that).
AGAIN = (1, 2, 3, 4)
# What ffmpeg ends with where it decoded all it could, and that was less than a third: the file's fault and not its own.
_TOO_MANY_ERRORS = 69
COMPLAINED = "the decoder complained: "
MADE_UP = "the decoder made up parts of its pictures"
WHOLE = "cut the damaged part away, or give the original file"
_FLAGGED = "corrupt decoded frame"
_SIGNS = ("[error]", _FLAGGED, "concealing", "Skipping invalid undecodable NALU", "Packet corrupt")
# VP8 has no syntax that could be violated: its decoder reads anything as some picture.
_SILENT = frozenset({"vp8"})
_OF_OUTPUT = re.compile(r"^\[(?:rawvideo|null|out#\S*|vost#\S*) @")
_LEVEL = re.compile(r"\[(?:error|warning|info)\] ")


@dataclass(frozen=True, slots=True)
class Counted:
    """What a decode told.

    Attributes:
        frames: that came out.
        complaint: the first sign in its log that something cannot be read as it should be.
        made_up: whether the decoder says that it made up parts of pictures.
    """

    frames: int
    complaint: str | None = None
    made_up: bool = False


def count_frames(runner: Runner, argv: Sequence[str], info: MediaInfo, *, cwd: Path | None = None) -> Counted:
    """Run a null decode (:func:`vqa_cli.media.decode.build_count_argv`).

    Raises:
        InputError: the picture changes in mid-file.
        ToolError: ffmpeg failed.
    """
    frames = 0

    def on_line(line: str) -> bool:
        nonlocal frames
        key, _, value = line.partition("=")
        if key != "frame" or not value.strip().isdigit():
            return False
        frames = int(value)
        return True

    try:
        done = runner.run(argv, cwd=cwd, on_line=on_line)
    except Failed as err:
        if err.code != _TOO_MANY_ERRORS:
            raise
        return Counted(frames, err.detail or "more than two frames of three cannot be decoded")
    refuse_logged_change(info, done.stderr)
    return Counted(frames, first_complaint(done.stderr), made_up(done.stderr))


def made_up(log: str) -> bool:
    """Whether a decoder says in its log that it made up parts of pictures."""
    return _FLAGGED in log


def first_complaint(log: str) -> str | None:
    """The decoder's first error in a log, or other sign of damage, which need not have ended it.

    What our own output says of timestamps is no word on the file: frames are numbered anew, and none is lost.
    """
    signs = (line for line in log.splitlines() if any(s in line for s in _SIGNS) and not _OF_OUTPUT.search(line))
    return next((without_addresses(_LEVEL.sub("", line)) for line in signs), None)


def find_damage(
    runner: Runner, again: Callable[[int], Sequence[str]], info: MediaInfo, counted: Counted, *, cwd: Path | None = None
) -> str | None:
    """What is wrong with pictures of which none is lost; ``None`` where nothing is known to be, or frames are lost.

    Args:
        again: the command that decodes with so many threads (:func:`vqa_cli.media.decode.build_sums_argv`).

    Raises:
        ToolError: ffmpeg failed.
    """
    if counted.frames < info.frames and counted.complaint:
        return None
    if counted.made_up:
        return MADE_UP
    if counted.complaint is None and info.codec not in _SILENT:
        return None
    decodes = [picture_sums(runner, again(threads), cwd=cwd) for threads in AGAIN]
    pictures = enumerate(zip_longest(*decodes))
    first = next((number for number, sums in pictures if len(set(sums)) > 1), None)
    return None if first is None else f"from frame {first} on its pictures come out differently each time"


def damaged(path: Path, what: str, complaint: str | None) -> InputError:
    """What to say of a file whose pictures are not what was encoded."""
    return InputError(
        f"damaged: {what}: {path}", detail=complaint,
        hint=f"{WHOLE}; `ffmpeg -i FILE -c:v ffv1 FILE.mkv` keeps what one decode makes of it",
    )  # fmt: skip


def picture_sums(runner: Runner, argv: Sequence[str], *, cwd: Path | None = None) -> list[str]:
    """Checksums of pictures, as far as they can be decoded.

    Args:
        argv: see :func:`vqa_cli.media.decode.build_sums_argv`.

    Raises:
        ToolError: ffmpeg failed.
    """
    sums: list[str] = []

    def on_line(line: str) -> bool:
        if line and not line.startswith("#"):
            sums.append(line.rpartition(",")[2].strip())
        return True

    try:
        runner.run(argv, cwd=cwd, on_line=on_line)
    except Failed as err:
        if err.code != _TOO_MANY_ERRORS:
            raise
    return sums
