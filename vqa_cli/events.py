"""What a running ladder tells its watcher. Work functions call ``on_event``; only the command line draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planned:
    """The ladder is known: how many rungs, over all sources."""

    rungs: int
    sources: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should read."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class EncodeProgress:
    """Share of one rung's encoding done, 0..1."""

    source: str
    rung: str
    share: float


@dataclass(frozen=True, slots=True)
class SourceScored:
    """The source itself was scored."""

    source: str
    score: float | None


@dataclass(frozen=True, slots=True)
class RungDone:
    """One rung is finished, measured or failed."""

    source: str
    rung: str
    kbps: float | None
    score: float | None
    reason: str | None
    cached: bool


Event = Planned | Note | EncodeProgress | SourceScored | RungDone
OnEvent = Callable[[Event], None]


def unwatched(event: Event) -> None:
    """Takes every event and does nothing."""
