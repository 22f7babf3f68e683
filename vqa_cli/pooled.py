"""One clip judged by one metric, as documents keep it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from vqa_cli.text import as_text

# Every part of a document is frozen, and blind to keys that a newer version added.
DOCUMENT = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, protected_namespaces=())


class DocumentPart(BaseModel):
    """Any part of a document."""

    model_config = DOCUMENT

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """Names of files need not be text; the document is, and says them by escapes."""
        return as_text(value)

    def __str__(self) -> str:
        return repr(self)


class Pooled(DocumentPart):
    """Statistics over the frames of one clip, all in the metric's own unit.

    ``harmonic_mean`` is libvmaf's N / sum(1 / (s + 1)) - 1, and ``None`` where a frame scores at or below -1.
    ``p1``, ``p5``, ``p10`` are percentiles by linear interpolation.
    """

    mean: float
    harmonic_mean: float | None
    min: float
    p1: float
    p5: float
    p10: float
    std: float
    frames: int


class Series(DocumentPart):
    """One metric over one clip.

    ``segments`` are means over consecutive one-second windows (the last may be shorter): enough for intervals by
    bootstrap without the per-frame file.
    """

    pooled: Pooled
    segments: tuple[float, ...]

    def __repr__(self) -> str:
        return f"Series(mean {self.pooled.mean:.4g}, {self.pooled.frames} frames)"


class MeasuredPart(DocumentPart):
    """A part of a source that was measured, in s of its own time; its figures count as those of ``stands_for_s``."""

    start_s: float
    duration_s: float
    stands_for_s: float


class ModelScore(DocumentPart):
    """The no-reference model's verdict: its own temporal pooling (``score``), and statistics of the frame scores.

    ``delta_to_source`` is score minus the source's own score (negative where the rung is worse), ``None`` on the source.
    """

    score: float
    raw: float
    others: dict[str, float] = {}
    delta_to_source: float | None = None
    series: Series
