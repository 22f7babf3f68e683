"""Reads what ffmpeg's comparison filters logged: one value per frame and metric."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import ToolError
from vqa_cli.files import refuse_full
from vqa_cli.metrics import METRICS, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Fidelity:
    """What a comparison gave.

    Attributes:
        values: per-frame series of each metric that could be read, each of shape (frames,).
        faults: why the others could not, by metric.
    """

    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The faults as sentences."""
        return tuple(f"{name} was not measured: {reason}" for name, reason in self.faults.items())


def read_logs(workdir: Path, names: Iterable[str], *, frames: int, bit_depth: int) -> Fidelity:
    """Read the log of each metric. One that cannot be read costs that metric, never the others.

    Raises:
        StorageError: a log is cut short because the disk is full.
    """
    result = Fidelity()
    for name in names:
        try:
            result.values[name] = _read(workdir, METRICS[name], frames, bit_depth)
        except ToolError as err:
            refuse_full(workdir)
            result.faults[name] = err.message
    return result


def _read(workdir: Path, metric: Metric, frames: int, bit_depth: int) -> NDArray[np.float64]:
    try:
        with (workdir / metric.log).open(encoding="utf-8") as log:
            values = np.fromiter(metric.read(log, bit_depth), dtype=np.float64)
    except OSError as err:
        raise ToolError(f"ffmpeg wrote no log ({err.strerror})") from err
    except KeyError as err:
        raise ToolError(f"its log has no {err.args[0]}") from err
    except (ValueError, TypeError) as err:
        raise ToolError("its log is damaged") from err
    if len(values) != frames:
        raise ToolError(f"{len(values)} values for {frames} frames")
    if wrong := np.flatnonzero(~np.isfinite(values)).tolist():
        raise ToolError(f"frame {wrong[0]} has no number ({len(wrong)} of {frames} frames)")
    return values
