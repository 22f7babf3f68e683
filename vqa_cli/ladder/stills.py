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
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.sitting import Sitting, check_measured, develop, find_encode, own_folder, pick
from vqa_cli.ladder.task import RungTask, SourceRef, coded_view, measure_order, plan_tasks, source_ref
from vqa_cli.measure.source import Source
from vqa_cli.media.gops import PacketIndex, read_index
from vqa_cli.media.quantisers import read_quantisers
from vqa_cli.media.scenes import find_cuts
from vqa_cli.media.stills import FORMATS
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
    ref = source_ref(source, number, result.source.name)
    with bench.site.sources.path(ref) as path, own_folder(bench) as folder:
        view = replace(source.ready_view, path=path)
        old = _taken_before(order.folder, run, number)
        cuts = old.cuts if old.moments else find_cuts(bench.site.runner, bench.ffmpeg.path, view, folder)
        choice = order.choose(run, number, frames, cuts)
        if not choice.rungs:
            raise InputError("there are no frame values to choose by")
        if old.moments == choice.moments and all(n in old.rungs and not old.rungs[n].reason for n in choice.rungs):
            return old
        picked = pick(bench, view, [m.frame for m in choice.moments], source.frames, folder, straight=_straight(source))
        display = measure_order(Size(result.display_width, result.display_height), settings)
        sitting = Sitting(bench, display, form, order.folder, str(number), choice.moments, path, picked)
        check_room(order.folder / sitting.prefix)
        files = develop(sitting, picked, "source", folder)
        rungs = _rungs(sitting, settings, source, ref, result, choice.rungs, frames)
    return SourceStills(
        sha256=source.sha256, width=result.display_width, height=result.display_height, part=part_of(result), metric=choice.metric,
        cuts=tuple(cuts), moments=choice.moments, files=files, rungs=rungs,
    )  # fmt: skip


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


def _rungs(
    sitting: Sitting, settings: LadderSettings, source: Source, ref: SourceRef, result: SourceResult,
    wanted: Sequence[str], frames: FrameTables,
) -> dict[str, RungStills]:  # fmt: skip
    bench = sitting.bench
    plan = plan_ladder(source.info, settings)
    tasks = plan_tasks(source, ref, plan, conditions(bench, settings))
    known = {task.blank.id: task for task in tasks if isinstance(task, RungTask)}
    rungs = {rung.id: rung for rung in result.rungs}
    with ThreadPoolExecutor(bench.job.at_once) as pool:
        taken = pool.map(
            lambda name: _rung(sitting, known.get(name), source, rungs[name], frames.get((ref.number, name), {})),
            wanted,
        )
        return dict(zip(wanted, taken, strict=True))


def _rung(sitting: Sitting, task: RungTask | None, source: Source, rung: RungResult, values: FrameValues) -> RungStills:
    assert rung.encode is not None  # only what was measured is chosen
    sha256 = rung.encode.sha256
    try:
        if task is None:
            raise ToolError("its encoder does not run here")
        with own_folder(sitting.bench) as folder:
            file, log = find_encode(sitting, task, rung, folder)
            index = read_index(file, 0)
            view = replace(coded_view(source.ready_view, task.size, rung.pix_fmt), path=file)
            picked = pick(sitting.bench, view, sitting.numbers, source.frames, folder, index=index)
            check_measured(sitting, picked, values, folder)
            files = develop(sitting, picked, rung.id, folder)
        packets = None if index is None else f"{sitting.prefix}/{rung.id}-packets.parquet"
        if index is not None and packets is not None:
            write_packets(sitting.target / packets, _packets(index, log))
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
