"""A small part of `make fuzz`, and what it has found: see docs/reliability.md."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from conftest import Vqa
from documents import make_run, make_rung
from fuzz.mutate import mutate, mutate_document, odd_name
from fuzz.targets import open_target

from vqa_cli.document import read_run
from vqa_cli.errors import StorageError


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("target", "attacks"), [("containers", 40), ("documents", 60), ("weights", 25), ("cache", 60), ("names", 8)]
)
def test_damage_ends_as_documented(target: str, attacks: int) -> None:
    with open_target(target, seed=0) as attack:
        faults = {number: ending.fault for number in range(attacks) if (ending := attack(number)).fault}
    assert faults == {}


def test_damage_can_be_repeated() -> None:
    for make in (lambda r: mutate(bytes(1000), r), lambda r: mutate_document('{"a": [1, {"b": 2}]}', r), odd_name):
        made = [make(Random(f"x {number}")) for number in range(50)]
        assert made == [make(Random(f"x {number}")) for number in range(50)] and len(set(made)) > 10


def _damaged(tmp_path: Path, *path: str | int, value: object) -> Path:
    tree = json.loads(make_run([make_rung("libx264", 360, 500, 80)]).model_dump_json())
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    file = tmp_path / "run.json"
    file.write_text(json.dumps(tree))
    return file


@pytest.mark.parametrize(
    ("path", "value", "detail"),
    [
        (("metrics",), [], "libx264_360p_500 was measured by vmaf, which the run does not name"),
        (("model",), None, "libx264_360p_500 has a score, and the run names no model"),
        (("sources", 0, "rungs", 0, "encode", "bitrate_kbps"), float("nan"), "finite number"),
        (("sources", 0, "rungs", 0, "fidelity", "vmaf", "pooled", "mean"), float("inf"), "finite number"),
        (("settings", "metrics", 0), "\ud800", "it holds text that is none"),
    ],
)  # fmt: skip
def test_a_run_that_contradicts_itself_is_damaged(
    tmp_path: Path, path: tuple[str | int, ...], value: object, detail: str
) -> None:
    with pytest.raises(StorageError, match="damaged run document") as caught:
        read_run(_damaged(tmp_path, *path, value=value))
    assert caught.value.detail is not None and detail in caught.value.detail


def test_a_damaged_run_gives_no_page(vqa: Vqa, tmp_path: Path) -> None:
    done = vqa("report", _damaged(tmp_path, "metrics", value=[]), "-o", tmp_path / "r.html")
    assert done.returncode == 6 and not (tmp_path / "r.html").exists()
