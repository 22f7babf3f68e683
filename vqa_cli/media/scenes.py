"""Where the scenes of a source change, and cutting pieces out of it to the frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vqa_cli.media.graph import EXACT, GLOBAL, PROGRESS, SourceView, by_index, compile_argv, lossless, prepared
from vqa_cli.media.process import Runner

SCENES_LOG = "scenes.txt"
# ffmpeg's scene score, 0..1; its manual suggests 0.3 to 0.5 for cuts.
_THRESHOLD = 0.3
_FRAME = re.compile(r"^frame:\d+ +pts:(\d+)", re.MULTILINE)


def build_scenes_argv(ffmpeg: Path, source: SourceView) -> tuple[str, ...]:
    """Decode everything, small, and log the number of each frame that starts a scene; run in a folder of its own."""
    stream = by_index(prepared(source), source.fps)
    stream = stream.filter("scale", 320, -2, flags=f"bicubic+{EXACT}").filter("select", f"gt(scene,{_THRESHOLD})")
    stream = stream.filter("metadata", "print", file=SCENES_LOG)
    argv = compile_argv(ffmpeg, stream.output("-", f="null", fps_mode="passthrough"))
    return (*argv[:1], *GLOBAL, *PROGRESS, *argv[1:])


def find_cuts(runner: Runner, ffmpeg: Path, source: SourceView, workdir: Path) -> list[int]:
    """Numbers of the frames that start a new scene, rising; the first frame is none of them.

    Raises:
        ToolError: ffmpeg failed.
    """
    runner.run(build_scenes_argv(ffmpeg, source), cwd=workdir)
    log = workdir / SCENES_LOG
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return sorted({int(number) for number in _FRAME.findall(text)} - {0})


def build_cut_argv(
    ffmpeg: Path, source: SourceView, spans: Sequence[tuple[int, int]], names: Sequence[str]
) -> tuple[str, ...]:
    """Copy pieces of a source losslessly (FFV1) into files of their own, all in one decode.

    Args:
        spans: (first frame, number of frames) of each piece.
    """
    stream = by_index(prepared(source), source.fps)
    copies = stream.filter_multi_output("split", len(spans))
    options = lossless(source) | {"fps_mode": "passthrough"}
    outputs = []
    for number, ((start, count), name) in enumerate(zip(spans, names, strict=True)):
        piece = copies[number].filter("trim", start_frame=start, end_frame=start + count)
        outputs.append(by_index(piece, source.fps).output(f"file:{name}", **options))
    argv = compile_argv(ffmpeg, *outputs)
    return (*argv[:1], *GLOBAL, *PROGRESS, *argv[1:], "-y")
