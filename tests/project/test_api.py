"""What `from vqa_cli import …` gives: files may be named by text or by any path, and nobody has to watch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from conftest import ffmpeg, make_clip
from report_runs import Frames, make_run

import vqa_cli
from vqa_cli import LadderJob, LadderSettings, Run, ScoreRequest, load_scorer, read_run, run_ladder, score_file
from vqa_cli.errors import InputError, ModelError, StorageError, UsageError
from vqa_cli.ladder.output import write_outcome
from vqa_cli.ladder.pipeline import LadderOutcome
from vqa_cli.model.registry import lite_path
from vqa_cli.values import ClipScore, Scorer

pytestmark = pytest.mark.ffmpeg


class Named:
    """A path of somebody else's kind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("api") / "short.mp4", size="128x96", seconds=0.2)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load_scorer(device="cpu")


def test_files_to_score_are_named_in_any_way(short: Path, scorer: Scorer, tmp_path: Path) -> None:
    worse = tmp_path / "worse.mp4"
    ffmpeg("-i", short, "-c:v", "libx264", "-crf", "45", worse)
    results = [
        score_file(
            kind(worse),
            ScoreRequest(reference=kind(short), metrics=("psnr",)),
            scorer=scorer,
            cache=kind(tmp_path / "c"),
        )
        for kind in (Path, str, Named)
    ]
    assert len({(r.score.score, r.fidelity["psnr"].pooled.mean) for r in results}) == 1
    assert (tmp_path / "c" / "scores").is_dir()
    with pytest.raises(InputError, match=r"no such file: none\.mp4"):
        score_file("none.mp4", scorer=scorer)


def test_models_and_weights_are_named_in_any_way(short: Path, scorer: Scorer, tmp_path: Path) -> None:
    for kind in (Path, str, Named):
        own = load_scorer(kind(lite_path()), device="cpu")
        assert own.identity.sha256 == scorer.identity.sha256
        with pytest.raises(ModelError, match=f"weights of vsfa are not here: .* in {tmp_path}"):
            load_scorer("vsfa", model_dir=kind(tmp_path))
        with pytest.raises(ModelError, match=r"no such weight file: none\.pth"):
            load_scorer("vsfa", backbone_weights=kind(Path("none.pth")), head_weights=kind(Path("none.pt")))
    with pytest.raises(ModelError, match=r"cannot read model: .*/vsfa-lite"):
        load_scorer(Path("vsfa-lite"))


def test_a_ladder_from_a_notebook(short: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LadderSettings.model_validate(
        {"display": 96, "heights": [96], "codecs": [{"encoder": "libx264", "crf": [30, 40]}], "metrics": ["psnr"]}
    )
    monkeypatch.chdir(short.parent)
    job = LadderJob(
        (short.name,), settings, scorer, keep=str(tmp_path / "kept"), cache_dir=str(tmp_path / "cache"), scratch=str(tmp_path)
    )  # fmt: skip
    outcome = run_ladder(job)
    rungs = outcome.run.sources[0].rungs
    assert [rung.status for rung in rungs] == ["ok", "ok"]
    assert sorted(path.name for path in (tmp_path / "kept" / "short").iterdir()) == sorted(f"{r.id}.mp4" for r in rungs)
    document = write_outcome(outcome, tmp_path / "out")
    assert read_run(str(document)) == read_run(document) == read_run(document.parent) == read_run(str(document.parent))
    assert str(outcome.run) == repr(outcome.run)
    assert len(repr(outcome.run)) < 200 > len(repr(outcome.run.sources)) and len(repr(rungs)) < 300
    assert all(np.isfinite(rung.quality("model") or np.nan) for rung in rungs)
    with pytest.raises(StorageError, match="cannot read run document: nowhere"):
        read_run("nowhere")


@pytest.fixture
def document(tmp_path: Path) -> tuple[Path, Run, Frames]:
    """A run as a ladder writes it, of two sources with awkward names."""
    run, frames = make_run(["NA", "=b, & c.mp4"], frames=40, heights=[360], crfs=[20, 30])
    write_outcome(LadderOutcome(run, frames), tmp_path / "out")
    return tmp_path / "out", run, frames


def test_a_run_gives_its_rungs_as_a_data_frame(document: tuple[Path, Run, Frames]) -> None:
    folder, run, _ = document
    table = read_run(folder).rungs()
    written = pd.read_csv(folder / "rungs.csv", keep_default_na=False, na_values=[""])
    # The file has names as a spreadsheet may have them, the frame as they are.
    kept = [name for name in table.dropna(axis=1) if name != "source"]
    pd.testing.assert_frame_equal(table[kept], written[kept], check_dtype=False)
    assert list(table["source"].unique()) == ["NA", "=b, & c.mp4"]
    assert list(table["vmaf_mean"]) == [rung.quality("vmaf") for source in run.sources for rung in source.rungs]
    assert table["bitrate_kbps"].dtype == np.float64


def test_a_run_gives_its_frames_as_a_data_frame(document: tuple[Path, Run, Frames]) -> None:
    folder, run, frames = document
    read, made = read_run(folder).frames(), LadderOutcome(run, frames).run.frames()
    for table in (read, made):
        assert list(table) == ["source", "rung", "frame", "time_s", "model", "vmaf", "psnr", "ssim"]
        assert len(table) == sum(len(values["model"]) for values in frames.values())
        one = table[(table["source"] == "NA") & (table["rung"] == "libx265_360p_crf30")]
        np.testing.assert_allclose(one["vmaf"], frames[0, "libx265_360p_crf30"]["vmaf"], rtol=1e-5)
        np.testing.assert_allclose(one["time_s"], np.arange(40) * 1001 / 30000)
    second = read_run(folder).model_copy(update={"sources": run.sources[1:]})
    assert set(second.frames()["source"]) == {"=b, & c.mp4"}
    assert read_run(folder) == run
    (folder / "frames.parquet").unlink()
    with pytest.raises(StorageError, match=re.escape(f"no frame values: {folder / 'frames.parquet'}")):
        read_run(folder).frames()
    with pytest.raises(StorageError, match=r"no frame values$"):
        make_run()[0].frames()


def test_a_run_shows_itself_in_a_notebook(document: tuple[Path, Run, Frames]) -> None:
    folder, run, _ = document
    page = read_run(folder)._repr_html_()
    root = ElementTree.fromstring(page)
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    assert rows[0] == [
        "source",
        "codec",
        "size",
        "setting",
        "kb/s",
        "CPU s",
        "vsfa-lite",
        "VMAF",
        "PSNR",
        "SSIM",
        "ladder",
    ]
    assert [row[0] for row in rows[1:]] == ["NA"] * 4 + ["=b, & c.mp4"] * 4
    assert len(root.findall(".//*[@class='pt']")) == 2 * 2 * 4
    assert repr(run) in "".join(root.itertext())
    nothing = run.model_copy(update={"sources": ()})
    assert "<svg" not in nothing._repr_html_()


@pytest.mark.parametrize("kind", [str, Path, Named])
def test_one_source_needs_no_tuple(kind: Any) -> None:
    settings = LadderSettings.model_validate({"codecs": [{"encoder": "libx264", "crf": [30]}], "heights": [96]})
    sources = LadderJob(kind(Path("clip.mp4")), settings, None).sources
    assert isinstance(sources, tuple)
    assert [os.fspath(source) for source in sources] == ["clip.mp4"]
    both: list[str | os.PathLike[str]] = ["a.mp4", Path("b.mp4")]
    assert LadderJob(both, settings, None).sources == tuple(both)
    with pytest.raises(TypeError, match="sources"):
        LadderJob(settings=settings, scorer=None)  # type: ignore[call-arg]


def test_the_public_names_are_listed() -> None:
    assert dir(vqa_cli) == sorted(vqa_cli.__all__)
    assert all(getattr(vqa_cli, name) is not None for name in dir(vqa_cli))


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=re.escape(f"cannot read run document: {tmp_path / 'run.json'}")):
        read_run(tmp_path)


class FailsOnce:
    """A scorer whose first clip is too much for it; with one worker that is the source itself."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def score(self, *args: Any, **options: Any) -> ClipScore:
        if not self._failed:
            self._failed = True
            raise ModelError("GPU memory does not hold one frame of 128x96")
        return self._scorer.score(*args, **options)


def test_a_source_that_cannot_be_scored_leaves_its_rungs(short: Path, scorer: Scorer) -> None:
    settings = LadderSettings.model_validate(
        {"display": 96, "heights": [96], "codecs": [{"encoder": "libx264", "crf": [40]}], "metrics": ["psnr"]}
    )
    run = run_ladder(LadderJob((short,), settings, FailsOnce(scorer), workers=1)).run
    (source,) = run.sources
    assert (source.status, source.score) == ("partial", None)
    assert source.reason == "the source itself could not be scored: GPU memory does not hold one frame of 128x96"
    assert source.rungs[0].score is not None
    assert source.rungs[0].score.delta_to_source is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 0}, "not a window of frames: tau=0"),
        ({"beta": float("nan")}, "not a weight: beta=nan"),
        ({"batch_size": 0}, "not a number of frames: batch_size=0"),
        ({"batch_size": "many"}, "not a number of frames: batch_size='many'"),
        ({"pooling": "papers"}, "unknown pooling: papers"),
        ({"color": "bt601"}, "unknown color: bt601"),
    ],
)
def test_values_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        load_scorer(device="cpu", **options)
