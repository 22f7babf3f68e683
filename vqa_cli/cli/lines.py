"""Command lines to be read or run by hand: ``--dry-run``, and what a search recommends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_cli.values import StrPath, origin_of

if TYPE_CHECKING:
    from vqa_cli.measure.source import Source
    from vqa_cli.media.binaries import Ffmpeg
    from vqa_cli.settings import LadderSettings


def glance(paths: Sequence[StrPath], settings: LadderSettings, ffmpeg: str | None) -> tuple[list[Source], Ffmpeg]:
    """The sources as their headers and first frames tell them, and the program that would be run.

    Raises:
        InputError: one is no usable video, or needs a treatment that is not allowed.
        ToolError: no ffmpeg.
    """
    from vqa_cli.measure.source import header_only
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.process import Runner

    with Runner() as runner:
        program = find_ffmpeg(runner, ffmpeg)
        found = [header_only(runner, program, Path(path), settings.treatment) for path in paths]
    return [replace(source, origin=origin_of(path)) for source, path in zip(found, paths, strict=True)], program


def command_lines(sources: Sequence[Source], settings: LadderSettings, program: Ffmpeg) -> list[tuple[str, ...]]:
    """What would be run for these settings; nothing is encoded."""
    from vqa_cli.ladder.plan import plan_ladder
    from vqa_cli.measure.source import PREPARED
    from vqa_cli.measure.template import FFMPEG, SOURCE, fill
    from vqa_cli.media.command import build_encode_argv

    ffmpeg = program.path
    lines: list[tuple[str, ...]] = []
    for source in sources:
        read = PREPARED if source.steps else source.address
        if source.steps:
            lines.append(fill(source.prepare_argv, {FFMPEG: ffmpeg, SOURCE: source.address}))
        for rung in plan_ladder(source.info, settings).rungs:
            encode = build_encode_argv(FFMPEG, source.ready_view, rung.order, f"{rung.id}.mp4")
            lines += [fill(argv, {FFMPEG: ffmpeg, SOURCE: read}) for argv in encode]
    return lines
