"""Streams that are no local file, from a server that is slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import make_clip

from vqa_cli.errors import InputError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.fetch import fetch
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner

pytestmark = pytest.mark.ffmpeg


@contextmanager
def serving(content: bytes, pieces: int, pause_s: float) -> Iterator[str]:
    """The address of a file that comes in so many pieces, with a pause after each."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
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
        yield f"http://127.0.0.1:{server.server_port}/clip"
    finally:
        server.shutdown()


def test_a_slow_download_is_no_silence(tmp_path: Path) -> None:
    args = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
    clip = make_clip(tmp_path / "clip.mp4", size="320x180", seconds=4, args=args)
    with Runner(silence_s=3) as runner, serving(clip.read_bytes(), 14, 0.4) as address:
        start = time.monotonic()
        found = fetch(runner, find_ffmpeg(runner), address, tmp_path)
        assert time.monotonic() - start > 3
    assert probe(found).frames == probe(clip).frames


def test_a_download_that_stands_still_is_given_up(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", size="320x180", seconds=4, args=("-c:v", "libx264", "-f", "mpegts"))
    with (
        Runner(silence_s=1) as runner,
        serving(clip.read_bytes(), 2, 20) as address,
        pytest.raises(InputError, match="cannot fetch") as error,
    ):
        fetch(runner, find_ffmpeg(runner), address, tmp_path)
    assert "no sign of life for 1 s" in str(error.value.detail)
