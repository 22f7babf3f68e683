"""Tables as spreadsheets write them."""

from __future__ import annotations

import csv
import io
import math
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Vqa
from hypothesis import given
from hypothesis import strategies as st

from vqa_cli.cli.bdrate import read_curves
from vqa_cli.errors import InputError
from vqa_cli.tables import is_table, read_table

RATES = {"A": ((100, 30), (200, 34.5), (400, 38), (800, 41)), "B": ((90, 30), (180, 34.5), (370, 38), (750, 41))}
PLAIN = "source,codec,bitrate,quality\n" + "".join(f"Größe,{c},{r},{q}\n" for c, at in RATES.items() for r, q in at)
GERMAN = PLAIN.replace(",", ";").replace(".", ",")
WRITTEN = {
    "plain": PLAIN.encode(),
    "Excel's CSV UTF-8": b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode(),
    "Excel's CSV UTF-8 where the comma is for decimals": b"\xef\xbb\xbf" + GERMAN.encode(),
    "Excel's Unicode text": PLAIN.replace(",", "\t").encode("utf-16"),
    "big endian": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "told by its first line": b"sep=;\r\n" + GERMAN.encode(),
    "rows and columns that were emptied": ("\n" + PLAIN.replace("\n", ",,\n") + ",,,,,\n").encode(),
    "quoted": PLAIN.replace("Größe", '"Größe"').replace("source", ' "source"').encode(),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_table_says_the_same_however_it_was_written(how: str, tmp_path: Path) -> None:
    (tmp_path / "t.CSV").write_bytes(WRITTEN[how])
    found = read_curves(tmp_path / "t.CSV")
    assert [(curve.source, curve.codec) for curve in found] == [("Größe", "A"), ("Größe", "B")]
    for curve in found:
        assert tuple(zip(curve.points.kbps, curve.points.quality, strict=True)) == RATES[curve.codec]


BAD = [
    (b"", "table is empty: {}", None),
    ("\n,,\n", "table is empty: {}", None),
    ("source,codec,bitrate,quality\n", "no row in table: {}", None),
    ("source,codec,bitrate\na,b,1\n", "no column quality: {}", None),
    ("source,codec,bitrate,bitrate,quality\na,b,1,2,3\n", "more than one column bitrate: {}", None),
    (PLAIN + "c,A,abc,3\n", "no number in line 10, column bitrate: {}", "it is abc"),
    (PLAIN + "c,A,1,\n", "no number in line 10, column quality: {}", "it is empty"),
    (PLAIN + "c,A,1,nan\n", "no number in line 10, column quality: {}", "it is nan"),
    (PLAIN + "c,A,1,1e999\n", "no number in line 10, column quality: {}", "it is 1e999"),
    (PLAIN + "c,A,1_0,1\n", "no number in line 10, column bitrate: {}", "it is 1_0"),
    (PLAIN + f"c,A,{'x' * 50},1\n", "no number in line 10, column bitrate: {}", f"it is {'x' * 40}…"),
    (PLAIN + "c,A,-1,3\n", "no bitrate above 0 in line 10: {}", None),
    (PLAIN + ",A,1,3\n", "no source in line 10: {}", None),
    (PLAIN + "c,A,1\n", "3 cells for 4 columns in line 10: {}", None),
    (PLAIN + "c,A,1,2,3\n", "5 cells for 4 columns in line 10: {}", None),
    (PLAIN + '"c\nd",A,1,2\nc,A,x,2\n', "no number in line 12, column bitrate: {}", "it is x"),
    (PLAIN + '"c,A,1,2\n', "not a table: {}", "line 10: unexpected end of data"),
    (PLAIN + f"{'c' * 200_000},A,1,2\n", "not a table: {}", "line 10: field larger than field limit (131072)"),
    (PLAIN.encode("latin-1"), "not a text in UTF-8: {}", "line 2"),
    (PLAIN.encode("utf-16-le"), "not a text in UTF-8: {}", "line 2"),
    (GERMAN + "c;A;1.5;2,5\nc;A;1,5;2\n", "decimal commas and points in column bitrate: {}", "lines 11 and 10"),
    ("source\tcodec\tbitrate\tquality\nc\tA\t1,234\t5\n", "thousands or decimals in line 2, column bitrate: {}", "it is 1,234"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message", "detail"), BAD, ids=[str(case[1]) for case in BAD])
def test_a_table_that_could_mean_another_number_is_refused(
    tmp_path: Path, data: str | bytes, message: str, detail: str | None
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(InputError) as caught:
        read_curves(path)
    assert caught.value.message == message.format(path)
    assert caught.value.detail == detail or "utf-16" in str(data[:2])


def test_every_command_that_takes_a_table_reads_it_by_one_reader(vqa: Vqa, tmp_path: Path) -> None:
    plain = tmp_path / "t.csv"
    plain.write_text(PLAIN, encoding="utf-8")
    for name in ("bom.csv", "T.CSV"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + PLAIN.encode())
        done = vqa("bdrate", tmp_path / name)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout == vqa("bdrate", plain).stdout
        assert done.stdout.splitlines()[2].split()[:3] == ["Größe", "A", "B"]
    (tmp_path / "e.csv").write_bytes(b"")
    for args in (["bdrate", "e.csv"], ["correlate", "e.csv"], ["extract", "e.csv", "--videos", ".", "-o", "f"]):
        done = vqa(*args, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (3, "error: table is empty: e.csv\n")
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbfscore;mos\r\n1,5;1\r\n2,5;2\r\n3,5;3\r\n")
    assert vqa("correlate", "s.csv", cwd=tmp_path).stdout.splitlines()[1].split()[:3] == ["s", "3", "1.0000"]


def test_a_table_is_told_by_its_name() -> None:
    assert [name for name in ("a.csv", "a.CSV", "a.tsv", "a.json", "csv") if is_table(Path(name))] == [
        "a.csv", "a.CSV", "a.tsv",
    ]  # fmt: skip


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(CELL, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=5),
       st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(";,\t"))  # fmt: skip
def test_what_a_writer_wrote_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float]], encoding: str, separator: str
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([("name", "value"), *rows])
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    found = read_table(path)
    assert (found.texts("name"), found.numbers("value")) == ([name.strip() for name, _ in rows], [v for _, v in rows])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(data)
    with suppress(InputError):
        found = read_table(path)
        assert all(map(math.isfinite, found.numbers(found.columns[0] if found.columns else "none")))
