"""A verdict's checks as people should read them: what failed first, and what is missing for one reason in one line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vqa_cli.analysis.gate import Check

OUTCOMES = ("fail", "inconclusive", "allowed", "pass")  # what a reader needs first


def word(check: Check) -> str:
    """``fail``, ``inconclusive``, ``allowed`` or ``pass``."""
    return "allowed" if check.allowed is not None else check.outcome


def digest(checks: Iterable[Check]) -> list[Check]:
    """Failures before what could not be decided, before exceptions, before what passed; of each the order given.

    Checks that were not measured for the same reason become one, which names the first and how many more there are.
    """
    groups: dict[tuple[object, ...], list[Check]] = {}
    for number, check in enumerate(checks):
        alone = number if check.value is not None else ""
        key = (check.source, check.figure, check.outcome, check.allowed, check.note, alone)
        groups.setdefault(key, []).append(check)
    return sorted(map(_folded, groups.values()), key=lambda check: OUTCOMES.index(word(check)))


def _folded(alike: Sequence[Check]) -> Check:
    more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
    return replace(alike[0], subject=alike[0].subject + more)
