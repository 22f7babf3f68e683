"""Encoding QA: encode ladders, score them without and with a reference, and decide.

Importing this package loads neither torch nor click; the names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqa_cli._version import __version__

if TYPE_CHECKING:
    from vqa_cli.model.registry import load_scorer
    from vqa_cli.run import Run, read_run

__all__ = ["Run", "__version__", "load_scorer", "read_run"]

_HOMES = {"load_scorer": "vqa_cli.model.registry", "Run": "vqa_cli.run", "read_run": "vqa_cli.run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
