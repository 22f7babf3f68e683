"""Encoding QA: encode ladders, score them without and with a reference, and decide.

Importing this package loads neither torch nor click; the names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqa_cli._version import __version__

if TYPE_CHECKING:
    from vqa_cli.analysis.policy import Policy
    from vqa_cli.api.bars import ProgressBar
    from vqa_cli.api.deciding import bdrate, gate, recommend, write_report, write_run
    from vqa_cli.api.measuring import score_files, search
    from vqa_cli.document import Run, read_run
    from vqa_cli.errors import VqaError
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.pipeline import LadderOutcome, run_ladder
    from vqa_cli.measure.filescore import FileScore
    from vqa_cli.measure.score import ScoreRequest, score_file
    from vqa_cli.model.load import load_scorer
    from vqa_cli.model.memory import prepare_process
    from vqa_cli.settings import Constraints, LadderSettings

__all__ = [
    "Constraints",
    "FileScore",
    "LadderJob",
    "LadderOutcome",
    "LadderSettings",
    "Policy",
    "ProgressBar",
    "Run",
    "ScoreRequest",
    "VqaError",
    "__version__",
    "bdrate",
    "gate",
    "load_scorer",
    "prepare_process",
    "read_run",
    "recommend",
    "run_ladder",
    "score_file",
    "score_files",
    "search",
    "write_report",
    "write_run",
]

_HOMES = {
    "Constraints": "vqa_cli.settings",
    "FileScore": "vqa_cli.measure.filescore",
    "LadderJob": "vqa_cli.ladder.job",
    "LadderOutcome": "vqa_cli.ladder.pipeline",
    "LadderSettings": "vqa_cli.settings",
    "Policy": "vqa_cli.analysis.policy",
    "ProgressBar": "vqa_cli.api.bars",
    "Run": "vqa_cli.document",
    "ScoreRequest": "vqa_cli.measure.score",
    "VqaError": "vqa_cli.errors",
    "bdrate": "vqa_cli.api.deciding",
    "gate": "vqa_cli.api.deciding",
    "load_scorer": "vqa_cli.model.load",
    "prepare_process": "vqa_cli.model.memory",
    "read_run": "vqa_cli.document",
    "recommend": "vqa_cli.api.deciding",
    "run_ladder": "vqa_cli.ladder.pipeline",
    "score_file": "vqa_cli.measure.score",
    "score_files": "vqa_cli.api.measuring",
    "search": "vqa_cli.api.measuring",
    "write_report": "vqa_cli.api.deciding",
    "write_run": "vqa_cli.api.deciding",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
