"""Prose is short: no sentence of the docs, the README or the help has more than 30 words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import ROOT
from test_cli_commands import ALL

LONGEST = 30
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^ *```.*?^ *```[^\n]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"``[^`]+``|`[^`]+`")
_PICTURE, _LINK = re.compile(r"!\[[^\]]*\]\([^)]*\)"), re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ITEM, _TABLE = re.compile(r"^ *(?:[-*]|\d+\.) +", re.MULTILINE), re.compile(r"^ *\|.*$", re.MULTILINE)
_HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
# A full stop ends a sentence where a space and a capital, a figure, a mark or a name such as x264 follow; not in "e.g.".
_END = re.compile(
    r"(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bal\.)(?<=[.!?])[)\"*]* +(?=[\"(*]*(?:[A-Z0-9`–]|[a-z]+\d|lib[a-z]|ffmpeg\b|vqa\b))"
)


def sentences(page: str) -> Iterator[str]:
    """What is prose in Markdown: paragraphs, items of lists and cells of tables; code counts as a word."""
    text = _BLOCK.sub("\n\n", page)
    text = _LINK.sub(r"\1", _PICTURE.sub("", _CODE.sub("CODE", text)))
    cells = [cell for row in _TABLE.findall(text) for cell in row.split("|")]
    text = _ITEM.sub("\n\n", _HEADING.sub("\n\n", _TABLE.sub("\n\n", text)))
    for part in [*re.split(r"\n\s*\n", text), *cells]:
        yield from _END.split(" ".join(part.split()))


def words(sentence: str) -> int:
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


def too_long(page: str) -> list[str]:
    return [f"{words(sentence)}: {sentence}" for sentence in sentences(page) if words(sentence) > LONGEST]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_sentence_of_a_page_is_long(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ALL)
def test_no_sentence_of_the_help_is_long(name: str) -> None:
    command = ALL[name]
    options = [param.help or "" for param in command.params if isinstance(param, click.Option)]
    assert [found for text in (command.help or "", *options) for found in too_long(text)] == []


def test_what_counts_as_a_sentence() -> None:
    page = "# A heading\n\nOne `a b c` two. Three [four five](six seven).\n\n- item of e.g. X\n- other\n\n| a cell | b |\n\n```\ncode. Code\n```\n"
    assert [found for found in sentences(page) if found] == [
        "One CODE two.", "Three four five.", "item of e.g. X", "other", "a cell", "b",
    ]  # fmt: skip
    assert too_long("word " * 30 + "end.") == [f"31: {'word ' * 30}end."]
    assert too_long("word " * 29 + "end. Another – sentence.") == []
