"""A headless Chromium over its debugging pipe: enough of the protocol to use a page as a reader would."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

NO_AXE = "no axe-core: npm install --no-save axe-core"


def axe_script() -> str | None:
    """axe-core's script from the checkout's node_modules or npm's global ones; tests do not fetch it."""
    roots = [Path(__file__).parent.parent / "node_modules"]
    if npm := shutil.which("npm"):
        done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False, timeout=60)
        roots.append(Path(done.stdout.strip() or "nowhere"))
    found = next((path for root in roots if (path := root / "axe-core/axe.min.js").is_file()), None)
    return found.read_text(encoding="utf-8") if found else None


class Chromium:
    """One page; a test that opens it is skipped where there is no Chromium.

    ``problems`` collects console errors, uncaught exceptions and requests that leave the disk.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self.problems: list[str] = []
        self._next = 0

    def __enter__(self) -> Self:
        if PROGRAM is None:
            pytest.skip("no Chromium on this machine")
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # The protocol wants commands on descriptor 3 and answers on 4; dup2 in a shell avoids a preexec function.
        flags = "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --remote-debugging-pipe --no-first-run"
        script = f'exec "$0" {flags} --user-data-dir="$1" about:blank 3<&{their_in} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, PROGRAM, str(self._profile)],
            pass_fds=(their_in, their_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self._rest = b""
        self._session: str | None = None
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._next:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RuntimeError("Chromium ended")
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.problems.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.problems.append(str([arg.get("value") for arg in params["args"]]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(params["entry"]["text"])
            case "Network.requestWillBeSent" if not params["request"]["url"].startswith(
                ("file:", "data:", "about:", "blob:")
            ):
                self.problems.append(f"request of {params['request']['url']}")

    def open(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        scripts: bool = True,
        fragment: str = "",
    ) -> None:
        """Load a file and wait until its script has set everything up."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        # Another fragment alone would not load the page again.
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=path.resolve().as_uri() + fragment)
        self.wait("document.readyState === 'complete'")
        if scripts:
            self.wait("document.documentElement.dataset.ready === 'yes'")

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page; promises are awaited."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", "error"))
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 120.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def mouse(self, kind: str, x: float, y: float, *, held: bool = False, clicks: int = 1) -> None:
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased`` of the left button; ``held`` while dragging."""
        button = "left" if held or kind != "mouseMoved" else "none"
        buttons = int(held or kind == "mousePressed")
        self.send(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=clicks
        )  # fmt: skip

    def click(self, x: float, y: float, *, clicks: int = 1) -> None:
        """Press and let go at a place."""
        self.mouse("mousePressed", x, y, clicks=clicks)
        self.mouse("mouseReleased", x, y, clicks=clicks)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one place, move, and let go at another."""
        self.mouse("mousePressed", *start)
        for share in (0.3, 0.7, 1.0):
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, held=True)
        self.mouse("mouseReleased", *end)

    def key(self, name: str, *, shift: bool = False) -> None:
        """Press and let go of a key, by its name in the DOM; a single character is typed."""
        codes = {"Enter": 13, "Tab": 9, " ": 32, "Escape": 27, "Home": 36, "End": 35,
                 "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip
        text = {"Enter": "\r"}.get(name, name if len(name) == 1 else "")
        given: dict[str, Any] = {
            "key": name,
            "modifiers": 8 if shift else 0,
            "windowsVirtualKeyCode": codes.get(name, ord(name[0])),
        }
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **given)
        self.send("Input.dispatchKeyEvent", type="keyUp", **given)

    def nodes(self) -> int:
        """How many nodes the page has, text and all."""
        self.send("HeapProfiler.collectGarbage")
        return int(self.send("Memory.getDOMCounters")["nodes"])

    def violations(self, script: str) -> list[str]:
        """What axe-core finds wrong: rule and the first element of each."""
        self.run(f"{script};0")
        found = self.run(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary}`))"
        )
        return list(found)

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """The page as it prints."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])
