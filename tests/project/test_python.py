"""What Python users are told works: the names of the package, the examples of docs/python.md, the notebook."""

from __future__ import annotations

import ast
import doctest
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from documents import ladder, make_run

import vqa_cli
from vqa_cli.events import Planned, RungDone


def test_every_public_name_is_there_listed_and_explained() -> None:
    told = (ROOT / "docs/python.md").read_text()
    for name in dir(vqa_cli):
        value = getattr(vqa_cli, name)
        assert name == "__version__" or value.__doc__, name
    assert [name for name in dir(vqa_cli) if not name.startswith("__") and name not in told] == [
        "FileScore",
        "LadderOutcome",
    ]


def test_no_public_name_is_hidden_by_a_package() -> None:
    folders = {path.stem for path in Path(vqa_cli.__file__).parent.iterdir()}
    assert folders.isdisjoint(dir(vqa_cli))


def test_importing_and_deciding_load_no_torch(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(make_run([*ladder(), *ladder("libx265", scale=0.7)]).model_dump_json())
    code = (
        "import sys, vqa_cli; assert 'click' not in sys.modules and 'numpy' not in sys.modules; "
        "vqa_cli.recommend('.'), vqa_cli.bdrate('.', anchor='x264'), vqa_cli.gate('.', '.'); "
        "sys.exit('torch' in sys.modules or 'click' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_runs_are_given_as_such_or_by_their_folder(tmp_path: Path) -> None:
    run = make_run([*ladder(), *ladder("libx265", scale=0.7)])
    path = vqa_cli.write_run(run, tmp_path / "run")
    assert path == tmp_path / "run/run.json" and vqa_cli.read_run(path) == run
    assert vqa_cli.recommend(run) == vqa_cli.recommend(str(tmp_path / "run"))
    rates = {c.test: c.result.bd_rate for c in vqa_cli.bdrate(run) if c.result.bd_rate is not None}
    assert rates["libx265 medium 720p"] == pytest.approx(-30, abs=0.5)
    worse = make_run(ladder(scale=2.0))
    policy = vqa_cli.Policy.model_validate({"metrics": {"vmaf": {"max_bd_rate": 150.0}}})
    base = make_run(ladder())
    assert (vqa_cli.gate(base, worse).outcome, vqa_cli.gate(base, worse, policy).outcome) == ("fail", "pass")


def test_a_search_is_of_one_source_codec_and_size() -> None:
    settings = make_run([]).settings
    job = vqa_cli.LadderJob(["a.mp4", "b.mp4"], settings, None)
    with pytest.raises(vqa_cli.VqaError, match="one source, one codec and one size"):
        vqa_cli.search(job, 90)
    with pytest.raises(vqa_cli.VqaError, match="unknown metric: vmav; did you mean vmaf"):
        vqa_cli.search(vqa_cli.LadderJob("a.mp4", settings, None), 90, metric="vmav")
    with pytest.raises(vqa_cli.VqaError, match="no scorer"):
        vqa_cli.search(vqa_cli.LadderJob("a.mp4", settings, None), 90, metric="model")


def test_the_bar_counts_rungs_of_all_sources(capsys: pytest.CaptureFixture[str]) -> None:
    with vqa_cli.ProgressBar(file=sys.stdout, mininterval=0) as bar:
        bar(Planned("a", {"r1": 1.0, "r2": 9.0}, 2))
        bar(RungDone("a", "r1", 1.0, None, None, cached=False))
        bar(Planned("b", {"r1": 1.0}, 2))
    assert "1/3" in capsys.readouterr().out.split("\r")[-1]


@pytest.fixture
def folder(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(clip, tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.ffmpeg
def test_the_pages_examples_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set-up for a whole process is not for that of all tests.
    monkeypatch.setitem(vqa_cli.__dict__, "prepare_process", lambda threads=None: None)
    failed, tried = doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False)
    assert tried > 15 and failed == 0


@pytest.mark.ffmpeg
def test_the_notebook_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vqa_cli.__dict__, "prepare_process", lambda threads=None: None)
    book = json.loads((ROOT / "docs/notebook.ipynb").read_text())
    names: dict[str, Any] = {}
    shown = [run_cell("".join(cell["source"]), names) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert "<svg" in shown[1]._repr_html_() and len(shown[2]) == 8 and len(shown[3]) == 8
    assert (folder / "vqa-clip/report.html").exists()


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """Carry out a cell; gives the value of its last expression, which a notebook shows."""
    *before, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        before, last = [*before, last], ast.Expr(ast.Constant(None))
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    return eval(compile(ast.fix_missing_locations(ast.Expression(last.value)), "cell", "eval"), names)
