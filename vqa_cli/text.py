"""Text from outside (names of files, tags in them, an encoder's last words) made safe for where it goes. Pure.

Each kind of output has its function. What a reader could not see, or what a program would take for a command, becomes an
escape as Python writes it: ``\\n``, ``\\x1b``, ``\\u202e``. Nothing is dropped, so that two names stay two.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence
from typing import Any

# Control characters, surrogates, separators of lines and paragraphs, marks of direction and other format characters.
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp", "Cf"})
# They shape letters: non-joiner and joiner.
_SHAPING = "\u200c\u200d"
# A runner of GitHub's takes these for commands: the first at the start of a line, the second anywhere.
_COMMAND = re.compile(r"(?m)^(\s*):(?=:)")
_OLD_COMMAND = "##["
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+|~&!])")
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def visible(text: str) -> str:
    """Any text as one line for a terminal or a log."""
    if text.isascii() and text.isprintable():  # nearly all text, and all that is long
        return _without_commands(text)
    return _without_commands("".join(map(_seen, text)))


def visible_lines(text: str) -> str:
    """The same for a text of several lines, whose line breaks and tabs are its own."""
    return _without_commands("".join(c if c in "\n\t" else _seen(c) for c in text))


def annotation(text: str) -> str:
    """The message of a workflow command of GitHub's, which ends at a line break and reads ``%`` as an escape."""
    return visible(text).replace("%", "%25")


def markdown(text: str) -> str:
    """A cell of a table in Markdown: shown as it is, without markup."""
    return _MARKUP.sub(r"\\\1", visible(text))


def markdown_name(text: str) -> str:
    """A name in a table in Markdown: as code, in which ``@`` calls nobody and ``#1`` is no link."""
    shown = visible(text).replace("|", "\\|") or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def xml(text: str) -> str:
    """Characters that XML 1.0 may hold; markup is still to be escaped."""
    shown = visible(text)
    return shown if shown.isascii() else "".join(_escaped(c) if c in "\ufffe\uffff" else c for c in shown)


def csv_cell(text: str) -> str:
    """A cell that a spreadsheet takes for text: a formula would be computed, and may read files and call addresses."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def shell(argv: Sequence[str]) -> str:
    """A command line to be run, on one line: what cannot be seen is written in Bash's ``$'…'``."""
    return " ".join(_quoted(part) for part in argv)


def as_text(value: Any) -> Any:
    """Text, or lists of it, with bytes that are no UTF-8 as escapes; anything else as it is."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, tuple | list) and value and isinstance(value[0], str | tuple | list):
        return tuple(map(as_text, value))
    return value


def cells(text: str) -> int:
    """How many columns of a terminal a line takes: wide letters two, marks on letters none."""
    if text.isascii():
        return len(text)
    return sum(_columns(c) for c in text)


def _columns(c: str) -> int:
    if unicodedata.combining(c) or c in _SHAPING or unicodedata.category(c) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def _seen(c: str) -> str:
    return _escaped(c) if unicodedata.category(c) in _UNSEEN and c not in _SHAPING else c


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def _without_commands(text: str) -> str:
    if "::" not in text and _OLD_COMMAND not in text:
        return text
    return _COMMAND.sub(r"\1\\x3a", text).replace(_OLD_COMMAND, r"#\x23[")


def _quoted(part: str) -> str:
    shown = "".join(map(_seen, part))
    if shown == part:
        return shlex.quote(part)
    # Bytes of UTF-8, since \u is not known to every Bash.
    body = "".join(
        "".join(f"\\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape")) if _seen(c) != c else _literal(c)
        for c in part
    )
    return f"$'{body}'"


def _literal(c: str) -> str:
    return f"\\{c}" if c in "\\'" else c


def plural(count: int, noun: str) -> str:
    """``1 rung``, ``3 rungs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
