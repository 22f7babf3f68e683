"""The ffmpeg filters that measure full-reference metrics, as the rows of the table say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vqa_cli.metrics import TABLE, Metric, models_for


@dataclass(frozen=True, slots=True)
class Comparison:
    """An ffmpeg filter that compares two streams: its name and options.

    Attributes:
        printed: the log to which the frames' metadata go after it; ``None`` where it writes its log itself.
    """

    name: str
    options: dict[str, str]
    printed: str | None = None


def comparison_filters(names: Iterable[str], threads: int, display: int = 1080, fps: float = 25.0) -> list[Comparison]:
    """The ffmpeg filters that measure ``names``, one log each.

    Args:
        display: short side at which pictures are compared; with ``fps`` it chooses the models.
    """
    asked = set(names)
    wanted = [metric for metric in TABLE if metric.name in asked]
    filters: list[Comparison] = []
    if fused := [metric for metric in wanted if metric.filter == "libvmaf"]:
        models = models_for(asked, display, fps)
        # Without any model libvmaf takes its own.
        joined = "|".join(f"version={model}:name={name}" for name, model in models.items()) or "version=vmaf_v0.6.1"
        options = {"model": joined, "log_fmt": "json", "log_path": fused[0].log, "n_threads": str(threads)}
        features = "|".join(f"name={metric.feature}" for metric in fused if metric.feature)
        filters.append(Comparison("libvmaf", options | ({"feature": features} if features else {})))
    others = {metric.filter: metric for metric in wanted if metric.filter != "libvmaf"}
    return filters + [_logged(metric) for metric in others.values()]


def _logged(metric: Metric) -> Comparison:
    if metric.metadata:
        return Comparison(metric.filter, {}, metric.log)
    return Comparison(metric.filter, {"stats_file": metric.log})
