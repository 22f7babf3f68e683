"""What a gate tolerates. Pure."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vqa_cli.errors import UsageError


class MetricPolicy(BaseModel):
    """Limits for one metric; ``None`` is not checked.

    ``max_bd_rate`` in percent; drops (baseline minus candidate) in the metric's unit, for the mean, the 5th percentile
    and the worst frame of any rung.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_bd_rate: float | None = None
    max_drop_mean: float | None = None
    max_drop_p5: float | None = None
    max_drop_min: float | None = None


class Policy(BaseModel):
    """A whole policy file.

    ``max_bitrate_increase`` in percent at any rung; ``max_encode_time`` as a ratio of CPU seconds over all rungs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metrics: dict[str, MetricPolicy] = Field(min_length=1)
    max_bitrate_increase: float | None = None
    max_encode_time: float | None = None


def default_policy(metric: str) -> Policy:
    """Without a file: at most 1 % BD-rate, and at most 1 % of the metric's range lost at any rung."""
    drop = {"ssim": 0.005, "psnr": 0.3, "xpsnr": 0.3}.get(metric, 1.0)
    return Policy(metrics={metric: MetricPolicy(max_bd_rate=1.0, max_drop_mean=drop)})


def read_policy(path: Path) -> Policy:
    """Load a TOML policy.

    Raises:
        UsageError: unreadable, an unknown key (with the nearest known one), or a value that cannot be meant.
    """
    try:
        return Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as err:
        raise UsageError(f"cannot read policy: {path}", detail=err.strerror) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise UsageError(f"not a TOML file: {path}", detail=str(err)) from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        known = [*Policy.model_fields, *MetricPolicy.model_fields]
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if first["type"] == "extra_forbidden" and near else None
        raise UsageError(f"policy {path}: {where}: {first['msg']}", hint=hint) from err
