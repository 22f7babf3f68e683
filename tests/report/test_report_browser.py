"""The report in a real browser: charts draw under the content policy, and every control does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium
from report_runs import make_run

from vqa_cli.report.html import write_report

pytestmark = pytest.mark.browser

NAME = "</script><script>window.hacked = 1</script> it's.mp4"
CHART = "document.querySelectorAll('.panel .chart.ready').length === 2"


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
    browser.wait(CHART)
    return browser


def points(browser: Chromium) -> list[int]:
    """How many points each rate chart shows."""
    found: list[int] = browser.run(
        "[...document.querySelectorAll('.panel')].map(p => p.querySelectorAll('.pt').length)"
    )
    return found


def click(browser: Chromium, selector: str) -> None:
    browser.run(f"document.querySelector({selector!r}).click()")


def choose(browser: Chromium, selector: str, value: str) -> None:
    browser.run(
        f"(() => {{ const s = document.querySelector({selector!r}); s.value = {value!r};"
        " s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
def test_draws_without_complaint_and_without_sideways_scrolling(
    browser: Chromium, page: Path, width: int, dark: bool
) -> None:
    browser.problems.clear()
    browser.open(page, width=width, dark=dark)
    browser.run("document.querySelector('.frames').scrollIntoView()")
    browser.wait("document.querySelectorAll('.chart.ready').length === 3")
    assert browser.problems == []
    assert browser.run("window.hacked === undefined")
    assert browser.run("document.documentElement.scrollWidth") <= width
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (int(ground[4:].split(",")[0]) < 60) == dark


def test_text_has_contrast_in_both_themes(browser: Chromium, page: Path) -> None:
    luminance = (
        "(c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)"
        ".map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);"
        " return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; })"
    )
    for dark in (False, True):
        browser.open(page, dark=dark)
        for name in ("ink", "muted", "warn", "accent", "good", *(f"series-{i}" for i in range(8)), "rival"):
            ratio = browser.run(
                f"(() => {{ const p = document.createElement('p'); p.style.color = 'var(--{name})'; document.body.append(p);"
                f" const l = {luminance}; const a = l(getComputedStyle(p).color), b = l(getComputedStyle(document.body).backgroundColor);"
                " return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })()"
            )
            assert ratio >= (4.5 if name in ("ink", "muted", "warn", "accent", "good") else 3.0), (name, dark)


def test_filters_hold_for_charts_and_table(opened: Chromium) -> None:
    assert points(opened) == [24, 24]
    click(opened, "[data-codec='libx264 medium']")
    opened.wait("document.querySelectorAll('tr.rung:not([hidden])').length === 12")
    opened.wait("document.querySelector('.rungs .count').textContent === '12 of 24'")
    assert points(opened) == [12, 12]
    click(opened, "[data-size='360p']")
    opened.wait("document.querySelectorAll('tr.rung:not([hidden])').length === 8")
    click(opened, "[data-codec='libx264 medium']")
    click(opened, "[data-size='360p']")
    assert points(opened) == [24, 24]
    assert opened.problems == []


def test_search_and_sort(opened: Chromium) -> None:
    opened.run(
        "(() => { const s = document.querySelector('input[type=search]'); s.value = 'X265 720p';"
        " s.dispatchEvent(new Event('input')); })()"
    )
    assert opened.run("document.querySelector('.rungs .count').textContent") == "4 of 24"
    opened.run("[...document.querySelectorAll('thead button')].find(b => b.textContent === 'kb/s').click()")
    column = "[...document.querySelectorAll('tr.rung')].map(r => Number(r.cells[3].dataset.v))"
    rising = opened.run(column)
    assert rising == sorted(rising)
    opened.run("[...document.querySelectorAll('thead button')].find(b => b.textContent === 'kb/s').click()")
    assert opened.run(column) == rising[::-1]
    assert opened.run("document.querySelectorAll('[aria-sort=descending]').length") == 1
    # Each row takes its own details along.
    click(opened, ".all")
    opened.run("[...document.querySelectorAll('thead button')].find(b => b.textContent === 'kb/s').click()")
    assert opened.run(
        "[...document.querySelectorAll('tr.rung:not([hidden])')].every(r => r.nextElementSibling.id === r.id + '-more')"
    )


def test_command_lines_open_and_copy(opened: Chromium) -> None:
    click(opened, "tr.rung .open")
    assert opened.run("document.querySelector('tr.rung .open').getAttribute('aria-expanded')") == "true"
    assert opened.run("document.querySelector('tr.more .code pre').offsetHeight > 0")
    opened.run("window.copied = null; document.execCommand = () => { window.copied = String(getSelection()); }")
    opened.run("navigator.clipboard && (navigator.clipboard.writeText = async () => { throw new Error('refused'); })")
    click(opened, "tr.more .code button")
    opened.wait("window.copied !== null")
    assert opened.run("window.copied").startswith("/opt/ffmpeg -i")


def test_frames_of_any_rung_against_another(opened: Chromium) -> None:
    opened.run("document.querySelector('.frames').scrollIntoView()")
    opened.wait("document.querySelector('.frames .chart.ready svg') !== null")
    key = opened.run("document.querySelector('.pick-a').options[5].value")
    choose(opened, ".pick-a", key)
    choose(opened, ".pick-metric", "model")
    opened.run(
        "(() => { const s = document.querySelector('.cursor input'); s.value = 30; s.dispatchEvent(new Event('input')); })()"
    )
    text = opened.run("document.querySelector('.cursor output').textContent")
    assert text.startswith("frame 30 · 1.00 s")
    assert "difference" in text
    assert "source" in text
    run, frames = make_run([NAME], frames=120)
    value = frames[0, run.sources[0].rungs[5].id]["model"][30]
    assert f"{value:.1f}" in text
    choose(opened, ".pick-b", "")
    assert "difference" not in opened.run("document.querySelector('.cursor output').textContent")
    lines = "document.querySelectorAll('.frames svg.plot svg path').length"
    opened.wait(f"{lines} === 2")


def test_the_row_button_shows_its_frames(opened: Chromium) -> None:
    opened.run("document.querySelectorAll('tr.rung .plot-frames')[7].click()")
    assert opened.run("document.querySelector('.pick-a').value === document.querySelectorAll('tr.rung')[7].id")
    assert opened.run("document.querySelectorAll('tr.rung')[7].classList.contains('on')")


def test_the_address_keeps_what_is_selected(browser: Chromium, opened: Chromium, page: Path) -> None:
    assert opened.run("location.hash") == ""
    click(opened, "[data-codec='libx264 medium']")
    click(opened, "[data-layer='hull']")
    choose(opened, ".pooling", "p5")
    choose(opened, ".panel:first-child select", "ssim")
    choose(opened, ".bd-metric", "psnr")
    choose(opened, ".pick-metric", "psnr")
    choose(opened, ".pick-b", "")
    opened.run(
        "(() => { const s = document.querySelector('.rungs input[type=search]'); s.value = '540p';"
        " s.dispatchEvent(new Event('input')); })()"
    )
    opened.run("[...document.querySelectorAll('thead button')].find(b => b.textContent === 'kb/s').click()")
    click(opened, ".bar a[href='#t0-bd']")
    shown = (
        "JSON.stringify([[...document.querySelectorAll('.chip')].map(c => c.getAttribute('aria-pressed')),"
        " [...document.querySelectorAll('select')].map(s => s.value), document.querySelector('.rungs .count').textContent,"
        " [...document.querySelectorAll('tr.rung')].map(r => r.id), document.querySelector('.bd caption').textContent])"
    )
    before, fragment = opened.run(shown), opened.run("location.hash")
    assert fragment.startswith("#")
    browser.open(page, fragment=fragment)
    assert browser.run(shown) == before
    browser.wait("Math.abs(document.getElementById('t0-bd').getBoundingClientRect().top) < 200")
    assert browser.problems == []


def test_statistics_and_metrics_can_be_changed(opened: Chromium) -> None:
    before = opened.run("document.querySelectorAll('.panel')[1].querySelector('svg').textContent")
    choose(opened, ".pooling", "min")
    opened.wait(f"document.querySelectorAll('.panel')[1].querySelector('svg').textContent !== {before!r}")
    opened.run(
        "(() => { const s = document.querySelectorAll('.panel select')[1]; s.value = 'ssim';"
        " s.dispatchEvent(new Event('change')); })()"
    )
    opened.wait("/0\\.9/.test(document.querySelectorAll('.panel')[1].querySelector('svg').textContent)")
    assert opened.problems == []


def test_theme_button_wins_over_the_system(browser: Chromium, page: Path) -> None:
    browser.open(page, dark=True)
    browser.run("localStorage.clear()")
    browser.open(page, dark=True)
    click(browser, "#theme")
    assert browser.run("document.querySelector('#theme').textContent") == "Theme: light"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"
    browser.run("localStorage.clear()")


def test_bd_rate_tables_follow_their_selects(opened: Chromium) -> None:
    shown = "document.querySelector('.bd caption').textContent"
    assert opened.run(shown) == "VMAF, all sizes (hull)"
    static = opened.run("document.querySelector('.bd tbody').textContent.replace(/\\s+/g, '')")
    choose(opened, ".bd-metric", "psnr")
    choose(opened, ".bd-basis", "540p")
    assert opened.run(shown) == "PSNR, 540p"
    choose(opened, ".bd-metric", "vmaf")
    choose(opened, ".bd-basis", "all sizes (hull)")
    assert opened.run("document.querySelector('.bd tbody').textContent.replace(/\\s+/g, '')") == static


def test_readers_without_scripts_and_paper_get_the_charts(browser: Chromium, page: Path) -> None:
    browser.open(page, scripts=False)
    assert browser.run("document.querySelectorAll('.chart svg.plot').length") == 3
    assert browser.run("[...document.querySelectorAll('.live')].every(e => e.hidden)")
    browser.open(page)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 12


def test_two_runs_overlay(browser: Chromium, tmp_path: Path) -> None:
    (one, frames_one), (two, frames_two) = make_run(frames=60), make_run(frames=60, rate_factor=0.9)
    write_report([one, two], tmp_path / "both.html", [frames_one, frames_two])
    browser.problems.clear()
    browser.open(tmp_path / "both.html")
    browser.run("document.querySelector('.panel').scrollIntoView()")
    browser.wait(CHART)
    assert points(browser) == [48, 48]
    click(browser, "[data-run='B']")
    browser.wait("document.querySelectorAll('tr.rung:not([hidden])').length === 24")
    assert browser.problems == []


def test_sources_of_which_little_was_measured(browser: Chromium, tmp_path: Path) -> None:
    run, frames = make_run(["all.mp4", "one rung.mp4", "lost.mp4", "nothing.mp4"], frames=60, heights=[720])
    full, few, lost, nothing = run.sources
    blank: dict[str, Any] = {"status": "failed", "encode": None, "score": None, "fidelity": {}}
    sources = (
        full,
        few.model_copy(update={"rungs": (few.rungs[0], few.rungs[4])}),
        lost.model_copy(update={"rungs": tuple(rung.model_copy(update=blank) for rung in lost.rungs)}),
        nothing.model_copy(update={"rungs": (), "score": None, "status": "failed", "reason": "no video stream"}),
    )
    write_report([run.model_copy(update={"sources": sources})], tmp_path / "page.html", [frames])
    browser.problems.clear()
    browser.open(tmp_path / "page.html")
    browser.run("document.querySelector('#t1 .frames').scrollIntoView()")
    browser.wait("document.querySelectorAll('#t1 .chart.ready').length === 3")
    assert browser.run("document.querySelectorAll('article').length") == 4
    assert browser.run("document.querySelector('#t3 .lede').textContent") == "Nothing was measured: no video stream."
    assert browser.problems == []
