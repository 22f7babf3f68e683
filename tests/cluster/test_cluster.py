"""What a node of a cluster refuses, what travels, and what the command line says of places; without Ray."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import FFMPEG, Vqa

from vqa_cli.cli.ladder import command as ladder
from vqa_cli.cluster import station as stations
from vqa_cli.cluster import work
from vqa_cli.cluster.station import Refused, Station, check_source, clear, station
from vqa_cli.cluster.travel import VERSION, Node, Outfit, Sealed, seal
from vqa_cli.document import EncodeResult
from vqa_cli.errors import ToolError, UsageError
from vqa_cli.files import file_sha256
from vqa_cli.ladder.steps import Encoded
from vqa_cli.ladder.task import SourceRef
from vqa_cli.model.load import load_scorer

NODE = Node("0123456789abcdef", "worker-7 (10.0.0.7, 01234567)")
BUILD = file_sha256(Path(FFMPEG))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of this test's own in the place of the system's."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(stations, "_open", {})


def outfit(**changes: object) -> Outfit:
    return replace(Outfit("run", None, BUILD, None, BUILD, None, threads=1), **changes)  # type: ignore[arg-type]


def reason(sealed: Sealed, *, scoring: bool = False) -> str:
    with pytest.raises(Refused) as refused, station(sealed, NODE, scoring=scoring):
        pass
    assert refused.value.unfit.node == NODE and refused.value.unfit.source is None
    return refused.value.unfit.reason


def test_another_vqa_is_refused_before_anything_of_it_is_read() -> None:
    assert reason(Sealed("0.0.1 (measurement 1)", b"no pickle")) == f"has vqa {VERSION}, not 0.0.1 (measurement 1)"


def test_another_ffmpeg_is_refused() -> None:
    said = reason(seal(outfit(ffmpeg_sha256="0" * 64)))
    assert said.startswith(f"has another ffmpeg: {FFMPEG} (") and said.endswith(
        f", sha256 {BUILD[:16]}…), not 0000000000000000…"
    )


def test_a_node_without_the_named_ffmpeg_is_refused() -> None:
    assert reason(seal(outfit(encode_ffmpeg="/opt/no/ffmpeg"))) == "ffmpeg not found: /opt/no/ffmpeg"


def test_other_weights_are_refused() -> None:
    order = load_scorer().order
    assert order is not None
    said = reason(seal(outfit(scorer=replace(order, sha256="f" * 64))), scoring=True)
    assert said == f"other weights of vsfa-lite: sha256 {order.sha256[:16]}…, not ffffffffffffffff…"


def test_a_shared_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    said = reason(seal(outfit(shared=str(tmp_path / "none"))))
    assert said == f"cannot write the shared folder {tmp_path / 'none'}"


@pytest.fixture
def source(tmp_path: Path) -> SourceRef:
    path = tmp_path / "title.mp4"
    path.write_bytes(b"what was planned")
    sha256 = file_sha256(path)
    return SourceRef(0, "title", str(path), str(path), 16, sha256, (), "", 1, Fraction(25))


def fault(source: SourceRef) -> str | None:
    unfit = None
    with station(seal(outfit()), NODE, scoring=False) as here:
        try:
            check_source(here, source)
        except Refused as refused:
            unfit = refused.unfit
    assert unfit is None or unfit.source == source.path
    return None if unfit is None else unfit.reason


def test_a_source_is_known_by_its_content(source: SourceRef) -> None:
    path = Path(source.path)
    assert fault(source) is None
    path.write_bytes(b"what is not meant")
    assert fault(source) == f"{path} has 17 bytes there, not 16"
    path.write_bytes(b"What was planned")
    assert fault(source) == f"{path} has other content there"
    path.unlink()
    assert fault(source) == f"{path} cannot be read there: No such file or directory"


def test_a_source_is_read_whole_once_per_node(source: SourceRef, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fault(source) is None

    def read(path: Path) -> str:
        raise AssertionError(f"read again: {path}")

    monkeypatch.setattr(stations, "file_sha256", read)
    assert fault(source) is None


def encoded(path: Path) -> Encoded:
    path.write_bytes(bytes(range(200)))
    result = EncodeResult(
        bitrate_kbps=1, peak_kbps=1, video_bytes=1, file_bytes=200, frames=1, duration_s=1, wall_s=1, cpu_s=1, fps=1,
        sha256="a" * 64, simd="avx2",
    )  # fmt: skip
    return Encoded(path, result)


@pytest.mark.parametrize("shared", [False, True])
def test_an_encode_arrives_as_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool) -> None:
    if shared:
        monkeypatch.setattr(work, "LIMIT_BYTES", 199)
    made = encoded(tmp_path / "rung.mp4")
    parcel = pickle.loads(pickle.dumps(work._pack(made, outfit(shared=str(tmp_path)))))
    assert (parcel.path is not None) == shared
    (tmp_path / "there").mkdir()
    came = work._unpack(parcel, tmp_path / "there")
    assert came.path.name == "rung.mp4" and came.result == made.result
    assert np.fromfile(came.path, np.uint8).tobytes() == bytes(range(200))


def test_a_large_encode_without_a_shared_folder_fails_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LIMIT_BYTES", 100)
    with pytest.raises(ToolError) as error:
        work._pack(encoded(tmp_path / "rung.mp4"), outfit())
    assert error.value.message.endswith("travel only through a folder that all nodes see: --shared DIR")


def test_what_a_killed_run_left_goes_and_what_lives_stays(tmp_path: Path) -> None:
    other = "from vqa_cli.cluster.station import _scratch; import sys; held = _scratch(sys.argv[1]); print(flush=True); input()"
    env = os.environ | {"TMPDIR": str(tmp_path)}
    procs = [
        subprocess.Popen(
            [sys.executable, "-c", other, run], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for run in ("dead", "dead", "alive")
    ]  # fmt: skip
    for proc in procs:
        assert proc.stdout is not None and proc.stdout.readline()
    for proc in procs[:2]:
        proc.kill()
        proc.communicate()
    with station(seal(outfit()), NODE, scoring=False) as here:
        assert sorted(path.name for path in tmp_path.glob("vqa-ray-*")) == ["vqa-ray-alive", "vqa-ray-run"]
        assert isinstance(here, Station)
    clear("run")
    assert [path.name for path in tmp_path.glob("vqa-ray-*")] == ["vqa-ray-alive"]
    procs[2].communicate(b"\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--on", "mars"], "no such place: --on mars"),
        (["--shared", "."], "--shared is for a cluster"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused(flags: list[str], message: str, clip: Path) -> None:
    done = CliRunner().invoke(ladder, [str(clip), "--model", "none", "-o", "out", *flags])
    assert isinstance(done.exception, UsageError) and done.exception.message == message


def test_without_ray_the_way_to_it_is_said(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('no ray here')")
    done = vqa(
        "ladder", clip, "--on", "ray", "--model", "none", "-o", tmp_path / "out", env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 2
    assert done.stderr == "error: Ray is not installed\nhint: pip install 'vqa-cli[ray]'\n"
