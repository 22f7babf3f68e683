"""What encodes are compared with is decoded once, where there is room, and gives the same figures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import make_clip

import vqa_cli.ladder.prepared
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.pipeline import run_ladder
from vqa_cli.measure.score import ScoreRequest, score_file
from vqa_cli.media.process import Runner
from vqa_cli.model.load import load_scorer
from vqa_cli.settings import CodecSettings, LadderSettings

pytestmark = pytest.mark.ffmpeg
METRICS = ("vmaf", "psnr", "ssim", "xpsnr")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def ladder(clip: Path, folder: Path, model: str | None = None, **settings: Any) -> list[Any]:
    """What was measured of each rung, and the model's word on the source."""
    codec = CodecSettings(encoder="libx264", preset="ultrafast", crf=(24, 36))
    wanted = LadderSettings(codecs=(codec,), heights=(72,), metrics=METRICS, **settings)
    scorer = load_scorer(model, device="cpu") if model else None
    run = run_ladder(LadderJob(clip, wanted, scorer, scratch=folder)).run
    told = {"fidelity", "measure_argv", "status"}
    rungs = [json.loads(rung.model_dump_json(include=told)) for rung in run.sources[0].rungs]
    return [run.sources[0].score, *rungs]


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each command wrote a reference."""
    found: Counter[str] = Counter()
    run = Runner.run

    def watched(self: Runner, argv: Any, **options: Any) -> Any:
        found["reference"] += "reference.mkv" in argv
        return run(self, argv, **options)

    monkeypatch.setattr(Runner, "run", watched)
    return found


@pytest.mark.parametrize(
    ("args", "display", "made"),
    [
        (("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"), 144, 1),
        (("-pix_fmt", "yuv444p"), 90, 1),
        (("-pix_fmt", "yuv420p10le", "-c:v", "libx264"), 144, 0),
        (("-pix_fmt", "yuvj420p"), 144, 0),
    ],
    ids=["tagged", "scaled", "ten bits", "full range"],
)
def test_figures_are_those_of_the_source_itself(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: Counter[str],
    args: tuple[str, ...], display: int, made: int,
) -> None:  # fmt: skip
    clip = make_clip(clips / f"{'_'.join(args)}.mkv", size="256x144", seconds=2, args=("-c:v", "libx264", *args))
    score, *once = ladder(clip, tmp_path, "vsfa-lite", display=display)
    assert copies["reference"] == made
    monkeypatch.setattr(vqa_cli.ladder.prepared, "_MOST_BYTES", 0)
    assert ladder(clip, tmp_path, "vsfa-lite", display=display) == [score, *once]
    assert copies["reference"] == made
    assert [rung["status"] for rung in once] == ["ok", "ok"]
    assert score is not None and score.score == score_file(clip, ScoreRequest(at=display)).score.score
