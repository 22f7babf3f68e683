"""Takes the pictures of the documentation from a report: docs/report.png and docs/pictures.webp.

vqa ladder bigbuckbunny.mp4 --preset mobile -o run
python tests/screenshots.py run/report.html
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chromium import Chromium
from imageio_ffmpeg import get_ffmpeg_exe

FFMPEG = get_ffmpeg_exe()
DOCS = Path(__file__).parent.parent / "docs"
EDGE = 6
# Flat colours need no more, and a third of the bytes.
PALETTE = "split[a][b];[a]palettegen=64[p];[b][p]paletteuse=dither=none"


def shoot(browser: Chromium, top: str, bottom: str, form: dict[str, Any]) -> bytes:
    """The page from one element to the end of another."""
    ends = f"[document.querySelector({top!r}).getBoundingClientRect(), document.querySelector({bottom!r}).getBoundingClientRect()]"
    x, y, width, height = browser.run(
        f"(([a, b]) => [Math.max(0, Math.min(a.x, b.x) - {EDGE}), Math.max(0, scrollY + a.y - {EDGE}),"
        f" Math.min(innerWidth, Math.max(a.width, b.width) + 2 * {EDGE}), b.bottom - a.y + {EDGE}])({ends})"
    )
    box = {"x": x, "y": y, "width": width, "height": height}
    shot = browser.send("Page.captureScreenshot", captureBeyondViewport=True, clip=box | {"scale": 1}, **form)
    return base64.b64decode(shot["data"])


def main(report: Path) -> None:
    with tempfile.TemporaryDirectory() as profile, Chromium(Path(profile)) as browser:
        browser.open(report, width=1180, height=2400)
        browser.wait("document.querySelectorAll('.panel .chart.ready').length > 1")
        page = shoot(browser, ".bar", ".pair + .legend", {"format": "png"})
        argv = [
            FFMPEG,
            "-v",
            "error",
            "-y",
            "-i",
            "-",
            "-vf",
            PALETTE,
            "-compression_level",
            "100",
            "-update",
            "1",
            str(DOCS / "report.png"),
        ]
        subprocess.run(argv, input=page, check=True)
        browser.run("document.querySelector('.frames').scrollIntoView({behavior: 'instant'})")
        browser.wait("document.querySelector('.stage img')?.naturalWidth > 0")
        browser.wait(
            "document.querySelectorAll('.strip img').length > 0 && [...document.images].every(i => i.complete)"
        )
        form = {"format": "webp", "quality": 60}
        (DOCS / "pictures.webp").write_bytes(shoot(browser, ".frames .card", ".pictures output", form))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
