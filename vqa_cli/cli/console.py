"""What commands print: tables on stdout, progress on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import click

from vqa_cli.events import EncodeProgress, Event, Note, Planned, RungDone, SourceScored


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces; cells that are numbers go to the right."""
    widths = [max(len(str(line[i])) for line in (headers, *rows)) for i in range(len(headers))]
    right = [bool(rows) and all(_numeric(row[i]) for row in rows) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        parts = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
        return "  ".join(parts).rstrip()

    return "\n".join(line(row) for row in (headers, *rows))


def _numeric(cell: str) -> bool:
    text = cell.strip("+%~-")
    return text == "" or text.replace(".", "", 1).replace(",", "").isdigit()


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    click.echo(text, err=True)


class Countdown:
    """Watches one count up to ``total``: a bar on a terminal, a line every tenth of the way elsewhere."""

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=unit, file=sys.stderr, leave=False)

    def __call__(self, done: int, text: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)
        elif done % max(1, self._total // 10) == 0:
            note(f"{self._unit} {done}/{self._total}: {text}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Progress:
    """Watches a ladder: a bar over all rungs on a terminal, a line per rung elsewhere. Called from many threads."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self._shares: dict[tuple[str, str], float] = {}
        self._done = 0
        self._total = 0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._handle(event)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _handle(self, event: Event) -> None:
        match event:
            case Planned(rungs=rungs):
                self._plan(rungs)
            case Note(text=text, warning=warning):
                self._say(f"{'warning' if warning else 'note'}: {text}")
            case EncodeProgress(source=source, rung=rung, share=share):
                self._shares[source, rung] = share
                self._draw()
            case SourceScored(source=source, score=score):
                if score is not None:
                    self._say(f"{source}: source scores {score:.2f}")
            case RungDone():
                self._finish(event)

    def _plan(self, rungs: int) -> None:
        self._total += rungs
        if self._live and self._bar is None:
            from tqdm import tqdm

            shape = "{l_bar}{bar}| {n:.1f}/{total_fmt} rungs [{elapsed}<{remaining}]"
            self._bar = tqdm(total=rungs, file=sys.stderr, bar_format=shape, leave=False)
        elif self._bar is not None:
            self._bar.total = self._total
            self._bar.refresh()

    def _finish(self, event: RungDone) -> None:
        self._shares.pop((event.source, event.rung), None)
        self._done += 1
        where = f"[{self._done}/{self._total}] {event.source} {event.rung}"
        if event.reason:
            self._say(f"{where}: FAILED: {event.reason}")
        else:
            score = "" if event.score is None else f", score {event.score:.2f}"
            again = " (from the cache)" if event.cached else ""
            self._say(f"{where}: {event.kbps or 0:.0f} kb/s{score}{again}")
        self._draw()

    def _draw(self) -> None:
        if self._bar is not None:
            self._bar.n = self._done + sum(self._shares.values())
            self._bar.refresh()

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            note(text)
