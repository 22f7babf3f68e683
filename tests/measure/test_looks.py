"""Every command looks at a file by one piece of code: it says the same of it, and pairs, prepares and refuses alike."""

from __future__ import annotations

import pickle
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ffmpeg, make_clip

from vqa_cli.document import RungResult, SourceResult
from vqa_cli.errors import InputError, UsageError
from vqa_cli.identity import PixelWish
from vqa_cli.ladder.job import LadderJob, open_bench
from vqa_cli.ladder.pieces import Cutting
from vqa_cli.ladder.pipeline import run_ladder, run_on
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.task import Conditions, RungTask, plan_tasks, source_ref
from vqa_cli.measure.filescore import FileScore
from vqa_cli.measure.part import Part
from vqa_cli.measure.score import ScoreRequest, score_file
from vqa_cli.measure.source import Inspector
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner
from vqa_cli.model.load import load_scorer
from vqa_cli.settings import LadderSettings
from vqa_cli.store.inspections import Inspections
from vqa_cli.values import Scorer

pytestmark = pytest.mark.ffmpeg

SIZE = "192x108"
TORN = Path(__file__).with_name("torn.mp4")


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load_scorer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looks")
    make_clip(path / "clip.mp4", size=SIZE, rate="30", seconds=1.0)
    ffmpeg("-i", path / "clip.mp4", "-c:v", "libx264", "-crf", "30", path / "encode.mp4")
    return path


def settings(**changes: object) -> LadderSettings:
    codec = {"encoder": "libx264", "preset": "ultrafast", "crf": [30]}
    base = {"display": 108, "heights": [108], "codecs": [codec], "metrics": ["psnr"]}
    return LadderSettings.model_validate(base | changes)


def against(path: Path, reference: Path, scorer: Scorer, *metrics: str) -> FileScore:
    request = ScoreRequest(reference=reference, metrics=metrics or ("psnr",))
    return score_file(path, request, scorer=scorer)


def only_source(path: Path, scorer: Scorer | None = None, **changes: object) -> SourceResult:
    return run_ladder(LadderJob(path, settings(**changes), scorer)).run.sources[0]


def only_rung(path: Path, **changes: Any) -> RungResult:
    return only_source(path, **changes).rungs[0]


def test_frames_of_two_rates_are_paired_by_number(folder: Path, scorer: Scorer) -> None:
    slow = folder / "slow.mp4"
    again = ("-vf", "setpts=N/(25*TB)", "-fps_mode", "passthrough", "-enc_time_base", "1/25")
    ffmpeg("-i", folder / "encode.mp4", *again, "-c:v", "libx264", "-qp", "0", slow)
    same, found = (against(path, folder / "clip.mp4", scorer) for path in (folder / "encode.mp4", slow))
    np.testing.assert_array_equal(found.values["psnr"], same.values["psnr"])
    assert found.notes == ("frame rates differ: 25 and 30 fps; frames are paired by number",)
    assert same.notes == ()


def test_negative_values_of_single_frames_are_kept(folder: Path, scorer: Scorer) -> None:
    negative = folder / "negative.mp4"
    ffmpeg("-i", folder / "clip.mp4", "-vf", "negate=components=y", "-c:v", "libx264", "-crf", "10", negative)
    found = against(negative, folder / "clip.mp4", scorer, "ssim", "psnr")
    assert len(found.values["ssim"]) == len(found.values["psnr"]) == 30
    assert found.values["ssim"].min() < 0
    assert found.faults == {}


def test_pictures_of_different_shape_are_refused(folder: Path, scorer: Scorer) -> None:
    cropped = folder / "cropped.mp4"
    ffmpeg("-i", folder / "clip.mp4", "-vf", "crop=192:80", "-c:v", "libx264", cropped)
    with pytest.raises(InputError) as caught:
        against(cropped, folder / "clip.mp4", scorer)
    names = f"{cropped} is 192x80, reference {folder / 'clip.mp4'} is 192x108"
    assert caught.value.message == f"pictures of different shape: {names}"


@pytest.mark.parametrize("size", ["64x64,setsar=16/9", "128x72", "116x66"])
def test_a_scaled_picture_has_the_same_shape(folder: Path, scorer: Scorer, size: str) -> None:
    small = folder / f"{size[:6]}.mp4"
    ffmpeg("-i", folder / "clip.mp4", "-vf", f"scale={size.replace('x', ':', 1)}", "-c:v", "libx264", small)
    found = against(small, folder / "clip.mp4", scorer)
    assert str(found.size) == SIZE


def test_interlaced_video_is_refused_by_all_alike(folder: Path, scorer: Scorer) -> None:
    fields = folder / "fields.mp4"
    how = ("-vf", "tinterlace=interleave_top", "-flags", "+ilme+ildct")
    ffmpeg("-i", folder / "clip.mp4", *how, "-c:v", "libx264", fields)
    with pytest.raises(InputError) as of_score:
        score_file(fields, scorer=scorer)
    with pytest.raises(InputError) as of_ladder:
        only_source(fields)
    assert of_score.value.message == of_ladder.value.message == f"interlaced source: {fields}"
    ours = score_file(fields, ScoreRequest(deinterlace=True), scorer=scorer)
    theirs = only_source(fields, scorer, deinterlace=True)
    assert theirs.score is not None
    assert ours.score.score == theirs.score.score
    assert ours.notes == theirs.source.preparation == ("deinterlaced (bwdif)",)


def test_a_variable_rate_is_scored_as_a_ladder_scores_its_source(folder: Path, scorer: Scorer) -> None:
    uneven = folder / "uneven.mp4"
    drop = "select='if(lt(n,15),1,not(mod(n,5)))'"
    ffmpeg("-i", folder / "clip.mp4", "-vf", drop, "-fps_mode", "vfr", "-c:v", "libx264", "-bf", "0", uneven)
    ours, theirs = score_file(uneven, scorer=scorer), only_source(uneven, scorer)
    assert theirs.score is not None
    assert ours.score.score == theirs.score.score
    assert ours.frames == theirs.source.frames
    assert ours.notes == theirs.source.preparation != ()


def damaged(path: Path, step: int) -> Path:
    """The file with a byte changed every so often in its second third, the first of it among them."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, 2 * len(data) // 3, step):
        data[at] ^= 0x5A
    other = path.with_stem(f"{path.stem}-damaged")
    other.write_bytes(data)
    return other


def refusals(path: Path, scorer: Scorer) -> set[str]:
    """What each way to look at a file says of one that cannot be used."""
    told = set()
    part = Cutting(part=Part(duration_s=0.9))
    for look in (
        lambda: score_file(path, scorer=scorer),
        lambda: only_source(path),
        lambda: run_ladder(LadderJob(path, settings(), None, cutting=part)),
    ):
        with pytest.raises(InputError) as refused:
            look()
        told.add(refused.value.message)
    return told


def test_pictures_that_a_decoder_made_up_are_refused_by_all_alike(folder: Path, scorer: Scorer) -> None:
    path = damaged(folder / "clip.mp4", 499)
    (message,) = refusals(path, scorer)
    assert message == f"damaged: the decoder made up parts of its pictures: {path}"
    with pytest.raises(InputError, match=re.escape(message)):
        score_file(path, ScoreRequest(start_s=0.2), scorer=scorer)


def test_pictures_that_differ_from_decode_to_decode_are_refused_by_all_alike(folder: Path, scorer: Scorer) -> None:
    """Ten bytes of an HEVC stream are changed: its decoder leaves what was in memory where it cannot read."""
    for message in refusals(TORN, scorer):
        assert re.fullmatch(
            r"damaged: from frame \d+ on its pictures come out differently each time: .*torn.mp4", message
        )


def test_what_one_decode_makes_of_a_damaged_file_can_be_kept(folder: Path, scorer: Scorer) -> None:
    """As the refusal says."""
    path = damaged(folder / "clip.mp4", 499)
    ffmpeg("-i", path, "-c:v", "ffv1", folder / "kept.mkv")
    assert score_file(folder / "kept.mkv", scorer=scorer).notes == ()


def test_damage_that_costs_no_frame_is_told_by_all_alike(folder: Path, scorer: Scorer) -> None:
    """FFV1 puts what was there before in a part that cannot be read, each time the same."""
    ffmpeg("-i", folder / "clip.mp4", "-c:v", "ffv1", "-slicecrc", "1", folder / "ffv1.mkv")
    path = damaged(folder / "ffv1.mkv", 10**9)
    ours = score_file(path, scorer=scorer)
    (note,) = ours.notes
    assert note.startswith("the decoder complained: ")
    assert "@ 0x" not in note, "an address in memory, which each run has another of"
    assert only_source(path).source.notes == (note,)


def test_what_is_known_of_a_file_is_told_again(folder: Path, scorer: Scorer, tmp_path: Path) -> None:
    uneven = folder / "again.mp4"
    drop = "select='if(lt(n,15),1,not(mod(n,5)))'"
    ffmpeg("-i", folder / "clip.mp4", "-vf", drop, "-fps_mode", "vfr", "-c:v", "libx264", "-bf", "0", uneven)
    first, second = (score_file(uneven, scorer=scorer, cache=tmp_path) for _ in range(2))
    assert first.notes == second.notes
    assert first.score.score == second.score.score


def test_the_model_is_told_of_a_file_that_nobody_looked_at(
    folder: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is loaded while the file is counted; one that is known may be scored already."""
    told: list[Scorer] = []
    monkeypatch.setattr(type(scorer), "expect", lambda self: told.append(self))
    clip = folder / "clip.mp4"
    for cache in (tmp_path, tmp_path, None):
        score_file(clip, scorer=scorer, cache=cache)
    assert told == [scorer, scorer]


def test_twelve_bits_are_compared_at_twelve(folder: Path) -> None:
    codec = {"encoder": "libx265", "preset": "ultrafast", "crf": [4], "pix_fmt": "yuv420p12le"}
    rung = only_rung(folder / "clip.mp4", codecs=[codec])
    assert rung.status == "ok"
    assert sum("format=yuv420p12le" in part for part in rung.measure_argv) == 1


def test_a_task_is_a_value_that_any_machine_can_carry_out(folder: Path) -> None:
    with open_bench(LadderJob(folder / "clip.mp4", settings(), None)) as bench:
        source = bench.look(folder / "clip.mp4", settings())
        conditions = Conditions(settings(), PixelWish(), True, "f" * 64, {"libx264": "x264"}, {})
        ref = source_ref(source, 0, "clip.mp4")
        tasks = list(plan_tasks(source, ref, plan_ladder(source.info, settings()), conditions))
    assert pickle.loads(pickle.dumps(tasks)) == tasks
    rung = tasks[1]
    assert isinstance(rung, RungTask)
    named = " ".join((*rung.encode[0], *rung.viewing.argv))
    assert str(folder) not in named
    assert "FFMPEG" in named


def test_sources_share_one_queue_and_keep_their_order(folder: Path) -> None:
    other = make_clip(folder / "other.mp4", size=SIZE, rate="30", seconds=0.5)
    sources = (folder / "clip.mp4", other)
    two = settings(codecs=[{"encoder": "libx264", "preset": "ultrafast", "crf": [30, 40]}])
    with open_bench(LadderJob(sources, two, None, workers=3)) as bench:
        outcome = run_on(bench, two)
    assert [source.source.name for source in outcome.run.sources] == ["clip.mp4", "other.mp4"]
    assert [[rung.id for rung in source.rungs] for source in outcome.run.sources] == [
        ["libx264_108p_crf30", "libx264_108p_crf40"]
    ] * 2
    assert list(outcome.frames) == [(n, f"libx264_108p_crf{crf}") for n in (0, 1) for crf in (30, 40)]


def test_a_file_that_is_expected_is_looked_at_once(folder: Path, tmp_path: Path) -> None:
    heard: list[bool] = []
    treatment = settings().treatment
    with Runner() as runner:
        inspector = Inspector(runner, find_ffmpeg(runner), tmp_path, Inspections(None), lambda: heard.append(True))
        inspector.expect(folder / "clip.mp4", treatment)
        found = inspector.look(folder / "clip.mp4", treatment)
        assert found.frames == 30
        assert inspector.look(folder / "clip.mp4", treatment) is found
        assert heard == [True]
        inspector.expect(folder / "missing.mp4", treatment)
        with pytest.raises(InputError, match="no such file"):
            inspector.look(folder / "missing.mp4", treatment)


@pytest.mark.parametrize("ahead", [True, False])
def test_a_bench_looks_at_nothing_that_may_not_be_wanted(folder: Path, *, ahead: bool) -> None:
    """A catalogue may have its first title already."""
    heard: list[bool] = []
    job = LadderJob(folder / "clip.mp4", settings(), None, on_unknown=lambda: heard.append(True))
    with open_bench(job, ahead=ahead) as bench:
        assert bool(bench.inspector.seen) is ahead
        bench.look(folder / "clip.mp4", job.settings)
    assert heard == [True]


def test_an_encoder_that_is_not_there_ends_a_look_that_began(tmp_path: Path) -> None:
    """What cannot be encoded is said before a long source was decoded, and nothing of the look is left."""
    long, work = (
        make_clip(tmp_path / "long.mp4", size="640x360", seconds=60.0, args=("-c:v", "mpeg2video")),
        tmp_path / "work",
    )
    work.mkdir()
    codec = {"encoder": "libx264", "preset": "no-such-speed", "crf": [30]}
    with pytest.raises(UsageError, match="speed preset of libx264: no-such-speed"):
        run_ladder(LadderJob(long, settings(codecs=[codec]), None, scratch=work))
    assert list(work.iterdir()) == []
    assert subprocess.run(["pgrep", "-f", str(long)], capture_output=True, check=False).stdout == b""
