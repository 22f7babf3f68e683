"""The history of an encoder: files that merge, series that are never joined silently, steps, and what CI is told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from chromium import NO_AXE, Chromium, axe_script
from conftest import Vqa
from report_runs import make_run

from vqa_cli.document import Run
from vqa_cli.errors import StorageError
from vqa_cli.history.entries import Entry, add_entry, read_history
from vqa_cli.history.regressions import find_steps, fold
from vqa_cli.history.series import BD, RATE, TIME, Series, make_series


def a_run(number: int, factor: float = 1.0, **changes: object) -> Run:
    run, _ = make_run(frames=60, heights=(360,), codecs=("libx264",), crfs=(20, 24, 28, 32, 36), model=False,
                      metrics=("vmaf",), rate_factor=factor)  # fmt: skip
    (source,) = run.sources
    rungs = tuple(
        r.model_copy(update={"encode": r.encode.model_copy(update={"sha256": f"{number:02x}" * 32})})
        for r in source.rungs
        if r.encode
    )
    run = run.model_copy(update={"sources": (source.model_copy(update={"rungs": rungs}),)})
    return run.model_copy(update={"environment": run.environment.model_copy(update=changes)})


def an_entry(number: int, factor: float = 1.0, run: Run | None = None, **changes: object) -> Entry:
    date = (datetime(2026, 1, 1) + timedelta(days=number)).isoformat() + "+00:00"
    return Entry(
        commit=f"{number:040x}"[::-1], date=date, label=f"change {number}", run=run or a_run(number, factor, **changes)
    )


def factors(count: int, step: int | None = None) -> list[float]:
    rng = np.random.default_rng(1)
    return [1 + rng.normal(0, 0.002) + (0.02 if step is not None and n >= step else 0.0) for n in range(count)]


def entries(count: int = 30, step: int | None = None) -> list[Entry]:
    return [an_entry(n, factor) for n, factor in enumerate(factors(count, step))]


def bd(found: Sequence[Series]) -> list[Series]:
    return [series for series in found if series.kind.name == BD]


def test_a_dearer_encoder_is_a_regression_of_bd_rate_and_new_once() -> None:
    history = entries(30, 20)
    (step,) = [step for step in find_steps(make_series(history)) if step.is_regression]
    assert (step.before, step.after) == (19, 20)
    assert step.change == pytest.approx(2.0, abs=0.3)
    assert not step.new
    fresh = [
        last for last in range(5, 31)
        if any(step.new and step.is_regression for step in find_steps(make_series(history[:last])))
    ]  # fmt: skip
    assert len(fresh) == 1
    assert 21 <= fresh[0] <= 24


def test_a_step_at_the_end_of_a_series_is_not_new_for_ever() -> None:
    """The run after it begins another series: it has nothing to say of the first."""
    history = entries(22, 20)
    assert any(step.new for step in find_steps(bd(make_series(history[:21]))) + find_steps(bd(make_series(history))))
    later = [*history[:21], an_entry(21, ffmpeg_sha256="ee" * 32)]
    steps = find_steps(bd(make_series(later)))
    assert [step.after for step in steps] == [20]
    assert not any(step.new for step in steps)


def test_a_cheaper_encoder_is_no_regression() -> None:
    history = [an_entry(n, 2.0 - factor) for n, factor in enumerate(factors(30, 20))]
    steps = find_steps(make_series(history))
    assert [step.worse for step in steps if step.series.kind.name == BD] == [False]
    assert not any(step.is_regression for step in steps)


def test_the_anchor_is_the_first_run_or_the_one_that_was_asked_for() -> None:
    history = entries(10)
    (series,) = bd(make_series(history))
    assert series.values[0].value == 0
    (series,) = bd(make_series(history, anchor=history[4].short))
    assert series.anchor == 4
    assert series.values[4].value == 0
    assert series.values[0].value != 0


def other_source(number: int) -> Run:
    run = a_run(number)
    (source,) = run.sources
    info = source.source.model_copy(update={"sha256": "12" * 32})
    return run.model_copy(update={"sources": (source.model_copy(update={"source": info}),)})


def judged_smaller(number: int) -> Run:
    run = a_run(number)
    return run.model_copy(update={"sources": (run.sources[0].model_copy(update={"display_width": 640}),)})


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (lambda n: a_run(n, ffmpeg_sha256="ee" * 32), "measured by another ffmpeg build"),
        (lambda n: a_run(n, measurement=10**6), "measured by another version of vqa's arithmetic"),
        (other_source, "the source is another file"),
        (judged_smaller, "judged at another size"),
    ],
)  # fmt: skip
def test_what_was_measured_otherwise_begins_a_new_series(later: Callable[[int], Run], reason: str) -> None:
    history = [*entries(5), *(an_entry(n, run=later(n)) for n in range(5, 9))]
    first, second = bd(make_series(history))
    assert [value.entry for value in first.values] == [0, 1, 2, 3, 4]
    assert [value.entry for value in second.values] == [5, 6, 7, 8]
    assert (first.begins, second.begins) == ("", reason)
    assert second.values[0].value == 0  # against its own first run


def test_another_models_scores_are_not_joined_but_bitrates_are() -> None:
    def run(n: int, sha: str) -> Run:
        made, _ = make_run(frames=60, heights=(360,), codecs=("libx264",), metrics=())
        assert made.model is not None
        return made.model_copy(update={"model": replace(made.model, sha256=sha)})

    history = [an_entry(n, run=run(n, "aa" * 32 if n < 3 else "bb" * 32)) for n in range(6)]
    found = make_series(history)
    assert [s.begins for s in found if s.kind.name == "model"] == ["", "another model, weights or pooling"]
    assert [s.begins for s in found if s.kind.name == RATE] == [""]


def test_times_of_another_cpu_are_not_joined() -> None:
    history = [an_entry(n, cpu="A" if n < 3 else "B") for n in range(6)]
    found = make_series(history)
    assert [s.begins for s in found if s.kind.name == TIME] == ["", "encoded on another CPU"]
    assert len(bd(found)) == 1


def test_levels_over_other_rate_points_are_not_joined_but_bd_rates_are() -> None:
    short = a_run(5)
    (source,) = short.sources
    short = short.model_copy(update={"sources": (source.model_copy(update={"rungs": source.rungs[:4]}),)})
    found = make_series([*entries(5), an_entry(5, run=short)])
    assert [s.begins for s in found if s.kind.name == "vmaf"] == ["", "other rate points were encoded"]
    assert len(bd(found)) == 1


def test_what_one_commit_did_to_many_curves_is_one_change() -> None:
    def run(n: int, factor: float) -> Run:
        made, _ = make_run(["a.mp4", "b.mp4"], frames=60, heights=(360,), crfs=(20, 24, 28, 32, 36), model=False,
                           metrics=("vmaf",), rate_factor=factor)  # fmt: skip
        return made

    history = [an_entry(n, run=run(n, factor)) for n, factor in enumerate([1.0] * 8 + [1.03] * 4)]
    # Equal hashes stand for equal files; these are not.
    for n, entry in enumerate(history):
        sources = tuple(
            s.model_copy(
                update={
                    "rungs": tuple(
                        r.model_copy(update={"encode": r.encode.model_copy(update={"sha256": f"{n:064}"})})
                        for r in s.rungs
                        if r.encode
                    )
                }
            )
            for s in entry.run.sources
        )
        history[n] = entry.model_copy(update={"run": entry.run.model_copy(update={"sources": sources})})
    changes = [change for change in fold(find_steps(make_series(history))) if change.largest.is_regression]
    assert len(changes) == 1
    assert changes[0].where.endswith(" and 3 more")


def test_the_same_run_twice_is_one_file_and_files_never_change(tmp_path: Path) -> None:
    entry = an_entry(3)
    path, new = add_entry(tmp_path, entry)
    before = path.read_bytes()
    assert new
    assert add_entry(tmp_path, entry) == (path, False)
    assert path.read_bytes() == before
    assert len(read_history(tmp_path).entries) == 1


def test_what_is_no_run_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path, _ = add_entry(tmp_path, an_entry(0))
    add_entry(tmp_path, an_entry(1))
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    (tmp_path / "runs" / ".gitkeep").write_text("")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    history = read_history(tmp_path)
    assert [entry.label for entry in history.entries] == ["change 1"]
    assert history.damaged == {path.name: "damaged", "notes.txt": "no file of a history"}
    with pytest.raises(StorageError, match="no history: "):
        read_history(tmp_path / "elsewhere")


def git(folder: Path, *args: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *names, *args], cwd=folder, check=True, capture_output=True)


def test_branches_that_add_runs_merge_in_git(tmp_path: Path) -> None:
    git(tmp_path, "init")
    add_entry(tmp_path, an_entry(0))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "checkout", "-b", "other")
    for number in (1, 2):
        add_entry(tmp_path, an_entry(number))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "two")
    git(tmp_path, "checkout", "main")
    for number in (2, 3):  # the same run on both branches
        add_entry(tmp_path, an_entry(number))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "three")
    git(tmp_path, "merge", "other", "-m", "merged")
    history = read_history(tmp_path)
    assert [entry.label for entry in history.entries] == [f"change {n}" for n in range(4)]
    assert history.damaged == {}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for entry in entries(24, 20):
        add_entry(tmp_path / "h", entry)
    return tmp_path / "h"


def test_the_command_says_fail_for_a_new_regression_alone(vqa: Vqa, tmp_path: Path, kept: Path) -> None:
    done = vqa("history", "regressions", "--history", kept)
    fresh = done.returncode == 1
    assert "+2" in done.stdout
    for path in sorted(kept.glob("runs/*"))[20:]:
        path.rename(tmp_path / path.name)
    codes = []
    for path in sorted(tmp_path.glob("*.gz")):
        path.rename(kept / "runs" / path.name)
        codes.append(vqa("history", "regressions", "--history", kept).returncode)
    assert codes.count(1) == 1
    assert (codes[-1] == 1) == fresh
    (kept / "runs" / "x.json.gz").write_text("{}")
    done = vqa("history", "regressions", "--history", kept)
    assert done.returncode == (1 if fresh else 8)
    assert "warning: left out: x.json.gz: cannot be read: " in done.stderr


def test_a_run_is_added_with_what_git_says_of_it(started: Vqa, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(a_run(0).model_dump_json())
    bare = tmp_path / "bare"
    bare.mkdir()
    done = started("history", "add", tmp_path / "run.json", cwd=bare)
    assert done.returncode == 2
    assert done.stderr == "error: no commit: this is no git repository\nhint: --commit NAME --date ISO8601\n"
    git(bare, "init")
    git(bare, "commit", "--allow-empty", "-m", "faster search")
    done = started("history", "add", tmp_path / "run.json", cwd=bare)
    assert done.returncode == 0
    assert done.stderr.startswith("added: vqa-history/runs/")
    assert started("history", "add", tmp_path / "run.json", cwd=bare).stderr.startswith(
        "there already: vqa-history/runs/"
    )
    (entry,) = read_history(bare / "vqa-history").entries
    assert (entry.label, entry.branch) == ("faster search", "main")
    done = started("history", "add", tmp_path / "run.json", "--commit", "abc", "--date", "soon", cwd=bare)
    assert done.returncode == 2
    assert done.stderr == "error: not a date: soon\nhint: 2026-03-04 or 2026-03-04T10:11:12+00:00\n"


def made(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "compare").glob("*.html")}


def test_a_site_made_again_leaves_its_comparisons(vqa: Vqa, tmp_path: Path) -> None:
    for entry in entries(12, step=11):
        add_entry(tmp_path / "vqa-history", entry)
    folder = tmp_path / "site"
    html = ("history", "html", "-o", folder)
    assert vqa(*html, cwd=tmp_path).returncode == 0
    first, index = made(folder), (folder / "index.html").read_text()
    assert len(first) == 1
    assert vqa(*html, cwd=tmp_path).returncode == 0
    assert made(folder) == first and (folder / "index.html").read_text() == index
    (folder / "compare/made.json").write_text("{")
    assert vqa(*html, cwd=tmp_path).returncode == 0
    again = made(folder)
    assert again.keys() == first.keys() and again != first
    assert vqa(*html, "--metric", "vmaf", cwd=tmp_path).returncode == 0
    assert made(folder) != again


def test_any_two_runs_are_compared_by_their_commits(vqa: Vqa, tmp_path: Path, kept: Path) -> None:
    first, *_, last = read_history(kept).entries
    done = vqa("history", "compare", first.short, last.short, "--history", kept, "-o", tmp_path / "page.html")
    assert done.returncode == 0
    assert "Candidate against baseline" in (tmp_path / "page.html").read_text()
    done = vqa("history", "compare", first.short, "nothing", "--history", kept, "-o", tmp_path / "page.html")
    assert done.returncode == 2
    assert done.stderr == "error: no run of this commit: nothing\nhint: `vqa history html` lists them\n"


@pytest.mark.browser
def test_the_site_works_in_a_browser(vqa: Vqa, tmp_path: Path, kept: Path) -> None:
    (kept / "runs" / "notes.txt").write_text("mine")
    done = vqa("history", "html", "--history", kept, "-o", tmp_path / "site")
    assert done.returncode == 8
    page = tmp_path / "site" / "index.html"
    with Chromium(tmp_path / "profile") as browser:
        for width, dark in ((1440, False), (1024, True), (390, False)):
            browser.open(page, width=width, dark=dark)
            browser.run("document.querySelector('#trends').scrollIntoView({behavior: 'instant'})")
            browser.wait("document.querySelectorAll('.trend .chart.ready circle.run').length === 24")
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.run(
                "[...document.querySelectorAll('#steps .scroll')].every(s => s.scrollWidth <= s.clientWidth + 1)"
            )
            assert browser.problems == []
        assert (
            browser.run("document.querySelector('#steps .alerts').textContent")
            .strip()
            .endswith("notes.txt (no file of a history).")
        )
        browser.run(
            "(() => { const s = document.querySelector('#kind'); s.value = 'bitrate'; s.dispatchEvent(new Event('change')); })()"
        )
        browser.wait("document.querySelector('.trend figcaption').textContent.includes('bitrate')")
        target = browser.run("document.querySelector('#steps td a').getAttribute('href')")
        assert (page.parent / target).is_file()
        if (script := axe_script()) is None:
            pytest.skip(NO_AXE)
        assert browser.violations(script) == []
