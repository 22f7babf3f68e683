"""From what is typed to files, in every command: addresses, pipes, odd names, and sources that change meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import FFMPEG, PATIENCE_S, Vqa, ffmpeg
from test_media_fetch import hls, serving

from vqa_cli.files import file_sha256
from vqa_cli.names import without_secrets

pytestmark = pytest.mark.ffmpeg
RUNG = ("--codec", "x264", "--crf", "30", "--height", "96", "--display", "96", "--metric", "psnr", "--model", "none",
        "--encoder-preset", "ultrafast", "-q")  # fmt: skip

DIRECT = {"no_proxy": "127.0.0.1"}  # past the proxy that keeps tests off the network


def known(folder: Path) -> Any:
    """What the one source of a run is known by."""
    (source,) = json.loads((folder / "run.json").read_text(encoding="utf-8"))["sources"]
    return source["source"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:pass@host/v.mp4?token=x", "http://host/v.mp4?..."),
        ("https://user@host:8443/a/v.mp4", "https://host:8443/a/v.mp4"),
        ("http://host/a@b/v.mp4#t=1", "http://host/a@b/v.mp4?..."),
        ("concat:http://u:p@a/1.ts?k=1|http://u:p@b/2.ts?k=2", "concat:http://a/1.ts?...|http://b/2.ts?..."),
        ("srt://host:9000?passphrase=x", "srt://host:9000?..."),
        ("--reference=ftp://u:p@host/v.mp4", "--reference=ftp://host/v.mp4"),
        ("what?.mp4", "what?.mp4"),
        ("-aq-mode 3", "-aq-mode 3"),
    ],
)
def test_addresses_are_kept_without_secrets(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_an_address_is_scored_and_is_a_reference(clip: Path, vqa: Vqa) -> None:
    with serving(clip.parent) as address:
        options = ("--metric", "psnr", "--format", "json", "--allow-protocols")
        done = vqa("score", f"{address}/clip.mp4?t=1", "--reference", f"{address}/clip.mp4?t=2", *options, env=DIRECT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["file"], found["frames"]) == (f"{address}/clip.mp4?...", 60)
    assert found["fidelity"]["psnr"]["mean"] == 60


@pytest.mark.parametrize(
    "command", [["score"], ["ladder"], ["search", "--target", "90"], ["gate", "--preset", "mobile"]]
)
def test_an_address_must_be_allowed(vqa: Vqa, command: list[str]) -> None:
    done = vqa(*command, "http://user:word@127.0.0.1:9/v.mp4?t=1")
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: only local files can be read: http://127.0.0.1:9/v.mp4?...",
        "hint: fetch it first; --allow-protocols does that",
    ]


def test_a_fetched_source_is_known_by_its_address_and_found_in_the_cache(clip: Path, tmp_path: Path, vqa: Vqa) -> None:
    runs = []
    with serving(clip.parent) as address:
        secret = address.replace("//", "//user:word@") + "/clip.mp4?token=s3cret"
        for name in ("first", "second"):
            done = vqa(
                "ladder",
                secret,
                "--allow-protocols",
                *RUNG,
                "--cache-dir",
                tmp_path / "cache",
                "-o",
                tmp_path / name,
                env=DIRECT,
            )
            assert done.returncode == 0, done.stderr
            runs.append((tmp_path / name / "run.json").read_text())
            page = (tmp_path / name / "report.html").read_text()
            assert not any(word in text for text in (runs[-1], page, done.stderr) for word in ("s3cret", "user:word"))
    first, second = (json.loads(run)["sources"][0] for run in runs)
    source = first["source"]
    assert (source["path"], source["name"]) == (f"{address}/clip.mp4?...", "clip.mp4")
    assert source["sha256"] == second["source"]["sha256"]
    assert first["rungs"] == second["rungs"]  # wall time and all: nothing was encoded again
    assert source["path"] in first["rungs"][0]["encode_argv"][0]
    assert "/vqa-" not in runs[0]


def test_a_playlist_follows_its_media(clip: Path, tmp_path: Path, vqa: Vqa) -> None:
    playlist = hls(tmp_path, clip)
    ladder = ("ladder", playlist, *RUNG, "--cache-dir", tmp_path / "cache", "-o", tmp_path / "run")
    done = vqa(*ladder)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"error: not a video but an HLS playlist, which names other files: {playlist}",
        "hint: make one file of them first; --allow-protocols does that",
    ]
    tables = [vqa(*ladder, "--allow-protocols").stdout for _ in range(2)]
    assert known(tmp_path / "run")["path"] == str(playlist)
    for part in tmp_path.glob("*.ts"):
        ffmpeg("-i", part, "-vf", "gblur=sigma=4", "-c:v", "libx264", tmp_path / "blurred.ts")
        (tmp_path / "blurred.ts").rename(part)
    tables.append(vqa(*ladder, "--allow-protocols").stdout)
    assert tables[0] == tables[1] != tables[2]


def test_pipes_are_read_to_their_end(clip: Path, tmp_path: Path, vqa: Vqa) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()))
    writer.start()
    done = vqa("ladder", pipe, *RUNG, "-o", tmp_path / "named")
    writer.join()
    assert done.returncode == 0, done.stderr
    assert vqa("ladder", "-", *RUNG, "-o", tmp_path / "own", stdin=clip.read_bytes()).returncode == 0
    found = [known(tmp_path / name) for name in ("named", "own")]
    assert [source["path"] for source in found] == [str(pipe), "-"]
    assert {source["sha256"] for source in found} == {file_sha256(clip)}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_process_substitution_is_a_pipe(clip: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("vqa")
    line = f"exec {program} ladder <(cat {clip}) {' '.join(RUNG)} --no-cache -o {tmp_path / 'run'}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert known(tmp_path / "run")["path"].startswith("/dev/fd/")


def test_standard_input_is_scored(clip: Path, vqa: Vqa) -> None:
    done = vqa("score", "-", "--every", "20", "--format", "json", stdin=clip.read_bytes())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == "-"


def test_what_came_through_a_pipe_is_called_by_its_name(tmp_path: Path, vqa: Vqa) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for command in (["score"], ["ladder", *RUNG, "-o", tmp_path / "run"], ["search", "--target", "90"]):
        writer = threading.Thread(target=lambda: pipe.write_bytes(b"hello " * 99))
        writer.start()
        done = vqa(*command, pipe)
        writer.join()
        assert (done.returncode, done.stderr.splitlines()[0]) == (3, f"error: cannot read as video: {pipe}"), command


def test_standard_input_is_not_mixed(clip: Path, vqa: Vqa) -> None:
    done = vqa("score", "-", clip, stdin=clip.read_bytes())
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: - (standard input) cannot be mixed with files"


def test_devices_are_no_videos(vqa: Vqa) -> None:
    done = vqa("score", "/dev/null")
    assert (done.returncode, done.stderr) == (3, "error: is no regular file: /dev/null\n")


def test_a_file_may_be_named_with_its_protocol(clip: Path, vqa: Vqa) -> None:
    plain, named = (vqa("ladder", name, *RUNG, "--dry-run") for name in (clip, f"file:{clip}"))
    assert (plain.returncode, plain.stdout) == (0, named.stdout)


@pytest.mark.parametrize("locale", ["POSIX", "C"])
def test_names_are_read_in_any_locale(clip: Path, tmp_path: Path, vqa: Vqa, locale: str) -> None:
    path = tmp_path / "Größe.mp4"
    shutil.copy(clip, path)
    done = vqa("ladder", path, *RUNG, "-o", tmp_path / "run", env={"LC_ALL": locale, "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert (known(tmp_path / "run")["path"], known(tmp_path / "run")["name"]) == (str(path), "Größe.mp4")


def test_a_name_that_is_no_text_is_still_refused(clip: Path, tmp_path: Path, vqa: Vqa) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff.mp4")
    shutil.copy(clip, path)
    done = vqa("score", path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: file name is not valid UTF-8: ")


@pytest.fixture
def meddling_ffmpeg(tmp_path: Path) -> tuple[Path, Path]:
    """An ffmpeg that finds its source, growing.ts, longer after every encode, and that source."""
    source = tmp_path / "growing.ts"
    program = tmp_path / "meddling-ffmpeg"
    program.write_text(
        f'#!/bin/sh\n"{FFMPEG}" "$@" || exit 1\n'
        f'case "$*" in *growing.ts*libx264*) head -c 188 /dev/zero >> "{source}";; esac\n'
    )
    program.chmod(0o755)
    return program, source


def test_a_source_that_grows_is_at_fault_and_nothing_is_remembered(
    clip: Path, tmp_path: Path, meddling_ffmpeg: tuple[Path, Path], vqa: Vqa
) -> None:
    program, source = meddling_ffmpeg
    ffmpeg("-i", clip, "-c", "copy", source)
    done = vqa(
        "ladder", source, *RUNG, "--encode-ffmpeg", program, "--cache-dir", tmp_path / "cache", "-o", tmp_path / "run"
    )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-2:] == [
        f"error: changed while it was read: {source}",
        "hint: wait until it is written, then try again",
    ]
    assert not list((tmp_path / "cache").glob("rungs/??/*"))
