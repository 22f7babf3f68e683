"""Label files and splits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import Vqa

from vqa_cli.errors import InputError
from vqa_cli.train.datasets import Dataset, read_dataset
from vqa_cli.train.splits import make_split

_SHARED = Path(os.environ.get("VQA_DEV_MEDIA", Path(__file__).parents[3] / "shared")) / "datasets"


def _table(path: Path, text: str) -> Dataset:
    path.write_text(text)
    return read_dataset(path)


def _assert_apart(data: Dataset, exp_id: int) -> None:
    split = make_split(data, exp_id)
    parts = [set(data.ref_ids[part].tolist()) for part in (split.train, split.val, split.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sorted(np.concatenate((split.train, split.val, split.test)).tolist()) == list(range(len(data)))


def test_a_table_is_split_by_reference(tmp_path: Path) -> None:
    rows = "".join(f"s{ref}_{crf}.mp4,{90 - crf},s{ref}\n" for ref in range(10) for crf in (20, 30, 40))
    data = _table(tmp_path / "mine.csv", "video,mos,ref_id\n" + rows)
    assert (data.name, len(data), len(set(data.ref_ids))) == ("mine", 30, 10)
    for exp_id in range(20):
        _assert_apart(data, exp_id)
    split = make_split(data, 3)
    assert [len(split.train), len(split.val), len(split.test)] == [18, 6, 6]
    assert make_split(data, 3).test.tolist() == split.test.tolist() != make_split(data, 4).test.tolist()


def test_lines_of_path_duration_fps_mos(tmp_path: Path) -> None:
    data = _table(tmp_path / "labels.txt", "a/x.mp4, 8.0, 25, 3.5\nb.mp4, 8.0, 30, 4.25\n")
    assert data.names == ("a/x.mp4", "b.mp4") and data.mos.tolist() == [3.5, 4.25]


def test_named_parts_are_kept_and_must_not_share_a_reference(tmp_path: Path) -> None:
    head = "video,mos,ref_id,split\n"
    data = _table(tmp_path / "a.csv", head + "a,1,1,train\nb,2,2,val\nc,3,3,test\n")
    assert [make_split(data, 9).train.tolist(), make_split(data, 9).test.tolist()] == [[0], [2]]
    shared = _table(tmp_path / "b.csv", head + "a,1,1,train\nb,2,1,val\nc,3,3,test\n")
    with pytest.raises(InputError, match="a reference is in two parts, train and val: that of a"):
        make_split(shared, 0)


def test_a_list_of_lsvq_names_its_test_part_and_draws_validation(tmp_path: Path) -> None:
    rows = "".join(f"batch/{i},{i / 3},{i % 4 == 0}\n" for i in range(40))
    data = _table(tmp_path / "labels_train_test.csv", "name,mos,is_test\n" + rows)
    assert data.names[3] == "batch/3.mp4"
    split = make_split(data, 0)
    assert [len(split.train), len(split.val), len(split.test)] == [24, 6, 10]
    assert split.test.tolist() == list(range(0, 40, 4))
    assert make_split(data, 1).val.tolist() != split.val.tolist()


def test_the_list_of_lsvqs_large_videos_has_no_parts(tmp_path: Path) -> None:
    data = _table(tmp_path / "labels_test_1080p.csv", "name,mos\nia-batch1/Vol. 2 part,60\nyfcc-batch2/7.MP4,70\n")
    assert data.names == ("ia-batch1/Vol. 2 part.mp4", "yfcc-batch2/7.MP4")
    assert data.parts is None


def test_numbers_say_which_videos_of_lsvq_are_for_the_test(tmp_path: Path) -> None:
    data = _table(tmp_path / "a.csv", "name,mos,is_test\na,1,1.0\nb,2,0.0\n")
    assert data.parts == ("test", "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,mos,is_test\na,1,1\nb,2,\n", "split is train, val or test, not is_test empty in line 3"),
        ("video,mos\na,1\na,2\n", "a video is listed twice: a"),
        ("video,mos\na,1\n,2\n", "no video in line 3"),
        ("video,mos,ref_id\na,1,x\nb,2,\nc,3,\n", "no ref_id in line 3"),
        ("video,mos\na,1\nb,\n", "no number in line 3, column mos"),
        ("video,mos\na,1\nb,good\n", "no number in line 3, column mos"),
        ("video,mos\n../a,1\n", "not a path below the folder of videos"),
        ("video,rating\na,1\n", "no column mos"),
        ("video,mos,split\na,1,dev\n", "split is train, val or test, not dev in line 2"),
        ("video,mos\n", "no video in dataset"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _table(tmp_path / "t.csv", text)


@pytest.mark.parametrize("name", ["xinfo.mat", "XINFO.MAT"])
def test_what_is_no_mat_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no")
    with pytest.raises(InputError, match="not an info file"):
        read_dataset(tmp_path / name)


def _mat(path: Path, **changed: object) -> Path:
    """An info file of two videos as the authors write them, with some fields changed."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        names = [file.create_dataset(f"n{i}", data=[[ord(c)] for c in f"{i}.mp4"]) for i in range(2)]
        fields = {
            "video_names": np.array([[name.ref for name in names]], dtype=h5py.ref_dtype), "scores": [[1.0, 2.0]],
            "ref_ids": [[1.0, 2.0]], "index": [[2.0, 1.0], [1.0, 2.0]], "video_format": [[ord(c)] for c in "RGB"],
            "width": [[64.0]], "height": [[48.0]], **changed,
        }  # fmt: skip
        for name, value in fields.items():
            file.create_dataset(name, data=value)
    return path


def test_a_pixel_format_is_heard_where_the_info_file_knows_the_size(vqa: Vqa, tmp_path: Path) -> None:
    table = _mat(tmp_path / "aninfo.mat", video_format=[[ord(c)] for c in "YUV420"])
    done = vqa("extract", table, "--videos", tmp_path, "-o", tmp_path / "f", "--yuv-pix-fmt", "i420p")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: no such pixel format: i420p")


def test_an_info_file_whose_fields_do_not_fit_is_refused(tmp_path: Path) -> None:
    good = read_dataset(_mat(tmp_path / "aninfo.mat"))
    assert (good.name, good.names, good.ref_ids.tolist()) == ("an", ("0.mp4", "1.mp4"), [1, 2])
    for changed, message in (
        ({"index": [[1.0, 0.0], [0.0, 1.0]]}, "the index does not order the reference ids"),
        ({"scores": [[1.0]]}, "2 names, 1 ratings and 2 reference ids"),
        ({"video_names": [[1.0, 2.0]]}, "not an info file"),
    ):
        with pytest.raises(InputError, match=message):
            read_dataset(_mat(tmp_path / "badinfo.mat", **changed))


@pytest.mark.shared
@pytest.mark.skipif(not _SHARED.is_dir(), reason="no development media")
@pytest.mark.parametrize(
    ("name", "sizes", "low", "high"),
    [
        ("KoNViD-1k", (721, 239, 240), 1.22, 4.64),
        ("CVD2014", (141, 47, 46), -6.5, 93.38),
        ("LIVE-Qualcomm", (125, 42, 41), 16.5621, 73.6428),
        ("LIVE-VQC", (352, 116, 117), 6.22368, 94.2865),
    ],
)
def test_the_authors_files(name: str, sizes: tuple[int, int, int], low: float, high: float) -> None:
    data = read_dataset(_SHARED / f"{name}info.mat")
    split = make_split(data, 0)
    assert (len(split.train), len(split.val), len(split.test)) == sizes
    assert (data.name, data.mos.min(), data.mos.max()) == (name, pytest.approx(low), pytest.approx(high))
    for exp_id in range(0, 1000, 100):
        _assert_apart(data, exp_id)


@pytest.mark.shared
@pytest.mark.skipif(not _SHARED.is_dir(), reason="no development media")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("KoNViD-1k", (720, 240, 240)),
        ("CVD2014", (140, 47, 47)),
        ("LIVE-Qualcomm", (124, 42, 42)),
        ("LIVE-VQC", (351, 117, 117)),
    ],
)
def test_mdtvsfas_code_rounds_the_bounds_of_parts_down(name: str, sizes: tuple[int, int, int]) -> None:
    split = make_split(read_dataset(_SHARED / f"{name}info.mat"), 0, mixed=True)
    assert (len(split.train), len(split.val), len(split.test)) == sizes
