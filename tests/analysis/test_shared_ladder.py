"""One ladder for several titles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Vqa
from documents import make_run, sweep

from vqa_cli.analysis.recommend import recommend
from vqa_cli.analysis.shared import shared_ladders
from vqa_cli.document import Run
from vqa_cli.settings import Constraints


def catalogue() -> Run:
    """Two titles of one shape, the second of three times the rate."""
    one, two = (make_run(sweep(20, 25, 30, 36, scale=s), name=f"{s:g}.mp4", sha256=f"{s:g}" * 64) for s in (1.0, 3.0))
    return one.model_copy(update={"sources": (*one.sources, *two.sources)})


def test_one_ladder_for_a_catalogue() -> None:
    run = catalogue()
    (alike,) = shared_ladders(run, Constraints(max_rungs=5), "crf")
    # CRFs follow the title, so titles of one shape share a ladder for next to nothing.
    assert len(alike.rungs) == 5 and alike.mean_loss == pytest.approx(0, abs=0.05)
    assert all(r.kbps[1] == pytest.approx(3 * r.kbps[0]) for r in alike.rungs)
    (fixed,) = shared_ladders(run, Constraints(max_rungs=5), "bitrate")
    own = {r.source: r.expected for r in recommend(run, Constraints(max_rungs=5))}
    assert {t.source: t.own for t in fixed.titles} == own
    assert fixed.mean_loss > 1 > abs(alike.mean_loss)


def test_a_shared_ladder_keeps_to_the_limits_on_rungs_and_time(vqa: Vqa, tmp_path: Path) -> None:
    run = catalogue()
    asked = Constraints(max_rungs=5, min_kbps=300, max_kbps=2000)
    for by in ("crf", "bitrate"):
        (found,) = shared_ladders(run, asked, by)
        assert found.rungs and all(300 <= rate <= 2000 for rung in found.rungs for rate in rung.kbps)
    spent = run.sources[0].rungs[0].encode
    assert spent is not None
    each = spent.cpu_s / run.sources[0].source.duration_s
    (few,) = shared_ladders(run, Constraints(max_rungs=5, max_ladder_s_per_s=2.5 * each), "crf")
    assert len(few.rungs) == 2
    (tmp_path / "run.json").write_text(run.model_dump_json())
    refused = vqa("recommend", tmp_path, "--shared-ladder", "crf", "--knee-kbps-per-point", "9")
    said = "error: a shared ladder takes no knee_kbps_per_point: it is a limit on a title's own hull\n"
    assert (refused.returncode, refused.stderr) == (2, said)


def test_the_shared_ladder_command(vqa: Vqa, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(catalogue().model_dump_json())
    (told,) = json.loads(vqa("recommend", tmp_path, "--shared-ladder", "bitrate", "--format", "json").stdout)
    assert len(told["titles"]) == 2 and told["by"] == "bitrate"
    text = vqa("recommend", tmp_path, "--shared-ladder", "crf").stdout
    assert text.startswith("2 sources  libx264 medium\n") and "2 of 2" in text
    refused = vqa("recommend", tmp_path, "--shared-ladder", "crf", "--format", "hls")
    assert refused.returncode == 2
