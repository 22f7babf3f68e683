"""Part of a file: which frames lie in it, and how to come to them without decoding what lies before."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from vqa_cli.errors import InputError
from vqa_cli.measure.source import Source
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.probe import packet_rates
from vqa_cli.media.process import Runner
from vqa_cli.media.seeking import find_seek, read_index


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
        times = [time for time, _ in packet_rates(info.path)[0]]
        first, last = (None if t is None else bisect_left(times, times[0] + float(t)) for t in (start, end))
        return first or 0, last


def sought(runner: Runner, ffmpeg: Ffmpeg, source: Source, first: int, end: int | None) -> Source | None:
    """The source, to be read from a key frame before ``first`` on; ``None`` where it must be decoded from its beginning.

    Raises:
        InputError: the file cannot be read.
    """
    if not first:
        return None
    view = source.view
    end = source.frames if end is None else min(end, source.frames)
    seek = find_seek(runner, ffmpeg.path, view, read_index(view.path, view.stream_index), first, end)
    return None if seek is None else replace(source, view=replace(view, seek=seek))
