"""Scoring one file, from Python or for ``vqa score``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import InputError, ToolError
from vqa_cli.files import file_sha256
from vqa_cli.measure.filescore import FileScore
from vqa_cli.measure.part import Part, sought
from vqa_cli.measure.program import known_ffmpeg
from vqa_cli.measure.source import Inspector, Source, header_only
from vqa_cli.measure.stream import Viewed, Viewer, Viewing, plan_comparison, plan_viewing
from vqa_cli.measure.template import ENCODE, FFMPEG, SOURCE, fill
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.counting import COMPLAINED
from vqa_cli.media.decode import MeasureOrder
from vqa_cli.media.fidelity import Fidelity
from vqa_cli.media.process import Runner
from vqa_cli.metrics import METRICS
from vqa_cli.scratch import scratch
from vqa_cli.series import make_series
from vqa_cli.store.inspections import Inspections
from vqa_cli.store.seen import Seen
from vqa_cli.values import Scorer, Size, StrPath, Treatment, optional_path

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """How to score.

    Attributes:
        every: each how many frames; the temporal window shrinks with it. ``None`` is what the model was trained on: every
            frame, but for heads of one's own; with a reference it is always every frame.
        start_s, duration_s: part of the clip by its own time, or the reference's where there is one; all of it by default.
        reference: a file with the same frames, to measure ``metrics`` against.
        at: short side, or (width, height), of the picture that is judged; ``None`` is the reference's size where there is
            one, so that a small encode is judged as it is shown, else the file's own.
        tonemap, deinterlace: judge HDR as approximate SDR, and interlaced video as frames, instead of refusing them.
    """

    every: int | None = None
    start_s: float | None = None
    duration_s: float | None = None
    reference: StrPath | None = None
    metrics: tuple[str, ...] = ()
    at: int | tuple[int, int] | None = None
    tonemap: bool = False
    deinterlace: bool = False

    @property
    def part(self) -> Part:
        """What is wanted of the file."""
        return Part(self.start_s, self.duration_s)

    @property
    def treatment(self) -> Treatment:
        """Frames of a pair keep their timing: they are paired by number."""
        return Treatment(self.tonemap, self.deinterlace, steady=self.reference is None)


@dataclass(frozen=True)
class FileScorer:
    """Scores files one after the other by one request. A reference is looked at once.

    Attributes:
        hashed: whether files are known by their content, because something is remembered of them.
        on_share: hears the share of a file's frames that were seen, 0..1, where their number is known.
    """

    request: ScoreRequest
    scorer: Scorer
    runner: Runner
    ffmpeg: Ffmpeg
    inspector: Inspector
    seen: Seen
    hashed: bool
    on_share: Callable[[float], None] | None = None

    def read_reference(self) -> Source | None:
        """The reference, if there is one. What is wrong with it is wrong for every file that is compared with it.

        Raises:
            InputError: it cannot be used.
            ToolError: ffmpeg cannot measure a metric.
        """
        if self.request.reference is None:
            return None
        missing = [name for name in self.request.metrics if name not in self.ffmpeg.metrics]
        if missing:
            raise ToolError(
                f"this ffmpeg cannot measure {', '.join(missing)}: {self.ffmpeg.path}", hint="leave --ffmpeg out"
            )
        return self._look(Path(self.request.reference))

    def score(self, path: Path) -> FileScore:
        """Score a file.

        Raises:
            InputError: it cannot be used, or its frames do not match the reference's.
            ToolError: ffmpeg failed or cannot measure a metric.
            ModelError: the score is no number.
        """
        reference = self.read_reference()
        source = self._look(path)
        if reference is not None:
            _check_pair(source, reference)
        order, size = self._order(source, reference)
        viewing = self._viewing(source, reference, order)
        viewer = Viewer(self.runner, self.ffmpeg.sha256, self.scorer, self.seen, self.on_share)
        content = source.sha256 + (repr(source.steps) if source.steps else "")
        clip = viewer.known(viewing, content) if reference is None else None
        viewed = Viewed(clip, Fidelity()) if clip else self._view(viewer, order, content, source, reference)
        return _file_score(viewed, source, size, viewing.every, _remarks(source, reference, viewed))

    def _look(self, path: Path) -> Source:
        treatment = self.request.treatment
        if not self.request.part:
            return self.inspector.look(path, treatment)
        source = header_only(
            self.runner, self.ffmpeg, path, treatment
        )  # of a long film nobody decodes the rest to see a part
        return replace(source, sha256=file_sha256(path)) if self.hashed else source

    def _order(self, source: Source, reference: Source | None) -> tuple[MeasureOrder, Size]:
        request, judged = self.request, reference or source
        every = request.every or (1 if reference else self.scorer.identity.every)
        first, end = request.part.frames(judged)
        size = _judged_size(judged.info.size, request)
        for name in request.metrics if reference else ():
            if size.short_side < (least := METRICS[name].least):
                raise InputError(
                    f"{name} needs pictures of {least}p or more: {source.info.path} is judged at {size}",
                    hint="--score-at sets a larger size; or leave the metric out",
                )
            if METRICS[name].exceeded_by(size):
                raise InputError(
                    f"{name} cannot measure pictures as large as {size}: {source.info.path}",
                    hint="--score-at sets a smaller size; or leave the metric out",
                )
        return MeasureOrder(size, request.metrics if reference else (), every=every, first=first, end=end), size

    def _viewing(self, source: Source, reference: Source | None, order: MeasureOrder) -> Viewing:
        seek = source.view.seek
        known = None if self.request.part else source.frames if reference is None else reference.frames
        shown = seek.frames if seek else known
        frames = None if shown is None else ceil(Fraction(shown, order.every))
        wish = self.scorer.identity.pixels
        if reference is None:
            return plan_viewing(source.view, order, wish, frames)
        return plan_comparison(source.view, reference.view, order, wish, frames)

    def _view(
        self, viewer: Viewer, order: MeasureOrder, content: str, source: Source, reference: Source | None
    ) -> Viewed:
        if (quick := self._sought(source, reference, order)) is not None:
            try:
                return self._carry_out(viewer, order, content, *quick)
            except (InputError, ToolError):
                pass  # whatever it was, decoding from the beginning gives the frames or names what is wrong
        return self._carry_out(viewer, order, content, source, reference)

    def _sought(
        self, source: Source, reference: Source | None, order: MeasureOrder
    ) -> tuple[Source, Source | None] | None:
        """Both files as they are read without decoding what lies before the part; ``None`` where one cannot be."""
        ours = sought(self.runner, self.ffmpeg, source, order.first, order.end)
        if ours is None or reference is None:
            return None if ours is None else (ours, None)
        theirs = sought(self.runner, self.ffmpeg, reference, order.first, order.end)
        return None if theirs is None else (ours, theirs)

    def _carry_out(
        self, viewer: Viewer, order: MeasureOrder, content: str, source: Source, reference: Source | None
    ) -> Viewed:
        viewing, file = self._viewing(source, reference, order), source.view.path
        names = {SOURCE: file} if reference is None else {ENCODE: file, SOURCE: reference.view.path}
        argv = fill(viewing.argv, {FFMPEG: self.ffmpeg.path, **names})
        with tempfile.TemporaryDirectory(prefix="vqa-", dir=self.inspector.workdir) as folder:
            return viewer.view(viewing, argv, content, Path(folder), source.info)


@contextmanager
def open_scorer(
    request: ScoreRequest, scorer: Scorer, runner: Runner, ffmpeg: Ffmpeg, cache: StrPath | None,
    on_share: Callable[[float], None] | None = None,
) -> Iterator[FileScorer]:  # fmt: skip
    """What scores files by ``request``; its temporary files are gone afterwards.

    Args:
        cache: see :func:`score_file`.
        on_share: see :class:`FileScorer`.
    """
    folder = optional_path(cache)
    with scratch() as workdir:
        inspector = Inspector(runner, ffmpeg, workdir, Inspections(folder), scorer.expect)
        yield FileScorer(
            request, scorer, runner, ffmpeg, inspector, Seen(folder), hashed=folder is not None, on_share=on_share
        )


def score_file(
    path: StrPath,
    request: ScoreRequest | None = None,
    *,
    scorer: Scorer | None = None,
    runner: Runner | None = None,
    ffmpeg: Ffmpeg | None = None,
    cache: StrPath | None = None,
) -> FileScore:
    """Score a video. Without ``scorer``, ``runner`` and ``ffmpeg`` the bundled model and the embedded ffmpeg are used.

    Args:
        cache: folder where frame scores and features are remembered by content; a file that was seen already is then
            not decoded for another temporal pooling or head. With a reference everything is decoded all the same.

    Raises:
        InputError: unreadable, damaged, HDR, interlaced, or its frames do not match the reference's.
        ToolError: ffmpeg failed or cannot measure a metric.
        ModelError: the score is no number.
    """
    if scorer is None:
        from vqa_cli.model.load import load_scorer

        scorer = load_scorer()
    if runner is None:
        with Runner() as own:
            return score_file(path, request, scorer=scorer, runner=own, ffmpeg=ffmpeg, cache=cache)
    request, ffmpeg = request or ScoreRequest(), ffmpeg or known_ffmpeg(runner, None, optional_path(cache))
    with open_scorer(request, scorer, runner, ffmpeg, cache) as files:
        return files.score(Path(path))


def _judged_size(size: Size, request: ScoreRequest) -> Size:
    if isinstance(request.at, tuple):
        return Size(*request.at)
    return size.with_short_side(request.at or size.short_side // 2 * 2)


def _check_pair(source: Source, reference: Source) -> None:
    """Whether frames can be paired by number, and show the same picture.

    Raises:
        InputError: they cannot.
    """
    ours, theirs = source.info, reference.info
    if ours.frames != theirs.frames:
        raise InputError(
            f"frames do not match: {ours.path} has {ours.frames}, reference {theirs.path} has {theirs.frames}",
            hint="frames are compared by number; cut both to the same ones",
        )
    if _differ_in_shape(ours.size, theirs.size):
        raise InputError(
            f"pictures of different shape: {ours.path} is {ours.size}, reference {theirs.path} is {theirs.size}",
            hint="crop or pad one like the other",
        )


def _differ_in_shape(a: Size, b: Size) -> bool:
    """Whether one is no scaled version of the other; sides that were rounded to even, or by two pixels, are."""
    off = abs(a.width * b.height - a.height * b.width)
    return off > 2 * max(b.width, b.height)


def _remarks(source: Source, reference: Source | None, viewed: Viewed) -> tuple[str, ...]:
    notes = list(source.remarks)
    # Else a look at the whole has told it; which complaint is the first may differ from decode to decode.
    if viewed.complaint and not any(text.startswith(COMPLAINED) for text in source.notes):
        notes.append(COMPLAINED + viewed.complaint)
    if reference is not None:
        notes += [f"reference: {text}" for text in reference.remarks]
        ours, theirs = source.view.fps, reference.view.fps
        if ours != theirs:
            notes.append(
                f"frame rates differ: {float(ours):.6g} and {float(theirs):.6g} fps; frames are paired by number"
            )
    return (*notes, *viewed.fidelity.remarks)


def _file_score(viewed: Viewed, source: Source, size: Size, every: int, notes: tuple[str, ...]) -> FileScore:
    clip = viewed.clip
    assert clip is not None  # there is always a scorer
    fps = source.view.fps / every
    values = {"model": np.asarray(clip.frame_scores, dtype=np.float64), **viewed.fidelity.values}
    fidelity = {name: make_series(series, fps) for name, series in viewed.fidelity.values.items()}
    return FileScore(clip, fidelity, values, size, len(clip.frame_scores), fps, viewed.fidelity.faults, notes)
