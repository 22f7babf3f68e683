"""Charts as Vega-Lite, for the page (colours are CSS variables, so a change of theme redraws nothing) and as files. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

_STEPS = (1.0, 2.0, 5.0)
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left", "triangle-right")
_DASHES = ([1, 0], [7, 4], [2, 3], [10, 3, 2, 3])
_KBPS_LABEL = "datum.value >= 1000 ? format(datum.value / 1000, '~g') + 'M' : format(datum.value, '~g') + 'k'"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of one theme; ``series`` go to codecs in turn."""

    ground: str
    ink: str
    muted: str
    line: str
    hull: str
    warn: str
    series: tuple[str, ...]


LIGHT = Palette(
    ground="#ffffff", ink="#16191d", muted="#5b6470", line="#e3e6ea", hull="#8a94a3", warn="#b42318",
    series=("#1f6feb", "#d9480f", "#0b7a5c", "#8a3ffc", "#b0124f", "#8a6a00", "#0a7ea4", "#5c6b1f"),
)  # fmt: skip
DARK = Palette(
    ground="#15181d", ink="#eceef1", muted="#9aa4b2", line="#2a2f37", hull="#8791a0", warn="#ff8577",
    series=("#6cb0ff", "#ff9f57", "#4fd1a5", "#c4a1ff", "#ff86b3", "#e3c14d", "#5fd0ee", "#b6c763"),
)  # fmt: skip
PAGE = Palette(
    ground="transparent", ink="var(--ink)", muted="var(--muted)", line="var(--line)", hull="var(--hull)",
    warn="var(--warn)", series=tuple(f"var(--series-{i})" for i in range(len(LIGHT.series))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RateAxes:
    """What the channels of a rate chart stand for: values in the order of their colours, shapes and dashes.

    ``kbps`` is the range of the horizontal axis.
    """

    codecs: Sequence[str]
    sizes: Sequence[str]
    runs: Sequence[str]
    kbps: tuple[float, float]

    @classmethod
    def around(
        cls, rates: Sequence[float], codecs: Sequence[str], sizes: Sequence[str], runs: Sequence[str]
    ) -> RateAxes:
        """Axes with a margin of an eighth on both sides of the rates, which are in kb/s and above zero."""
        low, high = (min(rates), max(rates)) if rates else (100.0, 1000.0)
        return cls(codecs, sizes, runs, (low / 1.125, high * 1.125))


def colour_of(codecs: Sequence[str], codec: str, palette: Palette) -> str:
    """The colour that a codec has in every chart of a title."""
    return palette.series[codecs.index(codec) % len(palette.series)]


def rate_chart(axes: RateAxes, palette: Palette, *, legend: bool, metric: str | None = None) -> dict[str, Any]:
    """Quality against bitrate: one line per codec, size and run.

    Its data are named, to be filled by :func:`with_data` or by the page: ``points`` (kbps, q, codec, size, run, series,
    key, label, rate, value, chosen, inverted), ``hull`` (kbps, q, run) and ``ceiling`` (q, text, side: ``left``
    or ``right``).
    """
    x, y = _rate_axis(axes), _quality_axis(metric)
    near = alt.selection_point(name="near", fields=["series"], on="pointerover", clear="pointerout", nearest=True)
    points = alt.Chart(alt.NamedData("points")).encode(x=x, y=y)
    # The marks that carry no encoding of their own are told apart by data, so that the page can leave them empty.
    layers = [
        _hull_layer(x, y, palette),
        *_ceiling_layers(y, palette),
        points.mark_line(strokeWidth=2, clip=True).encode(
            **_series_channels(axes, palette, legend=legend),
            detail="series:N",
            opacity=alt.when(near).then(alt.value(1)).otherwise(alt.value(0.25)),
        ),
        points.mark_point(size=230, strokeWidth=1.5, color=palette.ink).transform_filter("datum.chosen"),
        points.mark_point(size=330, strokeWidth=1.5, color=palette.warn, shape="diamond").transform_filter(
            "datum.inverted"
        ),
        _dots(points, axes, palette, legend=legend).add_params(near),
    ]
    return _finish(alt.layer(*layers), palette)


def _rate_axis(axes: RateAxes) -> alt.X:
    axis = alt.Axis(
        values=list(_ticks(*axes.kbps)), labelExpr=_KBPS_LABEL, title="video bitrate, bit/s (log)", grid=True
    )
    return alt.X("kbps:Q", scale=alt.Scale(type="log", domain=list(axes.kbps), nice=False), axis=axis)


def _quality_axis(metric: str | None) -> alt.Y:
    return alt.Y("q:Q", scale=alt.Scale(zero=False, nice=True, padding=6), axis=alt.Axis(title=metric, tickCount=6))


def _ticks(low: float, high: float) -> Iterator[float]:
    """1-2-5 values within the range; every power's steps alone when the range spans more than three decades."""
    steps = _STEPS if high / low < 1000 else _STEPS[:1]
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        yield from (value for step in steps if low <= (value := step * 10.0**power) <= high)


def _series_channels(axes: RateAxes, palette: Palette, *, legend: bool) -> dict[str, Any]:
    colours = [colour_of(axes.codecs, codec, palette) for codec in axes.codecs]
    dashes = [_DASHES[i % len(_DASHES)] for i in range(len(axes.runs))]
    shown = alt.Legend() if legend else None
    channels: dict[str, Any] = {
        "color": alt.Color(
            "codec:N", scale=alt.Scale(domain=list(axes.codecs), range=colours), legend=shown, title="codec"
        )
    }
    if len(axes.runs) > 1:
        scale = alt.Scale(domain=list(axes.runs), range=dashes)
        channels["strokeDash"] = alt.StrokeDash("run:N", scale=scale, legend=shown, title="run")
    return channels


def _dots(points: alt.Chart, axes: RateAxes, palette: Palette, *, legend: bool) -> Any:
    shapes = [_SHAPES[i % len(_SHAPES)] for i in range(len(axes.sizes))]
    scale = alt.Scale(domain=list(axes.sizes), range=shapes)
    channels = _series_channels(axes, palette, legend=legend)
    channels.pop("strokeDash", None)
    return points.mark_point(filled=True, size=62, opacity=1).encode(
        **channels,
        shape=alt.Shape("size:N", scale=scale, legend=alt.Legend() if legend else None, title="size"),
        tooltip=alt.value("rung"),  # any value: the page fills in the rung that lies nearest
    )


def _hull_layer(x: alt.X, y: alt.Y, palette: Palette) -> Any:
    mark = alt.Chart(alt.NamedData("hull")).mark_line(
        strokeWidth=11, opacity=0.28, color=palette.hull, strokeCap="round", strokeJoin="round", clip=True
    )
    return mark.encode(x=x, y=y, detail="run:N")


def _ceiling_layers(y: alt.Y, palette: Palette) -> list[Any]:
    base = alt.Chart(alt.NamedData("ceiling"))
    look: dict[str, Any] = {"baseline": "bottom", "dy": -3, "fontSize": 11, "color": palette.muted}
    left = base.mark_text(align="left", dx=5, **look).encode(x=alt.value(0), y=y, text="text:N")
    right = base.mark_text(align="right", dx=-5, **look).encode(x=alt.value("width"), y=y, text="text:N")
    return [
        base.mark_rule(strokeDash=[3, 3], strokeWidth=1.25, color=palette.muted).encode(y=y),
        left.transform_filter("datum.side == 'left'"),
        right.transform_filter("datum.side == 'right'"),
    ]


def frame_chart(palette: Palette) -> dict[str, Any]:
    """Quality over time: data ``frames`` (t in seconds, q, who: ``a``, ``b`` or ``source``) and ``cursor`` (t)."""
    zoom = alt.selection_interval(
        name="zoom", bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]",
        translate="[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    )  # fmt: skip
    colours = [palette.ink, palette.series[4], palette.muted]
    lines = (
        alt.Chart(alt.NamedData("frames"))
        .mark_line(clip=True, strokeJoin="round")
        .encode(
            x=alt.X("t:Q", scale=alt.Scale(zero=True, nice=False), axis=alt.Axis(title="time, s", grid=False)),
            y=alt.Y("q:Q", scale=alt.Scale(zero=False, nice=True, padding=6), axis=alt.Axis(title=None, tickCount=5)),
            color=alt.Color("who:N", scale=alt.Scale(domain=["a", "b", "source"], range=colours), legend=None),
            strokeWidth=alt.StrokeWidth(
                "who:O", scale=alt.Scale(domain=["a", "b", "source"], range=[1.6, 1.6, 1]), legend=None
            ),
        )
        .add_params(zoom)
    )
    cursor = alt.Chart(alt.NamedData("cursor")).mark_rule(color=palette.muted, clip=True).encode(x="t:Q")
    return _finish(alt.layer(cursor, lines), palette)


def with_data(spec: Mapping[str, Any], data: Mapping[str, Sequence[Mapping[str, Any]]], **size: Any) -> dict[str, Any]:
    """A chart with its named data filled in and, if given, another ``width`` and ``height``."""
    return {**spec, **size, "datasets": {name: list(rows) for name, rows in data.items()}}


def _finish(chart: Any, palette: Palette) -> dict[str, Any]:
    spec: dict[str, Any] = chart.properties(width="container", height=320).to_dict(validate=False)
    return {**spec, "config": chart_config(palette), "background": palette.ground}


def chart_config(palette: Palette) -> dict[str, Any]:
    """Type and colours that all charts share."""
    text = {"labelColor": palette.muted, "titleColor": palette.muted, "titleFontWeight": "normal"}
    axis = {
        **text,
        "gridColor": palette.line,
        "domainColor": palette.line,
        "tickColor": palette.line,
        "labelFontSize": 11,
    }
    return {
        "font": _FONT,
        "aria": False,  # the page names each chart as a whole; its values are in the table of rungs
        "axis": {**axis, "titleFontSize": 11, "labelFlush": False},
        "legend": {
            **text,
            "labelColor": palette.ink,
            "symbolBaseFillColor": palette.muted,
            "symbolBaseStrokeColor": palette.muted,
        },
        "title": {"color": palette.ink, "subtitleColor": palette.muted, "anchor": "start", "fontSize": 14},
        "view": {"stroke": None},
    }
