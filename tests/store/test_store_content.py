"""Where things are remembered, and that nothing else is ever deleted there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Vqa

from vqa_cli.errors import StorageError
from vqa_cli.store.content import TAG, Entries, content_key
from vqa_cli.store.kinds import KINDS, RUNGS, clear


def put(entries: Entries, key: str, size: int = 10) -> None:
    with entries.write(key) as folder:
        assert folder is not None
        (folder / "data").write_bytes(bytes(size))


def filled(cache: Path) -> Path:
    for kind in KINDS:
        for number in range(3):
            put(kind.entries(cache), content_key(number))
    return cache


def test_a_new_folder_of_entries_is_marked_as_a_cache(tmp_path: Path) -> None:
    for kind in KINDS:
        tag = (filled(tmp_path / "c") / kind.name / TAG).read_text()
        assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n") and "vqa" in tag


def test_clearing_takes_everything_of_a_caches_own_with_it(tmp_path: Path) -> None:
    clear(filled(tmp_path / "c"))
    assert list((tmp_path / "c").iterdir()) == []
    clear(tmp_path / "c")
    clear(tmp_path / "none")


def test_what_is_not_the_caches_own_is_left_and_refused(tmp_path: Path) -> None:
    photo = tmp_path / "features" / "ab" / "photo.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_text("mine")
    put(RUNGS.entries(tmp_path), content_key(1))
    with pytest.raises(StorageError) as caught:
        clear(tmp_path)
    assert caught.value.message == f"not a cache of vqa: {tmp_path / 'features'}"
    assert photo.exists() and RUNGS.entries(tmp_path).usage().entries == 1, "nothing goes before all is looked at"


@pytest.mark.parametrize("tag", [None, "", "Signature: 8a477f597d28d172789f06886806bc55\n# somebody else's\n"])
def test_entries_in_a_folder_of_somebody_elses_are_not_cleared(tmp_path: Path, tag: str | None) -> None:
    folder = tmp_path / "rungs"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    if tag is not None:
        (folder / TAG).write_text(tag)
    put(Entries(folder), content_key(1))
    assert (folder / TAG).exists() is (tag is not None), "backups would pass over what else is in it"
    with pytest.raises(StorageError, match="not a cache of vqa"):
        Entries(folder).clear()
    assert (folder / "letter.txt").exists()


def test_only_entries_are_deleted_from_a_cache(tmp_path: Path) -> None:
    entries, key = Entries(tmp_path / "c"), content_key(1)
    put(entries, key)
    shelf = tmp_path / "c" / key[:2]
    away = tmp_path / "away"
    away.mkdir()
    (away / "film.mkv").write_text("mine")
    mine = [tmp_path / "c" / "letter.txt", shelf / "note", shelf / ("f" * 64), tmp_path / "c" / "zz" / "x" / "y"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (shelf / (key[:2] + "0" * 62)).symlink_to(away)
    (tmp_path / "c" / ("00" if key[:2] != "00" else "01")).symlink_to(away)
    entries.clear()
    assert all(path.exists() for path in mine) and (away / "film.mkv").exists()
    assert entries.usage().entries == 0 and entries.find(key) is None


def test_what_is_not_an_entry_is_neither_counted_nor_pruned(tmp_path: Path) -> None:
    entries = Entries(tmp_path / "c", limit_bytes=45)
    mine = tmp_path / "c" / "ab" / "album" / "photo.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(bytes(1000))
    put(entries, content_key(1))
    put(entries, content_key(2))
    assert mine.exists() and entries.usage().entries == 1


@pytest.mark.parametrize("bit", [0, 7, 40, 79])
@pytest.mark.parametrize("name", ["data", "checksums.json"])
def test_an_entry_of_which_one_bit_has_changed_is_none(
    tmp_path: Path, name: str, bit: int, caplog: pytest.LogCaptureFixture
) -> None:
    entries, key = Entries(tmp_path), content_key(1)
    put(entries, key)
    found = entries.find(key)
    assert found is not None
    file = found / name
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)
    assert entries.find(key) is None and entries.usage().entries == 0
    assert [record.getMessage() for record in caplog.records] == [f"warning: damaged cache entry, made again: {found}"]
    put(entries, key)
    assert entries.find(key) == found


@pytest.mark.parametrize("change", ["more", "less", "folder", "unreadable"])
def test_an_entry_with_other_files_is_none(tmp_path: Path, change: str) -> None:
    entries, key = Entries(tmp_path), content_key(1)
    put(entries, key)
    found = entries.find(key)
    assert found is not None
    if change == "more":
        (found / "other").write_text("x")
    else:
        (found / "data").unlink()
    if change == "folder":
        (found / "data").mkdir()
    if change == "unreadable":
        (found / "data").symlink_to("data")
    assert entries.find(key) is None


def test_the_environment_names_the_cache_for_every_command(vqa: Vqa, started: Vqa, tmp_path: Path) -> None:
    cache, env = filled(tmp_path / "c"), {"VQA_CACHE_DIR": str(tmp_path / "c")}
    facts = json.loads(vqa("doctor", "--format", "json", env=env).stdout)["cache"]
    assert facts["path"] == str(cache) and facts["entries"] == 3 * len(KINDS)
    assert json.loads(vqa("doctor", "--format", "json", "--cache-dir", cache).stdout)["cache"] == facts
    rows = started("cache", "info", env=env).stdout.splitlines()
    assert rows[0] == str(cache) and [row.split()[:2] for row in rows[2:]] == [[kind.name, "3"] for kind in KINDS]
    assert vqa("cache", "clear", "--features", env=env).stdout == f"{cache}: no features\n"
    assert vqa("cache", "clear", "--cache-dir", tmp_path / "other", env=env).stdout == f"{tmp_path / 'other'}: empty\n"
    assert sorted(path.name for path in cache.iterdir()) == ["inspections", "programs", "rungs", "scores"]
    assert vqa("cache", "clear", env=env).stdout == f"{cache}: empty\n" and not list(cache.iterdir())


@pytest.mark.ffmpeg
def test_a_damaged_entry_is_told_in_one_harmless_line(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    cache = tmp_path / "c\n::error ::x"
    assert vqa("score", clip, "--cache-dir", cache).returncode == 0
    for file in [*cache.rglob("outputs.npy"), *cache.rglob("features.f16")]:
        file.write_bytes(b"")
    done = vqa("score", clip, "--cache-dir", cache)
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 2
    for line in done.stderr.splitlines():
        assert line.startswith(f"warning: damaged cache entry, made again: {tmp_path}/c\\n::error ::x/")


@pytest.mark.ffmpeg
def test_a_score_is_remembered_where_the_environment_says(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    done = vqa("score", clip, env={"VQA_CACHE_DIR": str(tmp_path / "c")})
    assert done.returncode == 0, done.stderr
    kept = {path.name for path in (tmp_path / "c").iterdir()}
    assert "scores" in kept and kept <= {kind.name for kind in KINDS}
    assert vqa("score", clip, "--no-cache", env={"VQA_CACHE_DIR": str(tmp_path / "d")}).stdout == done.stdout
    assert not (tmp_path / "d").exists()
