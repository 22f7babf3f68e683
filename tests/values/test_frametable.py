"""Frame values on disk: what is written is read, to the last bit, and whose they are is never guessed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import make_run

from vqa_cli.document import read_run
from vqa_cli.errors import StorageError
from vqa_cli.frametable import FrameValues, StoredFrames, read_frames, write_frames
from vqa_cli.ladder.output import write_outcome
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.sealed import BLANK, KEY, seal

NAMES = ["NA", "=b, & c.mp4", "n" * 5000]
MIXED = "a row group holds more than one clip, or another than it says"


def rewritten(path: Path, **columns: object) -> Path:
    """A table of two frames with other columns, or without those that are ``None``."""
    given = {"source": ["a.mp4"] * 2, "rung": ["r"] * 2, "frame": pa.array([0, 1], pa.int32()), "vmaf": [1.0, 2.0]}
    table = pa.table({name: values for name, values in (given | columns).items() if values is not None})
    pq.write_table(table.replace_schema_metadata({KEY: BLANK}), path)
    seal(path)
    return path


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_every_bit_comes_back(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("t") / "frames.parquet"
    frames: dict[tuple[int, str], FrameValues] = {
        (index, rung): {"model": np.array(values), **({} if rung == "source" else {"psnr": np.array(values[::-1])})}
        for index in range(len(NAMES)) for rung in ("source", "libx264_90p_crf30")
    }  # fmt: skip
    write_frames(path, NAMES, ("model", "psnr"), frames)
    read = read_frames(path, NAMES)
    assert read is not None
    assert list(read) == list(frames)
    for key, table in frames.items():
        assert {name: series.tolist() for name, series in read[key].items()} == {
            n: s.tolist() for n, s in table.items()
        }


def test_a_ladder_is_read_as_it_was_written(tmp_path: Path) -> None:
    run, frames = make_run(["a.mp4", "b, with comma.mp4"], frames=40)
    write_outcome(LadderOutcome(run, frames), tmp_path)
    read = read_run(tmp_path).frame_values()
    assert read is not None
    assert {key: {name: list(series) for name, series in table.items()} for key, table in read.items()} == {
        key: {name: list(series) for name, series in table.items()} for key, table in frames.items()
    }


def test_nothing_is_in_memory_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, frames = make_run(frames=40)
    write_outcome(LadderOutcome(run, frames), tmp_path)
    asked: list[int] = []
    whole = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, number: int, **options: object) -> pa.Table:
        asked.append(number)
        return whole(self, number, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    read = read_run(tmp_path).frame_values()
    assert read is not None and len(read) == len(frames)
    assert asked == []
    assert len(read[0, "source"]["model"]) == 40
    assert asked == [list(read).index((0, "source"))]


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert read_frames(tmp_path / "frames.parquet", ["a.mp4"]) is None
    assert make_run()[0].frame_values() is None


def test_clips_of_other_sources_are_left_out(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "frames.parquet")
    assert list(read_frames(path, ["b.mp4", "a.mp4"]) or ()) == [(1, "r")]
    assert list(read_frames(path, ["b.mp4"]) or ()) == []


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "frames.parquet")
    with pytest.raises(StorageError, match=re.escape(f"two sources of one name: whose values are those in {path}?")):
        read_frames(path, ["a.mp4", "a.mp4"])


@pytest.mark.parametrize(
    ("columns", "message", "detail"),
    [
        ({"source": None, "frame": None}, "no column source, frame in frame values: {}", None),
        (
            {"vmaf": ["1", "2"]},
            "cannot read frame values: {}",
            "columns of other types: source string, rung string, frame int32, vmaf string",
        ),
        ({"rung": ["r", "s"]}, "cannot read frame values: {}", MIXED),
        ({"source": ["a.mp4", None]}, "cannot read frame values: {}", MIXED),
        ({"source": ["n" * 9000, "m" * 9000]}, "cannot read frame values: {}", MIXED),
    ],
)
def test_what_is_no_such_table_is_named(
    tmp_path: Path, columns: dict[str, object], message: str, detail: str | None
) -> None:
    path = rewritten(tmp_path / "frames.parquet", **columns)
    with pytest.raises(StorageError) as caught:
        read_frames(path, ["a.mp4"])
    assert (caught.value.message, caught.value.detail) == (message.format(path), detail)


def test_frames_that_are_not_counted_from_0_are_named(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "frames.parquet", frame=pa.array([1, 2], pa.int32()))
    with pytest.raises(StorageError) as caught:
        StoredFrames(path, ["a.mp4"])[0, "r"]
    assert caught.value.detail == "frames of r are not numbered from 0 on"


@pytest.mark.parametrize("hole", [None, float("nan"), float("inf")])
def test_a_metric_with_holes_is_left_out(tmp_path: Path, hole: float | None) -> None:
    path = rewritten(tmp_path / "frames.parquet", psnr=pa.array([1.0, hole], pa.float64()))
    assert list(StoredFrames(path, ["a.mp4"])[0, "r"]) == ["vmaf"]


@pytest.mark.parametrize("keep", [0, 3, 200, -30])
def test_a_damaged_file_is_named(tmp_path: Path, keep: int) -> None:
    path = rewritten(tmp_path / "frames.parquet")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StorageError, match=re.escape(f"cannot read frame values: {path}")):
        read_frames(path, ["a.mp4"])


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    with pytest.raises(StorageError) as caught:
        write_frames(folder / "frames.parquet", [], (), {})
    assert caught.value.message == f"cannot write: {folder / 'frames.parquet'}"


def test_a_flipped_bit_is_damage(tmp_path: Path) -> None:
    """Wherever it is, also where Arrow would crash: nothing is read of such a file."""
    write_frames(tmp_path / "frames.parquet", ["a.mp4"], ("vmaf",), {(0, "r"): {"vmaf": np.array([1.0, 2.0])}})
    whole = (tmp_path / "frames.parquet").read_bytes()
    path = tmp_path / "flipped.parquet"
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(StorageError, match=re.escape(f"cannot read frame values: {path}")):
            read_frames(path, ["a.mp4"])


def test_what_another_program_wrote_is_not_read(tmp_path: Path) -> None:
    """Its numbers may be any."""
    path = tmp_path / "frames.parquet"
    pq.write_table(pq.read_table(rewritten(path)).replace_schema_metadata(None), path)
    with pytest.raises(StorageError) as caught:
        read_frames(path, ["a.mp4"])
    assert caught.value.detail == "it has no checksum of vqa: another program wrote it"
