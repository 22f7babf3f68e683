"""Tables that people bring, however their spreadsheet wrote them: one reader for every command that takes one.

Read are UTF-8 with or without a byte order mark and UTF-16 with one; commas, semicolons or tabs between cells (as
``sep=`` in the first line says, else those that the header has most of); and decimal commas where cells are not
separated by commas. What could be meant in two ways is refused: a wrong number is worse than none.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from vqa_cli.errors import InputError

_SUFFIXES = frozenset({".csv", ".tsv"})
_SEPARATORS = ",;\t"
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_WHOLE = re.compile(rf"[+-]?[0-9]+{_EXPONENT}")
_POINT = re.compile(rf"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+){_EXPONENT}")
_COMMA = re.compile(rf"[+-]?(?:[0-9]+,[0-9]*|,[0-9]+){_EXPONENT}")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Row:
    """Cells without the spaces around them, and the number of the line that they begin in."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with a line of column names; rows without any content are left out."""

    path: Path
    header: Row
    rows: tuple[Row, ...]
    separator: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that columns have."""
        return tuple(name for name in self.header.cells if name)

    def without_header(self, columns: Sequence[str]) -> Table:
        """The same lines where the first holds values, not names."""
        return replace(self, header=Row(0, tuple(columns)), rows=(self.header, *self.rows))

    def texts(self, column: str) -> list[str]:
        """The cells of a column.

        Raises:
            InputError: there is no such column, or more than one.
        """
        if self.columns.count(column) != 1:
            which = f"no column {column}" if column not in self.columns else f"more than one column {column}"
            raise InputError(f"{which}: {self.path}", hint=f"it has {', '.join(self.columns) or 'none'}")
        index = self.header.cells.index(column)
        return [row.cells[index] for row in self.rows]

    def filled(self, column: str) -> list[str]:
        """The cells of a column that has no empty one.

        Raises:
            InputError: see :meth:`texts`; or a cell is empty.
        """
        cells = self.texts(column)
        if "" in cells:
            raise InputError(f"no {column} in line {self.rows[cells.index('')].line}: {self.path}")
        return cells

    def numbers(self, column: str) -> list[float]:
        """The numbers of a column.

        Raises:
            InputError: see :meth:`texts`; or a cell holds no finite number, or decimal points and commas are mixed.
        """
        cells = self.texts(column)
        if self.separator != ",":
            self._refuse_ambiguous(column, cells)
        return [self._number(column, row.line, cell) for row, cell in zip(self.rows, cells, strict=True)]

    def _refuse_ambiguous(self, column: str, cells: Sequence[str]) -> None:
        """1,234 is 1.234 where commas separate decimals, and 1234 where they separate thousands."""
        commas = {row.line: cell for row, cell in zip(self.rows, cells, strict=True) if _COMMA.fullmatch(cell)}
        points = [row.line for row, cell in zip(self.rows, cells, strict=True) if _POINT.fullmatch(cell)]
        if commas and points:
            raise InputError(
                f"decimal commas and points in column {column}: {self.path}",
                detail=f"lines {next(iter(commas))} and {points[0]}",
            )
        # Semicolons come from where the comma is taken, tabs from everywhere.
        if self.separator == "\t" and commas and all(map(_THOUSANDS.fullmatch, commas.values())):
            line, cell = next(iter(commas.items()))
            raise InputError(
                f"thousands or decimals in line {line}, column {column}: {self.path}", detail=f"it is {cell}"
            )

    def _number(self, column: str, line: int, cell: str) -> float:
        text = cell.replace(",", ".") if self.separator != "," and _COMMA.fullmatch(cell) else cell
        if (_WHOLE.fullmatch(text) or _POINT.fullmatch(text)) and isfinite(value := float(text)):
            return value
        shown = f"it is {cell[:_SHOWN]}{'…' if len(cell) > _SHOWN else ''}" if cell else "it is empty"
        raise InputError(f"no number in line {line}, column {column}: {self.path}", detail=shown)


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in _SUFFIXES


def read_table(path: Path) -> Table:
    """Read a table with a line of column names.

    Raises:
        InputError: it cannot be read, is no text of the encodings above, is empty, or a line has too many or too few cells.
    """
    text = _decoded(path)
    told = re.match(r"sep=(.)\r?\n", text)
    body = text[told.end() :] if told else text
    first = next((line for line in body.splitlines() if line.strip()), "")
    separator = told[1] if told else max(_SEPARATORS, key=first.count)
    rows = list(_rows(path, body, separator, skipped=1 if told else 0))
    if not rows:
        raise InputError(f"table is empty: {path}")
    header, *others = rows
    return Table(path, header, tuple(_fitted(path, header, row) for row in others), separator)


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise InputError(f"cannot read table: {path}", detail=err.strerror) from err
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise InputError(f"not a text in UTF-8: {path}", detail=f"line {line}", hint='save it as "CSV UTF-8"') from err
    if "\0" in text:
        raise InputError(f"not a text in UTF-8: {path}", detail="it holds zero bytes", hint='save it as "CSV UTF-8"')
    return text


def _rows(path: Path, text: str, separator: str, *, skipped: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    line = skipped + 1
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                yield Row(line, stripped)
            line = skipped + reader.line_num + 1
    except csv.Error as err:
        raise InputError(f"not a table: {path}", detail=f"line {line}: {err}") from err


def _fitted(path: Path, header: Row, row: Row) -> Row:
    """A row as wide as the header: spreadsheets end lines with separators, and leave such ends out."""
    least = max((number for number, name in enumerate(header.cells, 1) if name), default=0)
    most = len(header.cells)
    if len(row.cells) < least or any(row.cells[most:]):
        raise InputError(f"{len(row.cells)} cells for {least} columns in line {row.line}: {path}")
    return replace(row, cells=(*row.cells, *[""] * most)[:most])
