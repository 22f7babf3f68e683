"""What forbids reading two runs side by side as if they were one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vqa_cli.analysis.comparable import MODEL_FIELDS, in_both, other_instructions, preparation
from vqa_cli.document import Run, SourceResult
from vqa_cli.identity import ModelIdentity


def differences(runs: Sequence[tuple[str, Run]]) -> list[str]:
    """One sentence for each difference to the first run that makes numbers incomparable or explains a change.

    Args:
        runs: (key, run), the key as the page shows it.
    """
    first = runs[0]
    found = [text for other in runs[1:] for text in _between(first, other)]
    if len(runs) == 2 and not _hashes(runs[0][1]) & _hashes(runs[1][1]):
        found.append(f"{runs[0][0]} and {runs[1][0]} have no source in common.")
    return found


def _between(one: tuple[str, Run], two: tuple[str, Run]) -> Iterator[str]:
    (a, first), (b, second) = one, two
    if (first.model is None) != (second.model is None):
        yield f"{b if second.model is None else a} has no model score."
    elif _identity(first.model) != _identity(second.model):
        yield f"{a} and {b} were scored by different models or pooling: do not compare their model scores."
    for way in ("upscale", "downscale"):
        how = [getattr(run.settings, way) for run in (first, second)]
        if how[0] != how[1]:
            yield f"{a} and {b} {way} by different filters ({how[0]} and {how[1]}), which is part of their difference."
    for source, other in in_both(first, second):
        name = other.source.name
        if _display(source) != _display(other):
            yield f"{name} was judged at {_display(source)} in {a} and at {_display(other)} in {b}: do not compare."
        if preparation(source) != preparation(other):
            yield f"{name} was prepared differently in {a} ({preparation(source)}) and {b} ({preparation(other)})."
    if first.environment.ffmpeg_sha256 != second.environment.ffmpeg_sha256:
        versions = f"{first.environment.ffmpeg_version} and {second.environment.ffmpeg_version}"
        yield f"{a} and {b} used different ffmpeg builds ({versions})."
    if unlike := other_instructions(first, second):
        yield f"{a} and {b} were encoded with different CPU instructions ({unlike}), which may be part of their difference."
    if first.environment.cpu != second.environment.cpu:
        yield f"{a} and {b} ran on different processors: do not compare encode times."


def _hashes(run: Run) -> set[str]:
    return {source.source.sha256 for source in run.sources}


def _identity(model: ModelIdentity | None) -> tuple[str, ...] | None:
    return None if model is None else tuple(getattr(model, field) for field in MODEL_FIELDS)


def _display(source: SourceResult) -> str:
    return f"{source.display_width}×{source.display_height}"
