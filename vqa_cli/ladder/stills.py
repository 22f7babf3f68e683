"""Takes pictures of a run: of its source and some rungs, at the frames that its scores make interesting.

Scores come first, so what holds these frames is decoded again, and no more than the groups of pictures around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.errors import InputError, StorageError, ToolError, VqaError
from vqa_cli.events import Note, OnEvent
from vqa_cli.files import check_room, write_text
from vqa_cli.framepackets import FramePackets, write_packets
from vqa_cli.ladder.job import Bench, conditions
from vqa_cli.ladder.pieces import cut
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.sitting import Sitting, check_measured, develop, find_encode, own_folder, pick
from vqa_cli.ladder.task import RungTask, SourceRef, coded_view, measure_order, plan_tasks, source_ref
from vqa_cli.measure.source import Source
from vqa_cli.media.gops import PacketIndex, read_index
from vqa_cli.media.quantisers import read_quantisers
from vqa_cli.media.scenes import find_cuts
from vqa_cli.media.stills import FORMATS, PictureFormat
from vqa_cli.settings import LadderSettings
from vqa_cli.stills import STILLS_FILE, Moment, RungStills, SourceStills, Stills, part_of, read_stills
from vqa_cli.store.rungs import FrameValues
from vqa_cli.values import Size

FrameTables = Mapping[tuple[int, str], FrameValues]


class Choice(Protocol):
    """Which rungs are pictured, and when."""

    @property
    def metric(self) -> str: ...
    @property
    def rungs(self) -> tuple[str, ...]: ...
    @property
    def moments(self) -> tuple[Moment, ...]: ...


@dataclass(frozen=True)
class StillsOrder:
    """Where pictures go, and who chooses: a function of the run, the source's number, all frame values and its scene cuts."""

    folder: Path
    choose: Callable[[Run, int, FrameTables, Sequence[int]], Choice]


def take_stills(
    bench: Bench, settings: LadderSettings, run: Run, frames: FrameTables, order: StillsOrder, on_event: OnEvent
) -> Stills:
    """Take and write the pictures of a run, with the document that lists them.

    What cannot be pictured says why and costs nothing else.

    Raises:
        StorageError: the folder cannot be written.
        Interrupted: the runner was closed.
    """
    found = []
    before = _listed(order.folder)
    for number, result in enumerate(run.sources):
        try:
            taken = _source(bench, settings, run, number, frames, order)
        except StorageError:
            raise
        except VqaError as err:
            taken = SourceStills(sha256=result.source.sha256, reason=err.line)
        found.append(taken)
        for text in _complaints(result, taken):
            on_event(Note(f"{result.source.name}: {text}", warning=True))
    stills = Stills(sources=tuple(found))
    write_text(order.folder / STILLS_FILE, stills.model_dump_json(indent=1))
    for name in before - set(stills.written):
        (order.folder / name).unlink(missing_ok=True)
    return stills


def _listed(folder: Path) -> set[str]:
    """What an earlier run left in a folder."""
    try:
        return set(Stills.model_validate_json((folder / STILLS_FILE).read_bytes()).written)
    except (OSError, ValueError):
        return set()


def _complaints(result: SourceResult, stills: SourceStills) -> Iterator[str]:
    if stills.reason:
        yield f"no pictures: {stills.reason}"
    for name, rung in stills.rungs.items():
        if rung.reason:
            yield f"no pictures of {name}: {rung.reason}"


def _source(
    bench: Bench, settings: LadderSettings, run: Run, number: int, frames: FrameTables, order: StillsOrder
) -> SourceStills:
    result = run.sources[number]
    if not any(rung.status == "ok" for rung in result.rungs):
        return SourceStills(sha256=result.source.sha256)
    form = next((form for form in FORMATS if form.encoder in bench.ffmpeg.encoders), None)
    if form is None:
        raise ToolError(f"this ffmpeg writes neither AVIF nor WebP: {bench.ffmpeg.path}")
    source = bench.look(bench.job.paths[number], settings)
    if source.sha256 != result.source.sha256:
        raise InputError(f"not the file that was measured: {source.info.path}")
    takes = _takes(bench, settings, source, number, result)
    old = _taken_before(order.folder, run, number)
    cuts = old.cuts if old.moments else _cuts(bench, takes)
    choice = order.choose(run, number, frames, cuts)
    if not choice.rungs or not choice.moments:
        raise InputError("there are no frame values to choose by")
    if old.moments == choice.moments and all(n in old.rungs and not old.rungs[n].reason for n in choice.rungs):
        return old
    camera = _Camera(bench, settings, form, order.folder, result, frames)
    check_room(order.folder / str(number))
    shots = [camera.shoot(take, found, choice.rungs) for take in takes if (found := take.moments_in(choice.moments))]
    return SourceStills(
        sha256=source.sha256, width=result.display_width, height=result.display_height, part=part_of(result), metric=choice.metric,
        cuts=tuple(cuts), moments=choice.moments, files=tuple(name for shot in shots for name in shot.files),
        rungs={name: _spliced([shot.rungs[name] for shot in shots], order.folder) for name in choice.rungs},
    )  # fmt: skip


@dataclass(frozen=True)
class _Take:
    """A source, or a piece of it, whose first frame is number ``first`` of the run."""

    piece: Source
    ref: SourceRef
    first: int
    tasks: Mapping[str, RungTask]

    def moments_in(self, moments: Sequence[Moment]) -> tuple[Moment, ...]:
        return tuple(moment for moment in moments if 0 <= moment.frame - self.first < self.piece.frames)


@dataclass(frozen=True)
class _Shots:
    """Pictures of the source and of rungs at the moments of one take."""

    files: tuple[str, ...]
    rungs: Mapping[str, RungStills]


def _takes(bench: Bench, settings: LadderSettings, source: Source, number: int, result: SourceResult) -> list[_Take]:
    """The source as it was measured: at once, or in pieces."""
    plan, cutting = plan_ladder(source.info, settings), bench.job.cutting
    site, on = bench.site, conditions(bench, settings)
    found = cut(site.runner, site.ffmpeg, source, plan, (cutting, settings), site.scratch, result.source.measured)
    takes, first = [], 0
    for place, piece in enumerate(found):
        ref = source_ref(piece, number, result.source.name, place)
        tasks = {task.blank.id: task for task in plan_tasks(piece, ref, plan, on) if isinstance(task, RungTask)}
        takes.append(_Take(piece, ref, first, tasks))
        first += piece.frames
    return takes


def _cuts(bench: Bench, takes: Sequence[_Take]) -> list[int]:
    """Frames that begin a scene, as the run counts. Each sample is a scene of its own."""
    runner, ffmpeg = bench.site.runner, bench.ffmpeg.path
    if len(takes) == 1:
        with bench.site.sources.path(takes[0].ref) as path, own_folder(bench) as folder:
            return find_cuts(runner, ffmpeg, replace(takes[0].piece.ready_view, path=path), folder)
    found: set[int] = set()
    for take in takes:
        if take.first and take.piece.weight != take.piece.frames:
            found.add(take.first)
        with own_folder(bench) as folder:
            found.update(take.first + place for place in find_cuts(runner, ffmpeg, take.piece.view, folder))
    return sorted(found)


def _spliced(parts: Sequence[RungStills], folder: Path) -> RungStills:
    """A rung's pictures of all takes; a failure of one is a failure of all."""
    if failed := next((part for part in parts if part.reason), None):
        for name in (name for part in parts for name in part.files):
            (folder / name).unlink(missing_ok=True)
        return failed
    return parts[-1].model_copy(update={"files": tuple(name for part in parts for name in part.files)})


def _taken_before(folder: Path, run: Run, number: int) -> SourceStills:
    """What an earlier run of the same outcome left: its pictures need not be taken again."""
    try:
        known = read_stills(folder, run)
    except StorageError:  # damaged: it will be written again
        known = None
    return known.sources[number] if known else SourceStills(sha256="")


def _straight(source: Source) -> bool:
    """Whether a decoder gives the source's frames as ffmpeg does: a turned picture is turned by ffmpeg alone."""
    return bool(source.steps) or not source.info.rotation_deg


@dataclass(frozen=True)
class _Camera:
    """Takes the pictures of one source.

    Attributes:
        target: folder that they go to.
    """

    bench: Bench
    settings: LadderSettings
    form: PictureFormat
    target: Path
    result: SourceResult
    frames: FrameTables

    def shoot(self, take: _Take, moments: tuple[Moment, ...], wanted: Sequence[str]) -> _Shots:
        """The source and these rungs at the moments that lie in a take."""
        bench, number = self.bench, take.ref.number
        display = measure_order(Size(self.result.display_width, self.result.display_height), self.settings)
        rungs = {rung.id: rung for rung in self.result.rungs}
        with bench.site.sources.path(take.ref) as path, own_folder(bench) as folder:
            view = replace(take.piece.ready_view, path=path)
            numbers = [moment.frame - take.first for moment in moments]
            picked = pick(bench, view, numbers, take.piece.frames, folder, straight=_straight(take.piece))
            sitting = Sitting(
                bench, display, self.form, self.target, str(number), moments, path, picked, take.first
            )  # fmt: skip
            files = develop(sitting, picked, "source", folder)
            with ThreadPoolExecutor(bench.job.at_once) as pool:
                taken = pool.map(
                    lambda name: _rung(sitting, take, rungs[name], self.frames.get((number, name), {})), wanted
                )
                return _Shots(files, dict(zip(wanted, taken, strict=True)))


def _rung(sitting: Sitting, take: _Take, rung: RungResult, values: FrameValues) -> RungStills:
    assert rung.encode is not None  # only what was measured is chosen
    sha256 = rung.encode.sha256
    try:
        if (task := take.tasks.get(rung.id)) is None:
            raise ToolError("its encoder does not run here")
        with own_folder(sitting.bench) as folder:
            footage = find_encode(sitting, task, rung, folder)
            index = read_index(footage.path, 0)
            view = replace(coded_view(take.piece.ready_view, task.size, rung.pix_fmt), path=footage.path)
            numbers = [frame - footage.first for frame in sitting.frames]
            picked = pick(sitting.bench, view, numbers, footage.frames, folder, index=index)
            check_measured(sitting, picked, values, folder)
            files = develop(sitting, picked, rung.id, folder)
            packets = None
            # Of a rung in pieces, those of one piece would be taken for all.
            if index is not None and len(index) == rung.encode.frames:
                packets = f"{sitting.prefix}/{rung.id}-packets.parquet"
                write_packets(sitting.target / packets, _packets(index, footage.log))
        return RungStills(sha256=sha256, files=files, packets=packets)
    except StorageError:
        raise
    except VqaError as err:
        return RungStills(sha256=sha256, reason=err.line)


def _packets(index: PacketIndex, log: Path) -> FramePackets:
    """What is known of each frame's packet, in order of presentation."""
    decoded = index.in_decoding_order
    told = read_quantisers(log, index.sizes[decoded])
    if told is not None:
        told[decoded] = told.copy()
    return FramePackets(index.sizes.astype(np.int32), index.kinds, told)
