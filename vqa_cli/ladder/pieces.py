"""Which frames of a source are measured: all of them at once, a part, samples that stand for all, or all in segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from vqa_cli.document import MeasuredPart
from vqa_cli.errors import InputError, UsageError
from vqa_cli.ladder.plan import LadderPlan, gop_frames
from vqa_cli.ladder.samples import choose_samples
from vqa_cli.measure.part import EVERYTHING, Part, Span, pieces
from vqa_cli.measure.source import Source
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.media.scenes import find_cuts
from vqa_cli.settings import LadderSettings

# Long enough that what an encoder learns at each start does not count, short enough that every worker has some.
_AUTO_SEGMENT_S = 60.0


@dataclass(frozen=True, slots=True)
class Cutting:
    """What is measured of each source; by default all of it, at once.

    Attributes:
        part: this much alone.
        samples: so many of ``sample_s`` each, one for each stratum of the source.
        segments_s: all, in pieces of about this length that are encoded apart.
    """

    part: Part = EVERYTHING
    samples: int | None = None
    sample_s: float = 4.0
    segments_s: float | Literal["auto"] | None = None

    @property
    def in_pieces(self) -> bool:
        """Whether a source may become several encodes for each rung."""
        return self.samples is not None or self.segments_s is not None

    def told(self, source: Source, found: Sequence[Source]) -> str:
        """What became of it, for the user."""
        whole_s, measured_s = (
            float(frames / source.view.fps) for frames in (source.frames, sum(p.frames for p in found))
        )
        if len(found) == 1:
            short = (
                "the samples would hold half of the source or more" if self.samples else "too short for two segments"
            )
            return f"{short}: the whole is measured"
        if self.samples:
            return f"measured on {len(found)} samples of {measured_s / len(found):.1f} s, {measured_s:.0f} of {whole_s:.0f} s"
        return f"{len(found)} segments of about {whole_s / len(found):.0f} s, encoded apart"


WHOLE = Cutting()


def refuse_bitrates(settings: LadderSettings, what: str) -> None:
    """Pieces are encoded apart, and a target bitrate is shared out over a whole.

    Args:
        what: the flag that asks for pieces.

    Raises:
        UsageError: a rung has a target bitrate, named with its encoder.
    """
    for codec in settings.codecs:
        rates = (*codec.bitrate, *(rung.bitrate for rung in settings.rungs if rung.bitrate))
        if rates:
            raise UsageError(
                f"{what} cannot share out a target bitrate over a whole film: {codec.encoder} at {rates[0]:g} kb/s",
                hint=f"--crf, with --maxrate for a cap; or leave {what} out",
            )


def cut(
    runner: Runner, ffmpeg: Ffmpeg, source: Source, plan: LadderPlan, on: tuple[Cutting, LadderSettings], scratch: Path,
    known: Sequence[MeasuredPart] = (),
) -> list[Source]:  # fmt: skip
    """The pieces of a source that are encoded and measured: itself alone, where it is too short to be cut.

    Args:
        known: where samples were when it was cut before, so that nobody looks for scenes again.

    Raises:
        InputError, ToolError: the source cannot be read.
    """
    cutting, settings = on
    spans: Sequence[Span] = ()
    if cutting.samples is not None:
        spans = _known_spans(known, source.info.fps) or _sample_spans(
            runner, ffmpeg, source, settings, cutting, scratch
        )
    elif cutting.segments_s is not None:
        gops = [rung.order.gop_frames for rung in plan.rungs]
        length_s = _AUTO_SEGMENT_S if cutting.segments_s == "auto" else cutting.segments_s
        spans = segment_spans(source.frames, float(length_s * source.view.fps), math.lcm(*gops))
    found = pieces(runner, ffmpeg, source, spans) if spans else [source]
    again = sum(span.first for span, piece in zip(spans, found, strict=False) if piece.view.seek is None)
    if cutting.samples is None and again > source.frames:
        raise InputError(
            f"cannot be cut into segments: {source.info.path}",
            detail="its frames cannot be sought, so that each segment would be decoded from the beginning",
            hint="MP4 or Matroska of a constant rate can: `ffmpeg -i FILE -c copy FILE.mkv`; or leave --segments out",
        )
    return found


def _known_spans(known: Sequence[MeasuredPart], fps: Fraction) -> list[Span]:
    """Where samples were, as the document says it."""
    return [
        Span(*(round(seconds * fps) for seconds in (part.start_s, part.duration_s, part.stands_for_s)))
        for part in known
    ]


def _sample_spans(
    runner: Runner, ffmpeg: Ffmpeg, source: Source, settings: LadderSettings, cutting: Cutting, scratch: Path
) -> list[Span]:
    assert cutting.samples is not None
    fps = source.view.fps
    gop = gop_frames(settings.gop_s, fps, 1)
    length = max(1, round(cutting.sample_s * fps / gop)) * gop
    if (
        2 * cutting.samples * length > source.frames
    ):  # as choose_samples has it, but before the source is decoded for cuts
        return []
    with TemporaryDirectory(dir=scratch) as folder:
        cuts = find_cuts(runner, ffmpeg.path, source.view, Path(folder))
    chosen = choose_samples(source.frames, cuts, cutting.samples, length, gop)
    return [Span(sample.start, sample.frames, sample.weight) for sample in chosen]


def segment_spans(frames: int, length: float, gop: int) -> list[Span]:
    """Cut so many frames into pieces of about ``length``, where an encode of the whole has key frames. Pure.

    Args:
        gop: frames from one key frame to the next.

    Returns:
        Nothing where there would be only one piece.
    """
    count = min(max(1, round(frames / length)), frames // gop)
    borders = (
        sorted({0, *(round(frames * k / count / gop) * gop for k in range(1, count)), frames}) if count > 1 else []
    )
    spans = [Span(low, high - low, high - low) for low, high in pairwise(borders)]
    return spans if len(spans) > 1 and min(span.frames for span in spans) >= 2 else []
