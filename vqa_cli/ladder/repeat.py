"""The same ladder several times, to learn how far its results scatter by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vqa_cli.document import Repeat, Run, RungResult
from vqa_cli.events import OnEvent
from vqa_cli.ladder.job import LadderJob, open_bench
from vqa_cli.ladder.pipeline import LadderOutcome, pictured, run_ladder, run_on


def run_repeated(job: LadderJob, times: int, on_event: OnEvent) -> LadderOutcome:
    """Run a ladder ``times`` times and keep the further results as each rung's repeats.

    The cache is neither read nor written when there is more than one: a remembered result has no scatter.

    Raises:
        VqaError: as :func:`run_ladder` does.
    """
    if times == 1:
        return run_ladder(job, on_event)
    with open_bench(replace(job, cache_dir=None)) as bench:
        first = pictured(bench, run_on(bench, job.settings, on_event), on_event)
        others = [run_on(bench, job.settings, on_event, keep=False).run for _ in range(times - 1)]
    return replace(first, run=with_repeats(first.run, others))


def with_repeats(run: Run, others: Sequence[Run]) -> Run:
    """``run`` with the same rungs of ``others`` as repeats; a rung that failed in one of them has failed. Pure."""
    sources = []
    for index, source in enumerate(run.sources):
        theirs = [{rung.id: rung for rung in other.sources[index].rungs} for other in others]
        rungs = tuple(_rung(rung, [known.get(rung.id) for known in theirs]) for rung in source.rungs)
        sources.append(source.model_copy(update={"rungs": rungs}))
    return run.model_copy(update={"sources": tuple(sources)})


def _rung(rung: RungResult, others: Sequence[RungResult | None]) -> RungResult:
    if rung.status != "ok":
        return rung
    found = []
    for number, other in enumerate(others, 2):
        if other is None or other.encode is None:
            reason = (other.reason if other else None) or "not measured"
            update = {"status": "failed", "reason": f"repeat {number}: {reason}", "encode": None, "score": None}
            return rung.model_copy(update=update | {"fidelity": {}})
        found.append(Repeat(encode=other.encode, score=other.score, fidelity=other.fidelity))
    changed = rung.model_copy(update={"repeats": tuple(found)})
    text = _scatter(changed)
    return changed.model_copy(update={"warnings": (*rung.warnings, text)}) if text else changed


def _scatter(rung: RungResult) -> str | None:
    """A warning where the encoder did not give the same file each time."""
    assert rung.encode is not None
    encodes = [rung.encode, *(other.encode for other in rung.repeats)]
    files = len({encode.sha256 for encode in encodes})
    if files == 1:
        return None
    rates = [encode.bitrate_kbps for encode in encodes]
    return f"{files} different files in {len(encodes)} encodes, {min(rates):.1f} to {max(rates):.1f} kb/s"
