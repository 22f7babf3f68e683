"""How far long work is: one bar over all of it on a terminal, a line for each part elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from vqa_cli.cli.console import note, painted
from vqa_cli.events import EncodeProgress, Event, Note, Planned, RungDone, SourceScored
from vqa_cli.metrics import METRICS
from vqa_cli.text import visible

_UNSURE_S = 5.0


class Bar:
    """A bar on stderr where that is a terminal; elsewhere nothing is drawn."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            # Drawn only when told to, since tqdm's own estimate takes the parts for equal.
            self._bar = tqdm(
                total=1.0,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                unit="begun",
                bar_format="{percentage:3.0f}%|{bar}| {unit}",
            )

    @property
    def live(self) -> bool:
        """Whether it is drawn."""
        return self._bar is not None

    def draw(self, share: float, text: str) -> None:
        """``share`` of the work is done, 0..1."""
        if self._bar is not None:
            self._bar.n, self._bar.unit = min(1.0, share), visible(text)
            self._bar.refresh()

    def say(self, text: str) -> None:
        """A line that stays, above the bar."""
        if self._bar is not None:
            self._bar.write(painted(visible(text), sys.stderr), file=sys.stderr)
        else:
            note(text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Estimate:
    """How long work will go on, by the share that is done: of all work that took time, at its mean speed so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()

    def text(self, done: float, left: float) -> str:
        """``about 3 min left``, or nothing as long as too little is known.

        Args:
            done, left: work, in any one unit; what came from a cache is in neither.
        """
        elapsed = self._clock() - self._start
        if done <= 0 or elapsed < _UNSURE_S:
            return ""
        return f"about {_about(elapsed * left / done)} left"


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Watches a ladder over all of its sources, whatever order their rungs come in. Called from many threads.

    Args:
        times: how often the whole ladder is run; each source tells its plan each time, and it counts once.
    """

    def __init__(self, *, quiet: bool, times: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet, self._times = quiet, times
        self._bar = Bar(quiet=quiet)
        self._clock = clock
        self._estimate: Estimate | None = None
        self._work: dict[tuple[str, str], float] = {}
        self._planned: set[str] = set()
        self._sources = 1
        self._shares: dict[tuple[str, str], float] = {}
        self._rungs = 0
        self._done = self._recalled = 0.0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._handle(event)

    def close(self) -> None:
        self._bar.close()

    def _handle(self, event: Event) -> None:
        match event:
            case Planned():
                self._plan(event)
            case Note(text=text, warning=warning):
                self._say(f"{'warning' if warning else 'note'}: {text}")
            case EncodeProgress(source=source, rung=rung, share=share):
                self._shares[source, rung] = share
            case SourceScored(source=source, score=score):
                if score is not None:
                    self._say(f"{source}: source scores {score:.2f}")
            case RungDone():
                self._finish(event)
        self._draw()

    def _plan(self, event: Planned) -> None:
        self._estimate = self._estimate or Estimate(self._clock)
        self._sources = event.sources
        self._planned.add(event.source)
        self._work |= {(event.source, rung): work for rung, work in event.work.items()}

    @property
    def _known(self) -> bool:
        """Whether every source has told its plan, so that the whole is known."""
        return len(self._planned) >= self._sources

    @property
    def _count(self) -> str:
        """``7/24``; a plus while more will be planned."""
        return f"{self._rungs}/{len(self._work) * self._times}{'' if self._known else '+'}"

    def _finish(self, event: RungDone) -> None:
        key = event.source, event.rung
        self._shares.pop(key, None)
        self._rungs += 1
        self._done += self._work.get(key, 0.0)
        self._recalled += self._work.get(key, 0.0) if event.cached else 0.0
        self._say(f"[{self._count}] {event.source} {event.rung}: {_result(event)}")

    def _draw(self) -> None:
        if not self._bar.live or self._estimate is None:
            return
        total = sum(self._work.values()) * self._times
        running = sum(self._work.get(key, 0.0) * share for key, share in self._shares.items())
        done = self._done + running
        if self._known:
            left = self._estimate.text(done - self._recalled, total - done)
        else:  # those to come are taken to be like those that are known, for the bar alone
            total *= self._sources / max(1, len(self._planned))
            left = f"{len(self._planned)} of {self._sources} sources looked at"
        self._bar.draw(done / total if total else 0.0, f"{self._count} rungs{', ' if left else ''}{left}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._bar.say(text)


def _result(event: RungDone) -> str:
    if event.reason:
        return f"FAILED: {event.reason}"
    parts = [f"{event.kbps or 0:.0f} kb/s"]
    if event.quality is not None:
        metric, value = event.quality
        parts.append(f"{metric} {value:.{max(2, METRICS[metric].decimals)}f}")
    if event.score is not None:
        parts.append(f"score {event.score:.2f}")
    return ", ".join(parts) + (" (from the cache)" if event.cached else "")


class FileProgress:
    """Watches files that are scored one after the other."""

    def __init__(self, files: int, *, quiet: bool) -> None:
        self._files, self._quiet = files, quiet
        self._bar = Bar(quiet=quiet)
        self._estimate = Estimate()
        self._file = self._remembered = 0
        self._worked = False

    def share(self, share: float) -> None:
        """``share`` of the present file is scored, 0..1."""
        self._worked = True
        done = self._file + share
        left = self._estimate.text(done - self._remembered, self._files - done)
        count = f"file {self._file + 1}/{self._files}" if self._files > 1 else f"{share:.0%} of the frames"
        self._bar.draw(done / self._files, f"{count}{', ' if left else ''}{left}")

    def say(self, text: str) -> None:
        """Something the user should read."""
        self._bar.say(text)

    def done(self, text: str, *, failed: bool = False) -> None:
        """The present file is finished; ``text`` says how, a failure also to those who want no progress."""
        self._file += 1
        self._remembered += not self._worked  # no frame of it was looked at
        self._worked = False
        if self._files > 1 and (failed or not self._quiet):
            self._bar.say(f"[{self._file}/{self._files}] {'FAILED: ' if failed else ''}{text}")

    def close(self) -> None:
        self._bar.close()


class Countdown:
    """Watches one count up to ``total``: a bar on a terminal, a line every tenth of the way elsewhere."""

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._bar, self._estimate = Bar(), Estimate()

    def __call__(self, done: int, text: str) -> None:
        if self._bar.live:
            left = self._estimate.text(done, self._total - done)
            parts = [f"{self._unit} {done}/{self._total}", left, text]
            self._bar.draw(done / self._total, ", ".join(filter(None, parts)))
        elif done % max(1, self._total // 10) == 0:
            note(f"{self._unit} {done}/{self._total}: {text}")

    def close(self) -> None:
        self._bar.close()
