"""Decisions and pages from run documents, given as such or by the folders that they lie in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vqa_cli.analysis.audience import Audience
from vqa_cli.analysis.bdrate import Method
from vqa_cli.analysis.comparable import refuse_other_judging
from vqa_cli.analysis.compare import Comparison, between, refuse_other_footage, run_curves, with_anchor, within
from vqa_cli.analysis.curves import default_metric
from vqa_cli.analysis.gate import Verdict, judge
from vqa_cli.analysis.policy import Policy, default_policy, read_policy
from vqa_cli.analysis.recommend import Recommendation
from vqa_cli.analysis.recommend import recommend as recommended
from vqa_cli.document import Run, read_run
from vqa_cli.media.encoders import full_name
from vqa_cli.settings import Constraints
from vqa_cli.values import StrPath

AnyRun = Run | StrPath


def as_run(run: AnyRun) -> Run:
    """The run itself, or the one at that path.

    Raises:
        StorageError: see :func:`vqa_cli.read_run`.
    """
    return run if isinstance(run, Run) else read_run(run)


def write_run(run: Run, folder: StrPath) -> Path:
    """Write ``run.json``, ``rungs.csv`` and the tables of frame values that the run knows of; gives the path of the first.

    Raises:
        StorageError: the folder cannot be written.
    """
    from vqa_cli.ladder.output import write_outcome
    from vqa_cli.ladder.pipeline import LadderOutcome

    frames = {key: dict(values) for key, values in (run.frame_values() or {}).items()}
    return write_outcome(LadderOutcome(run, frames), Path(folder))


def recommend(
    run: AnyRun,
    constraints: Constraints | None = None,
    metric: str | None = None,
    *,
    across: bool = False,
    audience: Audience | None = None,
) -> list[Recommendation]:
    """The ladder to ship, for each source and codec, or ``across`` all codecs for each source.

    Args:
        constraints: limits; without them those of the run's preset.
        metric: what decides; VMAF where it was measured, else the model.
        audience: throughputs of viewers; each title's own rates where nobody knows them.

    Raises:
        UsageError: the run did not measure the metric.
    """
    run = as_run(run)
    return recommended(run, constraints or run.settings.recommend, metric, across=across, audience=audience)


def bdrate(
    run: AnyRun,
    other: AnyRun | None = None,
    *,
    metric: str | None = None,
    anchor: str | None = None,
    method: Method = "pchip",
) -> list[Comparison]:
    """BD-rates between the codecs of a run, or of ``other`` against ``run``, codec by codec.

    Args:
        anchor: within one run: the encoder or curve to compare with; the first without it.

    Raises:
        UsageError: the run did not measure the metric, or has no such curve.
        InputError: the two runs measured different things.
    """
    run = as_run(run)
    chosen = metric or default_metric(run)
    found = run_curves(run, chosen)
    if other is None:
        known = {name for curve in found for name in (curve.codec, curve.encoder) if name}
        return within(with_anchor(found, full_name(anchor, known)) if anchor else found, chosen, method)
    other = as_run(other)
    refuse_other_footage(run, other)
    refuse_other_judging([chosen], run, other)
    return between(found, run_curves(other, chosen), chosen, method)


def gate(baseline: AnyRun, candidate: AnyRun, policy: Policy | StrPath | None = None) -> Verdict:
    """Did the candidate get worse? ``policy`` is a TOML file or what it holds; without one the limits of ``vqa gate``.

    Raises:
        InputError: the runs measured different things.
        UsageError: the policy cannot be read.
    """
    one, two = as_run(baseline), as_run(candidate)
    if policy is None:
        policy = default_policy(default_metric(one))
    elif not isinstance(policy, Policy):
        policy = read_policy(Path(policy))
    return judge(one, two, policy, (one.frame_values(), two.frame_values()))


def write_report(runs: AnyRun | Sequence[AnyRun], path: StrPath, *, metric: str | None = None) -> Path:
    """Write the HTML report of a run, or several laid over one another; gives its path.

    Raises:
        StorageError: a run cannot be read, or the page not written.
        UsageError: runs that cannot be shown together, or a metric that was not measured.
    """
    from vqa_cli.report.html import write_report as write

    given = [runs] if isinstance(runs, (Run, str, os.PathLike)) else runs
    read = [as_run(run) for run in given]
    write(read, Path(path), [run.frame_values() for run in read], metric=metric)
    return Path(path)
