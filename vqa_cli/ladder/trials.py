"""Measures one rate point after the other by ladders of one rung, so that search and ladder share numbers and cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from vqa_cli.errors import ToolError
from vqa_cli.ladder.job import Bench, LadderJob, open_bench
from vqa_cli.ladder.pipeline import remarks, run_on
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.samples import weighted
from vqa_cli.ladder.search import Trial
from vqa_cli.measure.source import Source
from vqa_cli.settings import LadderSettings

Over = Literal["crf", "bitrate"]


@dataclass(frozen=True)
class Question:
    """What every trial has in common.

    Attributes:
        job: sources and settings; the one codec of the settings gets the rate point of each trial.
        weights: frames that each source of the job stands for, where they are samples of one.
    """

    job: LadderJob
    over: Over
    metric: str
    pooling: str
    weights: tuple[int, ...] = (1,)

    def settings_at(self, point: float) -> LadderSettings:
        """The ladder of one rung at a CRF or a bitrate in kb/s."""
        settings = self.job.settings
        rates: dict[str, tuple[float, ...]] = {"crf": (), "bitrate": (), self.over: (point,)}
        return settings.model_copy(update={"codecs": (settings.codecs[0].model_copy(update=dict(rates)),)})

    @contextmanager
    def open(self) -> Iterator[Trials]:
        """A bench for trials, on which programs are found and sources are looked at once."""
        with open_bench(self.job) as bench:
            yield Trials(self, bench)


@dataclass(frozen=True)
class Trials:
    """Encodes on one bench, one after the other."""

    question: Question
    bench: Bench

    def look(self) -> Source:
        """The first source.

        Raises:
            InputError, ToolError: it cannot be used.
        """
        return self.bench.look(self.question.job.paths[0], self.question.job.settings)

    def measure(self, point: float) -> Trial:
        """Encode and measure.

        Raises:
            ToolError: the encode failed or the metric was not measured.
        """
        asked = self.question
        run = run_on(self.bench, asked.settings_at(point)).run
        qualities, rates = [], []
        for source in run.sources:
            rung = source.rungs[0] if source.rungs else None
            quality = rung.quality(asked.metric, asked.pooling) if rung else None
            if rung is None or rung.encode is None or quality is None:
                reason = rung.reason if rung else source.reason
                raise ToolError(f"{asked.over} {point:g} could not be measured", detail=reason)
            qualities.append(quality)
            rates.append(rung.encode.bitrate_kbps)
        quality = weighted(qualities, asked.weights, asked.pooling)
        return Trial(point, quality, weighted(rates, asked.weights))


def all_remarks(source: Source, settings: LadderSettings) -> list[str]:
    """What to know of the source, its size and the rate control before anything is encoded, each once. Pure.

    Raises:
        UsageError: as :func:`vqa_cli.ladder.plan.plan_ladder`.
    """
    plan = plan_ladder(source.info, settings)
    of_rungs = (text for rung in plan.rungs for text in rung.warnings)
    return list(dict.fromkeys((*remarks(source, plan), *of_rungs)))
