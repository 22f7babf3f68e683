"""What is no local file: addresses from a server that is slow, drops off or asks for a password, playlists, and pipes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from boxes import refer_to, set_edit
from conftest import ffmpeg, make_clip

from vqa_cli.errors import InputError
from vqa_cli.files import file_sha256
from vqa_cli.media.binaries import Ffmpeg, find_ffmpeg
from vqa_cli.media.fetch import fetch, join, spool_pipe
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner

pytestmark = pytest.mark.ffmpeg


@contextmanager
def serving(folder: Path, *, pieces: int = 1, pause_s: float = 0.0, share: float = 1.0) -> Iterator[str]:
    """The address of a folder whose files come in so many pieces, with a pause after each; only a ``share`` of each is sent."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = folder / self.path.split("?")[0].strip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            content = content[: round(len(content) * share)]
            size = -(-len(content) // pieces)
            try:
                for start in range(0, len(content), size):
                    self.wfile.write(content[start : start + size])
                    self.wfile.flush()
                    time.sleep(pause_s)
            except OSError:
                pass  # nobody waits any more

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@pytest.fixture
def tools() -> Iterator[tuple[Runner, Ffmpeg]]:
    with Runner() as runner:
        yield runner, find_ffmpeg(runner)


def folders(path: Path) -> tuple[Path, Path]:
    """Where files are served from, and where they are brought to."""
    made = path / "there", path / "here"
    for folder in made:
        folder.mkdir()
    return made


def test_a_slow_download_is_no_silence(tmp_path: Path) -> None:
    there, here = folders(tmp_path)
    args = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
    clip = make_clip(there / "clip.mp4", seconds=4, args=args)
    # In all it takes longer than the silence that is allowed; a pause may be twelve times as long as it is meant to be.
    with Runner(silence_s=4.8) as runner, serving(there, pieces=14, pause_s=0.4) as address:
        start = time.monotonic()
        found = fetch(runner, find_ffmpeg(runner), f"{address}/clip.mp4", here)
        assert time.monotonic() - start > 4.8
    assert found.path.read_bytes() == clip.read_bytes()


def test_a_download_that_stands_still_is_given_up(tmp_path: Path) -> None:
    there, here = folders(tmp_path)
    make_clip(there / "clip.ts", seconds=4, args=("-c:v", "libx264", "-f", "mpegts"))
    with (
        Runner(silence_s=1) as runner,
        serving(there, pieces=2, pause_s=20) as address,
        pytest.raises(InputError) as error,
    ):
        fetch(runner, find_ffmpeg(runner), f"{address}/clip.ts", here)
    assert error.value.message == f"cannot fetch: {address}/clip.ts"
    assert "no sign of life for 1 s" in str(error.value.detail)


def test_a_connection_that_ends_too_early_is_no_end(clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]) -> None:
    """An MPEG-TS could not tell that anything is missing."""
    there, here = folders(tmp_path)
    ffmpeg("-i", clip, "-c", "copy", there / "clip.ts")
    with serving(there, share=0.5) as address, pytest.raises(InputError) as error:
        fetch(*tools, f"{address}/clip.ts", here)
    assert "Stream ends prematurely" in str(error.value.detail)


def test_the_same_address_gives_the_same_bytes(clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]) -> None:
    """Edit list and all, so that the frames are those that are shown from a disk."""
    there, here = folders(tmp_path)
    edited = there / "edited.mp4"
    edited.write_bytes(clip.read_bytes())
    set_edit(edited, 2002, 20 * 1001)
    with serving(there) as address:
        found = [fetch(*tools, f"{address}/edited.mp4", here) for _ in range(2)]
    assert {file_sha256(one.path) for one in found} == {file_sha256(edited)}
    assert [probe(one.path).frames for one in found] == [20, 20]
    assert len({one.path for one in found}) == 2


def test_secrets_stay_where_they_are(clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]) -> None:
    there, here = folders(tmp_path)
    (there / "clip.mp4").write_bytes(clip.read_bytes())
    with serving(there) as address:
        secret = address.replace("//", "//user:word@")
        found = fetch(*tools, f"{secret}/clip.mp4?token=s3cret", here)
        assert (found.origin, found.path.name) == (f"{address}/clip.mp4?...", "clip.mp4")
        with pytest.raises(InputError) as error:
            fetch(*tools, f"{secret}/none.mp4?token=s3cret", here)
    assert error.value.message == f"cannot fetch: {address}/none.mp4?..."
    assert "404" in str(error.value.detail)
    assert not any(word in str(error.value.detail) for word in ("s3cret", "word@"))


def hls(folder: Path, clip: Path, name: str = "list.m3u8") -> Path:
    """A playlist of two segments."""
    ffmpeg("-i", clip, "-c:v", "libx264", "-g", "30", "-hls_time", "1", "-hls_list_size", "0", folder / "list.m3u8")
    return (folder / "list.m3u8").rename(folder / name)


def concat(folder: Path, clip: Path, name: str = "parts.ffconcat") -> Path:
    ffmpeg("-i", clip, "-c", "copy", folder / "part.mkv")
    (folder / name).write_text("ffconcat version 1.0\nfile part.mkv\nfile part.mkv\n")
    return folder / name


@pytest.mark.parametrize("name", ["list.m3u8", "clip.mp4"])
def test_a_playlist_is_refused_by_content_and_opens_nothing(clip: Path, tmp_path: Path, name: str) -> None:
    playlist = hls(tmp_path, clip, name)
    before = {path: path.stat().st_atime_ns for path in tmp_path.glob("*.ts")}
    with pytest.raises(InputError) as error:
        probe(playlist)
    assert error.value.message == f"not a video but an HLS playlist, which names other files: {playlist}"
    assert error.value.hint == "make one file of them first; --allow-protocols does that"
    assert {path: path.stat().st_atime_ns for path in before} == before


OTHERS = {
    "ffconcat version 1.0\nfile x.mp4\n": "a concat script",
    "\ufeff#EXTM3U\n#EXTINF:2,\nx.ts\n": "an HLS playlist",
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">': "a DASH manifest",
    '<?xml version="1.0"?>\n<cpl:CompositionPlaylist xmlns:cpl="x">': "an IMF composition",
    '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2">': "a Smooth Streaming manifest",
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n": "a session description",
}


@pytest.mark.parametrize("text", OTHERS, ids=OTHERS.values())
def test_every_format_that_names_other_files_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "video.mp4"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        probe(path)
    assert error.value.message == f"not a video but {OTHERS[text]}, which names other files: {path}"


def test_a_movie_whose_frames_lie_in_another_file_is_refused(clip: Path, tmp_path: Path) -> None:
    """ffmpeg would read its own bytes in their place."""
    path = tmp_path / "reference.mov"
    path.write_bytes(clip.read_bytes())
    refer_to(path, "clip.mp4")
    with pytest.raises(InputError) as error:
        probe(path)
    assert error.value.message == f"not a video but a reference movie, which names other files: {path}"


def test_a_pattern_of_pictures_opens_none(tmp_path: Path) -> None:
    """ffmpeg takes a file of such a name for a whole series."""
    for number in range(4):
        ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=160x90", "-frames:v", "1", "-update", "1", tmp_path / f"p{number}.png"
        )
    pattern = tmp_path / "p%d.png"
    pattern.write_bytes((tmp_path / "p0.png").read_bytes())
    with pytest.raises(InputError, match="cannot read as video"):
        probe(pattern)


@pytest.mark.parametrize("make", [hls, concat])
def test_what_a_playlist_names_becomes_one_file(
    clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg], make: Callable[..., Path]
) -> None:
    """The same parts make the same bytes, other parts others: results cannot be old ones."""
    there, here = folders(tmp_path)
    playlist = make(there, clip, "video.mp4")
    found = [join(*tools, playlist, here) for _ in range(2)]
    first, again = (file_sha256(one.path) for one in found)
    assert first == again
    assert probe(found[0].path).frames == (60 if make is hls else 120)
    assert found[0].origin == str(playlist)
    for part in (*there.glob("*.ts"), *there.glob("*.mkv")):
        ffmpeg("-i", part, "-vf", "negate", "-c:v", "libx264", part.with_name(f"new-{part.name}"))
        part.with_name(f"new-{part.name}").rename(part)
    assert file_sha256(join(*tools, playlist, here).path) != first


def test_a_playlist_behind_an_address_is_one_file_too(clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]) -> None:
    there, here = folders(tmp_path)
    hls(there, clip)
    with serving(there) as address:
        found = fetch(*tools, f"{address}/list.m3u8?token=s3cret", here)
    assert probe(found.path).frames == 60
    assert found.origin == f"{address}/list.m3u8?..."


def test_parts_that_show_other_frames_once_joined_are_refused(
    clip: Path, tmp_path: Path, tools: tuple[Runner, Ffmpeg]
) -> None:
    """Copied packets leave an edit list behind: 98 frames would come of 40."""
    there, here = folders(tmp_path)
    part = there / "part.mp4"
    part.write_bytes(clip.read_bytes())
    set_edit(part, 2002, 20 * 1001)
    script = there / "parts.ffconcat"
    script.write_text("ffconcat version 1.0\nfile part.mp4\nfile part.mp4\n")
    with pytest.raises(InputError) as error:
        join(*tools, script, here)
    assert error.value.message.startswith(f"its parts do not join: {script} shows 40 frames, and ")


def test_a_pipe_may_be_slow_and_may_not_be_silent(clip: Path, tmp_path: Path) -> None:
    pipe, here = tmp_path / "pipe", tmp_path / "here"
    os.mkfifo(pipe)
    here.mkdir()
    data = clip.read_bytes()

    def write(pause_s: float) -> None:
        with pipe.open("wb", buffering=0) as out:
            for start in range(0, len(data), len(data) // 4):
                out.write(data[start : start + len(data) // 4])
                time.sleep(pause_s)

    writer = threading.Thread(target=write, args=(0.6,))
    writer.start()
    # In all it takes longer than the silence that is allowed.
    found = spool_pipe(pipe, here, silence_s=2)
    writer.join()
    assert found.path.read_bytes() == data
    assert found.origin == str(pipe)
    with pytest.raises(InputError) as error:
        spool_pipe(pipe, here, silence_s=0.2)
    assert error.value.message == f"nothing came for 0.2 s: {pipe}"
