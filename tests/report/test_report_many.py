"""Pages of many sources in a real browser: quick, findable, readable at any width, without barriers, and on paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import NO_AXE, Chromium, axe_script
from report_runs import make_run

from vqa_cli.report.html import write_report

pytestmark = pytest.mark.browser

WIDTHS = (1440, 1024, 768, 390)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten sources of 48 rungs each."""
    names = [f"{word} {number}.mp4" for number in range(5) for word in ("street", "forest")]
    run, frames = make_run(names, crfs=(18, 21, 24, 27, 30, 33, 36, 40), frames=240)
    assert {len(source.rungs) for source in run.sources} == {48}
    path = tmp_path_factory.mktemp("many") / "report.html"
    write_report([run], path, [frames])
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources by five codecs, with long names."""
    codecs = ("libx264", "libx265", "libsvtav1")
    run, frames = make_run(
        ["a very long name of a source that has no break in it_".replace(" ", "_") * 3, "b.mp4"],
        codecs=codecs,
        frames=60,
    )
    path = tmp_path_factory.mktemp("few") / "report.html"
    write_report([run], path, [frames])
    return path


def test_ten_sources_of_48_rungs_are_no_more_than_a_browser_takes_at_once(browser: Chromium, many: Path) -> None:
    browser.problems.clear()
    browser.open(many)
    assert browser.nodes() <= 30_000
    assert browser.problems == []


def test_sources_are_set_up_as_they_come_near(browser: Chromium, many: Path) -> None:
    browser.open(many)
    ready = "[...document.querySelectorAll('article')].filter(a => a.dataset.ready).length"
    assert browser.run(ready) < 5
    browser.run("document.getElementById('t9').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.getElementById('t9').dataset.ready === 'yes'")
    browser.wait("document.querySelectorAll('#t9 .panel .chart.ready').length === 2")
    assert browser.problems == []


def test_a_source_is_found_by_its_name(browser: Chromium, many: Path) -> None:
    browser.open(many)
    x, y = browser.run(
        "(() => { const b = document.querySelector('#open-sources').getBoundingClientRect(); return [b.x + 5, b.y + 5]; })()"
    )
    browser.click(x, y)
    browser.wait("document.querySelector('#sources').open")
    assert browser.run("document.activeElement === document.querySelector('#sources input')")
    for letter in "forest 3":
        browser.key(letter)
    assert browser.run("document.querySelector('#sources .count').textContent") == "1 of 10"
    browser.key("Enter")
    assert browser.run("document.querySelector('#sources').open") is False
    key = browser.run("[...document.querySelectorAll('article')].find(a => a.textContent.includes('forest 3')).id")
    browser.wait(f"Math.abs(document.getElementById({key!r}).getBoundingClientRect().top) < 300")
    assert browser.run("location.hash") == f"#at={key}"


def test_the_overview_sorts_and_finds(browser: Chromium, many: Path) -> None:
    browser.open(many)
    names = "[...document.querySelectorAll('.overview tbody tr:not([hidden]) th')].map(t => t.textContent)"
    head = "[...document.querySelectorAll('.overview thead button')].find(b => b.textContent.startsWith('BD-rate')).click()"
    values = "[...document.querySelectorAll('.overview tbody tr')].map(r => Number(r.cells[5].dataset.v))"
    browser.run(head)
    rising = browser.run(values)
    assert rising == sorted(rising)
    browser.run(head)
    assert browser.run(values) == rising[::-1]
    browser.run(
        "(() => { const s = document.querySelector('#overview input'); s.value = 'FOREST'; s.dispatchEvent(new Event('input')); })()"
    )
    assert len(browser.run(names)) == 5
    assert all("forest" in name for name in browser.run(names))
    fragment, shown = browser.run("location.hash"), browser.run(names)
    browser.open(many, fragment=fragment)
    assert browser.run(names) == shown


@pytest.mark.parametrize("width", WIDTHS)
def test_the_overview_fits_its_window(browser: Chromium, few: Path, width: int) -> None:
    browser.open(few, width=width)
    box = "document.querySelector('#overview .scroll')"
    assert browser.run(f"{box}.scrollWidth <= {box}.clientWidth")
    right = (
        "Math.max(...[...document.querySelectorAll('.overview :is(th, td)')].map(c => c.getBoundingClientRect().right))"
    )
    assert browser.run(right) <= width
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_heads_of_long_tables_stay_in_sight(browser: Chromium, many: Path) -> None:
    browser.open(many)
    browser.run("document.querySelector('#t0 .rungs').scrollIntoView({behavior: 'instant'})")
    browser.run("document.querySelector('#t0 .rungs .scroll').scrollTop = 400")
    top = "document.querySelector('#t0 .rungs .scroll').getBoundingClientRect().top"
    head = "document.querySelector('#t0 .grid thead th').getBoundingClientRect().top"
    assert abs(browser.run(head) - browser.run(top)) < 3


def test_paper_keeps_colours_and_says_what_each_line_is(browser: Chromium, few: Path) -> None:
    browser.open(few)
    assert browser.run("getComputedStyle(document.body).printColorAdjust") == "exact"
    browser.send("Emulation.setEmulatedMedia", media="print")
    shown = "[...document.querySelectorAll('#t1 .legend span')].filter(s => s.getClientRects().length).map(s => s.textContent)"
    assert browser.run(shown)[:6] == ["libx264 medium", "libx265 medium", "libsvtav1 medium", "720p", "540p", "360p"]
    dashes = "[...document.querySelectorAll('#t1 .panel:first-child [role=group][aria-label] > path[stroke]')].filter(p => !p.matches('.pt')).map(p => p.getAttribute('stroke-dasharray'))"
    assert len(set(browser.run(dashes))) == 3
    assert browser.run(
        "[...document.querySelectorAll('.tools, dialog, .filters')].every(e => !e.getClientRects().length)"
    )
    assert browser.run("[...document.querySelectorAll('svg.plot')].every(s => s.getClientRects().length)")
    named = browser.run("document.querySelector('#t1 .frames p.static').innerText.trim()")
    picks = browser.run("['.pick-a', '.pick-b'].map(s => document.querySelector(`#t1 ${s}`).selectedOptions[0].text)")
    assert named == " ".join(text.split(" · ")[0] for text in picks) + " · VMAF"
    browser.send("Emulation.setEmulatedMedia", media="")
    pdf = browser.pdf()
    pages = pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ")
    assert 4 <= pages <= 16


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_nothing_shuts_anybody_out(browser: Chromium, few: Path, width: int, dark: bool) -> None:
    axe = axe_script() or pytest.skip(NO_AXE)
    browser.open(few, width=width, dark=dark)
    for key in ("t0", "t1"):
        for part in (".panel", ".panel:last-child", ".frames"):
            browser.run(f"document.querySelector('#{key} {part}').scrollIntoView({{behavior: 'instant'}})")
            browser.wait(f"document.querySelector('#{key} {part} .chart.ready') !== null")
        browser.run(f"document.querySelector('#{key} .all').click()")
    assert browser.violations(axe) == []
    browser.run("document.querySelector('#open-sources').click()")
    assert browser.violations("0") == []
