"""Baselines as files, and the steps of the GitHub action as a runner executes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE_S, Vqa
from documents import ladder, make_run

from vqa_cli.document import read_run

ARGV = (("/f", "-i", "file:/videos/clip.mp4", "out.mp4"),)
ACTION = Path(__file__).parents[2] / "action.yml"


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A baseline file and the candidate's folder as the action's ladder step leaves it."""
    (tmp_path / "vqa-candidate").mkdir()
    (tmp_path / "base.json").write_text(make_run(ladder()).model_dump_json())
    run = make_run([rung.model_copy(update={"encode_argv": ARGV}) for rung in ladder()])
    (tmp_path / "vqa-candidate/run.json").write_text(run.model_dump_json())
    return tmp_path


def gate_step(folder: Path, policy: str = "") -> subprocess.CompletedProcess[str]:
    """The action's gate step under the shell options that GitHub gives bash."""
    block = re.search(r"run: \|\n((?: {8}.*\n)+)", ACTION.read_text())
    assert block is not None
    script = re.sub(r"^ {8}", "", block[1], flags=re.MULTILINE)
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "BASELINE": "base.json", "POLICY": policy,
    }  # fmt: skip
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=folder, env=env, capture_output=True,
        text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_the_action_passes_and_writes_its_summary(folders: Path) -> None:
    done = gate_step(folders)
    assert (done.returncode, done.stderr) == (0, "report: vqa-gate.html\n")
    assert (folders / "summary.md").read_text().startswith("### vqa gate: PASS")
    assert "<h1>" in (folders / "vqa-gate.html").read_text()


def test_the_action_uploads_the_page_and_links_it() -> None:
    text = ACTION.read_text()
    upload = text.index("uses: actions/upload-artifact@v4")
    assert "path: vqa-gate.html" in text[upload:]
    assert 'run: echo "[Charts and figures of every rung]($PAGE)" >> "$GITHUB_STEP_SUMMARY"' in text[upload:]
    # A gate that fails ends its step; what people need to see why comes all the same.
    assert text[upload - 80 : upload].count("if: always()") == 1


def test_the_action_fails_when_the_gate_does(folders: Path) -> None:
    (folders / "vqa-candidate/run.json").write_text(make_run(ladder(shift=-5)).model_dump_json())
    done = gate_step(folders)
    assert done.returncode == 1 and "::error title=vqa gate::" in done.stdout
    assert (folders / "summary.md").read_text().startswith("### vqa gate: FAIL")
    (folders / "my policy.toml").write_text("[metrics.vmaf]\nmax_drop_mean = 6.0\n")
    assert gate_step(folders, "my policy.toml").returncode == 0


def test_a_baseline_is_a_run_without_local_places(started: Vqa, folders: Path) -> None:
    kept = folders / "kept" / "baseline.json"
    done = started("baseline", "save", folders / "vqa-candidate", kept)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"12 rungs of 1 source: {kept}\n")
    assert "/videos/" not in kept.read_text()
    assert read_run(kept).sources[0].rungs[0].encode_argv == (("f", "-i", "file:clip.mp4", "out.mp4"),)
    assert started("gate", kept, folders / "vqa-candidate").returncode == 0
    shown = started("baseline", "show", kept).stdout
    assert "clip.mp4" in shown and "150 to 2500" in shown and "1280x720" in shown


def test_a_failed_rung_makes_no_baseline(vqa: Vqa, tmp_path: Path) -> None:
    first, *rest = ladder()
    broken = first.model_copy(update={"status": "failed", "encode": None, "reason": "out of memory"})
    (tmp_path / "run.json").write_text(make_run([broken, *rest]).model_dump_json())
    done = vqa("baseline", "save", tmp_path, tmp_path / "kept.json")
    assert done.returncode == 3 and not (tmp_path / "kept.json").exists()
    assert done.stderr == f"error: not fit for a baseline: clip.mp4 {first.id} failed\n  out of memory\n"
