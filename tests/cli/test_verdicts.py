"""How verdicts are written: what failed first, and what is missing for one reason once."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from documents import ladder, make_run

from vqa_cli.analysis.digest import digest
from vqa_cli.analysis.gate import Check, Verdict, judge
from vqa_cli.analysis.policy import Policy
from vqa_cli.cli.verdicts import as_github, as_json, as_junit, as_markdown, as_table

POLICY = Policy.model_validate(
    {"metrics": {"vmaf": {"max_drop_mean": 1.0}}, "allow": [{"reason": "known", "what": "libx264_540p_150"}]}
)


@pytest.fixture
def verdict() -> Verdict:
    """libx265 is not there any more, libx264 is worse at 540p alone, and one of those is excused."""
    base = ladder() + ladder("libx265", scale=0.5)
    worse = [rung if rung.height != 540 else other for rung, other in zip(ladder(), ladder(shift=-3), strict=True)]
    return judge(make_run(base), make_run(worse), POLICY)


def test_failures_come_first_and_what_is_missing_is_one_line(verdict: Verdict) -> None:
    found = digest(verdict.checks)
    assert [check.allowed or check.outcome for check in found] == ["fail"] * 3 + ["inconclusive", "known"] + [
        "pass"
    ] * 8
    (missing,) = [check for check in found if check.outcome == "inconclusive"]
    assert missing.subject == "libx265_360p_150 and 11 more"
    assert missing.note == "the candidate has no such rung"


def test_different_reasons_and_sources_stay_apart() -> None:
    one = Check("a", "r1", "rung", "", None, None, 0.0, "inconclusive", "lost")
    other = Check("a", "r2", "rung", "", None, None, 0.0, "inconclusive", "crashed")
    elsewhere = Check("b", "r1", "rung", "", None, None, 0.0, "inconclusive", "lost")
    measured = [Check("a", name, "vmaf mean drop", "", 0.0, None, 1.0, "pass") for name in ("r3", "r4")]
    assert digest([one, other, elsewhere, *measured]) == [one, other, elsewhere, *measured]


@pytest.mark.parametrize("form", [as_table, as_markdown, as_github, as_junit])
def test_every_form_for_people_says_so(verdict: Verdict, form: Callable[[Verdict], str]) -> None:
    text = form(verdict)
    assert text.count("the candidate has no such rung") == 1
    assert "libx265_360p_150 and 11 more" in text
    places = [text.index(name) for name in ("libx264_540p_400", "libx265_360p_150", "libx264_540p_150")]
    assert places == sorted(places)


def test_machines_get_every_check(verdict: Verdict) -> None:
    assert as_json(verdict).count("the candidate has no such rung") == 12
    suite = ElementTree.fromstring(as_junit(verdict))
    counts = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 13, "failures": 3, "errors": 1, "skipped": 1}
    assert len(suite.findall("testcase")) == 13
    assert as_markdown(verdict).startswith("### vqa gate: FAIL (8 pass, 3 fail, 12 inconclusive, 1 allowed)\n\n| ")
