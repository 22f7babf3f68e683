"""What a gate tolerates. Pure."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vqa_cli.errors import UsageError
from vqa_cli.files import read_toml
from vqa_cli.metrics import METRICS, lower_is_better


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MetricPolicy(_Strict):
    """Limits for one metric; ``None`` is not checked.

    ``max_bd_rate`` in percent for each curve, ``max_mean_bd_rate`` for the mean of the sources' BD-rates. Drops
    (baseline minus candidate at equal bitrate) in the metric's unit, for the mean, the 5th percentile and the worst
    frame of any rung.
    """

    max_bd_rate: float | None = None
    max_mean_bd_rate: float | None = None
    max_drop_mean: float | None = None
    max_drop_p5: float | None = None
    max_drop_min: float | None = None


class Limits(_Strict):
    """Limits on one source.

    ``max_bitrate_increase`` in percent against the baseline at any rung; ``max_overshoot`` in percent of a rung's target
    bitrate; ``max_encode_time`` as a ratio of CPU seconds over all rungs.
    """

    metrics: dict[str, MetricPolicy] = {}
    max_bitrate_increase: float | None = None
    max_overshoot: float | None = None
    max_encode_time: float | None = None

    @model_validator(mode="after")
    def _of_low_metrics_the_mean(self) -> Self:
        for name, limits in self.metrics.items():
            others = limits.model_dump(exclude={"max_drop_mean"}, exclude_none=True)
            if lower_is_better(name) and others:
                raise ValueError(f"of {name}, of which low is good, only max_drop_mean can be checked")
        return self


class Allowance(_Strict):
    """A known exception: checks that it matches do not count, and ``reason`` is shown.

    ``source``, ``what`` and ``figure`` are patterns (``*``, ``?``) over the columns of the verdict.
    """

    reason: str = Field(min_length=1)
    source: str = "*"
    what: str = "*"
    figure: str = "*"

    def covers(self, source: str, what: str, figure: str) -> bool:
        pairs = ((what, self.what), (figure, self.figure))
        return _is_called(source, self.source) and all(fnmatchcase(text, pattern) for text, pattern in pairs)


class Policy(Limits):
    """A whole policy file: limits, other limits for some sources (by name or pattern), and known exceptions."""

    metrics: dict[str, MetricPolicy] = Field(min_length=1)
    sources: dict[str, Limits] = {}
    allow: tuple[Allowance, ...] = ()

    def limits_for(self, source: str) -> Limits:
        """The limits on a source: the file's own, with what the patterns that it matches set in their order."""
        values = self.model_dump(exclude={"sources", "allow"})
        for pattern, other in self.sources.items():
            if _is_called(source, pattern):
                values = _laid_over(values, other.model_dump(exclude_unset=True))
        return Limits.model_validate(values)

    @property
    def checked_metrics(self) -> tuple[str, ...]:
        """Every metric that some source is judged by."""
        return tuple(dict.fromkeys([*self.metrics, *(m for other in self.sources.values() for m in other.metrics)]))


def _is_called(source: str, pattern: str) -> bool:
    """Whether a pattern means a source: by its whole name, or by its file name where folders are part of the name."""
    return fnmatchcase(source, pattern) or fnmatchcase(source.rsplit("/", 1)[-1], pattern)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def default_policy(metric: str) -> Policy:
    """Without a file: at most 1 % BD-rate, where there is one, and at most 1 % of the metric's range lost at any rung."""
    drop = METRICS[metric].default_drop if metric in METRICS else 1.0
    bd_rate = None if lower_is_better(metric) else 1.0
    return Policy(metrics={metric: MetricPolicy(max_bd_rate=bd_rate, max_drop_mean=drop)})


def read_policy(path: Path) -> Policy:
    """Load a TOML policy.

    Raises:
        UsageError: unreadable, an unknown key (with the nearest known one), or a value that cannot be meant.
    """
    values = read_toml(path, "policy")
    try:
        return Policy.model_validate(values)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        known = [*Policy.model_fields, *MetricPolicy.model_fields, *Allowance.model_fields]
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1) if first["loc"] else []
        hint = f"did you mean {near[0]}?" if first["type"] == "extra_forbidden" and near else None
        raise UsageError(": ".join(filter(None, (f"policy {path}", where, said))), hint=hint) from err
