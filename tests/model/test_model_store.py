"""Weight files: downloading, resuming, verifying and installing, against a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import PATIENCE_S

from vqa_cli.cli.weights import download, with_weights
from vqa_cli.errors import ModelError, StorageError
from vqa_cli.model.published import refuse_missing
from vqa_cli.model.store import WeightFile, install, install_files, pull, verify

CONTENT = bytes(range(256)) * 4096


class _Server(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; remembers the ranges asked for."""

    asked: list[str | None]
    content: bytes
    ranges: bool
    breaks_off: bool

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start:][: 5000 if self.breaks_off else None])

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def served() -> Iterator[tuple[type[_Server], WeightFile]]:
    handler = type("Handler", (_Server,), {"asked": [], "content": CONTENT, "ranges": True, "breaks_off": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield handler, weights(f"http://127.0.0.1:{server.server_port}/w.pt")
    server.shutdown()
    server.server_close()
    thread.join()


def weights(url: str = "http://127.0.0.1:9/w.pt", name: str = "w.pt") -> WeightFile:
    return WeightFile(name, url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT", "")


def test_what_a_model_lacks_is_fetched_and_the_model_asked_for_again(
    served: tuple[type[_Server], WeightFile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = [served[1], replace(served[1], name="head.pt")]

    def load() -> list[bytes]:
        refuse_missing("vsfa", lacking, tmp_path)
        return [(tmp_path / file.name).read_bytes() for file in lacking]

    assert with_weights(load) == [CONTENT, CONTENT]
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in said] == [["fetching", served[1].url]] * 2
    lacking.append(weights(name="gone.pt"))
    with pytest.raises(ModelError, match=f"weights of vsfa are not here: gone.pt in {tmp_path}") as caught:
        with_weights(load)
    assert "cannot download gone.pt" in str(caught.value.detail)


def test_a_command_waits_for_another_that_fetches_the_same(
    served: tuple[type[_Server], WeightFile],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, go_on = threading.Event(), threading.Event()
    first: threading.Thread

    def let_go() -> None:
        go_on.set()
        first.join()

    # It lets go when the other has said that it waits.
    monkeypatch.setattr("vqa_cli.cli.weights.time.sleep", lambda _: let_go())

    def slow(have: int, size: int) -> None:
        started.set()
        go_on.wait(PATIENCE_S)

    first = threading.Thread(target=pull, args=(served[1], tmp_path, slow))
    first.start()
    started.wait(PATIENCE_S)
    assert download(served[1], tmp_path).read_bytes() == CONTENT
    first.join()
    assert len(served[0].asked) == 1, "fetched once"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and said[1].endswith("waiting for it to end")


def test_a_failed_download_leaves_no_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot download"):
        pull(weights(), tmp_path, quiet)
    assert not list(tmp_path.iterdir())


def quiet(have: int, size: int) -> None:
    assert 0 < have <= size


def test_a_download_is_verified_and_leaves_nothing_else(
    served: tuple[type[_Server], WeightFile], tmp_path: Path
) -> None:
    path = pull(served[1], tmp_path / "new", quiet)
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["w.pt"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_off_download_goes_on(served: tuple[type[_Server], WeightFile], tmp_path: Path, ranges: bool) -> None:
    handler, file = served
    handler.ranges = ranges
    (tmp_path / "w.pt.part").write_bytes(CONTENT[:1000])
    assert pull(file, tmp_path, quiet).read_bytes() == CONTENT
    assert handler.asked == ["bytes=1000-"]


def test_a_connection_that_ends_early_loses_nothing(served: tuple[type[_Server], WeightFile], tmp_path: Path) -> None:
    handler, file = served
    handler.breaks_off = True
    with pytest.raises(ModelError, match=f"5000 of {len(CONTENT)} bytes"):
        pull(file, tmp_path, quiet)
    handler.breaks_off = False
    assert pull(file, tmp_path, quiet).read_bytes() == CONTENT
    assert handler.asked == [None, "bytes=5000-"]


def test_a_download_that_only_lacked_its_name_is_not_fetched_again(
    served: tuple[type[_Server], WeightFile], tmp_path: Path
) -> None:
    (tmp_path / "w.pt.part").write_bytes(CONTENT)
    assert pull(served[1], tmp_path, quiet).read_bytes() == CONTENT
    assert served[0].asked == []


def test_what_is_not_the_file_is_not_put_in_place(served: tuple[type[_Server], WeightFile], tmp_path: Path) -> None:
    handler, file = served
    handler.content = CONTENT[:-1] + b"!"
    with pytest.raises(ModelError, match="sha256"):
        pull(file, tmp_path, quiet)
    handler.content = b"<html>"
    with pytest.raises(ModelError, match="web page"):
        pull(file, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_without_network_one_line_names_file_and_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot download w\.pt") as error:
        pull(weights(), tmp_path, quiet)
    assert "http://127.0.0.1:9/w.pt" in str(error.value.hint)
    assert "--from" in str(error.value.hint)


def test_a_fault_of_tls_is_one_of_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Answer(io.BytesIO):
        status, headers = 200, {"Content-Length": str(len(CONTENT))}

        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ssl.SSLError("bad record mac")
            return super().read(5000)

    monkeypatch.setattr("urllib.request.urlopen", lambda request, timeout: Answer(CONTENT))
    with pytest.raises(ModelError, match=r"cannot download w\.pt: .*bad record mac"):
        pull(weights(), tmp_path, quiet)
    assert (tmp_path / "w.pt.part").read_bytes() == CONTENT[:5000]


def test_two_at_once_do_not_mix(served: tuple[type[_Server], WeightFile], tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "w.pt.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process"):
            pull(served[1], tmp_path, quiet)
    assert served[0].asked == []


def test_a_file_put_in_place_by_another_process_meanwhile_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Between opening the partial file and locking it, the process that held it renames it."""
    origin, folder = tmp_path / "brought.pt", tmp_path / "models"
    origin.write_bytes(CONTENT)
    folder.mkdir()
    (folder / "w.pt.part").write_bytes(CONTENT)
    monkeypatch.setattr("vqa_cli.model.store._lock", lambda opened, path: path.replace(folder / "w.pt"))
    before = (folder / "w.pt.part").stat().st_mtime_ns
    with pytest.raises(StorageError, match="another process"):
        install(weights(), origin, folder)
    assert (folder / "w.pt").read_bytes() == CONTENT
    assert (folder / "w.pt").stat().st_mtime_ns == before


def test_installing_by_hand_replaces_a_broken_off_download(tmp_path: Path) -> None:
    origin, folder = tmp_path / "brought.pt", tmp_path / "models"
    origin.write_bytes(CONTENT)
    folder.mkdir()
    (folder / "w.pt.part").write_bytes(b"half")
    assert install(weights(), origin, folder).read_bytes() == CONTENT


def test_a_file_of_another_name_is_known_by_its_size(tmp_path: Path) -> None:
    origin = tmp_path / "other name.pt"
    origin.write_bytes(CONTENT)
    unlike = WeightFile("big.pt", "http://127.0.0.1:9/big.pt", "0" * 64, 5, "MIT", "")
    installed, left_out = install_files([weights(), unlike], origin, tmp_path / "models")
    assert [p.name for p in installed] == ["w.pt"]
    assert left_out == []


def test_a_folder_without_any_of_the_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights to install"):
        install_files([weights()], tmp_path, tmp_path / "models")


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "w.pt").mkdir()
    with pytest.raises(ModelError, match=r"cannot read weights: .*w\.pt"):
        install_files([weights()], tmp_path, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_name_that_cannot_be_looked_up_is_one_that_is_not_there(tmp_path: Path) -> None:
    """As below a folder that may not be entered, which root always may."""
    with pytest.raises(ModelError, match="no such file"):
        install_files([weights()], tmp_path / ("n" * 300), tmp_path / "models")


def test_truncated_weights_say_by_how_much(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(CONTENT[:10])
    with pytest.raises(ModelError, match=f"it has 10 bytes instead of {len(CONTENT)}"):
        verify(weights(), path)
