"""Sources by address: an object of a store is copied to the bit, and a catalogue fetches each when its turn comes."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Vqa, make_clip
from test_media_fetch import serving

from vqa_cli.errors import InputError, StorageError
from vqa_cli.files import file_sha256
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.fetch import fetch
from vqa_cli.media.objects import copy_object, is_object
from vqa_cli.media.process import Runner

fsspec = pytest.importorskip("fsspec", reason="fsspec is in the extra 'remote'")
FLAGS = ("--codec", "x264", "--height", "64", "--display", "64", "--crf", "30", "--encoder-preset", "ultrafast", "--model", "none",
         "--metric", "psnr", "--allow-protocols", "-q")  # fmt: skip
DIRECT = {"no_proxy": "127.0.0.1"}


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A store in memory under the name of S3."""
    from fsspec.implementations.memory import MemoryFileSystem

    class Bucket(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(super()._strip_protocol(path.removeprefix("s3://")))

    fsspec.register_implementation("s3", Bucket, clobber=True)
    store = Bucket()
    yield store
    store.store.clear()
    sys.modules["fsspec.registry"]._registry.pop("s3", None)


def test_which_addresses_are_objects() -> None:
    assert all(map(is_object, ("s3://b/k.mp4", "GS://b/k", "az://c/k", "hf://datasets/a/b.mp4")))
    assert not any(map(is_object, ("https://h/a.mp4", "ftp://h/a", "s3/a.mp4", "concat:a.ts|b.ts", "file:s3://x")))


def test_an_object_is_copied_to_the_bit(bucket: Any, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    bucket.pipe("/films/a.mp4", content)
    (tmp_path / "in").mkdir()
    with Runner() as runner:
        found = fetch(runner, find_ffmpeg(runner), "s3://films/a.mp4", tmp_path / "in")
    assert (found.origin, found.path.read_bytes()) == ("s3://films/a.mp4", content)


def test_an_object_that_is_not_there_is_named(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        copy_object("s3://films/none.mp4", "s3://films/none.mp4", tmp_path / "x")
    assert caught.value.message == "no such file: s3://films/none.mp4"


@pytest.mark.parametrize("address", ["s3://films/reels", "s3://films"])
def test_a_folder_of_a_store_is_no_file(bucket: Any, tmp_path: Path, address: str) -> None:
    bucket.pipe("/films/reels/a.mp4", b"x")
    with pytest.raises(InputError) as caught:
        copy_object(address, address, tmp_path / "x")
    assert caught.value.message == f"a folder, not a file: {address}"
    assert caught.value.hint == "name its files; a list of them, one to a line, is given as @LIST"


def test_half_an_object_is_no_object(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.pipe("/films/a.mp4", b"x" * 1000)

    class Half(io.BytesIO):
        size = 1000

    monkeypatch.setattr(type(bucket), "_open", lambda *_args, **_options: Half(b"x" * 400))
    with pytest.raises(InputError) as caught:
        copy_object("s3://films/a.mp4", "s3://films/a.mp4", tmp_path / "x")
    assert (caught.value.message, caught.value.detail) == ("cannot fetch: s3://films/a.mp4", "400 of 1000 bytes came")


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError) as caught:
        copy_object("s3://films/a.mp4", "s3://films/a.mp4", tmp_path / "x")
    assert (caught.value.message, caught.value.hint) == (
        "cannot fetch: s3://films/a.mp4",
        "pip install 'vqa-cli[remote]'",
    )


def test_a_full_disk_is_named(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot copy to disk: s3://films/a\.mp4"):
        copy_object("s3://films/a.mp4", "s3://films/a.mp4", tmp_path / "nowhere" / "x")


@pytest.mark.ffmpeg
def test_an_address_is_known_by_its_content_and_stands_in_the_document(vqa: Vqa, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", size="96x64")
    with serving(tmp_path) as host:
        first, second = (
            vqa("ladder", f"{host}/a.mp4?token=1{n}", *FLAGS, "-o", tmp_path / f"o{n}", env=DIRECT) for n in range(2)
        )
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    sources = [json.loads((tmp_path / f"o{n}" / "run.json").read_text())["sources"][0]["source"] for n in range(2)]
    assert {source["sha256"] for source in sources} == {file_sha256(clip)}
    assert {source["path"] for source in sources} == {f"{host}/a.mp4?..."}


@pytest.mark.ffmpeg
def test_a_catalogue_fetches_a_title_when_its_turn_comes(vqa: Vqa, tmp_path: Path) -> None:
    """One by one, what failed is a row; a second call fetches what is missing alone, and nothing stays in the temporary folder."""
    served, temporary, out = tmp_path / "served", tmp_path / "tmp", tmp_path / "out"
    served.mkdir()
    temporary.mkdir()
    for number in range(3):
        make_clip(served / f"t{number}.mp4", size="96x64", seconds=0.5 + number / 4)
    env = DIRECT | {"TMPDIR": str(temporary)}
    with serving(served) as host:
        titles = tmp_path / "titles.txt"
        titles.write_text("".join(f"{host}/{name}\n" for name in ("t0.mp4", "t1.mp4", "lost.mp4", "t2.mp4?key=secret")))
        done = vqa("ladder", f"@{titles}", *FLAGS, "--catalogue", "-o", out, env=env)
        assert (done.returncode, done.stdout) == (8, "4 titles: 3 ok, 1 failed\n"), done.stderr
        (served / "t0.mp4").unlink()  # what is done is not fetched again
        (served / "t1.mp4").rename(served / "lost.mp4")
        done = vqa("ladder", f"@{titles}", *FLAGS, "--catalogue", "-o", out, env=env)
        assert (done.returncode, done.stdout) == (0, "4 titles: 4 ok\n"), done.stderr
        assert "3 of 4 titles are there already" in done.stderr
    rows = {row["title"]: row for row in pq.read_table(out / "index.parquet").to_pylist()}
    assert rows["lost"]["address"] == f"{host}/lost.mp4" and rows["lost"]["sha256"] == rows["t1"]["sha256"]
    assert rows["t2"]["address"] == f"{host}/t2.mp4?..."
    assert not any(b"secret" in path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert list(temporary.iterdir()) == []
