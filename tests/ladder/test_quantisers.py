"""The quantiser of each frame: what encoders tell, in order of presentation, and never that of other packets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import FFMPEG, make_clip
from test_stills import order

from vqa_cli.framepackets import FramePackets, read_packets
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.pipeline import LadderOutcome, run_ladder
from vqa_cli.media.gops import read_index
from vqa_cli.media.quantisers import LOG, logging_quantisers, read_quantisers
from vqa_cli.settings import LadderSettings
from vqa_cli.stills import read_stills

LINE = "out=  0 st=  0 frame=     {} q= {} f_size=   {} s_size=        0KiB time= 0.010 br=   1.0kbits/s type= P\n"
CODECS = {
    "libx264": ("ultrafast", [24, 40]), "libx265": ("ultrafast", [24, 40]), "libsvtav1": ("12", [30, 55]),
    "libvpx-vp9": ("8", [20, 50]), "libaom-av1": ("8", [40]),
}  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("quantised") / "clip.mp4", size="192x108", rate="30", seconds=1.0)


def written(path: Path, *told: tuple[str, int]) -> Path:
    path.write_text("".join(LINE.format(n, q, size) for n, (q, size) in enumerate(told)))
    return path


def told(log: Path, *sizes: int) -> list[float | None] | None:
    found = read_quantisers(log, np.array(sizes, np.int64))
    return None if found is None else [None if np.isnan(value) else float(value) for value in found]


def test_a_log_is_read_and_holds_a_few_bytes_of_container(tmp_path: Path) -> None:
    log = written(tmp_path / LOG, ("28.0", 1000), ("-0.0", 20), ("31.5", 30))
    assert told(log, 1008, 18, 30) == [28.0, 0.0, 31.5]


def test_x264_tells_those_of_later_frames(tmp_path: Path) -> None:
    log = written(tmp_path / LOG, ("33.0", 100), ("34.0", 20), ("-1.0", 30), ("-1.0", 40))
    assert told(log, 100, 20, 30, 40) == [None, None, 33.0, 34.0]
    astray = written(tmp_path / LOG, ("33.0", 100), ("-1.0", 20), ("34.0", 30))
    assert told(astray, 100, 20, 30) is None


@pytest.mark.parametrize("sizes", [[1000], [1000, 20, 30], [1000, 60], []])
def test_lines_of_other_packets_are_no_quantisers(tmp_path: Path, sizes: list[int]) -> None:
    assert told(written(tmp_path / LOG, ("28.0", 1000), ("30.0", 20)), *sizes) is None


def test_an_encoder_that_says_nothing_has_none(tmp_path: Path) -> None:
    assert told(written(tmp_path / LOG, ("-0.0", 1000), ("0.0", 20)), 1000, 20) is None
    assert told(written(tmp_path / LOG, ("-1.0", 1000)), 1000) is None
    assert told(tmp_path / "no.log", 1000, 20) is None
    assert told(written(tmp_path / LOG)) is None


@pytest.mark.ffmpeg
@pytest.mark.parametrize("threads", [1, 2])
def test_they_are_what_x264_sums_up(clip: Path, tmp_path: Path, threads: int) -> None:
    """Against the average over P frames that x264 itself prints, where nothing moves quantisers within a frame."""
    alike = f"aq-mode=0:mbtree=0:bframes=0:scenecut=0:threads={threads}"
    options = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-x264-params", alike]
    argv = [FFMPEG, "-v", "info", "-i", str(clip), "-an", *options, "out.mp4"]
    done = subprocess.run(logging_quantisers(argv), cwd=tmp_path, check=True, capture_output=True, text=True)
    index = read_index(tmp_path / "out.mp4", 0)
    assert index is not None and index.kinds == "K" + "P" * 29
    values = told(tmp_path / LOG, *index.sizes)
    assert values is not None and values.count(None) == threads - 1
    (average,) = re.findall(r"frame P:29 +Avg QP:([\d.]+)", done.stderr)
    assert sum(value or 0 for value in values[1:]) == pytest.approx(29 * float(average), abs=0.5)


Taken = tuple[LadderOutcome, dict[str, FramePackets]]


@pytest.fixture(scope="module")
def taken(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("run")
    codecs = [{"encoder": name, "preset": preset, "crf": crf} for name, (preset, crf) in CODECS.items()]
    settings = LadderSettings.model_validate(
        {"display": 108, "heights": [108], "codecs": codecs, "metrics": ["psnr"], "threads": 1}
    )
    outcome = run_ladder(LadderJob(clip, settings, None, stills=order(folder / "stills")))
    stills = read_stills(folder / "stills", outcome.run)
    assert stills is not None
    tables = {name: rung.packets for name, rung in stills.sources[0].rungs.items()}
    return outcome, {name: read_packets(folder / "stills" / table) for name, table in tables.items() if table}


@pytest.mark.ffmpeg
@pytest.mark.parametrize("encoder", [name for name, (_, crf) in CODECS.items() if len(crf) > 1])
def test_a_frame_of_a_dearer_rung_has_a_smaller_one(taken: Taken, encoder: str) -> None:
    outcome, stills = taken
    fine, coarse = (stills[rung.id].quantisers for rung in outcome.run.sources[0].rungs if rung.encoder == encoder)
    assert fine is not None and coarse is not None and len(fine) == len(coarse) == 30
    assert np.nanmean(fine) < np.nanmean(coarse) - 5


@pytest.mark.ffmpeg
def test_libaom_tells_none(taken: Taken) -> None:
    outcome, stills = taken
    (rung,) = (rung for rung in outcome.run.sources[0].rungs if rung.encoder == "libaom-av1")
    assert len(stills[rung.id].bytes) == 30 and stills[rung.id].quantisers is None


@pytest.mark.ffmpeg
def test_command_lines_in_the_document_do_without(taken: Taken) -> None:
    outcome, _ = taken
    words = [word for rung in outcome.run.sources[0].rungs for argv in rung.encode_argv for word in argv]
    assert words and "-vstats_file" not in words
