"""What ``vqa search`` found, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from vqa_cli.cli.console import table

if TYPE_CHECKING:
    from vqa_cli.ladder.plan import LadderPlan
    from vqa_cli.ladder.samples import SampledSource
    from vqa_cli.ladder.search import Found, Goal
    from vqa_cli.ladder.trials import Question
    from vqa_cli.measure.source import Source

# Beyond that share of its target a bitrate is said to be missed.
_MISSED = 0.1


@dataclass(frozen=True)
class Answer:
    """The result of a search.

    Attributes:
        plan: of the point that was found, or of the nearest.
        sampled: what stood in for the source, where nothing was measured over the whole of it.
        estimate: what the samples said, where the whole was measured afterwards.
    """

    question: Question
    goal: Goal
    scale: list[float]
    source: Source
    plan: LadderPlan
    found: Found
    sampled: SampledSource | None
    estimate: Found | None

    def as_json(self, lines: list[str]) -> str:
        order, display = self.plan.rungs[0].order, self.plan.display
        document = {
            "metric": self.question.metric, "statistic": self.question.pooling, "target": self.goal.target,
            "over": self.question.over, "encoder": order.encoder.name, "size": asdict(order.size),
            "judged_at": asdict(display), "bounds": sorted((self.scale[0], self.scale[-1])), **asdict(self.found),
            "video_mb": self._megabytes, "estimated": self.sampled is not None,
            "samples": self.sampled and [asdict(sample) for sample in self.sampled.samples],
            "estimate": self.estimate and asdict(self.estimate), "commands": lines,
        }  # fmt: skip
        return json.dumps(document, indent=1)

    def as_text(self, lines: list[str]) -> str:
        order = self.plan.rungs[0].order
        head = f"{self.source.info.path.name}  {order.encoder.name} {order.size}  judged at {self.plan.display}"
        trials = sorted(self.found.trials, key=lambda trial: trial.point)
        rows = [[f"{t.point:g}", f"{t.quality:.3f}", f"{t.kbps:.0f}"] for t in trials]
        columns = ["crf" if self.question.over == "crf" else "target", self._what, "kb/s"]
        return "\n".join([head, table(columns, rows), self._said, *self._caveats(), *lines])

    @property
    def _what(self) -> str:
        pooling = self.question.pooling
        return self.question.metric if pooling == "mean" else f"{self.question.metric} {pooling}"

    @property
    def _megabytes(self) -> float:
        return self.found.nearest.kbps * float(self.source.frames / self.source.view.fps) / 8000

    def _named(self, point: float) -> str:
        return f"{self.question.over} {point:g}{'k' if self.question.over == 'bitrate' else ''}"

    @property
    def _said(self) -> str:
        at = self.found.nearest
        if self.found.best is None:
            low, high = sorted((self.scale[0], self.scale[-1]))
            unit = "" if self.question.over == "crf" else " kb/s"
            return (
                f"nothing from {self.question.over} {low:g} to {high:g}{unit} reaches {self._what} {self.goal.target:g}; "
                f"nearest: {self._named(at.point)} with {at.quality:.3f} at {at.kbps:.0f} kb/s"
            )
        share = 100 * self._megabytes * 1e6 / self.source.info.video_bytes
        about = "about " if self.sampled else ""
        return (
            f"{self._named(at.point)} reaches {self._what} {at.quality:.3f} at {about}{at.kbps:.0f} kb/s: "
            f"{about}{self._megabytes:.3g} MB, {share:.0f}% of the source's video"
        )

    def _caveats(self) -> Iterator[str]:
        at = self.found.nearest
        if self.found.inversions:
            pairs = ", ".join(f"{better:g} scores more than {dearer:g}" for dearer, better in self.found.inversions)
            yield (
                f"{self.question.metric} does not fall throughout ({self.question.over} {pairs}): the answer lies before the first "
                "miss that was tried, and a cheaper one beyond it may do as well"
            )
        if self.question.over == "bitrate" and abs(at.kbps / at.point - 1) > _MISSED:
            yield f"the encoder was asked for {at.point:g} kb/s and gave {at.kbps:.0f}"
        if (cap := self.question.job.settings.codecs[0].maxrate) and self.question.over == "crf":
            yield f"every encode is capped at {cap:g} kb/s by the preset"
        yield from self._of_samples()

    def _of_samples(self) -> Iterator[str]:
        if self.sampled is not None:
            yield (
                f"an estimate from {self.sampled.sampled_s:.0f} of {self.sampled.duration_s:.0f} s: each sample starts a "
                "fresh encoder, which knows nothing of what comes before and after; --confirm measures the whole"
            )
        if self.estimate is not None:
            said, true = self.estimate.nearest, self.found.trials[0]
            yield (
                f"the samples' bias at {self.question.over} {said.point:g}: {self._what} {said.quality - true.quality:+.3f}, "
                f"bitrate {100 * (said.kbps / true.kbps - 1):+.1f}%; cheaper points were not tried over the whole"
            )
