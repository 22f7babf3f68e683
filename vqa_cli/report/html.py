"""The page: one self-contained file that works from disk, without a network and under a strict content policy."""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli._version import __version__
from vqa_cli.document import Run
from vqa_cli.errors import StorageError
from vqa_cli.files import replacing
from vqa_cli.report import charts, labels
from vqa_cli.report.findings import Entry, rung_name
from vqa_cli.report.frames import parse_fps
from vqa_cli.report.overview import compare_over
from vqa_cli.report.palette import DARK, DASHES, LIGHT, PAGE, SHAPES, Palette
from vqa_cli.report.payload import frame_places, page_data, panel_metrics, rate_data, title_range
from vqa_cli.report.stills import Album, add_pictures
from vqa_cli.report.svg import Size
from vqa_cli.report.view import Page, build_page
from vqa_cli.resources import template_dir
from vqa_cli.text import plural

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

    from vqa_cli.frametable import RunFrames
    from vqa_cli.report.pairs import Opening

# The report's template, and those that it extends and imports.
_PAGE = tuple(f"{name}.html.j2" for name in ("report", "base", "parts", "tables", "provenance", "common"))
_SCRIPTS = ("page.js", "chart.js", "plot.js", "curves.js", "bits.js", "stills.js", "frames.js", "rungs.js")
RATE_SIZE = Size(560, 330)
_FRAME_SIZE = Size(1160, 260)


def render(
    runs: Sequence[Run],
    frames: Sequence[RunFrames | None] | None = None,
    *,
    labels_of_runs: Sequence[str] | None = None,
    metric: str | None = None,
    album: Album | None = None,
) -> str:
    """The report as HTML text.

    Args:
        runs: one or more run documents; several are overlaid source by source.
        frames: per run, frame values by (source index, rung id), ``None`` where they are not known.
        labels_of_runs: what to call the runs; default is preset and time.
        metric: what the headline and the recommendation go by; default is each run's own choice.
        album: pictures of the runs.

    Raises:
        UsageError: no run, or none that measured ``metric``.
        StorageError: a document that cannot be drawn.
    """
    return "".join(_parts(runs, frames, labels_of_runs, metric, album))


def _parts(
    runs: Sequence[Run],
    frames: Sequence[RunFrames | None] | None,
    labels_of_runs: Sequence[str] | None,
    metric: str | None,
    album: Album | None,
) -> Iterator[str]:
    """The page piece by piece: of a thousand sources the whole text is larger than what it is made from."""
    page = build_page(runs, labels_of_runs, metric)
    known = dict(zip(string.ascii_uppercase, frames or (), strict=False))
    tables = {key: found for key, found in known.items() if found}
    data, album = page_data(page, tables), album or Album()
    openings = add_pictures(page.titles, data, album, tables)
    script = page_script("report.js")
    yield from (
        environment()
        .get_template("report.html.j2")
        .generate(
            page=page,
            data=data,
            drawn=_drawn(page, data, openings),
            openings=openings,
            panels={title.key: panel_metrics(title) for title in page.titles},
            bd_tables={content["key"]: content["bd"] for content in data},
            overview_pairs=compare_over(page.titles),
            **shell(script, linked=album.linked),
        )
    )


def write_report(
    runs: Sequence[Run],
    path: Path,
    frames: Sequence[RunFrames | None] | None = None,
    *,
    labels_of_runs: Sequence[str] | None = None,
    metric: str | None = None,
    album: Album | None = None,
) -> None:
    """Render and write, whole or not at all.

    Raises:
        UsageError, StorageError: as :func:`render`, or the file cannot be written.
    """
    # A file name that is not UTF-8 reaches us with surrogates, which a page cannot hold.
    parts = _parts(runs, frames, labels_of_runs, metric, album)
    _write(path, (part.encode("utf-8", errors="replace") for part in parts))


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    _write(path, [content])


def _write(path: Path, parts: Iterable[bytes]) -> None:
    try:
        with replacing(path) as staged, staged.open("wb") as file:
            file.writelines(parts)
    except OSError as err:
        raise StorageError(f"cannot write report: {path}", detail=err.strerror) from err


def load_page() -> None:
    """Compile the page's templates ahead of :func:`write_report`."""
    for name in _PAGE:
        environment().get_template(name)


@cache
def environment() -> jinja2.Environment:
    """Where templates come from, and what they may use; made once, since compiling them takes longer than most pages."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir()), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["script_json"] = script_json
    found.globals.update(
        show=labels, plural=plural, title_fps=parse_fps, show_rung=_show_rung, swatch=_swatch, mark=_mark
    )
    return found


def shell(script: str, *, linked: bool = False) -> dict[str, Any]:
    """What every page has around its content; ``linked`` pages show pictures that lie beside them."""
    return {"script": script, "policy": _policy(script, linked=linked), "style": _style(), "version": __version__}


def _show_rung(entry: Entry, rung_id: str) -> str:
    return rung_name(entry.rung(rung_id))


def _swatch(series: int) -> Markup:
    from markupsafe import Markup

    return Markup(charts.swatch(series, PAGE))


def _mark(size: int) -> Markup:
    from markupsafe import Markup

    return Markup(charts.mark(size, PAGE))


def script_json(value: Any) -> Markup:
    """JSON for a script element of the page: nothing in it can end the element or open a comment."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def page_script(main: str) -> str:
    """The page's script, in a scope of its own: what all pages share, then ``main``."""
    constants = f"const DASHES = {json.dumps(DASHES)};\nconst SHAPES = {json.dumps(SHAPES)};\n"
    parts = [(template_dir() / name).read_text(encoding="utf-8") for name in (*_SCRIPTS, main)]
    return '(() => {\n"use strict";\n' + constants + "\n".join(parts) + "})();"


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
    named = {name: getattr(palette, name) for name in ("ink", "muted", "line", "warn", "rival")}
    named |= {f"series-{i}": colour for i, colour in enumerate(palette.series)}
    return ";".join(f"--{name}:{colour}" for name, colour in {**named, "card": palette.ground}.items())


def _policy(script: str, *, linked: bool) -> str:
    """Content policy: this script and no other, nothing from anywhere else."""
    beside = " 'self' file:" if linked else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:{beside}; "
        "base-uri 'none'; form-action 'none'"
    )


def _drawn(page: Page, data: Sequence[Mapping[str, Any]], openings: Mapping[str, Opening]) -> dict[str, Markup]:
    """The charts as the page opens, by title and panel; scripts draw them again at the width that there is."""
    from markupsafe import Markup

    found: dict[str, Markup] = {}
    for title, content in zip(page.titles, data, strict=True):
        for number, metric in enumerate(panel_metrics(title)):
            chart = charts.rate_chart(rate_data(title, metric), title_range(title), RATE_SIZE, PAGE)
            found[f"{title.key}-panel{number}"] = Markup(chart)
        opening = openings[title.key]
        rungs = [(who, view) for view, who in ((opening.first, "a"), (opening.second, "b")) if view]
        lines = [(who, frame_places(content, title.primary.key, view.key)) for who, view in rungs]
        if lines:
            span = title.entries[0].source.source.duration_s
            found[f"{title.key}-frames"] = Markup(charts.frame_chart(lines, span, _FRAME_SIZE, PAGE))
    return found
