"""The page: one self-contained file that works from disk, without a network and under a strict content policy."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli._version import __version__
from vqa_cli.document import Run
from vqa_cli.errors import StorageError
from vqa_cli.files import replacing
from vqa_cli.report import labels
from vqa_cli.report.charts import DARK, LIGHT, PAGE, Palette, colour_of, frame_chart, rate_chart, with_data
from vqa_cli.report.findings import Entry, rung_name
from vqa_cli.report.frames import parse_fps
from vqa_cli.report.overview import compare_over
from vqa_cli.report.payload import frame_choice, frame_data, page_data, panel_metrics, rate_axes, rate_data
from vqa_cli.report.view import Page, TitleView, build_page
from vqa_cli.resources import template_dir

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

    from vqa_cli.report.frames import Frames

_SCRIPTS = ("report.js", "curves.js", "frames.js", "rungs.js")
# Charts that are drawn here, for readers without scripts and for print; each costs a twentieth of a second and 20 kB.
_DRAWN_TITLES = 12
_RATE_SIZE = {"width": 560, "height": 320}
_FRAME_SIZE = {"width": 1160, "height": 260}


def render(
    runs: Sequence[Run],
    frames: Sequence[Frames | None] | None = None,
    *,
    labels_of_runs: Sequence[str] | None = None,
    metric: str | None = None,
) -> str:
    """The report as HTML text.

    Args:
        runs: one or more run documents; several are overlaid source by source.
        frames: per run, frame values by (source index, rung id), ``None`` where they are not known.
        labels_of_runs: what to call the runs; default is preset and time.
        metric: what the headline and the recommendation go by; default is each run's own choice.

    Raises:
        UsageError: no run, or none that measured ``metric``.
        StorageError: a document that cannot be drawn.
    """
    page = build_page(runs, labels_of_runs, metric)
    known = dict(zip(string.ascii_uppercase, frames or (), strict=False))
    data = page_data(page, {key: tables for key, tables in known.items() if tables})
    specs = {
        "rate": {title.key: rate_chart(rate_axes(title), PAGE, legend=False) for title in page.titles},
        "frames": frame_chart(PAGE),
    }
    scripts = {"vega": _vega(), "page": _script()}
    template = _environment().get_template("report.html.j2")
    return template.render(
        page=page,
        data=data,
        drawn=_drawn(page, data, specs),
        specs=specs,
        choices={title.key: frame_choice(title) for title in page.titles},
        panels={title.key: panel_metrics(title) for title in page.titles},
        overview_pairs=compare_over(page.titles),
        scripts=scripts,
        policy=_policy(scripts.values()),
        style=_style(),
        version=__version__,
    )


def write_report(
    runs: Sequence[Run],
    path: Path,
    frames: Sequence[Frames | None] | None = None,
    *,
    labels_of_runs: Sequence[str] | None = None,
    metric: str | None = None,
) -> None:
    """Render and write, whole or not at all.

    Raises:
        UsageError, StorageError: as :func:`render`, or the file cannot be written.
    """
    text = render(runs, frames, labels_of_runs=labels_of_runs, metric=metric)
    # A file name that is not UTF-8 reaches us with surrogates, which a page cannot hold.
    write_file(path, text.encode("utf-8", errors="replace"))


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with replacing(path) as staged:
            staged.write_bytes(content)
    except OSError as err:
        raise StorageError(f"cannot write report: {path}", detail=err.strerror) from err


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir()), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["script_json"] = script_json
    environment.globals.update(show=labels, colour_of=_colour_of, title_fps=parse_fps, show_rung=_show_rung)
    return environment


def _show_rung(entry: Entry, rung_id: str) -> str:
    return rung_name(entry.rung(rung_id))


def _colour_of(title: TitleView, codec: str) -> str:
    return colour_of(title.codecs, codec, PAGE)


def script_json(value: Any) -> Markup:
    """JSON for a script element of the page: nothing in it can end the element or open a comment."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that defines ``vegaEmbed``."""
    import vl_convert

    text: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return text.replace("</script", "<\\/script")


def _script() -> str:
    """The page's own script, in a scope of its own: the charts' library defines short global names."""
    parts = [(template_dir() / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return "(() => {\n" + "\n".join(parts) + "})();"


def _style() -> str:
    """The style sheet, after the colours that charts and page share."""
    dark = _variables(DARK)
    themes = (
        f":root{{{_variables(LIGHT)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f"@media screen{{:root[data-theme=dark]{{{dark}}}}}"
    )
    return themes + (template_dir() / "report.css").read_text(encoding="utf-8")


def _variables(palette: Palette) -> str:
    named = {name: getattr(palette, name) for name in ("ink", "muted", "line", "hull", "warn")}
    named |= {f"series-{i}": colour for i, colour in enumerate(palette.series)}
    return ";".join(f"--{name}:{colour}" for name, colour in {**named, "card": palette.ground}.items())


def _policy(scripts: Any) -> str:
    """Content policy: these scripts and no others, nothing from anywhere else."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _drawn(page: Page, data: Mapping[str, Any], specs: Mapping[str, Any]) -> dict[str, str]:
    """SVG of the charts as the page opens, by title and panel; scripts replace them by live ones."""
    found: dict[str, str] = {}
    for title, content in zip(page.titles[:_DRAWN_TITLES], data["titles"], strict=False):
        for number, metric in enumerate(panel_metrics(title)):
            name = f"{title.key}-panel{number}"
            found[name] = _svg(with_data(specs["rate"][title.key], rate_data(title, metric), **_RATE_SIZE), name)
        rungs = [(view.key, who) for view, who in zip(frame_choice(title), "ab", strict=True) if view]
        if rungs:
            name = f"{title.key}-frames"
            rows = frame_data(content, title.primary.key, rungs)
            found[name] = _svg(with_data(specs["frames"], rows, **_FRAME_SIZE), name)
    return found


def _svg(spec: Mapping[str, Any], name: str) -> Markup:
    """An SVG that takes the width of its place; its inner ids are unique on the page and the same in every rendering."""
    import vl_convert
    from markupsafe import Markup

    text: str = vl_convert.vegalite_to_svg(dict(spec))
    seen: dict[str, str] = {}
    text = re.sub(r"\bclip\d+\b", lambda match: seen.setdefault(match[0], f"{name}-clip{len(seen)}"), text)
    return Markup(text.replace("<svg ", '<svg preserveAspectRatio="xMinYMin meet" ', 1))
