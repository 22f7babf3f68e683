"""The work of ``vqa bisect``: builds revisions, encodes by them, and remembers what came of it."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_cli.cli.console import emit_json, note, say
from vqa_cli.cli.progress import Progress
from vqa_cli.errors import ExitCode, InputError, StorageError, ToolError, UsageError

if TYPE_CHECKING:
    from vqa_cli.cli.listing import Bisected, RevisionTried
    from vqa_cli.document import Run
    from vqa_cli.history.bisection import Ends, Verdict
    from vqa_cli.history.bisectstate import BisectState, Tried
    from vqa_cli.settings import LadderSettings

_BUILD_SILENCE_S = 3600.0
_END_REPEATS = 3
_MOST_REPEATS = 12


@dataclass
class Bisection:
    """The search: builds, encodes, remembers."""

    build: Sequence[str]
    settings: LadderSettings
    sources: Sequence[Path]
    folder: Path
    options: dict[str, Any]
    state: BisectState
    anchor: Run | None = field(default=None)

    def run(self) -> int:
        from vqa_cli.history.bisection import Ends, search

        revisions = self.state.revisions
        for rev in (revisions[0], revisions[-1]):
            self._measure(rev, _END_REPEATS)
            if self._tried(rev).verdict == "skip":
                raise ToolError(f"an end cannot be judged: {rev}: {self._tried(rev).reason}")
        first, last = self._tried(revisions[0]), self._tried(revisions[-1])
        ends = Ends.of(first.values, last.values)
        repeats = min(len(first.values), len(last.values))
        if first.files[0] == last.files[0] or not ends.differ(repeats):
            note(f"the ends do not differ: {self._change(ends)}")
            note("hint: other sources, rates or --by may show what became worse")
            return self._answer(ends, ())
        note(f"the ends differ: {self._change(ends)}")
        while (found := search(len(revisions), self._verdicts())).next is not None:
            self._judge(revisions[found.next], ends)
        return self._answer(ends, [revisions[n] for n in found.suspects])

    def _change(self, ends: Ends) -> str:
        what = f"BD-rate by {self.options['metric']}" if self.options["by"] == "bd-rate" else "CPU time"
        return f"{what} {ends.change:+.2f} %, one encode scatters by {ends.sigma:.2f} %"

    def _answer(self, ends: Ends, suspects: Sequence[str]) -> int:
        """Print which revision it was, or which may have been; without suspects the ends do not differ."""
        if self.options["output_format"] == "json":
            emit_json(self._told(ends, suspects))
        elif suspects:
            say(("first bad: " if len(suspects) == 1 else "first bad, one of: ") + " ".join(suspects))
        if len(suspects) > 1:
            note("the others between the last good and the first bad one could not be judged")
            return ExitCode.PARTIAL
        return ExitCode.OK if suspects else ExitCode.INCONCLUSIVE

    def _told(self, ends: Ends, suspects: Sequence[str]) -> Bisected:
        verdicts = self._verdicts() if suspects else {}
        tried: list[RevisionTried] = [
            {"revision": rev, "verdict": verdicts.get(n), "values": list(one.values), "reason": one.reason}
            for n, rev in enumerate(self.state.revisions)
            if (one := self.state.tried.get(rev))
        ]
        return {
            "by": self.options["by"], "metric": self.options["metric"], "revisions": len(self.state.revisions),
            "change_percent": ends.change, "scatter_percent": ends.sigma, "ends_differ": bool(suspects),
            "first_bad": suspects[0] if len(suspects) == 1 else None, "suspects": list(suspects), "tried": tried,
        }  # fmt: skip

    def _tried(self, rev: str) -> Tried:
        from vqa_cli.history.bisectstate import Tried

        return self.state.tried.get(rev, Tried())

    def _verdicts(self) -> dict[int, Any]:
        last = len(self.state.revisions) - 1
        known = {n: self._tried(rev).verdict for n, rev in enumerate(self.state.revisions)}
        return {n: verdict for n, verdict in known.items() if verdict} | {0: "good", last: "bad"}

    def _judge(self, rev: str, ends: Ends) -> None:
        """Measure a revision until it is told from one of the ends."""
        from vqa_cli.history.bisection import decide

        first, last = (self._tried(self.state.revisions[n]) for n in (0, -1))
        for repeats in range(1, _MOST_REPEATS + 1):
            self._measure(rev, repeats)
            tried = self._tried(rev)
            if tried.verdict == "skip":
                return
            if self.options["by"] == "bd-rate" and tried.files[0] in (first.files[0], last.files[0]):
                verdict: Verdict | None = "good" if tried.files[0] == first.files[0] else "bad"
            else:
                verdict = decide(tried.values, ends)
                # The same files again say nothing new.
                if verdict is None and self.options["by"] == "bd-rate" and len(set(tried.files)) < len(tried.files):
                    break
            if verdict is not None:
                self._remember(rev, tried.model_copy(update={"verdict": verdict}))
                note(
                    f"{rev}: {verdict}, {_list(tried.values)} after {len(tried.values)} {'encode' if len(tried.values) == 1 else 'encodes'}"
                )
                return
        self._skip(rev, f"between the ends: {_list(self._tried(rev).values)}")

    def _measure(self, rev: str, repeats: int) -> None:
        """Bring a revision to so many repeats; of the ends, fewer where an encoder always gives the same file."""
        tried = self._tried(rev)
        if tried.verdict == "skip" or self._enough(tried, repeats):
            return
        program = self._build(rev)
        while program and not self._enough(tried, repeats):
            try:
                run = self._encode(program)
                value = self._value(run)
            except StorageError:
                raise
            except (ToolError, InputError) as err:
                self._skip(rev, err.message)
                break
            tried = tried.model_copy(update={"values": (*tried.values, value), "files": (*tried.files, _files(run))})
            self._remember(rev, tried)
        shutil.rmtree(self._builds(rev), ignore_errors=True)

    def _enough(self, tried: Tried, repeats: int) -> bool:
        """Whether there are so many values, or two equal files, which a third would only equal."""
        settled = self.options["by"] == "bd-rate" and len(tried.files) > 1 and len(set(tried.files)) == 1
        return settled or len(tried.values) >= repeats

    def _builds(self, rev: str) -> Path:
        return self.folder / "builds" / hashlib.sha256(rev.encode()).hexdigest()[:16]

    def _build(self, rev: str) -> str | None:
        from vqa_cli.media.binaries import find_ffmpeg
        from vqa_cli.media.process import Runner

        folder = self._builds(rev)
        folder.mkdir(parents=True, exist_ok=True)
        program = (folder / "ffmpeg").absolute()
        argv = [part.replace("{rev}", rev).replace("{out}", str(program)) for part in self.build]
        note(f"building {rev}")
        try:
            with Runner(silence_s=_BUILD_SILENCE_S) as runner:
                runner.run(argv, on_line=lambda _: True)
                find_ffmpeg(runner, str(program))
        except ToolError as err:
            self._skip(rev, f"cannot be built: {err.detail or err.message}")
            return None
        return str(program)

    def _encode(self, program: str) -> Run:
        """Anew each time: what was remembered has no scatter."""
        from vqa_cli.ladder.job import LadderJob
        from vqa_cli.ladder.pipeline import run_ladder

        job = LadderJob(
            sources=tuple(self.sources), settings=self.settings, scorer=None, ffmpeg=self.options["ffmpeg"],
            workers=self.options["jobs"], encode_ffmpeg=program,
        )  # fmt: skip
        progress = Progress(quiet=self.options["quiet"])
        try:
            run = run_ladder(job, progress).run
        finally:
            progress.close()
        bad = next((r for s in run.sources for r in s.rungs if r.status != "ok"), None)
        if bad is not None:
            raise ToolError(f"{bad.id}: {bad.reason}")
        return run

    def _value(self, run: Run) -> float:
        """In percent against the first run of the good end, over all curves."""
        anchor = self._anchor(run)
        if self.options["by"] == "cpu-time":
            spent = [sum(r.encode.cpu_s for s in one.sources for r in s.rungs if r.encode) for one in (anchor, run)]
            return 100 * math.log(spent[1] / spent[0])
        from vqa_cli.analysis.compare import between, run_curves

        metric = self.options["metric"]
        found = between(run_curves(anchor, metric), run_curves(run, metric), metric, "pchip")
        known = [item.result.bd_rate for item in found if item.result.bd_rate is not None]
        if not known:
            raise UsageError(f"no BD-rate: {'; '.join(found[0].result.notes)}", hint="--flags with four or more --crf")
        return sum(known) / len(known)

    def _anchor(self, run: Run) -> Run:
        """The first run of the good end, kept so that a later call measures against the same."""
        from vqa_cli.document import read_run
        from vqa_cli.files import write_text

        path = self.folder / "good.json"
        if self.anchor is None and path.exists() and self.state.tried:
            self.anchor = read_run(path)
        if self.anchor is None:
            write_text(path, run.model_dump_json(indent=1))
            self.anchor = run
        return self.anchor

    def _skip(self, rev: str, reason: str) -> None:
        note(f"warning: {rev} is left out: {reason}")
        self._remember(rev, self._tried(rev).model_copy(update={"verdict": "skip", "reason": reason}))

    def _remember(self, rev: str, tried: Tried) -> None:
        from vqa_cli.history.bisectstate import save_state

        self.state.tried[rev] = tried
        save_state(self.folder, self.state)


def _files(run: Run) -> str:
    hashes = [rung.encode.sha256 for source in run.sources for rung in source.rungs if rung.encode]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.2f} %" for value in values)
