"""The charts in a real browser: pointed at, zoomed, read by keyboard, saved; and the same as those drawn without scripts."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium import Chromium
from report_runs import make_run

from vqa_cli.report.charts import frame_chart, rate_chart
from vqa_cli.report.html import write_report
from vqa_cli.report.pairs import open_frames_on
from vqa_cli.report.palette import PAGE
from vqa_cli.report.payload import frame_places, page_data, rate_data, title_range
from vqa_cli.report.svg import Size
from vqa_cli.report.view import build_page

pytestmark = pytest.mark.browser

NAME = "it's <one>.mp4"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, frames = make_run([NAME], frames=120)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report([run], path, [frames])
    return path


@pytest.fixture
def opened(browser: Chromium, page: Path) -> Chromium:
    browser.problems.clear()
    browser.open(page)
    browser.wait("document.querySelectorAll('.panel .chart.ready').length === 2")
    return browser


def click(browser: Chromium, selector: str) -> None:
    browser.run(f"document.querySelector({selector!r}).click()")


def place(browser: Chromium, selector: str, number: int = 0) -> tuple[float, float]:
    """Middle of an element on the screen."""
    spot = (
        f"(async () => {{ const e = document.querySelectorAll({selector!r})[{number}]; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
        " for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    x, y = browser.run(spot)
    return x, y


def test_pointing_tells_the_rung_and_clicking_chooses_it(opened: Chromium) -> None:
    x, y = place(opened, ".panel .pt", 5)
    opened.mouse("mouseMoved", x + 4, y + 3)
    opened.wait("!document.querySelector('#tip').hidden")
    run, _ = make_run([NAME], frames=120)
    rung = run.sources[0].rungs[5]
    text = opened.run("document.querySelector('#tip').textContent")
    assert rung.rate.label in text
    assert f"VMAF {rung.fidelity['vmaf'].pooled.mean:.1f}" in text
    opened.click(x + 4, y + 3)
    opened.wait("document.querySelector('tr.rung.on') !== null")
    assert opened.run("document.querySelector('.pick-a').value === document.querySelectorAll('tr.rung')[5].id")
    assert "t0.rung=t0A5" in opened.run("location.hash")
    opened.wait("Math.abs(document.querySelector('.frames').getBoundingClientRect().top) < 200")


def test_points_are_reached_and_chosen_by_keyboard(opened: Chromium) -> None:
    name = "document.activeElement.getAttribute('aria-label')"
    opened.run("document.querySelector('.panel .pt[tabindex=\"0\"]').focus()")
    assert opened.run("document.querySelectorAll('.panel')[0].querySelectorAll('.pt[tabindex=\"0\"]').length") == 1
    first = opened.run(name)
    assert first.startswith("libx264 medium 360p crf 20, ")
    opened.key("ArrowLeft")
    assert opened.run(name).startswith("libx264 medium 360p crf 25, ")
    opened.key("Home")
    assert opened.run(name).startswith("libx264 medium 360p crf 36, ")
    opened.key("ArrowDown")
    assert opened.run(name).startswith("libx264 medium 540p crf 36, ")
    opened.key("End")
    assert opened.run(name).startswith("libx264 medium 540p crf 20, ")
    opened.key("Enter")
    assert opened.run("document.querySelector('.pick-a').selectedOptions[0].textContent").startswith(
        "libx264 medium 540p crf 20"
    )
    opened.key("ArrowUp")
    opened.key("Enter", shift=True)
    assert opened.run("document.querySelector('.pick-b').selectedOptions[0].textContent").startswith(
        "libx264 medium 360p"
    )


def test_a_hidden_codec_takes_no_other_hull_along(opened: Chromium) -> None:
    hulls = "[...document.querySelectorAll('.panel:first-child .hulls path')].map(p => p.getAttribute('stroke'))"
    assert sorted(opened.run(hulls)) == ["var(--series-0)", "var(--series-1)"]
    click(opened, "[data-codec='libx264 medium']")
    assert opened.run(hulls) == ["var(--series-1)"]
    click(opened, "[data-size='720p']")
    assert opened.run(hulls) == ["var(--series-1)"]
    click(opened, "[data-layer='hull']")
    assert opened.run(hulls) == []


def test_what_is_recommended_and_not_encoded_has_a_dashed_ring(opened: Chromium) -> None:
    """By the metric and the statistic that it was chosen by: of others nothing is known between two rungs."""
    rings = "[...document.querySelectorAll('.panel')].map(p => p.querySelectorAll('circle[stroke-dasharray]').length)"
    run, _ = make_run([NAME], frames=120)
    title = build_page([run]).titles[0]
    chosen = [point for ladder in title.findings.ladders for point in ladder.advice.chosen]
    planned = [(point.kbps, point.quality) for point in chosen if not point.measured]
    assert [(row["kbps"], row["q"]) for row in rate_data(title, "vmaf").planned] == planned != []
    assert opened.run(rings) == [len(planned), 0]
    assert opened.run("document.querySelectorAll('.legend .ring').length") == 2
    click(opened, "[data-codec='libx264 medium']")
    assert 0 < opened.run(rings)[0] < len(planned)
    opened.run(
        "(() => { const s = document.querySelector('.pooling'); s.value = 'p5';"
        " s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    assert opened.run(rings) == [0, 0]


def test_charts_zoom(opened: Chromium) -> None:
    texts = "[...document.querySelectorAll('.panel:first-child .axes text')].map(t => t.textContent)"
    whole = opened.run(texts)
    left, top, width, height = opened.run(
        "(() => { const e = document.querySelector('.panel .plot'); e.scrollIntoView({block: 'center', behavior: 'instant'});"
        " const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    opened.drag((left + 0.5 * width, top + 0.2 * height), (left + 0.8 * width, top + 0.6 * height))
    zoomed = opened.run(texts)
    assert zoomed != whole
    assert opened.run("document.querySelector('tr.rung.on') === null")
    opened.click(left + 0.5 * width, top + 0.5 * height, clicks=1)
    opened.click(left + 0.5 * width, top + 0.5 * height, clicks=2)
    opened.wait(f"JSON.stringify({texts}) === JSON.stringify({whole!r})")
    click(opened, ".panel .tools button[aria-label='Zoom in']")
    assert opened.run(texts) != whole
    click(opened, ".panel .tools button[aria-label='Reset the zoom']")
    assert opened.run(texts) == whole
    assert opened.problems == []


def test_charts_are_saved_with_their_legend(opened: Chromium) -> None:
    opened.run(
        "window.saved = []; const make = URL.createObjectURL;"
        " URL.createObjectURL = (blob) => { window.saved.push(blob); return make(blob); };"
        " HTMLAnchorElement.prototype.click = function () { window.named = this.download; }; 0"
    )
    click(opened, ".panel .tools button[aria-label='Save as SVG']")
    opened.wait("window.saved.length === 1")
    text = opened.run("window.saved[0].text()")
    root = ElementTree.fromstring(text)
    words = {"".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"libx264 medium", "libx265 medium", "720p", "video bitrate, kb/s (log scale)"} <= words
    assert "var(" not in text
    assert opened.run("window.named").endswith("VMAF-0-100.svg")
    click(opened, ".panel .tools button[aria-label='Save as PNG']")
    opened.wait("window.saved.length === 3")
    head = opened.run("window.saved[2].arrayBuffer().then(b => [...new Uint8Array(b).slice(0, 4)])")
    assert bytes(head) == b"\x89PNG"
    assert opened.problems == []


def test_the_page_and_its_script_draw_the_same(browser: Chromium, opened: Chromium, page: Path) -> None:
    """Charts without scripts, on paper and in files are Python's; what lives is drawn by the page."""
    opened.run("document.querySelector('.frames').scrollIntoView({behavior: 'instant'})")
    opened.wait("document.querySelectorAll('.chart.ready').length === 3")
    live = opened.run("[...document.querySelectorAll('svg.plot')].map(s => s.outerHTML)")
    sizes = opened.run(
        "[...document.querySelectorAll('svg.plot')].map(s => [s.viewBox.baseVal.width, s.viewBox.baseVal.height])"
    )
    run, frames = make_run([NAME], frames=120)
    title = build_page([run]).titles[0]
    drawn = [
        rate_chart(rate_data(title, metric), title_range(title), Size(*map(int, size)), PAGE)
        for metric, size in zip(("vmaf", "model"), sizes, strict=False)
    ]
    (data,) = page_data(build_page([run]), {"A": frames})
    opening = open_frames_on(title, {"A": frames})
    lines = [
        (who, frame_places(data, "vmaf", view.key))
        for who, view in (("a", opening.first), ("b", opening.second))
        if view
    ]
    drawn.append(frame_chart(lines, title.entries[0].source.source.duration_s, Size(*map(int, sizes[2])), PAGE))
    for ours, theirs in zip(drawn, live, strict=True):
        assert _elements(ours) == _elements(theirs)


def _elements(markup: str) -> list[tuple[str, dict[str, object], str]]:
    """Elements in order; numbers to a fifth of a pixel, without what makes a chart live."""
    root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", markup))
    found = []
    for element in root.iter():
        if element.get("class") == "at":
            continue
        kept = {key: _rough(value) for key, value in element.items() if key not in ("tabindex", "role")}
        found.append((element.tag, kept, element.text or ""))
    return found


def _rough(value: str) -> object:
    """A coordinate that lies between two tenths may be rounded to either."""
    return [
        round(float(part) * 2.5) if re.fullmatch(r"-?[\d.]+", part) else part for part in re.split(r"(-?[\d.]+)", value)
    ]
