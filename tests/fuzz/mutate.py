"""Seeded damage: to bytes, to text, and to the trees that JSON makes. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Bytes = Callable[[bytearray, Random], None]


def mutate(data: bytes, random: Random) -> bytes:
    """One to eight changes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 5, 8))):
        random.choice(_CHANGES)(changed, random)
    return bytes(changed)


def mutate_document(text: str, random: Random) -> bytes:
    """Change a JSON document's values, or, one time in four, its bytes."""
    if random.random() < 0.25:
        return mutate(text.encode(), random)
    tree = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        _change_tree(tree, random)
    return json.dumps(tree, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def odd_name(random: Random) -> str:
    """A file name that a file system takes and that somebody would regret."""
    letters = [random.choice(_LETTERS) for _ in range(random.randint(1, 12))]
    return "".join(letters).replace("/", "_").replace("\0", "_").strip(".") or "x"


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _overwrite(data: bytearray, random: Random) -> None:
    at, length = _range(data, random)
    data[at : at + length] = random.choice((random.randbytes(length), bytes(length), b"\xff" * length))


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def _remove(data: bytearray, random: Random) -> None:
    at, length = _range(data, random)
    del data[at : at + length]


def _insert(data: bytearray, random: Random) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.choice((1, 4, 64)))


def _repeat(data: bytearray, random: Random) -> None:
    at, length = _range(data, random)
    data[at:at] = data[at : at + length]


def _number(data: bytearray, random: Random) -> None:
    """A length, a count or a time is more than there is, none, or less than none."""
    if len(data) >= 8:
        width = random.choice((1, 2, 4, 8))
        value = random.choice((0, 1, 2**7, 2 ** (8 * width - 1), 2 ** (8 * width) - 1, 2 ** (8 * width - 1) - 1))
        at = random.randrange(len(data) - width + 1)
        data[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, random.choice(("big", "little")))


def _range(data: bytearray, random: Random) -> tuple[int, int]:
    at = random.randrange(len(data) + 1)
    return at, min(len(data) - at, random.choice((1, 2, 4, 16, 256, 4096)))


_CHANGES: tuple[Bytes, ...] = (_flip, _flip, _flip, _overwrite, _cut, _remove, _insert, _repeat, _number, _number)
_LETTERS = [
    "a", "é", " ", "\n", "\r", "\t", "\x1b[31m", "\x07", "::error ::", "<script>", "&", '"', "'", "`", "$(x)", "|", "*", "?", "%s",
    "=", "+", "-", "@", "‮", "\udc80", "\u200b", "あ", "👍", "file:", "http://", "\\", ":", "#", "[", "]", "{", "}", ",", ";", "~",
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), -float("inf"), "", "x",
    "nan", "0/0", "1/0", "-1/1", "\ud800", "\x00", "\x1b[2J", "\n::error ::x", "<script>alert(1)</script>", "=cmd|'/c calc'!A0",
    "a" * 10_000, [], {}, [[]], [None], {"": None}, [0] * 1000,
]  # fmt: skip


def _change_tree(tree: Any, random: Random) -> None:
    """Change one node somewhere below ``tree``, in place."""
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys:
            return
        key = random.choice(keys)
        child = node[key]
        if isinstance(child, (dict, list)) and child and random.random() < 0.85:
            node = child
            continue
        how = random.random()
        if how < 0.2:
            del node[key]
        elif how < 0.3 and isinstance(node, list):
            node.append(child)
        elif how < 0.35:
            node[key] = _nested(random.choice((10, 200, 300)))
        else:
            node[key] = random.choice(_VALUES)
        return


def _nested(depth: int) -> Any:
    """Lists in lists; deeper ones cannot be written as JSON."""
    inner: Any = 1
    for _ in range(depth):
        inner = [inner]
    return inner
