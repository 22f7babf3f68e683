"""Text from outside is harmless wherever it goes, and still tells two names apart."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from documents import ladder, make_run, make_rung
from hypothesis import example, given
from hypothesis import strategies as st

from vqa_cli.analysis.digest import digest
from vqa_cli.analysis.gate import judge
from vqa_cli.analysis.policy import MetricPolicy, Policy
from vqa_cli.cli.console import table
from vqa_cli.cli.verdicts import FORMATS, as_github, as_junit, as_markdown, as_table
from vqa_cli.document import Run, read_run
from vqa_cli.files import write_text
from vqa_cli.ladder.output import frames_csv, rungs_csv
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.report.picture import write_picture
from vqa_cli.text import annotation, cells, csv_cell, markdown, markdown_name, shell, visible, visible_lines, xml

# Every character, surrogates too, with those that do harm drawn often.
HARMFUL = [
    *map(chr, range(32)), "\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u2029", "\u061c", "\u200e", "\u200f",
    *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\ufeff", "\u00ad", "\udc80", "\ud800", "\ufffe",
    "\uffff", "\U000e0041", "|", "`", "<", "&", "*", "_", "[", "@", "=", "+", "-", "'", '"', "\\", "%", ":", "#", "~",
]  # fmt: skip
COMMANDS = ["::error ::x", "::stop-commands::", "##[error]x", "\n::set-output name=a::b", "::", ":", "##["]
ANY = st.lists(st.sampled_from(HARMFUL) | st.characters() | st.sampled_from(COMMANDS) | st.just("a"), max_size=6).map(
    "".join
)


def harmless(text: str, *, lines: bool = False) -> bool:
    """Nothing unseen, nothing that starts a workflow command."""
    unseen = [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Cf", "Zl", "Zp") and c not in "\u200c\u200d"]
    unseen = [c for c in unseen if not (lines and c in "\n\t")]
    return not unseen and "##[" not in text and not any(line.lstrip().startswith("::") for line in text.split("\n"))


@given(ANY)
@example("a\n::error ::owned\x1b[31m\u202e")
def test_any_text_is_one_harmless_line(text: str) -> None:
    for made in (visible, annotation, markdown, markdown_name, xml, csv_cell):
        assert harmless(made(text))
    assert harmless(visible_lines(text), lines=True)
    assert visible_lines(text).count("\n") == text.count("\n")


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs", "M"), exclude_characters="\\#:")))
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_letters_and_their_joiners_are_no_control_characters() -> None:
    for name in ("Größe 10:30\u202fAM.mp4", "a\u00a0b", "می\u200cخواهم", "👩\u200d👧", "e\u0301", "日本"):
        assert visible(name) == name


@given(ANY.filter(lambda text: "\\" not in text), ANY.filter(lambda text: "\\" not in text))
def test_two_names_stay_two(one: str, two: str) -> None:
    assert (visible(one) == visible(two)) == (one == two)


@given(ANY)
def test_xml_is_well_formed(text: str) -> None:
    element = ElementTree.fromstring(f"<a name={quoteattr(xml(text))}/>")
    assert element.attrib["name"].replace(" ", "") == xml(text).replace(" ", "")


@given(ANY)
@example("=cmd|' /C calc'!A0")
def test_a_cell_is_no_formula_and_stays_one_cell(text: str) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([csv_cell(text), "next"])
    assert buffer.getvalue().count("\n") == 1
    (row,) = csv.reader(io.StringIO(buffer.getvalue()))
    assert row == [csv_cell(text), "next"]
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


@given(ANY)
def test_a_cell_of_markdown_holds_no_bar(text: str) -> None:
    for made in (markdown(text), markdown_name(text)):
        assert "|" not in re.sub(r"\\.", "", made)
    fence = re.match("`+", markdown_name(text))
    assert fence and markdown_name(text).endswith(fence[0])
    inner = markdown_name(text)[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inner)


@given(
    st.lists(
        ANY.filter(lambda text: "\0" not in text and not re.search("[\ud800-\udfff]", text)), min_size=1, max_size=3
    )
)
def test_a_shell_line_is_one_line_and_means_the_same(argv: list[str]) -> None:
    assert harmless(shell(argv).replace("::", "").replace("##[", ""))
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {shell(argv)}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stdout.decode("utf-8").split("\0")[:-1] == argv


@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=4), st.integers(20, 60))
def test_a_table_has_a_line_for_each_row_and_fits(rows: list[tuple[str, str]], width: int) -> None:
    made = table(["a name", "b"], rows, leave=("b",), width=width)
    lines = made.split("\n")
    assert harmless(made, lines=True)
    assert len(lines) - lines[-1].startswith("(no room for: ") == len(rows) + 1
    assert max(map(cells, lines)) <= width


UGLY = "::error ::a\n|b`=@\x1b[31m\u202e\x00"


@pytest.mark.parametrize("name", [UGLY, "=1+1", ":", "::stop-commands::x"])
def test_a_name_breaks_no_verdict(name: str) -> None:
    rungs = [make_rung("libx264", 360, r, q, name=f"r{r}") for r, q in ((100, 40.0), (400, 70.0), (900, 80.0))]
    one, two = (make_run(rungs, name=name), make_run(ladder(scale=2.0), name=name))
    verdict = judge(one, two, Policy(metrics={"vmaf": MetricPolicy(max_bd_rate=1.0, max_drop_mean=1.0)}))
    assert set(FORMATS) == {"table", "json", "junit", "markdown", "github"}
    assert harmless(as_table(verdict, 80), lines=True) and max(map(len, as_table(verdict, 80).split("\n")[2:])) <= 80
    *commands, last = as_github(verdict).split("\n")
    assert all(re.match(r"::(error|warning|notice) title=vqa gate::", line) for line in commands)
    assert all(harmless(line.split("::", 2)[2]) for line in commands) and harmless(last)
    suite = ElementTree.fromstring(as_junit(verdict))
    assert len(suite) == len(digest(verdict.checks)) > 0
    table_rows = [line for line in as_markdown(verdict).split("\n") if line.startswith("|")]
    assert {re.sub(r"\\.", "", row).count("|") for row in table_rows} == {8}


def test_tables_for_spreadsheets_hold_no_formula() -> None:
    run = make_run(ladder(), name="=HYPERLINK(1)\n.mp4")
    rung = run.sources[0].rungs[0].id
    outcome = LadderOutcome(run, {(0, rung): {"vmaf": np.array([-0.5, 2.0])}})
    for row in csv.DictReader(io.StringIO(rungs_csv(run))):
        assert row["source"] == "'=HYPERLINK(1)\\n.mp4" and float(row["bitrate_kbps"]) > 0
    text = "".join(frames_csv(outcome))
    assert text.count("\n") == 3 and ",-0.5" in text
    assert {row["source"] for row in csv.DictReader(io.StringIO(text))} == {"'=HYPERLINK(1)\\n.mp4"}


def test_a_document_holds_names_that_are_no_text(tmp_path: Path) -> None:
    run = make_run(ladder(), name="Größe.mp4").model_dump() | {"command": ("vqa", "-o", "o\udcff", "Größe.mp4")}
    document = Run.model_validate(run)
    assert document.command == ("vqa", "-o", "o\\udcff", "Größe.mp4")
    write_text(tmp_path / "run.json", document.model_dump_json())
    assert read_run(tmp_path / "run.json") == document


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_picture_of_a_run_with_any_name_can_be_drawn(tmp_path: Path, form: Literal["svg", "png"]) -> None:
    write_picture([make_run(ladder(), name=f"{UGLY}\ufffe\ud800")], tmp_path / "p", form)
    if form == "svg":
        words = "".join(ElementTree.parse(tmp_path / "p").getroot().itertext())
        assert visible(UGLY)[:8] in words and harmless(words, lines=True)


def test_one_of_a_thing_is_no_plural() -> None:
    one = make_run(ladder()[:1])
    assert repr(one).startswith("Run(custom, 1 source, 1 rung, ")
    assert repr(one.sources[0]).endswith(" 1 rung)")
    assert "12 rungs" in repr(make_run(ladder()))
