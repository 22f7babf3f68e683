"""Puts files of one encoder together by copying their streams, and plays the result through once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqa_cli.errors import ToolError
from vqa_cli.files import replacing
from vqa_cli.media.counting import count_frames
from vqa_cli.media.decode import build_count_argv
from vqa_cli.media.graph import GLOBAL, PROGRESS, SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.scratch import scratch

_LIST = "list.txt"


def build_concat_argv(ffmpeg: Path, names: str, output: str) -> tuple[str, ...]:
    """Join the files that a list of ffmpeg's names, without decoding anything."""
    return (
        str(ffmpeg), *GLOBAL, *PROGRESS, "-f", "concat", "-safe", "0", "-i", names,
        "-map", "0:v", "-c", "copy", "-map_metadata", "-1", "-y", output,
    )  # fmt: skip


def join_files(runner: Runner, ffmpeg: Path, parts: Sequence[Path], output: Path, frames: int) -> None:
    """Write ``output``, whole or not at all.

    Args:
        frames: that must come out of it when it is played.

    Raises:
        ToolError: ffmpeg failed, or other frames come out.
        OSError: it cannot be written.
    """
    with scratch() as folder, replacing(output) as staged:
        lines = (f"file 'part{number}{part.suffix}'\n" for number, part in enumerate(parts))
        (folder / _LIST).write_text("".join(lines), encoding="ascii")
        for number, part in enumerate(parts):  # names of ours need no quoting
            (folder / f"part{number}{part.suffix}").symlink_to(part.absolute())
        argv = build_concat_argv(ffmpeg, _LIST, str(staged.absolute()))
        runner.run(argv, cwd=folder, on_line=lambda line: line.startswith("out_time_us="))
        info = probe(staged)
        played = count_frames(runner, build_count_argv(ffmpeg, SourceView.of(info)), info)
        if played.frames != frames or played.complaint:
            raise ToolError(
                f"segments do not join: {played.frames} of {frames} frames play: {output.name}", detail=played.complaint
            )
