"""A run made fit to be kept in git and compared with for months. Pure."""

from __future__ import annotations

from vqa_cli.errors import InputError
from vqa_cli.run import Run, RungResult, SourceResult


def make_baseline(run: Run) -> Run:
    """The same document without places on the disk of the machine that made it; figures and command lines stay.

    Raises:
        InputError: a source or rung failed: a gate against it could only be inconclusive.
    """
    if not run.sources:
        raise InputError("not fit for a baseline: the run has no source")
    return run.model_copy(update={"sources": tuple(_source(source) for source in run.sources)})


def _source(source: SourceResult) -> SourceResult:
    name = source.source.name
    if not source.rungs:
        raise InputError(f"not fit for a baseline: {name} has no rung", detail=source.reason)
    for rung in source.rungs:
        if rung.status == "failed":
            raise InputError(f"not fit for a baseline: {name} {rung.id} failed", detail=rung.reason)
    update = {
        "source": source.source.model_copy(update={"path": name}),
        "rungs": tuple(_rung(rung) for rung in source.rungs),
    }
    return source.model_copy(update=update)


def _rung(rung: RungResult) -> RungResult:
    encode = rung.encode and rung.encode.model_copy(update={"path": None})
    return rung.model_copy(update={"encode": encode})
