"""Encoding QA: encode ladders, score them without and with a reference, and decide.

Importing this package loads neither torch nor click; the names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqa_cli._version import __version__

if TYPE_CHECKING:
    from vqa_cli.document import Run, read_run
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.pipeline import run_ladder
    from vqa_cli.measure.score import ScoreRequest, score_file
    from vqa_cli.model.load import load_scorer
    from vqa_cli.settings import LadderSettings

__all__ = [
    "LadderJob",
    "LadderSettings",
    "Run",
    "ScoreRequest",
    "__version__",
    "load_scorer",
    "read_run",
    "run_ladder",
    "score_file",
]

_HOMES = {
    "LadderJob": "vqa_cli.ladder.job",
    "LadderSettings": "vqa_cli.settings",
    "Run": "vqa_cli.document",
    "ScoreRequest": "vqa_cli.measure.score",
    "load_scorer": "vqa_cli.model.load",
    "read_run": "vqa_cli.document",
    "run_ladder": "vqa_cli.ladder.pipeline",
    "score_file": "vqa_cli.measure.score",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
