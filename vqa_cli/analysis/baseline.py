"""A run made fit to be kept in git and compared with for months. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.errors import InputError

Places = dict[str, str]


def make_baseline(run: Run) -> Run:
    """The same document with bare names for the source files and ffmpeg, wherever they lay; figures stay.

    The command lines keep their arguments; they name those files by their bare names too.

    Raises:
        InputError: a source or rung failed: a gate against it could only be inconclusive.
    """
    if not run.sources:
        raise InputError("not fit for a baseline: the run has no source")
    tools = [path for path in (run.environment.ffmpeg_path, run.environment.encode_ffmpeg_path) if path]
    places = {source.source.path: source.source.name for source in run.sources}
    places |= {tool: PurePath(tool).name for tool in tools}
    encoding = run.environment.encode_ffmpeg_path
    bare = {
        "ffmpeg_path": places[run.environment.ffmpeg_path],
        "encode_ffmpeg_path": places[encoding] if encoding else None,
    }
    update = {
        "command": _bare(run.command, places),
        "environment": run.environment.model_copy(update=bare),
        "sources": tuple(_source(source, places) for source in run.sources),
    }
    return run.model_copy(update=update)


def _source(source: SourceResult, places: Places) -> SourceResult:
    name = source.source.name
    if not source.rungs:
        raise InputError(f"not fit for a baseline: {name} has no rung", detail=source.reason)
    for rung in source.rungs:
        if rung.status == "failed":
            raise InputError(f"not fit for a baseline: {name} {rung.id} failed", detail=rung.reason)
    probed = source.source.model_copy(
        update={"path": name, "prepare_argv": _bare(source.source.prepare_argv, places)},
    )
    rungs = tuple(_rung(rung, places) for rung in source.rungs)
    return source.model_copy(update={"source": probed, "rungs": rungs})


def _rung(rung: RungResult, places: Places) -> RungResult:
    update = {
        "encode": rung.encode and rung.encode.model_copy(update={"path": None}),
        "encode_argv": tuple(_bare(argv, places) for argv in rung.encode_argv),
        "measure_argv": _bare(rung.measure_argv, places),
    }
    return rung.model_copy(update=update)


def _bare(argv: Sequence[str], places: Places) -> tuple[str, ...]:
    """Arguments with each place written as its name, also behind ``file:``."""
    named = places | {f"file:{place}": f"file:{name}" for place, name in places.items()}
    return tuple(named.get(argument, argument) for argument in argv)
