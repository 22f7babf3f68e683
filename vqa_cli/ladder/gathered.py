"""A run that is put together from few rungs at a time, as a search for the best ladder asks for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vqa_cli.document import RungResult, SourceResult
from vqa_cli.errors import ToolError, VqaError
from vqa_cli.events import EncodeProgress, Event, Note, OnEvent, RungDone
from vqa_cli.ladder.job import Bench
from vqa_cli.ladder.pipeline import LadderOutcome, run_on
from vqa_cli.ladder.title import failed_source
from vqa_cli.measure.source import Source
from vqa_cli.media.encoders import find_encoder
from vqa_cli.names import folder_names, source_names
from vqa_cli.settings import CodecSettings, FixedRung, LadderSettings


def fixed_rungs(codec: CodecSettings, settings: Sequence[tuple[int, float]]) -> tuple[FixedRung, ...]:
    """Rungs of a codec at these sizes and CRFs, under its cap where it has one."""
    return tuple(
        FixedRung(height=height, crf=crf, maxrate=codec.maxrate, bufsize=codec.bufsize) for height, crf in settings
    )


def without_rates(codec: CodecSettings) -> CodecSettings:
    """The codec alone, whose rungs are named outright."""
    return codec.model_copy(update={"crf": (), "bitrate": (), "maxrate": None, "bufsize": None})


@dataclass
class Gathered:
    """Rungs of a job's sources on one bench, as they are asked for. Safe to use from several threads.

    Args:
        on_event: hears of every rung that is done, and of each remark once.
        begun: a finished run of the same sources, to which rungs are added.
    """

    bench: Bench
    on_event: OnEvent
    begun: LadderOutcome | None = None
    _outcomes: dict[int, list[LadderOutcome]] = field(default_factory=dict)
    _faults: dict[int, VqaError] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def names(self) -> list[str]:
        """What the sources are called."""
        return source_names(list(self.bench.job.paths))

    def look(self, number: int) -> Source | None:
        """The source, ``None`` where it cannot be used, which is remembered.

        Raises:
            VqaError: the only source cannot be used.
        """
        path = self.bench.job.paths[number]
        try:
            return self.bench.look(path, self.bench.job.settings)
        except VqaError as err:
            if len(self.bench.job.paths) == 1:
                raise
            self._faults[number] = err
            self._hear(number, Note(f"{self.names[number]}: {err.message}", warning=True))
            return None

    def encode(self, number: int, codec: CodecSettings, rungs: Sequence[FixedRung]) -> tuple[RungResult, ...]:
        """Encode and measure rungs of one source by one codec; those that fail say why."""
        settings = self.bench.job.settings.model_copy(
            update={"codecs": (without_rates(codec),), "heights": (), "rungs": tuple(rungs)}
        )
        outcome = run_on(self._alone(number), settings, lambda event: self._hear(number, event))
        with self._lock:
            self._outcomes.setdefault(number, []).append(outcome)
        return outcome.run.sources[0].rungs

    def _alone(self, number: int) -> Bench:
        """The bench with that source as its only one."""
        job = self.bench.job
        folder = (job.folders or folder_names(self.names))[number]
        alone = (job.sources[number],)  # type: ignore[index]  # a tuple, once the job is made
        return replace(self.bench, job=replace(job, sources=alone, folders=(folder,)))

    def _hear(self, number: int, event: Event) -> None:
        """Pass on what is new of what a run of few rungs tells."""
        with self._lock:
            if isinstance(event, Note):
                if event.text in self._told:
                    return
                self._told.add(event.text)
            elif not isinstance(event, RungDone | EncodeProgress):
                return
            else:
                event = replace(event, source=self.names[number])
        self.on_event(event)

    def outcome(self, settings: LadderSettings) -> LadderOutcome:
        """The run of everything that was encoded, rungs by codec, size and CRF.

        Args:
            settings: as they are recorded; their rungs become those that were encoded.
        """
        parts = [part for outcomes in self._outcomes.values() for part in outcomes]
        first = (self.begun or parts[0]).run
        sources = [self._source(number) for number in range(len(self.bench.job.paths))]
        run = first.model_copy(
            update={
                "settings": _recorded(settings, sources),
                "sources": tuple(sources),
                "command": self.bench.job.command,
            }
        )
        frames = dict(self.begun.frames) if self.begun else {}
        for number, outcomes in sorted(self._outcomes.items()):
            frames |= {(number, rung): values for part in outcomes for (_, rung), values in part.frames.items()}
        order = [(n, rung) for n, s in enumerate(sources) for rung in ("source", *(r.id for r in s.rungs))]
        faults = {**(self.begun.faults if self.begun else {}), **self._faults}
        return LadderOutcome(run, {key: frames[key] for key in order if key in frames}, faults)

    def _source(self, number: int) -> SourceResult:
        name = self.names[number]
        known = [self.begun.run.sources[number]] if self.begun else []
        known += [part.run.sources[0] for part in self._outcomes.get(number, [])]
        if not known:
            address = self.bench.job.origins[number] or str(self.bench.job.paths[number].absolute())
            return failed_source(address, name, self._faults.get(number) or ToolError("nothing was encoded"))
        rungs = {rung.id: rung for source in known for rung in source.rungs}
        order = {find_encoder(codec.encoder).name: place for place, codec in enumerate(self.bench.job.settings.codecs)}
        placed = sorted(rungs.values(), key=lambda r: (order.get(r.encoder, 0), r.height, r.rate.crf or 0.0))
        failed = sum(rung.status == "failed" for rung in placed)
        good = any(rung.status == "ok" for rung in placed)
        reasons = [f"{failed} of {len(placed)} rungs failed"] if failed else []
        if known[0].score is None and known[0].reason and not known[0].reason.endswith("rungs failed"):
            reasons.append(known[0].reason)
        return known[0].model_copy(
            update={
                "source": known[0].source.model_copy(update={"name": name}),
                "rungs": tuple(placed),
                "status": "ok" if not reasons else "partial" if good else "failed",
                "reason": "; ".join(reasons) or None,
                "warnings": tuple(dict.fromkeys(text for source in known for text in source.warnings)),
            }
        )


def _recorded(settings: LadderSettings, sources: Sequence[SourceResult]) -> LadderSettings:
    """Settings whose rungs are those that were encoded, of whichever source and codec."""
    rungs = {
        FixedRung(
            height=min(r.width, r.height), crf=r.rate.crf, bitrate=r.rate.bitrate_kbps, maxrate=r.rate.maxrate_kbps,
            bufsize=r.rate.bufsize_kbps,
        )
        for source in sources
        for r in source.rungs
    }  # fmt: skip
    codecs = tuple(without_rates(codec) for codec in settings.codecs)
    ordered = tuple(sorted(rungs, key=lambda rung: (rung.height, rung.crf or 0.0, rung.bitrate or 0.0)))
    return settings.model_copy(update={"codecs": codecs, "heights": (), "rungs": ordered})
