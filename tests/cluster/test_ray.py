"""Ladders on a Ray cluster of one-core nodes, all on this machine: the document is the local one, whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import FFMPEG, PATIENCE_S, make_clip

from vqa_cli.document import Run
from vqa_cli.events import Note, RungDone
from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.pipeline import LadderOutcome, run_ladder
from vqa_cli.model.load import load_scorer
from vqa_cli.settings import LadderSettings

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vqa-cli[ray]'")
pytestmark = [
    pytest.mark.ffmpeg,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
]

from vqa_cli.cluster.place import RayCluster, join  # noqa: E402

# Ray gives way to all other processes (nice 15), and would starve beside other tests.
os.environ.setdefault("RAY_worker_niceness", "0")
# What differs between two runs of the same ladder.
TIMES = {"wall_s", "cpu_s", "fps"}


class Nodes:
    """A cluster whose head has no CPU, and workers of one each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": 2**27, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self.cluster.address
        self.spare: list[Any] = []

    def add(self, **env: str) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=2**27, env_vars=env)

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray._private.services.get_node", patient(ray._private.services.get_node))
        cluster = Nodes()
        cluster.add()
        yield cluster
        cluster.cluster.shutdown()


def patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """As ``get_node``, which gives a node 30 s to start, and a busy machine needs more."""

    def found(*args: Any) -> Any:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return get_node(*args)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.1)

    return found


@pytest.fixture(scope="module")
def place(nodes: Nodes) -> Iterator[RayCluster]:
    with join(nodes.address, None) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("titles")
    return [make_clip(folder / f"{name}.mp4", size="192x108", rate=rate) for name, rate in (("a", "25"), ("b", "30"))]


def settings(*crf: int, speed: str = "ultrafast", **changes: object) -> LadderSettings:
    codec = {"encoder": "libx264", "preset": speed, "crf": crf or (20, 30)}
    base = {"display": 108, "heights": [72, 108], "codecs": [codec], "metrics": ["psnr"], "threads": 1}
    return LadderSettings.model_validate(base | changes)


def same(run: Run) -> object:
    """All of a document but times and how it was called."""

    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {key: bare(part) for key, part in value.items() if key not in TIMES}
        return [bare(part) for part in value] if isinstance(value, list) else value

    return bare(run.model_dump(mode="json", exclude={"created", "command"}))


def notes_of(job: LadderJob, also: Callable[[object], None] = lambda event: None) -> tuple[LadderOutcome, list[str]]:
    notes: list[str] = []

    def watch(event: object) -> None:
        if isinstance(event, Note) and event.text.startswith("node "):
            notes.append(event.text)
        also(event)

    return run_ladder(job, watch), notes


def test_one_node_and_three_give_the_local_document(
    nodes: Nodes, place: RayCluster, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips[0].parent)  # as people name files; nodes work elsewhere
    names = [path.name for path in clips]
    scorer = load_scorer()

    def run(on: RayCluster | None, keep: str) -> LadderOutcome:
        options: dict[str, Any] = {"place": on} if on else {}
        job = LadderJob(names, settings(), scorer, keep=tmp_path / keep, **options)
        return run_ladder(job)

    local, one = run(None, "kept"), run(place, "kept")
    nodes.spare += [nodes.add(), nodes.add()]
    three = run(place, "kept")
    assert [rung.status for source in local.run.sources for rung in source.rungs] == ["ok"] * 8
    assert same(one.run) == same(local.run) == same(three.run)
    for other in (one, three):
        assert list(other.frames) == list(local.frames)
        for key, values in local.frames.items():
            assert {name: list(v) for name, v in other.frames[key].items()} == {k: list(v) for k, v in values.items()}
    assert len(list((tmp_path / "kept").rglob("*.mp4"))) == 8


def test_what_ran_on_a_node_that_dies_runs_again_elsewhere(nodes: Nodes, place: RayCluster, clips: list[Path]) -> None:
    lost = nodes.spare.pop() if nodes.spare else nodes.add()
    gone: list[str] = []

    def kill(event: object) -> None:
        if isinstance(event, RungDone) and not gone:
            gone.append(lost.node_id)
            nodes.kill(lost)

    job = LadderJob(clips, settings(18, 22, 26, 30, 34, 38), None, place=place)
    outcome, notes = notes_of(job, kill)
    assert same(outcome.run) == same(run_ladder(LadderJob(clips, job.settings, None)).run)
    assert [note for note in notes if gone[0][:8] in note] in (
        [], [f"node {gone[0][:8]} is gone; its rungs run again elsewhere"]
    )  # fmt: skip


# Ray kills the programs of a process that it ends before it ends the process, whose last word is that they failed.
@pytest.mark.parametrize("words", [["-crf 17"], ["psnr.log", "crf17"]], ids=["encoding", "measuring"])
def test_what_a_program_did_that_is_killed_is_done_again(place: RayCluster, tmp_path: Path, words: list[str]) -> None:
    clip = make_clip(tmp_path / "long.mp4", size="192x108", rate="25", seconds=8)

    def kill() -> bool:
        for number in programs("ffmpeg", *words):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
                return True
        return False

    job = LadderJob([clip], settings(17, speed="veryslow"), None, place=place)
    with ThreadPoolExecutor() as pool:
        killer = pool.submit(wait_for, kill, pause_s=0.001)
        outcome = run_ladder(job)
        killer.result()
    assert [rung.status for rung in outcome.run.sources[0].rungs] == ["ok"] * 2
    assert same(outcome.run) == same(run_ladder(LadderJob([clip], job.settings, None)).run)


def test_a_node_with_another_ffmpeg_is_refused_by_name(
    nodes: Nodes, place: RayCluster, clips: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other-ffmpeg"
    other.write_text(f'#!/bin/sh\nexec "{FFMPEG}" "$@"\n')
    other.chmod(0o755)
    node = nodes.add(IMAGEIO_FFMPEG_EXE=str(other))
    try:
        outcome, notes = notes_of(LadderJob(clips, settings(), None, place=place))
    finally:
        nodes.kill(node)
    assert [rung.status for source in outcome.run.sources for rung in source.rungs] == ["ok"] * 8
    (note,) = [note for note in notes if "is not used" in note]
    assert node.node_id[:8] in note and f"has another ffmpeg: {other}" in note


def test_a_killed_driver_and_an_interrupted_one_leave_no_encoder_and_resume(nodes: Nodes, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "unlike-others.mp4", size="192x108", rate="25", seconds=4)
    program = [sys.executable, "-m", "vqa_cli", "ladder", clip, "--on", "ray", "--model", "none", "--metric", "psnr"]
    flags = [
        "--codec",
        "x264",
        "--encoder-preset",
        "veryslow",
        "--height",
        "108",
        "--crf",
        "18:48:1",
        "--display",
        "108",
    ]
    command = [*map(str, program), *flags, "--threads", "1", "--cache-dir", "cache", "-o", "out"]

    def run_until(number: signal.Signals, wanted: Callable[[str], bool], count: int) -> tuple[int, list[str]]:
        env = os.environ | {"RAY_ADDRESS": nodes.address}
        driver = subprocess.Popen(
            command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell has it ignored
        )  # fmt: skip
        assert driver.stderr is not None
        lines: list[str] = []
        for line in driver.stderr:
            lines.append(line.rstrip())
            if sum(map(wanted, lines)) == count:
                driver.send_signal(number)
                break
        lines += driver.stderr.read().splitlines()
        return driver.wait(PATIENCE_S), lines

    code, lines = run_until(signal.SIGKILL, lambda line: line.startswith("["), 2)
    assert code == -signal.SIGKILL, lines
    wait_for(lambda: not programs("ffmpeg", str(clip)))
    code, lines = run_until(signal.SIGINT, lambda line: line.startswith("[") and "(from the cache)" not in line, 2)
    assert code == 130, lines
    assert lines[-1] == "error: interrupted; what was finished is in the cache"
    assert sum("(from the cache)" in line for line in lines) >= 2
    assert not programs("ffmpeg", str(clip))


def programs(*words: str) -> list[int]:
    """Process numbers of those with all these words in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if all(word in line for word in words):
            found.append(int(path.parent.name))
    return found


def wait_for(come: Callable[[], bool], *, pause_s: float = 0.1) -> None:
    until = time.monotonic() + PATIENCE_S
    while not come():
        assert time.monotonic() < until
        time.sleep(pause_s)
