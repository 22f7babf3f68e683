"""A source, or a piece of it, in front of the camera: its encodes found or made again, frames picked, checked, and developed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vqa_cli.document import RungResult
from vqa_cli.errors import StorageError, ToolError
from vqa_cli.files import file_sha256
from vqa_cli.ladder.job import Bench
from vqa_cli.ladder.steps import encode_job
from vqa_cli.ladder.task import RungTask
from vqa_cli.media.decode import MeasureOrder, build_measure_argv, compared_depth
from vqa_cli.media.encode import run_encode
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import frame_format, open_frames
from vqa_cli.media.gops import PacketIndex, pick_frames, read_index
from vqa_cli.media.graph import SourceView
from vqa_cli.media.quantisers import LOG
from vqa_cli.media.stills import PictureFormat, build_pick_argv, build_pictures_argv
from vqa_cli.stills import Moment
from vqa_cli.store.rungs import FrameValues

_PICKED = "picked.nut"
# Two builds of a decoder or scaler may differ in a last bit; another frame differs by far more.
_SAME_DB = 0.05


@dataclass(frozen=True)
class Sitting:
    """A source, or a piece of it, in front of the camera.

    Attributes:
        target, prefix: where pictures go, and below which folder there.
        moments: those that lie in it.
        path: the file that is read in its place; its picked frames are in ``picked``.
        first: number of its first frame, as the run counts.
    """

    bench: Bench
    order: MeasureOrder
    form: PictureFormat
    target: Path
    prefix: str
    moments: tuple[Moment, ...]
    path: Path
    picked: SourceView
    first: int = 0

    @property
    def frames(self) -> list[int]:
        """Of its moments, as the run counts."""
        return [moment.frame for moment in self.moments]

    def names(self, rung: str) -> tuple[str, ...]:
        return tuple(f"{self.prefix}/{rung}-{number:06}{self.form.suffix}" for number in self.frames)


@dataclass(frozen=True)
class Footage:
    """An encode at hand.

    Attributes:
        log: where its quantisers are told, if they are.
        first: the frame that it begins with, as the run counts.
        frames: so many does it hold.
    """

    path: Path
    log: Path
    first: int
    frames: int


def find_encode(sitting: Sitting, task: RungTask, rung: RungResult, folder: Path) -> Footage:
    """The very encode that was measured: kept by the user, kept for this, or made again."""
    assert rung.encode is not None
    attic, whole = sitting.bench.site.attic, rung.encode.sha256
    kept = Path(rung.encode.path) if rung.encode.path else None
    if kept is not None and kept.is_file() and file_sha256(kept) == whole:
        return Footage(kept, attic.log(whole) if attic else folder / LOG, 0, rung.encode.frames)
    sha256 = rung.encode.pieces[task.source.piece] if rung.encode.pieces else whole
    if attic is not None and (known := attic.find(sha256)) is not None:
        return Footage(known, attic.log(sha256), sitting.first, task.source.frames)
    return _encoded_again(sitting, task, sha256, folder)


def _encoded_again(sitting: Sitting, task: RungTask, sha256: str, folder: Path) -> Footage:
    """The encode as the task made it, if it becomes the same file."""
    site = sitting.bench.site
    job = encode_job(task, site, sitting.path, folder, quantisers=True)
    made = run_encode(site.runner, job)
    if made.sha256 != sha256:
        raise ToolError("encoded again, it became another file than the one that was measured")
    return Footage(job.output, folder / LOG, sitting.first, task.source.frames)


def pick(
    bench: Bench, view: SourceView, numbers: Sequence[int], frames: int, folder: Path, *,
    index: PacketIndex | None = None, straight: bool = True,
) -> SourceView:  # fmt: skip
    """A file of these frames alone, and how it is read."""
    output = folder / _PICKED
    if index is None and straight:
        index = read_index(view.path, view.stream_index)
    known = index is not None and len(index) == frames
    if not (
        known and index is not None and pick_frames(view.path, view.stream_index, index, numbers, view.fps, output)
    ):
        # Packets do not tell which frame is which: count them all.
        argv = build_pick_argv(bench.ffmpeg.path, view, numbers, output.name)
        bench.site.runner.run(argv, cwd=folder, on_line=lambda line: line.startswith("frame="))
    return replace(view, path=output, stream_index=0)


def check_measured(sitting: Sitting, picked: SourceView, values: FrameValues, folder: Path) -> None:
    """Make sure that these are the measured frames: the PSNR of each pair is the one in the run.

    Raises:
        ToolError: it is another.
    """
    if "psnr" not in values:
        return
    bench, order = sitting.bench, replace(sitting.order, metrics=("psnr",))
    argv = build_measure_argv(bench.ffmpeg.path, picked, sitting.picked, order)
    count, pixels = len(sitting.frames), frame_format(order.display, picked.colour, sitting.picked.size)
    with open_frames(bench.site.runner, argv, pixels, expected=count, what="picked frames", cwd=folder) as pipe:
        for _ in pipe:
            pass
    depth = compared_depth(picked, sitting.picked)
    found = read_logs(folder, ("psnr",), frames=count, bit_depth=depth).values.get("psnr")
    wanted = values["psnr"][sitting.frames]
    if found is None or (off := np.flatnonzero(np.abs(found - wanted) > _SAME_DB)).size:
        number = sitting.frames[int(off[0])] if found is not None else sitting.frames[0]
        raise ToolError(f"the picture of frame {number} is not the frame that was measured")


def develop(sitting: Sitting, picked: SourceView, rung: str, folder: Path) -> tuple[str, ...]:
    """Write the pictures; gives their names below the order's folder."""
    names = sitting.names(rung)
    plain = [f"{place}{sitting.form.suffix}" for place in range(len(names))]
    argv = build_pictures_argv(sitting.bench.ffmpeg.path, picked, sitting.order, sitting.form, plain)
    sitting.bench.site.runner.run(argv, cwd=folder)
    for made, name in zip(plain, names, strict=True):
        try:
            shutil.move(folder / made, sitting.target / name)
        except OSError as err:
            raise StorageError(f"cannot write: {sitting.target / name}", detail=err.strerror) from err
    return names


@contextmanager
def own_folder(bench: Bench) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=bench.site.scratch) as name:
        yield Path(name)
