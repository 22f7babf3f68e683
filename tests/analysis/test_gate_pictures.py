"""The gate's page shows both sides at the frames where the candidate lost most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Vqa, make_clip
from documents import ladder, make_run

from vqa_cli.analysis.moments import StillsWish, choose_lost
from vqa_cli.document import read_run
from vqa_cli.stills import Stills, read_stills

GATE = (
    "--preset", "mobile", "--metric", "psnr", "--candidate-flags", "--encoder-preset ultrafast", "-q", "--flags",
    "--codec x264 --height 108 --display 108 --crf 22,27,32,37 --encoder-preset veryfast --model none",
)  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("gated") / "clip.mp4", size="192x108", rate="30", seconds=1.5)


def stills_of(folder: Path, run: Path) -> Stills:
    found = read_stills(folder, read_run(run))
    assert found is not None
    return found


@pytest.mark.ffmpeg
def test_both_sides_are_pictured_at_the_same_frames(clip: Path, vqa: Vqa, tmp_path: Path) -> None:
    done = vqa("gate", clip, *GATE, "--save", tmp_path / "kept")
    assert done.returncode == 1, done.stderr
    sides = [tmp_path / "kept" / side for side in ("baseline", "candidate")]
    one, two = (stills_of(side / "stills", side).sources[0] for side in sides)
    assert one.moments and [m.frame for m in one.moments] == [m.frame for m in two.moments]
    assert set(one.rungs) == set(two.rungs) and len(one.rungs) == 4
    assert not any(rung.reason for rung in (*one.rungs.values(), *two.rungs.values()))
    base, worse = (read_run(side).frame_values() for side in sides)
    assert base is not None and worse is not None
    worst = max(one.rungs, key=lambda name: np.mean(base[0, name]["psnr"] - worse[0, name]["psnr"]))
    frame = int(np.argmax(base[0, worst]["psnr"] - worse[0, worst]["psnr"]))
    assert any(abs(m.frame - frame) <= 15 and worst in m.worst_of for m in one.moments)
    assert '"pairs": [{' in (tmp_path / "kept/report.html").read_text().replace('"pairs":[{', '"pairs": [{')


@pytest.mark.ffmpeg
def test_a_page_alone_has_its_pictures_beside_it_and_none_where_none_are_wanted(
    clip: Path, vqa: Vqa, tmp_path: Path
) -> None:
    assert vqa("gate", clip, *GATE, "--report", tmp_path / "page.html", "--stills", "1").returncode == 1
    assert {path.name for path in (tmp_path / "page-stills").iterdir()} == {"baseline", "candidate"}
    assert vqa("gate", clip, *GATE, "--report", tmp_path / "plain.html", "--stills", "none").returncode == 1
    assert not (tmp_path / "plain-stills").exists()


def test_the_rungs_that_lost_most_are_chosen_and_where_they_lost_it() -> None:
    run = make_run(ladder())
    names = [rung.id for rung in run.sources[0].rungs]
    base = {name: np.full(150, 90.0) for name in names}
    candidate = {name: np.full(150, 90.0) for name in names[:-1]}
    candidate[names[3]][40] = 60.0
    candidate[names[5]] -= 1.0
    chosen = choose_lost(run.sources[0], "vmaf", (base, candidate), {names[7]: 5.0}, [], StillsWish(1))
    assert {names[3], names[5], names[7]} < set(chosen.rungs) and len(chosen.rungs) == 4
    assert names[-1] not in chosen.rungs
    assert any(moment.frame == 40 and names[3] in moment.worst_of for moment in chosen.moments)
    banded = {name: values - 60.0 for name, values in candidate.items()}
    base = {name: values - 60.0 for name, values in base.items()}
    banded[names[2]][80] = 60.0
    chosen = choose_lost(run.sources[0], "cambi", (base, banded), {}, [], StillsWish(1))
    assert any(moment.frame == 80 and names[2] in moment.worst_of for moment in chosen.moments)
    nothing = choose_lost(run.sources[0], "vmaf", (base, {}), {}, [], StillsWish(1))
    assert (nothing.rungs, nothing.moments) == ((), ())
