"""SVG text, and the axes that all charts share. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vqa_cli.report.palette import Palette
from vqa_cli.report.scales import Scale, tick_text
from vqa_cli.text import xml

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
TEXT_PX = 11
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 48, 14, 12, 40


@dataclass(frozen=True, slots=True)
class Size:
    """Of a chart with its axes, in px."""

    width: int
    height: int

    def across(self, low: float, high: float) -> Scale:
        """A horizontal scale over the plot."""
        return Scale(low, high, LEFT_PX, self.width - RIGHT_PX)

    def up(self, low: float, high: float) -> Scale:
        """A vertical scale over the plot."""
        return Scale(low, high, self.height - BOTTOM_PX, TOP_PX)


def number(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def tag(name: str, attributes: dict[str, object], *children: str) -> str:
    """One element; attributes that are ``None`` are left out, children are markup."""
    texts = (
        (key, number(value) if isinstance(value, float) else str(value))
        for key, value in attributes.items()
        if value is not None
    )
    given = "".join(f' {key}="{escape(xml(text))}"' for key, text in texts)
    return f"<{name}{given}>{''.join(children)}</{name}>" if children else f"<{name}{given}/>"


def label(x: float, y: float, words: str, palette: Palette, **attributes: object) -> str:
    """A piece of small text."""
    look: dict[str, object] = {"x": x, "y": y, "font-size": TEXT_PX, "fill": palette.muted}
    return tag(
        "text", {**look, **{key.replace("_", "-"): value for key, value in attributes.items()}}, escape(xml(words))
    )


def path(places: Sequence[tuple[float, float]]) -> str:
    """A line through places."""
    return "M" + "L".join(f"{number(x)},{number(y)}" for x, y in places)


def plot(size: Size, *content: str) -> str:
    """Marks that end where the plot does, with room for a whole ring around the last."""
    box = {"x": 0, "y": 0, "width": size.width, "height": size.height - BOTTOM_PX + 10}
    return tag("svg", {**box, "overflow": "hidden"}, *content)


def whole(size: Size, *content: str) -> str:
    """A chart that takes the width of its place."""
    box = f"0 0 {size.width} {size.height}"
    return tag("svg", {"viewBox": box, "width": size.width, "height": size.height, "class": "plot"}, *content)


def axes(
    size: Size, x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], title: str, palette: Palette
) -> str:
    """Grid lines, the values at them, and what the horizontal axis stands for."""
    bottom, right = size.height - BOTTOM_PX, size.width - RIGHT_PX
    line: dict[str, object] = {"stroke": palette.line, "fill": "none"}
    across = [tag("path", {"d": path([(LEFT_PX, y(v)), (right, y(v))]), **line}) for v in y_ticks]
    up = [tag("path", {"d": path([(x(v), TOP_PX), (x(v), bottom + 4)]), **line}) for v in x_ticks]
    values = [label(LEFT_PX - 7.0, y(v) + 4, t, palette, text_anchor="end") for v, t in _texts(y_ticks)]
    rates = [label(x(v), bottom + 17.0, t, palette, text_anchor="middle") for v, t in _spread(x, _texts(x_ticks))]
    name = label((LEFT_PX + right) / 2, size.height - 5.0, title, palette, text_anchor="middle")
    return tag("g", {"class": "axes", "aria-hidden": "true"}, *across, *up, *values, *rates, name)


def _texts(values: Sequence[float]) -> list[tuple[float, str]]:
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    return [(value, tick_text(value, step)) for value in values]


def _spread(x: Scale, texts: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The texts that do not run into the one before."""
    kept: list[tuple[float, str]] = []
    end = float("-inf")
    for value, text in texts:
        half = len(text) * TEXT_PX * 0.3
        if x(value) - half > end:
            kept.append((value, text))
            end = x(value) + half + 5
    return kept
