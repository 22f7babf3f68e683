"""``vqa ladder --explore`` and ``--confirm``: encodes that the recommended ladder asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqa_cli.cli.console import note
from vqa_cli.errors import ToolError, UsageError
from vqa_cli.events import Event, Note
from vqa_cli.metrics import METRICS

if TYPE_CHECKING:
    from vqa_cli.analysis.curves import Point
    from vqa_cli.analysis.explore import Aim, State
    from vqa_cli.analysis.surface import Dial, Setting, Title
    from vqa_cli.document import Run, RungResult
    from vqa_cli.ladder.gathered import Gathered
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.pipeline import LadderOutcome
    from vqa_cli.measure.source import Source
    from vqa_cli.media.encoders import Encoder
    from vqa_cli.settings import CodecSettings, LadderSettings

# What is usual on each codec's scale, where ten CRFs of x264 are that share of its length.
_USUAL = {"h264": 30.0, "hevc": 31.0, "av1": 42.0, "vp9": 42.0, "vvc": 36.0}
_TEN = 10 / 51
# How far the scale of CRFs reaches around the usual one, in tens.
_BELOW, _ABOVE = 1.5, 1.7
# Encodes that confirm a ladder move it a little; after so often what is left is taken as it is.
_ROUNDS = 3


@dataclass(frozen=True)
class Exploring:
    """What was asked for.

    Attributes:
        crfs: the only CRFs that may be encoded, where the user named them.
        confirm: whether only what was measured is recommended.
    """

    loss: float
    encodes: int
    crfs: tuple[float, ...] | None
    confirm: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How the search for one ladder ended.

    Attributes:
        highest: the largest size that was encoded, where there are larger ones.
    """

    source: str
    codec: str
    encodes: int
    loss: float
    why: str
    highest: int | None = None


def check_explorable(settings: LadderSettings) -> str:
    """The metric by which these settings can be explored.

    Raises:
        UsageError: they name rates or rungs outright, one encoder twice, or no metric whose numbers say what viewers see.
    """
    from vqa_cli.media.encoders import find_encoder

    if not settings.heights or any(not codec.crf for codec in settings.codecs):
        raise UsageError("--explore chooses CRFs by itself: it needs sizes and CRFs, not bitrates or fixed rungs")
    names = [find_encoder(codec.encoder).name for codec in settings.codecs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--explore takes each encoder once: {twice[0]}")
    metric = settings.recommend.metric or next((m for m in settings.metrics if METRICS[m].seen), None)
    if metric is None or metric not in settings.metrics or not METRICS[metric].seen:
        known = ", ".join(name for name, row in METRICS.items() if row.seen)
        raise UsageError("--explore needs a metric whose numbers say what viewers see", hint=f"one of {known}")
    return metric


def explore_ladder(job: LadderJob, asked: Exploring, *, quiet: bool) -> tuple[LadderOutcome, list[Ended]]:
    """Find the ladder of each source and codec in few encodes.

    Raises:
        UsageError: see :func:`check_explorable`.
        VqaError: as :func:`vqa_cli.ladder.pipeline.run_ladder`.
    """
    from vqa_cli.ladder.gathered import Gathered
    from vqa_cli.ladder.job import open_bench
    from vqa_cli.ladder.pipeline import pictured

    metric = check_explorable(job.settings)
    with open_bench(job, ahead=True) as bench:
        gathered = Gathered(bench, _told(quiet))
        sources = [(number, source) for number in range(len(job.paths)) if (source := gathered.look(number))]
        searches = [
            _Search(gathered, number, source, codec, metric, asked, quiet)
            for number, source in sources
            for codec in job.settings.codecs
            if bench.checks[_name(codec)].works
        ]
        with ThreadPoolExecutor(job.at_once) as pool:
            ended = list(pool.map(_Search.run, searches))
        settings = job.settings.model_copy(
            update={"recommend": job.settings.recommend.model_copy(update={"interpolate": not asked.confirm})}
        )
        return pictured(bench, gathered.outcome(settings), gathered.on_event), ended


def _told(quiet: bool) -> Callable[[Event], None]:
    def told(event: Event) -> None:
        if isinstance(event, Note) and not quiet:
            note(f"{'warning' if event.warning else 'note'}: {event.text}")

    return told


def _name(codec: CodecSettings) -> str:
    from vqa_cli.media.encoders import find_encoder

    return find_encoder(codec.encoder).name


@dataclass(frozen=True)
class _Search:
    """The search for the ladder of one source and codec."""

    gathered: Gathered
    number: int
    source: Source
    codec: CodecSettings
    metric: str
    asked: Exploring
    quiet: bool

    def run(self) -> Ended:
        """Search to the end; an encode that fails ends it."""
        from vqa_cli.analysis.explore import explore, untried

        aim = self._aim()
        state: State | None = None
        name, codec = self.gathered.names[self.number], _name(self.codec)
        try:
            for state in explore(self._measure, aim):
                if not self.quiet:
                    note(f"{name} {_line(state, self.metric)}")
        except ToolError as err:
            return Ended(name, codec, len(state.measured) if state else 0, math.inf, f"{err.message}: {err.detail}")
        assert state is not None
        highest = untried(aim.title.grid, state.measured)
        return Ended(name, codec, len(state.measured), state.loss, state.why, highest)

    def _measure(self, setting: Setting) -> Point:
        from vqa_cli.ladder.gathered import fixed_rungs

        (rung,) = self.gathered.encode(
            self.number, self.codec, fixed_rungs(self.codec, [(setting.height, setting.crf)])
        )
        return _point(rung, self.metric)

    def _aim(self) -> Aim:
        from vqa_cli.analysis.explore import Aim
        from vqa_cli.analysis.limits import limits_of, metric_scale

        scale = metric_scale(self.metric)
        settings = self.gathered.bench.job.settings
        return Aim(
            self._title(settings), limits_of(settings.recommend, scale), scale, self.source.info.duration_s, None,
            self.asked.loss, self.asked.encodes,
        )  # fmt: skip

    def _title(self, settings: LadderSettings) -> Title:
        from vqa_cli.analysis.surface import Setting, Title
        from vqa_cli.ladder.plan import plan_ladder
        from vqa_cli.media.encoders import find_encoder

        info = self.source.info
        display = plan_ladder(info, settings).display
        most = info.size.short_side // 2 * 2
        encoder = find_encoder(self.codec.encoder)
        crfs = self.asked.crfs or tuple(scale_of(encoder))
        heights = sorted({min(height, most) for height in settings.heights})
        pixels = display.width * display.height * float(self.source.view.fps)
        grid = tuple(Setting(height, crf) for height in heights for crf in sorted(crfs))
        return Title(grid, dial_of(encoder), display.short_side, math.log(pixels / 1000))


def dial_of(encoder: Encoder) -> Dial:
    """The encoder's quality scale as the surfaces take it."""
    from vqa_cli.analysis.surface import Dial

    low, high = encoder.quality_range
    ten = (high - low) * _TEN
    usual = _USUAL.get(encoder.codec, low + 3 * ten) if not encoder.hardware else low + 3 * ten
    return Dial(usual, ten) if encoder.lower_is_better else Dial(low + high - usual, -ten)


def scale_of(encoder: Encoder) -> Iterator[float]:
    """Whole CRFs that may be of use."""
    dial = dial_of(encoder)
    ends = sorted((dial.usual - _BELOW * dial.ten, dial.usual + _ABOVE * dial.ten))
    low, high = max(ends[0], encoder.quality_range[0]), min(ends[1], encoder.quality_range[1])
    return map(float, range(math.ceil(low), math.floor(high) + 1))


def _point(rung: RungResult, metric: str) -> Point:
    """A rung as a point of the grid.

    Raises:
        ToolError: it failed or was not measured.
    """
    from vqa_cli.analysis.curves import Point, codec_name

    quality = rung.quality(metric)
    if rung.encode is None or quality is None:
        raise ToolError(f"{rung.id} could not be measured", detail=rung.reason or f"no {metric}")
    return Point(
        rung.id, rung.encode.bitrate_kbps, quality, min(rung.width, rung.height), rung.encoder, rung.encode.cpu_s,
        codec_name(rung), rung.rate.mode, rung.rate.crf, rung.rate.label,
    )  # fmt: skip


def _line(state: State, metric: str) -> str:
    last = state.measured[-1]
    known = f"{last.rung}: {last.kbps:.0f} kb/s, {metric} {last.quality:.2f}"
    return f"{known}; the best ladder so far may lose viewers {state.loss:.2f}"


def confirm_ladder(job: LadderJob, outcome: LadderOutcome, *, quiet: bool) -> LadderOutcome:
    """Encode what is recommended between measured CRFs, until the recommended ladder is measured."""
    from vqa_cli.ladder.gathered import Gathered, fixed_rungs
    from vqa_cli.ladder.job import open_bench
    from vqa_cli.ladder.pipeline import pictured

    wanted = _unmeasured(outcome.run)
    if not wanted:
        return outcome
    with open_bench(job) as bench:
        gathered = Gathered(bench, _told(quiet), begun=outcome)
        for _ in range(_ROUNDS):
            for number, codec, settings in wanted:
                for rung in gathered.encode(number, codec, fixed_rungs(codec, settings)):
                    if not quiet:
                        note(f"{gathered.names[number]} {rung.id}: {rung.reason or 'confirmed'}")
            outcome = gathered.outcome(job.settings)
            wanted = _unmeasured(outcome.run)
            if not wanted:
                break
        outcome = pictured(bench, outcome, gathered.on_event)
    recorded = outcome.run.settings
    measured = recorded.recommend.model_copy(update={"interpolate": False})
    outcome.run = outcome.run.model_copy(update={"settings": recorded.model_copy(update={"recommend": measured})})
    return outcome


def _unmeasured(run: Run) -> list[tuple[int, CodecSettings, list[tuple[int, float]]]]:
    """By source and codec, the sizes and CRFs of recommended rungs that were not encoded."""
    from vqa_cli.analysis.recommend import recommend

    numbers = {source.source.name: number for number, source in enumerate(run.sources)}
    found = []
    for r in recommend(run, run.settings.recommend):
        missing = [(p.height, p.crf) for p in r.chosen if not p.measured and p.crf is not None]
        failed = {rung.id for rung in run.sources[numbers[r.source]].rungs if rung.status == "failed"}
        if missing and not failed & {p.rung for p in r.chosen}:
            codec = next(c for c in run.settings.codecs if _matches(c, r.codec))
            found.append((numbers[r.source], codec, missing))
    return found


def _matches(codec: CodecSettings, name: str) -> bool:
    return name.split()[0] == _name(codec) and (codec.preset is None or name.split()[-1] == codec.preset)


def ended_lines(ended: Sequence[Ended], loss: float) -> list[str]:
    """How each search ended, with the loss that is left."""
    lines = []
    for item in ended:
        left = "" if math.isinf(item.loss) else f"; viewers are expected to lose {item.loss:.2f}"
        short = " (more --encodes may find a better ladder)" if loss < item.loss < math.inf else ""
        above = f"; nothing above {item.highest}p was tried" if item.highest else ""
        lines.append(f"{item.source} {item.codec}: {item.encodes} encodes, {item.why}{left}{short}{above}")
    return lines
