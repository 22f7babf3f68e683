"""Colours, dashes and shapes of the charts. Pure.

A codec is told apart by colour **and** dash, a size by shape, so that no reading needs colour vision or a colour printer.
The series were searched for the largest CIEDE2000 between any two of them as people with deuteranopia, protanopia and
tritanopia see them (G. Machado et al., IEEE TVCG 15, 2009), the first ones furthest apart, at a contrast of 3:1 or more with
the ground. ``tests/report/test_report_palette.py`` holds the distances.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme; ``series`` go to codecs in turn, ``rival`` is the second rung over time, beside the ink."""

    ground: str
    ink: str
    muted: str
    line: str
    warn: str
    rival: str
    series: tuple[str, ...]


LIGHT = Palette(
    ground="#ffffff", ink="#16191d", muted="#5b6470", line="#e3e6ea", warn="#b42318", rival="#cf7136",
    series=("#1c60f4", "#cf7136", "#00491b", "#712d5f", "#1613c7", "#6e5b09", "#0a97c6", "#a11745"),
)  # fmt: skip
DARK = Palette(
    ground="#15181d", ink="#eceef1", muted="#9aa4b2", line="#2a2f37", warn="#ff8577", rival="#e173a7",
    series=("#96a3ff", "#ffd895", "#049364", "#e173a7", "#7f57d2", "#adaa02", "#58e2ff", "#f72c65"),
)  # fmt: skip
# Variables of the style sheet: a change of theme redraws nothing.
PAGE = Palette(
    ground="var(--card)", ink="var(--ink)", muted="var(--muted)", line="var(--line)", warn="var(--warn)",
    rival="var(--rival)",
    series=tuple(f"var(--series-{i})" for i in range(len(LIGHT.series))),
)  # fmt: skip

DASHES = ("", "8 4", "2 3", "9 3 2 3", "16 4", "5 2", "9 3 2 3 2 3", "1 5")

_CIRCLE = "M-4.4,0a4.4,4.4 0 1,0 8.8,0a4.4,4.4 0 1,0 -8.8,0Z"
SHAPES = (
    _CIRCLE,
    "M-4,-4H4V4H-4Z",
    "M0,-5.2L5,3.6H-5Z",
    "M0,-5.6L5.6,0L0,5.6L-5.6,0Z",
    "M-5.2,-1.8H-1.8V-5.2H1.8V-1.8H5.2V1.8H1.8V5.2H-1.8V1.8H-5.2Z",
    "M0,5.2L5,-3.6H-5Z",
    "M-5.2,0L3.6,-5V5Z",
    "M5.2,0L-3.6,-5V5Z",
)


def colour(palette: Palette, series: int) -> str:
    """The colour that the n-th codec has in every chart of a title."""
    return palette.series[series % len(palette.series)]


def dash(series: int) -> str:
    """Its dash; beyond eight codecs colours return with another one."""
    return DASHES[(series + series // len(DASHES)) % len(DASHES)]


def shape(size: int) -> str:
    """Outline of the n-th size around its centre, as an SVG path."""
    return SHAPES[size % len(SHAPES)]
