"""Finding the first bad revision: the search, the sequential test, and builds that are really made and encoded by."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import FFMPEG, Vqa, make_clip
from test_output_contract import fits

from vqa_cli.history.bisection import Ends, Verdict, decide, search


def test_the_search_halves_and_ends_at_the_first_bad_one() -> None:
    for first_bad in range(1, 20):
        verdicts: dict[int, Verdict] = {0: "good", 19: "bad"}
        steps = 0
        while (found := search(20, verdicts)).next is not None:
            verdicts[found.next] = "bad" if found.next >= first_bad else "good"
            steps += 1
        assert list(found.suspects) == [first_bad]
        assert steps <= 5


def test_what_cannot_be_judged_is_gone_around_and_named_where_it_matters() -> None:
    verdicts: dict[int, Verdict] = {0: "good", 9: "bad", 4: "skip"}
    assert search(10, verdicts).next == 5
    verdicts |= {5: "bad", 3: "good"}
    found = search(10, verdicts)
    assert found.next is None
    assert list(found.suspects) == [4, 5]


def test_clear_values_decide_at_once_and_close_ones_take_more() -> None:
    ends = Ends.of([0.0, 0.5, -0.5], [4.0, 4.5, 3.5])
    assert decide([4.0], ends) == "bad"
    assert decide([0.1], ends) == "good"
    close = Ends.of([0.0, 1.0, -1.0], [1.5, 2.5, 0.5])
    assert decide([1.5], close) is None
    assert decide([1.5] * 8, close) == "bad"
    # A change for the better is found the same way.
    assert decide([-4.0], Ends.of([0.0, 0.5, -0.5], [-4.0, -4.5, -3.5])) == "bad"


def test_the_sequential_test_keeps_its_errors() -> None:
    """Of normal values at either end, about one in a hundred is called wrongly."""
    rng = np.random.default_rng(3)
    ends = Ends(0.0, 2.0, 1.0)
    wrong = used = 0
    for number in range(2000):
        truth = "bad" if number % 2 else "good"
        values: list[float] = []
        while (verdict := decide(values, ends)) is None:
            values.append(float(rng.normal(2.0 if truth == "bad" else 0.0, 1.0)))
        wrong += verdict != truth
        used += len(values)
    assert wrong / 2000 < 0.015
    assert used / 2000 < 4


def test_ends_that_scatter_as_much_as_they_differ_do_not_differ() -> None:
    assert Ends.of([0.0, 0.0], [1.0, 1.0]).differ(2)
    assert not Ends.of([0.0, 0.0], [0.05, 0.05]).differ(2)
    assert not Ends.of([0.0, 2.0, -2.0], [1.0, 3.0, -1.0]).differ(3)


BUILD = """#!/bin/sh
# build REV OUT: from r5 on, the encoder is worse; r3 does not compile.
n=${{1#r}}
echo "$1" >> "{log}"
[ "$n" = 3 ] && {{ echo "r3 does not compile" >&2; exit 1; }}
extra=""
[ "$n" -ge 5 ] && extra="-trellis 0 -bf 0"
cat > "$2" <<EOF
#!/bin/bash
given=()
for word in "\\$@"; do given+=("\\$word"); [ "\\$word" = libx264 ] && given+=($extra); done
exec "{ffmpeg}" "\\${{given[@]}}"
EOF
chmod +x "$2"
"""
FLAGS = "--codec x264 --height 108 --display 108 --crf 22,28,34,40 --encoder-preset veryfast"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    script = folder / "build"
    script.write_text(BUILD.format(log=folder / "built", ffmpeg=FFMPEG))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (folder / "revisions").write_text("# oldest first\n" + "".join(f"r{n}\n" for n in range(7)))
    make_clip(folder / "clip.mp4", size="192x108", rate="30", seconds=1.0)
    return folder


def bisect(
    vqa: Vqa, encoder: Path, folder: Path, *args: str, good: str = "r0", bad: str = "r6"
) -> subprocess.CompletedProcess[str]:
    return vqa(
        "bisect", "--good", good, "--bad", bad, "--source", encoder / "clip.mp4", "--revisions", encoder / "revisions",
        "--flags", FLAGS, "--metric", "psnr", "-q", "-o", folder, *args, "--", encoder / "build", "{rev}", "{out}",
    )  # fmt: skip


@pytest.mark.ffmpeg
def test_the_first_bad_build_is_found_and_a_second_call_builds_nothing(
    started: Vqa, encoder: Path, tmp_path: Path
) -> None:
    done = bisect(started, encoder, tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "first bad: r5\n"
    assert "warning: r3 is left out: cannot be built: r3 does not compile" in done.stderr
    built = (encoder / "built").read_text()
    again = bisect(started, encoder, tmp_path / "b")
    assert again.stdout == done.stdout
    told = fits("bisect", bisect(started, encoder, tmp_path / "b", "--format", "json").stdout)
    assert (encoder / "built").read_text() == built
    assert (told["first_bad"], told["suspects"], told["ends_differ"], told["revisions"]) == ("r5", ["r5"], True, 7)
    verdicts = {one["revision"]: one["verdict"] for one in told["tried"]}
    assert verdicts == {"r0": "good", "r2": "good", "r3": "skip", "r4": "good", "r5": "bad", "r6": "bad"}
    assert {one["reason"] for one in told["tried"]} == {"", "cannot be built: r3 does not compile"}
    other = bisect(started, encoder, tmp_path / "b", "--by", "cpu-time")
    assert other.returncode == 2
    assert other.stderr.endswith(
        f"error: holds another bisection: {tmp_path}/b\nhint: -o DIR names a folder for this one\n"
    )


@pytest.mark.ffmpeg
def test_ends_that_do_not_differ_are_no_bisection(vqa: Vqa, encoder: Path, tmp_path: Path) -> None:
    done = bisect(vqa, encoder, tmp_path / "b", good="r0", bad="r2")
    assert done.returncode == 7
    assert "the ends do not differ: BD-rate by psnr +0.00 %" in done.stderr
    assert done.stdout == ""
    again = bisect(vqa, encoder, tmp_path / "b", "--format", "json", good="r0", bad="r2")
    told = fits("bisect", again.stdout)
    assert again.returncode == 7 and (told["first_bad"], told["suspects"], told["change_percent"]) == (None, [], 0.0)
    assert [(one["revision"], one["verdict"]) for one in told["tried"]] == [("r0", None), ("r2", None)]


def test_what_cannot_be_meant_is_refused(vqa: Vqa, encoder: Path, tmp_path: Path) -> None:
    done = bisect(vqa, encoder, tmp_path / "b", good="r6", bad="r0")
    assert (done.returncode, done.stderr) == (
        2,
        "error: r6 is no earlier revision than r0\nhint: --good is the older one\n",
    )
    done = bisect(vqa, encoder, tmp_path / "b", good="r9")
    assert done.returncode == 2
    assert done.stderr == f"error: not in {encoder}/revisions: --good r9\n"
    done = vqa("bisect", "--good", "a", "--bad", "b", "--source", "x.mp4", "--", "make")
    assert done.returncode == 2
    assert (
        done.stderr == "error: the build command does not say where the ffmpeg goes\nhint: use {rev} and {out} in it\n"
    )
