"""Looks at a file as a whole before anything is measured: probed, decoded once, refused or made ready for what follows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from vqa_cli.document import MeasuredPart, SourceInfo
from vqa_cli.errors import InputError
from vqa_cli.files import file_sha256, passing_folder
from vqa_cli.measure.template import FFMPEG, SOURCE, Argv, fill
from vqa_cli.measure.treatment import describe, plan_preparation, prepared_view
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.counting import AGAIN, COMPLAINED, WHOLE, count_frames, damaged, find_damage
from vqa_cli.media.decode import build_count_argv, build_inspect_argv, build_prepare_argv, build_sums_argv
from vqa_cli.media.delivery import probe_source
from vqa_cli.media.grain import ADDED, adds_grain
from vqa_cli.media.graph import Seek, SourceView
from vqa_cli.media.probe import check_unchanged
from vqa_cli.media.process import Runner
from vqa_cli.store.content import content_key
from vqa_cli.store.inspections import Inspection, Inspections
from vqa_cli.values import AS_IT_IS, MediaInfo, Preparation, Treatment

PREPARED = "prepared.mkv"
_FIELDS_LOG = "interlaced.txt"
_LOGGED = re.compile(r"\bpts:(\d+)")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was looked at whole, as everything works with it.

    Attributes:
        info: the original as probed, with the number of frames and the rate that are worked with.
        view: how the original is read; its steps are what was, or will be, done to it.
        sha256: of the file's content.
        notes: what the user should know of it.
        origin: where it was fetched from, if it was.
        weight: frames of the whole that this part stands for; ``None`` for a whole.
    """

    info: MediaInfo
    view: SourceView
    sha256: str
    notes: tuple[str, ...] = ()
    origin: str | None = None
    weight: int | None = None

    def piece(self, first: int, frames: int, weight: int | None = None, seek: Seek | None = None) -> Source:
        """A part of it alone, by number of the first frame; read from a key frame before it where ``seek`` says which."""
        view = replace(self.view, steps=replace(self.steps, span=(first, frames)), seek=seek)
        return replace(self, info=replace(self.info, frames=frames), view=view, weight=weight or frames)

    @property
    def frames(self) -> int:
        """Frames after preparation: so many does every encode have."""
        return self.info.frames

    @property
    def steps(self) -> Preparation:
        return self.view.steps

    @property
    def prepare_argv(self) -> tuple[str, ...]:
        """Template of the command that writes the prepared copy; none where the original is read as it is."""
        return build_prepare_argv(FFMPEG, replace(self.view, path=SOURCE), PREPARED) if self.steps else ()

    @property
    def ready_view(self) -> SourceView:
        """How commands read the source once it is prepared, with :data:`SOURCE` for its path."""
        if not self.steps:
            return replace(self.view, path=SOURCE)
        return replace(self.view, path=SOURCE, stream_index=0, steps=AS_IT_IS, seek=None)

    @property
    def address(self) -> str:
        """By which documents name it: not by a copy that is gone."""
        return self.origin or str(self.info.path.absolute())

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done to it, and what else there is to know."""
        return (*describe(self.steps), *self.notes)

    def document(self, ffmpeg: Ffmpeg) -> SourceInfo:
        """For the run document."""
        info = self.info
        return SourceInfo(
            path=self.address, name=info.path.name, sha256=self.sha256, container=info.container,
            codec=info.codec, width=info.size.width, height=info.size.height,
            fps=f"{info.fps.numerator}/{info.fps.denominator}", frames=self.frames,
            duration_s=float(self.frames / info.fps), pix_fmt=info.pix_fmt, matrix=info.colour.matrix,
            primaries=info.colour.primaries, transfer=info.colour.transfer, range=info.colour.range,
            size_bytes=info.size_bytes, video_bitrate_kbps=info.video_bytes * 8 / 1000 / info.duration_s,
            preparation=tuple(describe(self.steps)),
            prepare_argv=fill(self.prepare_argv, {FFMPEG: ffmpeg.path, SOURCE: self.address}),
            notes=self.notes, measured=self._measured, whole_s=info.duration_s,
        )  # fmt: skip

    @property
    def _measured(self) -> tuple[MeasuredPart, ...]:
        if self.steps.span is None or self.weight is None:
            return ()
        first, count = self.steps.span
        start, lasts, stands = (float(frames / self.info.fps) for frames in (first, count, self.weight))
        return (MeasuredPart(start_s=start, duration_s=lasts, stands_for_s=stands),)


def unheard() -> None:
    """Where nobody wants to know."""


@dataclass(frozen=True)
class Inspector:
    """What looking at files needs: programs, a folder for logs, and what is known already.

    Attributes:
        known: what earlier calls told, by content.
        on_unknown: called before a file of which nothing is known is decoded. What comes after that can be made ready meanwhile.
        seen: what this one has looked at, or is looking at.
    """

    runner: Runner
    ffmpeg: Ffmpeg
    workdir: Path
    known: Inspections
    on_unknown: Callable[[], None] = unheard
    seen: dict[tuple[Path, Treatment], Future[Source]] = field(default_factory=dict)

    def expect(self, path: Path, treatment: Treatment) -> None:
        """Begin to look at a file in a thread of its own. :meth:`look` waits for what comes of it, and tells it."""
        begun = self.seen[path, treatment] = Future()
        threading.Thread(target=self._settle, args=(begun, path, treatment), daemon=True).start()

    def look(self, path: Path, treatment: Treatment) -> Source:
        """Probe a file, decode it once, and say how it is to be read; a file is looked at once.

        Raises:
            InputError: it is no usable video, is damaged, changes while it is read, or needs a treatment that is not allowed.
            ToolError: ffmpeg failed.
        """
        if (begun := self.seen.get((path, treatment))) is None:
            begun = self.seen[path, treatment] = Future()
            self._settle(begun, path, treatment)
        return begun.result()

    def _settle(self, begun: Future[Source], path: Path, treatment: Treatment) -> None:
        try:
            begun.set_result(self._look(path, treatment))
        except BaseException as err:  # told by whoever waits for it
            begun.set_exception(err)

    def _look(self, path: Path, treatment: Treatment) -> Source:
        info = probe_source(self.runner, self.ffmpeg, path)
        plan_preparation(info, treatment)  # what is refused by its header need not be decoded
        content = file_sha256(path)
        found = self._inspect(info, content, treatment)
        check_unchanged(info)
        _check_whole(info, found)
        notes = (
            *_lost(info, treatment),
            *_notes(info, found),
            *((ADDED,) if adds_grain(info) else ()),
        )
        info = replace(info, interlaced=info.interlaced or found.interlaced_from is not None)
        view = prepared_view(info, plan_preparation(info, treatment))
        return Source(replace(info, frames=found.prepared, fps=view.fps), view, content, notes)

    def _inspect(self, info: MediaInfo, content: str, treatment: Treatment) -> Inspection:
        view = SourceView.of(info)
        argv = build_inspect_argv(FFMPEG, replace(view, path=SOURCE), _FIELDS_LOG)
        steady = info.steady_fps if info.vfr and treatment.steady else None
        key = content_key("inspection", content, list(argv), self.ffmpeg.sha256, str(steady), list(AGAIN))
        if (known := self.known.find(key)) is not None:
            return known
        self.on_unknown()
        with passing_folder(self.workdir) as folder:
            found = self._decoded(info, view, argv, steady=steady is not None, folder=folder)
        self.known.write(key, found)
        return found

    def _decoded(self, info: MediaInfo, view: SourceView, argv: Argv, *, steady: bool, folder: Path) -> Inspection:
        """What a decode of the whole tells; its logs go into ``folder``."""
        counted = count_frames(self.runner, fill(argv, {FFMPEG: self.ffmpeg.path, SOURCE: view.path}), info, cwd=folder)
        again = partial(build_sums_argv, self.ffmpeg.path, view)
        log = folder / _FIELDS_LOG
        first = _LOGGED.search(log.read_text(encoding="utf-8")) if log.exists() else None
        return Inspection(
            frames=counted.frames,
            prepared=self._at_constant_rate(info, folder) if steady else counted.frames,
            interlaced_from=int(first[1]) if first else None,
            complaint=counted.complaint,
            damage=find_damage(self.runner, again, info, counted, cwd=folder),
        )

    def _at_constant_rate(self, info: MediaInfo, folder: Path) -> int:
        """Frames after a variable rate was made constant."""
        view = prepared_view(info, plan_preparation(info, Treatment(tonemap=True, deinterlace=True)))
        return count_frames(self.runner, build_count_argv(self.ffmpeg.path, view), info, cwd=folder).frames


def header_only(runner: Runner, ffmpeg: Ffmpeg, path: Path, treatment: Treatment) -> Source:
    """The source as its header tells it, without hash and notes; frames are those that it promises.

    Raises:
        InputError: it is no usable video, or needs a treatment that is not allowed.
    """
    info = probe_source(runner, ffmpeg, path)
    view = prepared_view(info, plan_preparation(info, treatment))
    frames = round(info.duration_s * view.fps) if view.steps.constant_rate else info.frames
    return Source(replace(info, frames=frames, fps=view.fps), view, "", (*_lost(info, treatment), *info.remarks))


def _check_whole(info: MediaInfo, found: Inspection) -> None:
    if found.frames < 2:
        raise InputError(
            f"only {found.frames} of {info.frames} frames can be decoded: {info.path}", detail=found.complaint
        )
    if found.frames < info.frames and found.complaint:
        raise InputError(
            f"damaged: {found.frames} of {info.frames} frames can be decoded: {info.path}",
            detail=found.complaint,
            hint=WHOLE,
        )
    if found.damage:
        raise damaged(info.path, found.damage, found.complaint)


def _lost(info: MediaInfo, treatment: Treatment) -> Iterator[str]:
    """What no rate that is worked at could keep."""
    if info.crowded_frames and info.steady_fps and treatment.steady:
        rate = f"{float(info.steady_fps):.6g}"
        yield f"{info.crowded_frames} of {info.frames} frames lie too close together for {rate} fps and are dropped"


def _notes(info: MediaInfo, found: Inspection) -> tuple[str, ...]:
    notes = list(info.remarks)
    if found.interlaced_from is not None and not info.interlaced:
        notes.append(f"interlaced from frame {found.interlaced_from} on")
    if found.complaint:
        notes.append(COMPLAINED + found.complaint)
    return tuple(notes)
