"""A source as ffmpeg delivers it: what the probe cannot see from outside, ffmpeg is asked.

Containers may crop, and name Dolby Vision; PyAV tells neither, and not every version of ffmpeg does the same about it. One
frame through the program that will decode the rest shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vqa_cli.errors import InputError, ToolError
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.colour import with_base_layer
from vqa_cli.media.graph import GLOBAL
from vqa_cli.media.probe import check_usable, probe, shown_size
from vqa_cli.media.process import Runner
from vqa_cli.values import MediaInfo, Size

_PICTURE = re.compile(r"Video: wrapped_avframe, .*?, (\d+)x(\d+)(?: \[SAR (\d+):(\d+) )?")
_DOLBY = re.compile(r"DOVI configuration record: .*?\bprofile: (\d+),.*?\bcompatibility id: (\d+)")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The first frame as the filters get it: cropped and turned upright; and profile and compatibility of Dolby Vision."""

    width: int
    height: int
    sar: Fraction
    dolby: tuple[int, int] | None


def probe_source(runner: Runner, ffmpeg: Ffmpeg, path: Path) -> MediaInfo:
    """Probe a file that somebody gave. ``score``, ``ladder``, ``search`` and ``gate`` all know a file by this.

    Raises:
        InputError: as :func:`vqa_cli.media.probe.probe`, or Dolby Vision that has no base layer.
        ToolError: ffmpeg failed.
    """
    info = probe(path)
    try:
        log = runner.run(build_first_frame_argv(ffmpeg.path, info)).stderr
    except ToolError as err:
        raise InputError(f"no frame can be decoded: {path}", detail=err.detail) from err
    return check_usable(as_delivered(info, read_delivery(log, info.stream_index)))


def build_first_frame_argv(ffmpeg: Path, info: MediaInfo) -> tuple[str, ...]:
    """Decode one frame and keep nothing; the log tells what it was."""
    return (
        str(ffmpeg), *GLOBAL, "-protocol_whitelist", "file", "-i", f"file:{info.path.absolute()}",
        "-map", f"0:{info.stream_index}", "-map_metadata", "-1", "-map_chapters", "-1",
        "-frames:v", "1", "-fps_mode", "passthrough", "-f", "null", "-",
    )  # fmt: skip


def read_delivery(log: str, index: int) -> Delivery:
    """What ffmpeg's log says of the stream of this ``index`` and of its frame.

    Raises:
        ToolError: it names no picture.
    """
    given, _, made = log.partition("Output #0")
    if not (picture := _PICTURE.search(made)):
        raise ToolError("ffmpeg's log names no picture", detail=(log.strip().splitlines() or [""])[-1])
    width, height, *sar = (int(number or 0) for number in picture.groups())
    _, *own = re.split(rf"Stream #0:{index}\b", given, maxsplit=1)
    dolby = _DOLBY.search(own[0].split("Stream #")[0]) if own else None
    ratio = Fraction(*sar) if all(sar) else Fraction(1)
    return Delivery(width, height, ratio, (int(dolby[1]), int(dolby[2])) if dolby else None)


def as_delivered(info: MediaInfo, delivery: Delivery) -> MediaInfo:
    """What is known of a file, with ffmpeg's word where it says something else. Pure.

    Raises:
        InputError: Dolby Vision that has no base layer.
    """
    colour = with_base_layer(info.path, info.colour, *delivery.dolby) if delivery.dolby else info.colour
    coded, sar = Size(delivery.width, delivery.height), delivery.sar
    if info.rotation_deg in (90, 270):
        coded, sar = Size(coded.height, coded.width), 1 / sar
    return replace(info, coded=coded, sar=sar, size=shown_size(coded, sar, info.rotation_deg), colour=colour)
