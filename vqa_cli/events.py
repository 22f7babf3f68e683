"""What a running ladder tells its watcher. Work functions call ``on_event``; only the command line draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done for one source. The whole is known once each has told its plan, in any order.

    Attributes:
        work: cost of each rung, by its id: pixels to encode and to judge, over all frames; a rung that will not be tried
            is left out, and a source that cannot be begun has none.
        sources: how many there are.
    """

    source: str
    work: Mapping[str, float]
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
    """One rung is finished, measured or failed.

    Attributes:
        score: the model's.
        quality: name and mean of the full-reference metric that decides: VMAF where it was measured.
        cached: it was known already.
    """

    source: str
    rung: str
    kbps: float | None
    score: float | None
    reason: str | None
    cached: bool
    quality: tuple[str, float] | None = None


Event = Planned | Note | EncodeProgress | SourceScored | RungDone
OnEvent = Callable[[Event], None]


def unwatched(event: Event) -> None:
    """Takes every event and does nothing."""
