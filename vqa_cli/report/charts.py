"""Charts as Vega-Lite specifications, made with Altair; the page and `vqa report --format svg|png` share them."""

from __future__ import annotations

from typing import Any

from vqa_cli.report.view import SourceView

# Okabe and Ito's palette: told apart by people with any colour vision, on light and dark ground.
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f"]
_WIDTH, _HEIGHT = 520, 330


def rate_quality_chart(source: SourceView, metric: str, title: str) -> dict[str, Any]:
    """Quality against bitrate on a log axis: a line per codec (colour) and size (shape, dash), hull, source as ceiling."""
    import altair as alt

    rows = [row for row in source.chart_rows if row["metric"] == metric]
    data = alt.Data(values=rows)
    sizes = sorted({row["size"] for row in rows}, key=lambda s: int(s[:-1]), reverse=True)
    x = alt.X("kbps:Q", scale=alt.Scale(type="log", nice=False, padding=18), title="video bitrate, kb/s (log)",
              axis=alt.Axis(values=_ticks([row["kbps"] for row in rows]), format="~s", grid=True))  # fmt: skip
    y = alt.Y("quality:Q", scale=alt.Scale(zero=False, padding=12, nice=False), title=title)
    colour = alt.Color("codec:N", scale=alt.Scale(range=_COLOURS), legend=alt.Legend(title=None, orient="top", labelLimit=240))
    tips = [alt.Tooltip("rung:N"), alt.Tooltip("rate:N"), alt.Tooltip("kbps:Q", format=".1f", title="kb/s"),
            alt.Tooltip("quality:Q", format=".4f", title=title)]  # fmt: skip
    base = alt.Chart(data)
    lines = base.mark_line(strokeWidth=2).encode(
        x=x, y=y, color=colour,
        strokeDash=alt.StrokeDash("size:N", sort=sizes, legend=None),
    )  # fmt: skip
    marks = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=x, y=y, color=colour, tooltip=tips,
        shape=alt.Shape("size:N", sort=sizes, legend=alt.Legend(title=None, orient="top")),
    )  # fmt: skip
    hull = alt.Chart(alt.Data(values=[row for row in source.hull_rows if row["metric"] == metric])).mark_line(
        strokeWidth=7, opacity=0.18, color="#808080", interpolate="linear"
    ).encode(x=x, y=y)  # fmt: skip
    layers = [hull, lines, marks]
    if metric in source.ceilings:
        ceiling = alt.Chart(alt.Data(values=[{"q": source.ceilings[metric], "label": "source"}]))
        layers.append(ceiling.mark_rule(strokeDash=[2, 4], strokeWidth=1.5, color="#808080").encode(y="q:Q"))
        layers.append(
            ceiling.mark_text(align="left", dx=4, dy=-6, color="#808080").encode(y="q:Q", x=alt.value(0), text="label:N")
        )
    spec: dict[str, Any] = (
        alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT).resolve_scale(strokeDash="independent").to_dict()
    )
    return spec


def _ticks(rates: list[float]) -> list[float]:
    """1-2-5 steps over the range, which a log axis would label too thinly."""
    if not rates:
        return []
    low, high = min(rates) * 0.8, max(rates) * 1.25
    steps = [factor * 10.0**power for power in range(0, 7) for factor in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]
