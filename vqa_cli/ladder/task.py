"""What is to be done, as values that any machine can carry out: a rung to encode and measure, a source to score. Pure.

A task is frozen, picklable and complete: everything that decides a number is in it by name, by content hash or as a template
of a command line, and nothing that one machine has. :mod:`vqa_cli.ladder.execute` carries tasks out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

from vqa_cli.document import RungResult, RungStatus
from vqa_cli.identity import PixelWish
from vqa_cli.ladder.plan import LadderPlan, PlannedRung
from vqa_cli.measure.source import Source
from vqa_cli.measure.stream import Viewing, plan_comparison, plan_viewing
from vqa_cli.measure.template import ENCODE, FFMPEG, Argv
from vqa_cli.media.command import build_encode_argv
from vqa_cli.media.decode import MeasureOrder
from vqa_cli.media.graph import SourceView
from vqa_cli.media.pixels import bit_depth
from vqa_cli.settings import LadderSettings
from vqa_cli.store.rungs import KeyParts, rung_key
from vqa_cli.values import Size

# Below the folder of a source's encodes: those of its pieces, until they are joined.
PIECES = ".pieces"


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A source by address and content.

    Attributes:
        number: its place in the run.
        piece: which part of it this is, where it is measured in several.
        name: as the run calls it.
        address: as documents name it; ``path`` may be a copy of what was fetched from there.
        prepare: template of the command that writes its prepared copy; empty where the original is read as it is.
        preparation: the same as text, for keys.
        frames, fps: of what every encode must hold.
    """

    number: int
    name: str
    address: str
    path: str
    size_bytes: int
    sha256: str
    prepare: Argv
    preparation: str
    frames: int
    fps: Fraction
    piece: int = 0


@dataclass(frozen=True, slots=True)
class SourceTask:
    """Score the source itself at the display size."""

    source: SourceRef
    viewing: Viewing

    @property
    def content(self) -> str:
        """What the source's score is remembered by."""
        return self.source.sha256 + (self.source.preparation if self.source.prepare else "")


@dataclass(frozen=True, slots=True)
class RungTask:
    """Encode a rung and measure it.

    Attributes:
        blank: the rung's entry in the run document before anything was measured.
        encode: templates of the encode's command lines, to be run in a folder of their own.
        programs: hashes of the builds that measure and encode.
        library: version of the encoder's library.
        keep: the file that the encode is to become, ``None`` to delete it.
    """

    source: SourceRef
    blank: RungResult
    encode: tuple[Argv, ...]
    viewing: Viewing
    programs: str
    library: str
    keep: str | None = None

    @property
    def output(self) -> str:
        """File name of the encode in its working folder: the same in every run, because command lines hold it."""
        return f"{self.blank.id}.mp4"

    @property
    def size(self) -> Size:
        """Of the picture that the encoder must give."""
        return Size(self.blank.width, self.blank.height)

    @property
    def key(self) -> str:
        """What the measurement is remembered by."""
        argv = (*self.encode, self.viewing.argv)
        return rung_key(KeyParts(self.source.sha256, self.source.preparation, argv, self.programs, self.library))


LadderTask = SourceTask | RungTask


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all tasks of a run have in common.

    Attributes:
        wish: the pixels that the model wants.
        scored: whether there is a model.
        programs: see :class:`RungTask`.
        libraries: version of each encoder's library that runs here; rungs of others are skipped.
        reasons: why the others do not run.
        keep: folder for the encodes, ``None`` to delete them.
    """

    settings: LadderSettings
    wish: PixelWish
    scored: bool
    programs: str
    libraries: Mapping[str, str]
    reasons: Mapping[str, str]
    keep: str | None = None

    def for_piece(self, number: int) -> Conditions:
        """The same for a part of a source, whose encodes are not kept under the names of whole ones."""
        keep = None if self.keep is None else str(Path(self.keep) / PIECES / f"{number:05d}")
        return replace(self, keep=keep)


def source_ref(source: Source, number: int, name: str, piece: int = 0) -> SourceRef:
    """The source, or a piece of it, as tasks name it."""
    info = source.info
    return SourceRef(
        number, name, source.address, str(info.path.absolute()), info.size_bytes, source.sha256, source.prepare_argv,
        json.dumps(asdict(source.steps)), source.frames, source.view.fps, piece,
    )  # fmt: skip


def plan_tasks(source: Source, ref: SourceRef, plan: LadderPlan, on: Conditions) -> Iterator[LadderTask]:
    """The source itself, then its rungs, large pictures first, so that no worker begins the longest when others are done."""
    order = measure_order(plan.display, on.settings)
    rungs = [
        _rung_task(source, ref, rung, order, on)
        for rung in sorted(plan.rungs, key=lambda rung: -rung.order.size.width * rung.order.size.height)
        if rung.order.encoder.name in on.libraries
    ]
    if on.scored:
        viewing = plan_viewing(source.ready_view, order, on.wish, source.frames)
        yield SourceTask(ref, replace(viewing, reference=_shared_reference(viewing, rungs)))
    yield from rungs


def _shared_reference(viewing: Viewing, rungs: Sequence[RungTask]) -> Argv:
    """What writes the copy that rungs are compared with, where the model may see the source in it: RGB is made otherwise."""
    written = (rung.viewing.reference for rung in rungs if viewing.pixels.layout == "yuv420p")
    return next(filter(None, written), ())


def skipped_rungs(plan: LadderPlan, on: Conditions) -> Iterator[RungResult]:
    """Entries of the rungs whose encoder does not run here."""
    for rung in plan.rungs:
        if (name := rung.order.encoder.name) not in on.libraries:
            yield blank_result(rung, "skipped", on.reasons[name])


def measure_order(display: Size, settings: LadderSettings) -> MeasureOrder:
    """How everything of a source is brought to the display size and compared."""
    return MeasureOrder(display, settings.metrics, settings.downscale, settings.upscale, settings.threads)


def _rung_task(source: Source, ref: SourceRef, rung: PlannedRung, order: MeasureOrder, on: Conditions) -> RungTask:
    reference = source.ready_view
    blank = blank_result(rung, "failed", "not measured")
    return RungTask(
        source=ref,
        blank=blank,
        encode=build_encode_argv(FFMPEG, reference, rung.order, str(ENCODE)),
        viewing=plan_comparison(
            coded_view(reference, rung.order.size, rung.order.pix_fmt), reference, order, on.wish, source.frames
        ),
        programs=on.programs,
        library=on.libraries[rung.order.encoder.name],
        keep=str(Path(on.keep) / f"{rung.id}.mp4") if on.keep else None,
    )


def coded_view(reference: SourceView, size: Size, pix_fmt: str) -> SourceView:
    """How the encode will be read; known before it exists, because it is part of the key."""
    return SourceView(
        path=ENCODE,
        stream_index=0,
        fps=reference.fps,
        size=size,
        colour=reference.colour,
        full_range=False,
        bit_depth=bit_depth(pix_fmt),
    )


def blank_result(rung: PlannedRung, status: RungStatus, reason: str) -> RungResult:
    """The rung's entry in the run document without any measurement."""
    order = rung.order
    return RungResult(
        id=rung.id, encoder=order.encoder.name, encoder_preset=order.speed or order.encoder.default_speed or None,
        width=order.size.width, height=order.size.height, pix_fmt=order.pix_fmt, rate=order.rate, status=status,
        reason=reason, warnings=rung.warnings,
    )  # fmt: skip
