"""Files are whole or not there, whoever writes them."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from conftest import Vqa
from documents import ladder, make_run

from vqa_cli.analysis.policy import read_policy
from vqa_cli.document import read_run
from vqa_cli.errors import StorageError, UsageError
from vqa_cli.files import replacing, write_text
from vqa_cli.report.html import write_file
from vqa_cli.resources import preset_dir
from vqa_cli.train.features import Provenance, open_features, write_features


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / ("n" * 200 + ".txt")
    for text in ("first", "second"):
        with replacing(path) as staged:
            staged.write_text(text)
            assert staged.parent.parent == path.parent and staged != path
        assert path.read_text() == text
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("fault", [OSError("disk full"), KeyboardInterrupt()])
def test_what_was_broken_off_changes_nothing(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(fault)), replacing(path) as staged:
        staged.write_text("half")
        raise fault
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_new_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "replaced") as staged:
        staged.write_text("")
    assert (tmp_path / "replaced").stat().st_mode == (tmp_path / "plain").stat().st_mode


def features(path: Path) -> None:
    origin = Provenance(
        extractor="x", extractor_sha256="0", precision="fp32", preprocessing="none", every=1, video="v", video_bytes=1, width=2,
        height=2,
    )  # fmt: skip
    write_features(path, np.ones((3, 2), np.float16), origin)


WRITERS = {
    "table": lambda path: write_text(path, "a,b\n"),
    "report": lambda path: write_file(path, b"<html>"),
    "features": features,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_target_that_cannot_be_replaced_is_one_error_and_leaves_nothing(tmp_path: Path, writer: str) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match=r"cannot write.*: .*taken"):
        WRITERS[writer](tmp_path / "taken")
    assert names(tmp_path) == ["taken"]


def test_features_come_back(tmp_path: Path) -> None:
    features(tmp_path / "below" / "v.safetensors")
    assert open_features(tmp_path / "below" / "v.safetensors").tolist() == [[1, 1]] * 3


def test_documents_with_a_byte_order_mark_are_read_and_endless_nesting_is_refused(vqa: Vqa, tmp_path: Path) -> None:
    preset = (preset_dir() / "mobile.toml").read_bytes()
    (tmp_path / "p.toml").write_bytes(b"\xef\xbb\xbf" + preset)
    assert vqa("presets", "validate", "p.toml", cwd=tmp_path).stdout == "p.toml: valid\n"
    assert vqa("presets", "show", "p.toml", cwd=tmp_path).stdout == preset.decode()
    (tmp_path / "p.toml").write_bytes("name = 'Größe'".encode("latin-1"))
    assert vqa("presets", "show", "p.toml", cwd=tmp_path).returncode == 2
    run = make_run(ladder()).model_dump_json()
    for encoding in ("utf-8-sig", "utf-16"):  # PowerShell's
        (tmp_path / "run.json").write_text(run, encoding=encoding)
        assert read_run(tmp_path / "run.json").model_dump_json() == run
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(StorageError, match="not a JSON document"):
        read_run(tmp_path / "run.json")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(UsageError, match=r"not a TOML file: .*deep\.toml"):
        read_policy(tmp_path / "deep.toml")


def test_an_interrupt_while_a_file_is_begun_leaves_nothing(tmp_path: Path) -> None:
    for number in count(1):
        begun = interrupted_at(number, tmp_path / "a.txt")
        assert [path.name for path in tmp_path.iterdir()] == (["a.txt"] if begun else [])
        if begun:
            break
    assert number > 5


def interrupted_at(number: int, path: Path) -> bool:
    """Begin to write a file, with an interrupt before that line of Python of those which do it; whether there were fewer."""
    lines = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal lines
        lines += event == "line"
        if lines == number:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        with replacing(path) as staged:
            sys.settrace(before)
            staged.write_text("whole")
            return True
    except KeyboardInterrupt:
        return False
    finally:
        sys.settrace(before)
