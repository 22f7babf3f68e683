"""What commands print: results on stdout, everything else on stderr, in letters that a terminal can be trusted with."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TextIO, get_args

import click

from vqa_cli.text import cells, visible, visible_lines

Colour = Literal["auto", "always", "never"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
# What a column of text may be cut to, so that another column need not go, and where all have gone that may.
_READABLE, _LEAST_WIDTH = 24, 12
_GAP = "  "
# A number with its unit and what it may be off by: ``-12.37% [-14.05, -10.66]``, ``92.31±0.42``, ``x1.71``.
_FIGURE = re.compile(r"[-+~x]?(\d[\d.,]*%?(±[\d.]+)?( \[[^]]+\])?)?")
# What a line begins with, and how it is shown where there is colour.
_PAINT = {
    "PASS": {"fg": "green", "bold": True}, "FAIL": {"fg": "red", "bold": True}, "FAILED": {"fg": "red", "bold": True},
    "INCONCLUSIVE": {"fg": "yellow", "bold": True}, "ALLOWED": {"fg": "cyan"}, "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"}, "hint": {"fg": "cyan"},
}  # fmt: skip
_PAINTED = re.compile(r"(?m)^(PASS|FAIL|INCONCLUSIVE|ALLOWED|error|warning|hint)\b|\b(FAILED)(?=:)")


class _Chosen:
    """What the command line says of colour."""

    colour: Colour = "auto"


def choose_colour(choice: Colour) -> None:
    """Colour always, never, or (``"auto"``) where a terminal shows it and the environment does not say otherwise."""
    _Chosen.colour = choice


def say(line: object) -> None:
    """A result of one line."""
    _print(visible(str(line)), sys.stdout)


def tell(lines: str) -> None:
    """A result of several lines, for people."""
    _print(visible_lines(lines), sys.stdout)


def emit(document: str) -> None:
    """A result for programs, in a format that is safe by its own rules."""
    click.echo(document, file=sys.stdout, color=True)


def emit_json(told: Mapping[str, Any] | Sequence[Any]) -> None:
    """A result as JSON; what is no number in it is a bug."""
    import json

    from pydantic_core import to_jsonable_python

    emit(json.dumps(told, indent=1, allow_nan=False, default=to_jsonable_python))


def note(line: object) -> None:
    """A line for the person at the terminal, on stderr."""
    _print(visible(str(line)), sys.stderr)


def painted(text: str, stream: TextIO) -> str:
    """The words that matter most in colour, where ``stream`` shows it."""
    if not _colourful(stream):
        return text
    return _PAINTED.sub(lambda found: click.style(found[0], **_PAINT[found[0]]), text)  # type: ignore[arg-type]


def _print(text: str, stream: TextIO) -> None:
    click.echo(painted(text, stream), file=stream, color=True)


def _colourful(stream: TextIO) -> bool:
    """Source: no-color.org; ``FORCE_COLOR`` as CI services set it."""
    if _Chosen.colour != "auto":
        return _Chosen.colour == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def window() -> int | None:
    """Columns of the terminal that results go to, or what ``COLUMNS`` says; ``None`` where nothing sets a limit."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, leave: Sequence[str] = (), width: int | None = None
) -> str:
    """Columns aligned by spaces; cells that are numbers go to the right.

    Args:
        leave: columns that may be left out where ``width`` does not hold them all, the least needed first; a last line
            names them. Before that the longest texts of the others are cut, as far as they can still be read.
        width: columns of the terminal, ``None`` for no limit.
    """
    lines = [[visible(str(cell)) for cell in line] for line in (headers, *rows)]
    kept = list(range(len(headers)))
    for name in leave:
        if width is None or _least(lines, [headers[i] in leave for i in range(len(headers))], kept) <= width:
            break
        kept = [index for index in kept if headers[index] != name]
    gone = [name for index, name in enumerate(headers) if index not in kept]
    fitted = _cut([[line[index] for index in kept] for line in lines], width)
    text = _aligned(fitted)
    return f"{text}\n(no room for: {', '.join(name or 'notes' for name in gone)})" if gone else text


def _least(lines: Sequence[Sequence[str]], whole: Sequence[bool], kept: Sequence[int]) -> int:
    """The width of some columns where those of text that must stay are cut as far as they can still be read."""
    widths = [max(cells(line[index]) for line in lines) for index in kept]
    cut = [not whole[index] and not _all_figures([line[index] for line in lines]) for index in kept]
    return sum(min(w, _READABLE) if c else w for w, c in zip(widths, cut, strict=True)) + len(_GAP) * (len(kept) - 1)


def _width(lines: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    return sum(max(cells(line[index]) for line in lines) for index in kept) + len(_GAP) * (len(kept) - 1)


def _cut(lines: list[list[str]], width: int | None) -> list[list[str]]:
    """Shorten the widest column of text until the lines fit, or nothing is left to be shortened."""
    if width is None:
        return lines
    while (over := _width(lines, range(len(lines[0]))) - width) > 0:
        widths = [0 if _all_figures(column) else max(map(cells, column)) for column in zip(*lines, strict=True)]
        widest = widths.index(max(widths))
        second = max((w for i, w in enumerate(widths) if i != widest), default=0)
        target = max(_LEAST_WIDTH, widths[widest] - over, min(second, widths[widest] - 1))
        if target >= widths[widest]:
            break
        lines = [[_short(c, target) if i == widest else c for i, c in enumerate(line)] for line in lines]
    return lines


def _short(cell: str, width: int) -> str:
    """A text without its middle: names are told apart by their ends."""
    if cells(cell) <= width:
        return cell
    head, tail = cell[: (width - 1) // 2], cell[-(width // 2) :]
    while cells(head) + cells(tail) > width - 1:  # wide letters
        head, tail = (head[:-1], tail) if cells(head) >= cells(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    columns = list(zip(*lines, strict=True))
    widths = [max(map(cells, column)) for column in columns]
    right = [_all_numbers(column) for column in columns]

    def line(parts: Sequence[str]) -> str:
        padded = [
            " " * (w - cells(c)) + c if r else c + " " * (w - cells(c))
            for c, w, r in zip(parts, widths, right, strict=True)
        ]
        return _GAP.join(padded).rstrip()

    return "\n".join(map(line, lines))


def _all_numbers(column: Sequence[str]) -> bool:
    """Whether all cells below a header are numbers, and there are some."""
    return len(column) > 1 and all(map(_numeric, column[1:]))


def _all_figures(column: Sequence[str]) -> bool:
    """Whether no cell below the header can be cut: half a number is another number."""
    return len(column) > 1 and all(map(_FIGURE.fullmatch, column[1:]))


def _numeric(cell: str) -> bool:
    text = cell.strip("+%~-")
    return text == "" or text.replace(".", "", 1).replace(",", "").isdigit()
