"""Numbers and names as people read them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from vqa_cli.identity import ModelIdentity
from vqa_cli.metrics import METRICS

MINUS = "\u2212"
_NARROW_SPACE = "\u202f"


@dataclass(frozen=True, slots=True)
class MetricLabel:
    """How a metric is called and printed; ``about`` is one sentence for the page's glossary."""

    key: str
    name: str
    unit: str
    decimals: int
    about: str
    lower: bool = False

    def show(self, value: float | None) -> str:
        """The value at this metric's usual precision, a dash where there is none."""
        return "–" if value is None else _signed(f"{value:.{self.decimals}f}")

    def show_delta(self, value: float | None) -> str:
        """The same with a sign."""
        return "–" if value is None else _signed(f"{value:+.{self.decimals}f}")

    def show_change(self, value: float) -> str:
        """The same, and nothing has no sign."""
        return self.show_delta(value) if float(f"{abs(value):.{self.decimals}f}") else self.show(0.0)


def metric_label(key: str, model: ModelIdentity | None) -> MetricLabel:
    """Label of a run's metric; ``"model"`` is the no-reference model."""
    if key == "model" and model is not None:
        scale = model.scale
        decimals = 3 if scale.maximum - scale.minimum <= 2 else 2 if scale.maximum - scale.minimum <= 20 else 1
        return MetricLabel(key, model.name, scale.name, decimals, scale.description)
    if key not in METRICS:
        return MetricLabel(key, key, "", 2, "")
    metric = METRICS[key]
    return MetricLabel(key, metric.label, metric.unit, metric.decimals, metric.about, metric.lower)


POOLING_LABELS = {
    "mean": "overall (mean)",
    "harmonic_mean": "harmonic mean",
    "p10": "10th percentile",
    "p5": "5th percentile",
    "p1": "1st percentile",
    "min": "worst frame",
}


def _signed(text: str) -> str:
    return text.replace("-", MINUS)


def show_rate(kbps: float | None) -> str:
    """``847 kb/s``, ``2 410 kb/s``: one unit throughout, so that rates compare at a glance."""
    return "–" if kbps is None else f"{show_count(kbps)} kb/s"


def show_count(value: float) -> str:
    """``12 345`` with narrow spaces; below ten with a decimal."""
    text = f"{value:,.0f}" if abs(value) >= 9.95 or value == 0 else f"{value:.1f}"
    return text.replace(",", _NARROW_SPACE)


def show_bytes(count: int) -> str:
    """``1.06 MB``, in powers of 1000."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def show_percent(value: float | None) -> str:
    """``−38.2 %`` with a sign, a dash where there is none."""
    return "–" if value is None else _signed(f"{value:+.1f}{_NARROW_SPACE}%")


def tone(percent: float | None, interval: tuple[float, float] | None = None) -> str:
    """How a change of bitrate is coloured: not where it is less than one percent, or may be for the better or the worse."""
    if percent is None or abs(percent) < 1 or (interval and interval[0] <= 0 <= interval[1]):
        return ""
    return "good" if percent < 0 else "bad"


def show_speed(speed: float) -> str:
    """``12.5×``, ``0.4×``, ``0.04×``: against playing."""
    return f"{speed:.1f}×" if speed >= 1 else f"{speed:.1g}×"


def show_ratio(ratio: float) -> str:
    """``1.9 times the CPU time``, or that it is about the same."""
    return "about the same CPU time" if 0.95 < ratio < 1.05 else f"{ratio:.2g} times the CPU time"


def show_fps(fps: float) -> str:
    """``25``, ``29.97``."""
    return f"{fps:.2f}".rstrip("0").rstrip(".")


def show_duration(seconds: float) -> str:
    """``5.3 s``, ``2:05 min``, ``1:02:05 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def show_argv(argv: Sequence[str], rung: str) -> str:
    """A command line for a shell. The scratch folder that an encode lay in is left out: it is gone."""
    return shlex.join(_without_scratch(arg, rung) for arg in argv)


def shell(argv: Sequence[str]) -> str:
    """A command line for a shell."""
    return shlex.join(argv)


def _without_scratch(arg: str, rung: str) -> str:
    folder, slash, name = arg.rpartition("/")
    if not slash or not name.startswith(f"{rung}."):
        return arg
    return f"file:{name}" if folder.startswith("file:") else name


def join_words(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
