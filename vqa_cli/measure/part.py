"""Part of a file: which frames lie in it, and how to come to them without decoding what lies before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path

from vqa_cli.errors import InputError
from vqa_cli.files import file_sha256
from vqa_cli.measure.source import Inspector, Source, header_only
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.counting import COMPLAINED, Counted, count_frames, damaged, find_damage
from vqa_cli.media.decode import build_count_argv, build_sums_argv
from vqa_cli.media.grain import ADDED, adds_grain
from vqa_cli.media.probe import check_unchanged, read_shown
from vqa_cli.media.process import Runner
from vqa_cli.media.seeking import find_seek, trusted_index
from vqa_cli.values import Treatment


@dataclass(frozen=True, slots=True)
class Part:
    """What is wanted of a file, in s by its own time; from the beginning or to the end where nothing is said."""

    start_s: float | None = None
    duration_s: float | None = None

    def __bool__(self) -> bool:
        return self.start_s is not None or self.duration_s is not None

    def frames(self, clock: Source, doing: str = "score") -> tuple[int, int | None]:
        """Numbers of the first frame wanted and of the first one after it that is not; time runs as in ``clock``.

        Raises:
            InputError: the part begins after the end.
        """
        if not self:
            return 0, None
        info = clock.info
        start = Fraction(str(self.start_s or 0))
        if start >= Fraction(info.duration_s):
            raise InputError(
                f"nothing to {doing} in the part asked for: {info.path} lasts {info.duration_s:.2f} s"
            )  # fmt: skip
        end = None if self.duration_s is None else start + Fraction(str(self.duration_s))
        if not info.vfr or clock.steps.constant_rate:
            return ceil(start * clock.view.fps), None if end is None else ceil(end * clock.view.fps)
        times = read_shown(info.path).times_s.tolist()
        first, last = (None if t is None else bisect_left(times, times[0] + float(t)) for t in (start, end))
        return first or 0, last

    def of(self, source: Source) -> Source:
        """That of a source, counted from its beginning.

        Raises:
            InputError: there are no two frames in it.
        """
        if not self:
            return source
        first, end = self.frames(source, "measure")
        frames = min(source.frames if end is None else end, source.frames) - first
        if frames < 2:
            path = source.info.path
            raise InputError(f"a clip needs at least 2 frames: the part asked for has {max(frames, 0)}: {path}")
        return source.piece(first, frames)


EVERYTHING = Part()


def sought(runner: Runner, ffmpeg: Ffmpeg, source: Source, first: int, end: int | None) -> Source | None:
    """The source, to be read from a key frame before ``first`` on; ``None`` where it must be decoded from its beginning.

    Raises:
        InputError: the file cannot be read.
    """
    if not first:
        return None
    view = source.view
    end = source.frames if end is None else min(end, source.frames)
    seek = find_seek(runner, ffmpeg.path, view, trusted_index(runner, ffmpeg.path, view), first, end)
    return None if seek is None else replace(source, view=replace(view, seek=seek))


@dataclass(frozen=True, slots=True)
class Span:
    """``frames`` frames from number ``first`` on, which stand for ``weight`` frames of the whole."""

    first: int
    frames: int
    weight: int


def pieces(runner: Runner, ffmpeg: Ffmpeg, source: Source, spans: Sequence[Span]) -> list[Source]:
    """Parts of a source, each a source of its own; the index by which they are sought is read once.

    Raises:
        InputError: the file cannot be read.
    """
    view = source.view
    index = trusted_index(runner, ffmpeg.path, view) if any(span.first for span in spans) else None
    found = []
    for span in spans:
        seek = find_seek(runner, ffmpeg.path, view, index, span.first, span.first + span.frames)
        found.append(source.piece(span.first, span.frames, span.weight, seek))
    return found


def look_at_part(inspector: Inspector, path: Path, treatment: Treatment, part: Part) -> Source:
    """A part of a file as :meth:`vqa_cli.measure.source.Inspector.look` sees a whole: of a long film nobody decodes the rest.

    Raises:
        InputError: as there, or there are no two frames in the part.
        ToolError: ffmpeg failed.
    """
    runner, ffmpeg = inspector.runner, inspector.ffmpeg
    source = replace(header_only(runner, ffmpeg, path, treatment), sha256=file_sha256(path))
    counted = part.of(source)
    assert counted.steps.span is not None
    first, frames = counted.steps.span
    (piece,) = pieces(runner, ffmpeg, source, [Span(first, frames, frames)])
    found, damage = _decoded(inspector, piece)
    if (found.frames != frames or damage) and piece.view.seek is not None:
        # From its beginning: what was decoded may refer to what lies before the key frame.
        piece = counted
        found, damage = _decoded(inspector, piece)
    check_unchanged(source.info)
    complaint = found.complaint
    if found.frames < 2 or (found.frames < frames and complaint):
        raise InputError(
            f"damaged: {found.frames} of {frames} frames of the part can be decoded: {path}", detail=complaint
        )
    if damage:
        raise damaged(path, damage, complaint)
    notes = (*((COMPLAINED + complaint,) if complaint else ()), *_grain(source))
    return replace(piece, info=replace(piece.info, frames=found.frames), notes=(*source.notes, *notes))


def _decoded(inspector: Inspector, piece: Source) -> tuple[Counted, str | None]:
    """What a decode of the piece tells, and what is wrong with its pictures."""
    runner, program, cwd = inspector.runner, inspector.ffmpeg.path, inspector.workdir
    counted = count_frames(runner, build_count_argv(program, piece.view), piece.info, cwd=cwd)
    again = partial(build_sums_argv, program, piece.view)
    return counted, find_damage(runner, again, piece.info, counted, cwd=cwd)


def _grain(source: Source) -> tuple[str, ...]:
    return (ADDED,) if adds_grain(source.info) else ()
