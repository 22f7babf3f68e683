"""What a cache folder holds: one folder of entries for each kind of thing that is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vqa_cli.store.content import Entries

# 8 kB a frame for ResNet-50: 250,000 frames, or about 2.5 hours at 30 fps.
FEATURE_LIMIT_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of entry, what it saves, and what it may take."""

    name: str
    saves: str
    limit_bytes: int | None = None

    def entries(self, cache: Path | None) -> Entries:
        """Those below a cache folder; with ``None`` nothing is kept."""
        return Entries(cache and cache / self.name, limit_bytes=self.limit_bytes)


RUNGS = Kind("rungs", "encodes and full-reference figures")
SCORES = Kind("scores", "frame scores: another --tau, --beta or --pooling")
FEATURES = Kind("features", "frame features: another head; least used go first", FEATURE_LIMIT_BYTES)
INSPECTIONS = Kind("inspections", "counting the frames of a file")
PROGRAMS = Kind("programs", "asking the embedded ffmpeg what it can do")
KINDS = (RUNGS, SCORES, FEATURES, INSPECTIONS, PROGRAMS)


def clear(cache: Path, kinds: tuple[Kind, ...] = KINDS) -> None:
    """Drop every entry of some kinds; all of these folders are looked at before anything goes.

    Raises:
        StorageError: a folder is not the cache's own, or an entry cannot be removed.
    """
    for kind in kinds:
        kind.entries(cache).refuse_others()
    for kind in kinds:
        kind.entries(cache).clear()
