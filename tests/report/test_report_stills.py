"""Pictures in the report, in a real browser: four ways to compare, zoom, keys, thumbnails, and what explains a dip."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from chromium import NO_AXE, Chromium, axe_script
from conftest import FFMPEG
from report_runs import Frames, make_run

from vqa_cli.analysis.gate import judge
from vqa_cli.analysis.moments import StillsWish, choose_stills
from vqa_cli.analysis.policy import default_policy
from vqa_cli.document import Run
from vqa_cli.framepackets import FramePackets, write_packets
from vqa_cli.report.compare_page import render_comparison, write_comparison
from vqa_cli.report.comparedstills import compared_stills
from vqa_cli.report.comparison import compare_runs
from vqa_cli.report.html import write_report
from vqa_cli.report.stills import Pictures, make_album
from vqa_cli.stills import RungStills, SourceStills, Stills

pytestmark = pytest.mark.browser


def picture(path: Path, hue: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=640x360,hue=h={hue}", "-frames:v", "1"]
    subprocess.run([*argv, "-c:v", "libwebp", str(path)], check=True, stdin=subprocess.DEVNULL)


def pictures(run: Run, frames: Frames, folder: Path) -> Pictures:
    """Pictures of coloured bars, a hue for each rung."""
    choice = choose_stills(run, 0, frames, [80], StillsWish())
    result = run.sources[0]
    files = {}
    for hue, name in enumerate(("source", *choice.rungs)):
        picture(folder / f"{name}.webp", hue * 20)
        files[name] = tuple(f"{name}.webp" for _ in choice.moments)
    kinds = "".join("K" if n % 48 == 0 else "PB"[n % 2] for n in range(120))
    sizes, steps = {"K": 9000, "P": 700, "B": 200}, {"K": 24.0, "P": 28.0, "B": 30.5}
    packets = FramePackets(np.array([sizes[k] for k in kinds], np.int32), kinds, np.array([steps[k] for k in kinds]))
    write_packets(folder / "packets.parquet", packets)
    rungs = {
        rung.id: RungStills(
            sha256=rung.encode.sha256, files=files[rung.id], packets="packets.parquet",
        )
        for rung in result.rungs if rung.id in files and rung.encode
    }  # fmt: skip
    stills = SourceStills(
        sha256=result.source.sha256, width=result.display_width, height=result.display_height, metric=choice.metric,
        cuts=(80,), moments=choice.moments, files=files["source"], rungs=rungs,
    )  # fmt: skip
    return Pictures(Stills(sources=(stills,)), folder)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, frames = make_run(frames=120)
    folder = tmp_path_factory.mktemp("pictured")
    album = make_album({"A": pictures(run, frames, folder / "a folder of #stills")}, folder, link=True)
    write_report([run], folder / "report.html", [frames], album=album)
    return folder / "report.html"


@pytest.fixture
def opened(browser: Chromium, page: Path) -> Chromium:
    show(browser, page)
    return browser


def show(browser: Chromium, page: Path, *, width: int = 1440, dark: bool = False, fragment: str = "") -> None:
    browser.problems.clear()
    browser.open(page, width=width, dark=dark, fragment=fragment)
    browser.run("document.querySelector('.frames').scrollIntoView({behavior: 'instant'})")
    browser.wait(
        "document.querySelector('.stage img')?.complete && document.querySelector('.stage img').naturalWidth > 0"
    )


def frame(browser: Chromium) -> int:
    return int(browser.run("document.querySelector('.pictures output').textContent.match(/frame (\\d+)/)[1]"))


def kept(browser: Chromium) -> list[int]:
    found: list[int] = browser.run("[...document.querySelectorAll('.strip button')].map(b => Number(b.dataset.frame))")
    return found


def press(browser: Chromium, text: str) -> None:
    browser.run(f"[...document.querySelectorAll('.pictures button')].find(b => b.textContent === {text!r}).click()")


def places(browser: Chromium) -> list[list[float]]:
    """Left edge, top edge and width of both pictures within their panes."""
    found: list[list[float]] = browser.run(
        "[...document.querySelectorAll('.pane')].map(p => { const i = p.querySelector('img').getBoundingClientRect(), b ="
        " p.getBoundingClientRect(); return [i.x - b.x, i.y - b.y, i.width].map(v => Math.round(v * 10) / 10); })"
    )
    return found


def test_linked_pictures_load_from_disk_and_the_view_opens_on_a_matched_pair(opened: Chromium) -> None:
    assert opened.problems == []
    sides = opened.run("[...document.querySelectorAll('.pictures select')].map(s => s.value)")
    assert sides == opened.run("['.pick-a', '.pick-b'].map(s => document.querySelector(s).value)")
    assert frame(opened) in kept(opened)
    assert opened.run("[...document.querySelectorAll('.stage img')].every(i => i.naturalWidth === 640)")
    assert opened.run("document.querySelector('.stage').classList.contains('wipe')")


def test_the_border_is_dragged_and_moved_by_keys(opened: Chromium) -> None:
    opened.run("document.querySelector('.stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    x, y, width, height = opened.run(
        "(() => { const b = document.querySelector('.stage').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    opened.drag((x + width / 2, y + height / 2), (x + width / 4, y + height / 2))
    share = "Number(document.querySelector('.handle').getAttribute('aria-valuenow'))"
    assert abs(opened.run(share) - 25) <= 1
    assert opened.run("document.querySelectorAll('.pane')[1].style.clipPath").startswith("inset(0px 0px 0px 2")
    opened.run("document.querySelector('.handle').focus()")
    before = opened.run(share)
    opened.key("ArrowRight")
    assert opened.run(share) == before + 2


def test_keys_step_through_the_kept_frames_and_flip(opened: Chromium) -> None:
    frames = kept(opened)
    opened.run("document.querySelector('.stage').focus()")
    opened.key("Home")
    assert frame(opened) == frames[0]
    opened.key("ArrowRight")
    assert frame(opened) == frames[1]
    assert int(opened.run("document.querySelector('.cursor input').value")) == frames[1]
    visible = "[...document.querySelectorAll('.pane')].map(p => getComputedStyle(p).visibility)"
    opened.key("f")
    assert opened.run(visible) == ["hidden", "visible"]
    opened.key("f")
    assert opened.run(visible) == ["visible", "hidden"]
    opened.key("s")
    assert opened.run("document.querySelector('.stage').classList.contains('side')")
    assert opened.problems == []


def test_difference_is_black_where_both_are_the_same_and_amplified_where_not(opened: Chromium, tmp_path: Path) -> None:
    press(opened, "Difference")
    assert opened.run("document.querySelector('.layers').style.filter") == "brightness(8)"
    opened.run(
        "(() => { const g = document.querySelector('.gain input'); g.value = 20; g.dispatchEvent(new Event('input')); })()"
    )
    assert opened.run("document.querySelector('.layers').style.filter") == "brightness(20)"
    assert brightness(opened, tmp_path) > 20
    opened.run(
        "(() => { const [l, r] = document.querySelectorAll('.pictures select'); r.value = l.value; r.dispatchEvent(new Event('change')); })()"
    )
    assert brightness(opened, tmp_path) == 0


def brightness(browser: Chromium, folder: Path) -> float:
    """Mean of the stage as it is seen."""
    import base64

    browser.run("document.querySelector('.stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    box = browser.run(
        "(() => { const b = document.querySelector('.stage').getBoundingClientRect(); return {x: b.x + scrollX + 12, y: b.y + scrollY + 12, width: b.width - 24, height: b.height - 24, scale: 0.2}; })()"
    )
    shot = browser.send("Page.captureScreenshot", clip=box, captureBeyondViewport=True)
    (folder / "shot.png").write_bytes(base64.b64decode(shot["data"]))
    argv = [FFMPEG, "-v", "error", "-i", str(folder / "shot.png"), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    data = subprocess.run(argv, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    return sum(data) / len(data)


def test_zoom_moves_both_pictures_together_up_to_eight_times(opened: Chromium) -> None:
    press(opened, "Side by side")
    press(opened, "1:1")
    assert [width for _, _, width in places(opened)] == [1280, 1280]
    press(opened, "8×")
    first, second = places(opened)
    assert first == second
    assert first[2] == 1280 * 8
    x, y = opened.run(
        "(() => { const s = document.querySelector('.stage'); s.scrollIntoView({block: 'center', behavior: 'instant'}); const b = s.getBoundingClientRect(); return [b.x + 200, b.y + 150]; })()"
    )
    opened.drag((x, y), (x - 60, y - 30))
    moved, other = places(opened)
    assert moved == other
    assert [round(moved[i] - first[i]) for i in (0, 1)] == [-60, -30]
    assert opened.run("document.querySelector('.stage img').classList.contains('pixels')")
    opened.run("document.querySelector('.stage').focus()")
    opened.key("0")
    assert places(opened)[0][0] == 0


def test_worst_frame_buttons_chart_and_thumbnails_lead_to_pictures(opened: Chromium) -> None:
    opened.run("document.querySelector('.worst button').click()")
    at = int(opened.run("document.querySelector('.cursor input').value"))
    assert frame(opened) == min(kept(opened), key=lambda number: abs(number - at))
    opened.run("[...document.querySelectorAll('.strip button')].at(-1).click()")
    assert frame(opened) == kept(opened)[-1]
    assert opened.run("document.querySelector('.strip button[aria-current=true]').dataset.frame") == str(
        kept(opened)[-1]
    )
    lefts = opened.run(
        "[...document.querySelectorAll('.strip button')].map(b => b.getBoundingClientRect()).map(b => [b.left, b.right])"
    )
    assert all(one[1] <= other[0] for one, other in zip(lefts, lefts[1:], strict=False))


def test_any_rung_against_any_other_and_the_chart_follows(opened: Chromium) -> None:
    key = opened.run("document.querySelectorAll('.pictures select')[0].options[3].value")
    opened.run(
        f"(() => {{ const s = document.querySelectorAll('.pictures select')[0]; s.value = {key!r}; s.dispatchEvent(new Event('change')); }})()"
    )
    assert opened.run("document.querySelector('.pick-a').value") == key
    opened.run(
        "(() => { const s = document.querySelectorAll('.pictures select')[1]; s.value = 'source'; s.dispatchEvent(new Event('change')); })()"
    )
    assert opened.run("document.querySelectorAll('.who')[1].textContent") == "source"
    lines = opened.run("document.querySelector('.player pre').textContent").splitlines()
    assert lines[-2].startswith("video-compare libx26")
    assert lines[-2].endswith("clip.mp4")
    assert lines[-1].startswith("mpv --pause --start=")


def test_bits_tell_key_frames_and_scenes(opened: Chromium) -> None:
    text = opened.run("document.querySelector('.bits').textContent")
    assert "9.0 kB" in text
    assert "dashed lines: a scene begins" in text
    assert opened.run("document.querySelectorAll('.bits path[stroke-dasharray]').length") == 1
    opened.run(
        "(() => { const s = document.querySelector('.cursor input'); s.value = 48; s.dispatchEvent(new Event('input')); })()"
    )
    assert "9.0 kB key frame, quantiser 24" in opened.run("document.querySelector('.cursor output').textContent")


def test_quantisers_are_drawn_below_the_bits(opened: Chromium) -> None:
    assert "Quantiser of each frame, on each encoder's own scale." in opened.run(
        "document.querySelector('.bits').textContent"
    )
    assert opened.run("document.querySelectorAll('.bits svg').length") == 2
    lines = opened.run(
        "[...document.querySelectorAll('.bits svg:last-of-type path[stroke-width]')].map(p => p.getAttribute('d'))"
    )
    assert len(lines) == 2 and all(d.count(",") > 100 for d in lines)


def test_the_address_keeps_frame_and_mode(browser: Chromium, opened: Chromium, page: Path) -> None:
    opened.run("document.querySelectorAll('.strip button')[1].click()")
    press(opened, "Side by side")
    number, fragment = frame(opened), opened.run("location.hash")
    show(browser, page, fragment=fragment)
    assert frame(browser) == number
    assert browser.run("document.querySelector('.stage').classList.contains('side')")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1024, True), (390, False), (390, True)])
def test_nothing_scrolls_sideways_and_nothing_complains(browser: Chromium, page: Path, width: int, dark: bool) -> None:
    show(browser, page, width=width, dark=dark)
    for mode in ("Wipe", "Side by side", "Flicker", "Difference"):
        press(browser, mode)
        assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.problems == []


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two runs that have pictures of the same frames."""
    (one, frames_one), (two, frames_two) = make_run(frames=120), make_run(frames=120, rate_factor=1.06)
    folder = tmp_path_factory.mktemp("compared")
    sides = {"A": pictures(one, frames_one, folder / "a"), "B": pictures(two, frames_two, folder / "b")}
    verdict = judge(one, two, default_policy("vmaf"))
    album = make_album(dict(sides), folder)
    write_comparison(one, two, verdict, "vmaf", folder / "page.html", (frames_one, frames_two), album=album)
    return folder / "page.html"


def test_paper_has_the_pictures_that_were_looked_at_and_no_empty_heading(browser: Chromium, compared: Path) -> None:
    shown = "getComputedStyle(document.querySelector('.both')).display"
    browser.open(compared, height=200)
    assert browser.run("document.querySelector('.both .pictured').childElementCount") == 0
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.run(shown) == "none"
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.run("document.querySelector('.both').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.querySelector('.stage img')?.naturalWidth === 640")
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.run(shown) == "block"
    browser.send("Emulation.setEmulatedMedia", media="")


def test_rungs_that_lost_nothing_are_not_among_those_that_lost_most(tmp_path: Path) -> None:
    (one, frames_one), (dearer, frames_two) = make_run(frames=120), make_run(frames=120, rate_factor=1.06)
    rungs = tuple(
        a if a.encoder == "libx265" else b for a, b in zip(one.sources[0].rungs, dearer.sources[0].rungs, strict=True)
    )
    two = dearer.model_copy(update={"sources": (dearer.sources[0].model_copy(update={"rungs": rungs}),)})
    both = (frames_one, {key: frames_one[key] if "libx265" in key[1] else frames_two[key] for key in frames_two})
    sides = {"A": pictures(one, frames_one, tmp_path / "a"), "B": pictures(two, both[1], tmp_path / "b")}
    album = make_album(dict(sides), tmp_path)
    page = compare_runs(one, two, judge(one, two, default_policy("vmaf")), "vmaf", both)
    found = compared_stills(page.sources[0], page.primary, album, both)
    assert found is not None
    told = [pair["text"] for pair in found["pairs"]]
    assert told
    assert all(text.startswith("libx264") and "loses 0.0" not in text for text in told)
    pictured = [rung["label"] for key, rung in found["rungs"].items() if key in found["stills"]["pictures"]]
    assert any("libx265" in name for name in pictured)


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1024, True), (390, False)])
def test_a_comparison_shows_the_rungs_that_lost_most(browser: Chromium, compared: Path, width: int, dark: bool) -> None:
    browser.problems.clear()
    browser.open(compared, width=width, dark=dark)
    browser.run("document.querySelector('.both').scrollIntoView({behavior: 'instant'})")
    browser.wait("document.querySelector('.stage img')?.naturalWidth === 640")
    label = browser.run("document.querySelector('.both').getAttribute('aria-label')")
    assert label == "Pictures of the rungs of clip.mp4 that lost most"  # of several sources, each its own
    names = browser.run("[...document.querySelectorAll('.who')].map(w => w.textContent)")
    assert [name.split(":")[0] for name in names] == ["baseline", "candidate"]
    assert names[0].split(": ")[1] == names[1].split(": ")[1]
    told = browser.run("[...document.querySelectorAll('.both .worst button')].map(b => b.textContent)")
    losses = [float(text.split("loses ")[1].split()[0]) for text in told]
    assert losses == sorted(losses, reverse=True)
    browser.run("document.querySelectorAll('.both .worst button')[1].click()")
    after = browser.run("[...document.querySelectorAll('.who')].map(w => w.textContent)")
    assert told[1].startswith(after[0].removeprefix("baseline: "))
    assert after != names
    browser.run("document.querySelector('.stage').focus()")
    browser.key("Home")
    before = frame(browser)
    browser.key("ArrowRight")
    assert frame(browser) > before
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.problems == []


def test_runs_pictured_at_other_frames_say_so(tmp_path: Path) -> None:
    (one, frames_one), (two, frames_two) = make_run(frames=120), make_run(frames=120, rate_factor=1.06)
    first, second = pictures(one, frames_one, tmp_path / "a"), pictures(two, frames_two, tmp_path / "b")
    (source,) = second.stills.sources
    moved = source.model_copy(
        update={"moments": tuple(m.model_copy(update={"frame": m.frame + 500}) for m in source.moments)}
    )
    second = Pictures(Stills(sources=(moved,)), second.folder)
    verdict = judge(one, two, default_policy("vmaf"))
    page = render_comparison(one, two, verdict, "vmaf", album=make_album({"A": first, "B": second}, tmp_path))
    assert "The pictures of the two runs are of different frames." in page
    assert 'class="both' not in page


def test_no_barriers(browser: Chromium, page: Path) -> None:
    if (script := axe_script()) is None:
        pytest.skip(NO_AXE)
    for dark in (False, True):
        show(browser, page, dark=dark)
        assert browser.violations(script) == []
