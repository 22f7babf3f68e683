"""Catalogues: a folder for each title, an index of all, and a second call that does only what is missing."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Vqa, ffmpeg
from report_runs import make_run

from vqa_cli.analysis.compare import run_curves
from vqa_cli.analysis.recommend import recommend
from vqa_cli.catalogue import columns, index_rows, read_catalogue, write_index
from vqa_cli.document import Run, read_run
from vqa_cli.errors import StorageError
from vqa_cli.names import title_folder
from vqa_cli.sealed import BLANK, KEY, seal
from vqa_cli.stills import read_stills

FLAGS = ("--codec", "x264,x265", "--height", "64", "--display", "64", "--crf", "20,26,32,38", "--encoder-preset", "ultrafast",
         "--model", "none", "--metric", "psnr", "--catalogue")  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three titles in two folders, two of one name, one that is no video, and a list that names a fifth."""
    folder = tmp_path_factory.mktemp("films")
    for number, name in enumerate(("one.mp4", "two.mp4", "more/one.mp4")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        picture = f"testsrc2=size=96x64:rate=25:duration=1,noise=alls={8 + 8 * number}:allf=t:all_seed=7"
        ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-crf", "8", "-pix_fmt", "yuv420p", path)
    (folder / "bad.mp4").write_text("junk")
    (folder / "titles.txt").write_text("# what we have\none.mp4\n\n  two.mp4\nmore/*.mp4\nbad.mp4\nlost.mp4\n")
    return folder


@pytest.fixture(scope="module")
def library(films: Path, vqa: Vqa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "library"
    done = vqa("ladder", f"@{films / 'titles.txt'}", *FLAGS, "-o", folder)
    assert done.returncode == 8, done.stderr
    assert done.stdout == "5 titles: 3 ok, 2 failed\n"
    assert f"warning: line 7 of {films / 'titles.txt'} is no file: lost.mp4\n" in done.stderr
    return folder


def rows_of(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(folder / "index.parquet").to_pylist()
    return rows


@pytest.mark.ffmpeg
def test_each_title_has_a_folder_with_its_run(library: Path) -> None:
    titles = {path.parent.name for path in library.glob("*/run.json")}
    assert titles == {"one", "two", "one-2", "bad", "lost"}
    for name in ("one", "two", "one-2"):
        run = read_run(library / name)
        assert [len(source.rungs) for source in run.sources] == [8]
        assert set(run.frames()["rung"]) == {rung.id for rung in run.sources[0].rungs}
        assert (library / name / "report.html").stat().st_size > 100_000
    assert not (library / "bad" / "report.html").exists()


@pytest.mark.ffmpeg
def test_pictures_of_titles_are_taken_where_they_are_asked_for(
    library: Path, films: Path, vqa: Vqa, tmp_path: Path
) -> None:
    assert not list(library.glob("*/stills"))
    done = vqa("ladder", films / "one.mp4", films / "two.mp4", *FLAGS, "--stills", "1", "-o", tmp_path / "films")
    assert done.returncode == 0, done.stderr
    for title in ("one", "two"):
        folder = tmp_path / "films" / title
        stills = read_stills(folder / "stills", read_run(folder))
        assert stills is not None
        (source,) = stills.sources
        assert source.rungs and all(rung.files and not rung.reason for rung in source.rungs.values())
        assert '"pictures"' in (folder / "report.html").read_text()
    done = vqa("ladder", films / "one.mp4", *FLAGS, "--stills-dir", tmp_path / "s", "-o", tmp_path / "other")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --stills-dir is not for a catalogue\nhint: leave it out: pictures lie in each title's folder\n"
    )


@pytest.mark.ffmpeg
def test_the_index_has_a_row_for_each_rung_and_for_each_failure(library: Path, films: Path) -> None:
    rows = rows_of(library)
    assert len(rows) == 3 * 8 + 2
    failed = {row["title"]: row["reason"] for row in rows if row["rung"] is None}
    assert failed == {
        "bad": f"cannot read as video: {films / 'bad.mp4'}",
        "lost": f"no such file: {films / 'lost.mp4'}",
    }
    by_rung = {(row["title"], row["rung"]): row for row in rows}
    for name in ("one", "two", "one-2"):
        for rung in read_run(library / name).sources[0].rungs:
            row = by_rung[name, rung.id]
            assert rung.encode is not None
            assert (row["bitrate_kbps"], row["psnr_p5"]) == (rung.encode.bitrate_kbps, rung.fidelity["psnr"].pooled.p5)
    with (library / "index.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["title"] for row in table] == [row["title"] for row in rows]
    assert [float(row["bitrate_kbps"] or 0) for row in table] == [row["bitrate_kbps"] or 0 for row in rows]


@pytest.mark.ffmpeg
def test_a_second_call_does_what_is_missing(library: Path, films: Path, vqa: Vqa, tmp_path: Path) -> None:
    again = tmp_path / "library"
    shutil.copytree(library, again)
    shutil.copytree(films, tmp_path / "films")
    before = {path: path.stat().st_mtime_ns for path in again.glob("*/run.json")}
    shutil.copy(films / "two.mp4", tmp_path / "new.mp4")
    done = vqa("ladder", f"@{films / 'titles.txt'}", tmp_path / "new.mp4", *FLAGS, "-o", again)
    assert done.returncode == 8
    assert "\n3 of 6 titles are there already\n" in done.stderr
    written = {path.parent.name for path in again.glob("*/run.json") if before.get(path) != path.stat().st_mtime_ns}
    assert written == {"bad", "lost", "new"}
    assert len(rows_of(again)) == 4 * 8 + 2
    shutil.copy(films / "one.mp4", tmp_path / "new.mp4")
    done = vqa("ladder", tmp_path / "new.mp4", *FLAGS, "-o", again)
    assert (done.returncode, done.stdout) == (0, "6 titles: 4 ok, 2 failed\n")
    assert "already" not in done.stderr
    new = next(row for row in rows_of(again) if row["title"] == "new")
    assert new["sha256"] == next(row for row in rows_of(again) if row["title"] == "one")["sha256"]


@pytest.mark.ffmpeg
def test_what_was_made_otherwise_is_refused(library: Path, films: Path, vqa: Vqa, tmp_path: Path) -> None:
    for more, says, detail in (
        (("--gop-s", "1"), "other settings", "  what differs: gop_s\n"),
        (("--samples", "2"), "other parts of its titles", ""),
    ):
        done = vqa("ladder", films / "one.mp4", *FLAGS, *more, "-o", library)
        assert done.returncode == 2
        assert done.stderr == f"error: the catalogue was made with {says}: {library}\n{detail}hint: -o another folder\n"
    done = vqa("ladder", films / "one.mp4", *FLAGS, "-o", library / "one")
    assert (done.returncode, done.stderr) == (
        2, f"error: holds a run, not a catalogue: {library / 'one'}\nhint: -o another folder\n"
    )  # fmt: skip
    done = vqa("ladder", films / "one.mp4", *FLAGS, "--repeat", "2", "-o", tmp_path)
    assert (done.returncode, done.stderr.split("\n")[0]) == (2, "error: --repeat is not for a catalogue")


@pytest.mark.ffmpeg
def test_report_bdrate_and_recommend_read_the_index(library: Path, vqa: Vqa, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = vqa("report", library, "-o", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert 'href="one-2/report.html"' in text and "cannot read as video" in text and "5 titles: 3 ok, 2 failed" in text
    assert text.count('role="img"') == 8 + 8 + 1  # settings by quality and by rate, one pair of codecs
    whole = json.loads(vqa("bdrate", library, "--format", "json").stdout)
    assert [item["source"] for item in whole["comparisons"]] == ["bad", "lost", "one", "one-2", "two"][2:]
    for item in whole["comparisons"]:
        (alone,) = json.loads(vqa("bdrate", library / item["source"], "--format", "json").stdout)["comparisons"]
        assert alone["result"] == item["result"]
    assert whole["summary"][0]["sources"] == 3
    ladder = json.loads(vqa("recommend", library / "index.parquet", "--source", "two", "--format", "json").stdout)
    alone = json.loads(vqa("recommend", library / "two", "--format", "json").stdout)
    assert [item["chosen"] for item in ladder] == [item["chosen"] for item in alone]
    done = vqa("recommend", library, "--format", "ffmpeg")
    assert (done.returncode, done.stderr) == (
        2,
        "error: the index of a catalogue has no command lines\n"
        "hint: give the folder of one of its titles: CATALOGUE/TITLE\n",
    )
    done = vqa("report", library, library / "one")
    assert (done.returncode, done.stderr.split("\n")[0]) == (
        2,
        "error: a catalogue has a page of its own: give it alone",
    )


def catalogue_of(run: Run, folder: Path) -> None:
    """As a ladder over all sources of a run would leave it."""
    (folder / "catalogue.json").write_text(run.model_copy(update={"sources": ()}).model_dump_json())
    rows = (row for source in run.sources for row in index_rows(source.source.name, source, run.metrics))
    write_index(folder, rows, run.metrics)


def test_what_is_computed_of_an_index_is_computed_of_the_runs(tmp_path: Path) -> None:
    run, _ = make_run(["a.mp4", "=b, & c.mp4"], frames=60)
    catalogue_of(run, tmp_path)
    read = read_catalogue(tmp_path)
    assert run_curves(read, "vmaf") == run_curves(run, "vmaf") and run_curves(read, "model") == run_curves(run, "model")
    assert recommend(read, run.settings.recommend) == recommend(run, run.settings.recommend)
    assert next(csv.DictReader((tmp_path / "index.csv").open()))["title"] == "a.mp4"
    assert "'=b, & c.mp4" in (tmp_path / "index.csv").read_text()


@pytest.mark.parametrize("damage", ["cut", "column", "text"])
def test_a_damaged_index_is_named(tmp_path: Path, damage: str) -> None:
    run, _ = make_run(frames=60)
    catalogue_of(run, tmp_path)
    path = tmp_path / "index.parquet"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        table = pq.read_table(path)
        at = table.column_names.index("width")
        other = table.drop(["width"]) if damage == "column" else table.set_column(at, "width", [["?"] * len(table)])
        pq.write_table(other.replace_schema_metadata({KEY: BLANK}), path)
        seal(path)
    with pytest.raises(StorageError, match=re.escape(f"cannot read index: {path}")) as caught:
        read_catalogue(tmp_path)
    if damage == "column":
        assert caught.value.detail == "no column width"


def test_an_index_has_its_columns_whatever_its_titles_have(tmp_path: Path) -> None:
    write_index(tmp_path, [], ("vmaf",))
    assert pq.read_table(tmp_path / "index.parquet").column_names == columns(("vmaf",))
    assert (tmp_path / "index.csv").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("address", "taken", "name"),
    [
        ("/films/a.mp4", set(), "a"),
        ("/films/a.mp4", {"a", "a-2"}, "a-3"),
        ("https://host/x/b.mkv?...", set(), "b"),
        ("/films/...", set(), "title"),
        ("/films/" + "ü" * 120 + ".mp4", set(), "ü" * 100),
    ],
)
def test_a_title_is_called_by_its_file(address: str, taken: set[str], name: str) -> None:
    assert title_folder(address, taken) == name


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"# nothing\n\n", "no title in list: {}"),
        (b"\xff\xfe\x00", "list is not UTF-8: {}"),
        (None, "cannot read list: {}"),
    ],
)
def test_a_list_that_is_none_is_named(vqa: Vqa, tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "titles.txt"
    if content is not None:
        path.write_bytes(content)
    done = vqa("ladder", f"@{path}", *FLAGS, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr.split("\n")[0]) == (3, f"error: {says.format(path)}")
