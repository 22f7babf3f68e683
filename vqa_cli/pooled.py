"""One clip judged by one metric, as documents keep it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

# Every part of a document is frozen, and blind to keys that a newer version added.
DOCUMENT = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="null", protected_namespaces=())


class _Document(BaseModel):
    model_config = DOCUMENT

    def __str__(self) -> str:
        return repr(self)


class Pooled(_Document):
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


class Series(_Document):
    """One metric over one clip.

    ``segments`` are means over consecutive one-second windows (the last may be shorter): enough for intervals by
    bootstrap without the per-frame file.
    """

    pooled: Pooled
    segments: tuple[float, ...]

    def __repr__(self) -> str:
        return f"Series(mean {self.pooled.mean:.4g}, {self.pooled.frames} frames)"


class ModelScore(_Document):
    """The no-reference model's verdict: its own temporal pooling (``score``), and statistics of the frame scores.

    ``delta_to_source`` is score minus the source's own score (negative where the rung is worse), ``None`` on the source.
    """

    score: float
    raw: float
    others: dict[str, float] = {}
    delta_to_source: float | None = None
    series: Series
