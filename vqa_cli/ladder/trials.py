"""Measures one rate point after the other by ladders of one rung, so that search and ladder share numbers and cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from vqa_cli.errors import ToolError
from vqa_cli.ladder.job import LadderJob, made_ready
from vqa_cli.ladder.pipeline import run_ladder
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.samples import weighted
from vqa_cli.ladder.search import Trial
from vqa_cli.ladder.source import ReadySource, remarks
from vqa_cli.settings import LadderSettings

Over = Literal["crf", "bitrate"]


@dataclass(frozen=True)
class Trials:
    """What every trial of a search has in common.

    Attributes:
        job: sources and settings; the one codec of the settings gets the rate point of each trial.
        weights: frames that each source of the job stands for, where they are samples of one.
    """

    job: LadderJob
    over: Over
    metric: str
    pooling: str
    weights: tuple[int, ...] = (1,)

    @contextmanager
    def ready(self) -> Iterator[Trials]:
        """The same with sources that were made ready, so that no trial does it again."""
        with made_ready(self.job) as job:
            yield replace(self, job=job)

    def settings_at(self, point: float) -> LadderSettings:
        """The ladder of one rung at a CRF or a bitrate in kb/s."""
        settings = self.job.settings
        rates: dict[str, tuple[float, ...]] = {"crf": (), "bitrate": (), self.over: (point,)}
        return settings.model_copy(update={"codecs": (settings.codecs[0].model_copy(update=dict(rates)),)})

    def measure(self, point: float) -> Trial:
        """Encode and measure.

        Raises:
            ToolError: the encode failed or the metric was not measured.
        """
        run = run_ladder(replace(self.job, settings=self.settings_at(point))).run
        qualities, rates = [], []
        for source in run.sources:
            rung = source.rungs[0] if source.rungs else None
            quality = rung.quality(self.metric, self.pooling) if rung else None
            if rung is None or rung.encode is None or quality is None:
                reason = rung.reason if rung else source.reason
                raise ToolError(f"{self.over} {point:g} could not be measured", detail=reason)
            qualities.append(quality)
            rates.append(rung.encode.bitrate_kbps)
        quality = weighted(qualities, self.weights, self.pooling)
        return Trial(point, quality, weighted(rates, self.weights))


def all_remarks(source: ReadySource, settings: LadderSettings) -> list[str]:
    """What to know of the source, its size and the rate control before anything is encoded, each once. Pure.

    Raises:
        UsageError: as :func:`vqa_cli.ladder.plan.plan_ladder`.
    """
    plan = plan_ladder(source.info, settings)
    of_rungs = (text for rung in plan.rungs for text in rung.warnings)
    return list(dict.fromkeys((*remarks(source, plan), *of_rungs)))
