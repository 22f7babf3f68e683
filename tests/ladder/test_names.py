"""Sources of one file name: told apart in everything that a ladder writes, and never compared with each other."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import pytest
from conftest import Vqa, make_clip
from documents import ladder, make_run

from vqa_cli.analysis.policy import Allowance, Policy
from vqa_cli.cli.inputs import Bring, expand_inputs
from vqa_cli.errors import UsageError
from vqa_cli.names import folder_names, run_folder, source_names

QUICK = ("--codec", "x264", "--height", "90", "--display", "90", "--encoder-preset", "ultrafast", "--model", "none",
         "--metric", "psnr", "-q")  # fmt: skip


@pytest.fixture(scope="module")
def twins(media: Path) -> tuple[Path, Path]:
    """Two different clips that are both called clip.mp4."""
    paths = tuple(media / "twins" / folder / "clip.mp4" for folder in ("x", "y"))
    for seconds, path in zip((1.0, 1.5), paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, size="160x90", rate="25", seconds=seconds)
    return paths[0], paths[1]


@pytest.mark.ffmpeg
def test_a_ladder_tells_clips_of_one_name_apart(vqa: Vqa, twins: tuple[Path, Path], tmp_path: Path) -> None:
    done = vqa("ladder", *twins, *QUICK, "--crf", "16,24,32,40", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert [source["source"]["name"] for source in run["sources"]] == ["x/clip.mp4", "y/clip.mp4"]
    rows = csv.DictReader((tmp_path / "frames.csv").open())
    frames = [row["source"] for row in rows if row["rung"].endswith("crf16")]
    assert frames == ["x/clip.mp4"] * 25 + ["y/clip.mp4"] * 38
    compared = vqa("bdrate", tmp_path, "--format", "json")
    assert (compared.returncode, json.loads(compared.stdout)["comparisons"]) == (7, [])
    chosen = vqa("recommend", tmp_path, "--format", "json", "--source", "y/clip.mp4")
    assert [item["source"] for item in json.loads(chosen.stdout)] == ["y/clip.mp4"]


@pytest.mark.ffmpeg
def test_a_kept_encode_is_the_one_that_was_measured(vqa: Vqa, twins: tuple[Path, Path], tmp_path: Path) -> None:
    # The first settings again after others: what is remembered no longer lies there.
    for speed in ("ultrafast", "veryfast", "ultrafast"):
        done = vqa("ladder", *twins, *QUICK, "--crf", "30", "--keep-encodes", "--encoder-preset", speed, "-o", tmp_path)
        assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    encodes = [source["rungs"][0]["encode"] for source in run["sources"]]
    assert [hashlib.sha256(Path(e["path"]).read_bytes()).hexdigest() for e in encodes] == [e["sha256"] for e in encodes]
    assert len({e["path"] for e in encodes}) == 2


@pytest.mark.ffmpeg
def test_addresses_that_end_in_one_name_are_two_sources(vqa: Vqa, twins: tuple[Path, Path], tmp_path: Path) -> None:
    addresses = (f"file:{path}" for path in twins)
    done = vqa("ladder", "--allow-protocols", *addresses, *QUICK, "--crf", "30", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    sources = [source["source"] for source in json.loads((tmp_path / "run.json").read_text())["sources"]]
    assert [(s["name"], s["frames"]) for s in sources] == [("x/clip.mp4", 25), ("y/clip.mp4", 38)]


def test_every_source_has_a_folder_of_its_own() -> None:
    assert folder_names(["x/clip.mp4", "y/clip.mp4", "/a.mp4"]) == ["x/clip", "y/clip", "a"]
    assert folder_names(["clip.mp4", "clip.mkv"]) == ["clip.mp4", "clip.mkv"]


@pytest.mark.parametrize("command", ["bdrate", "recommend"])
def test_a_document_with_doubled_names_is_refused(vqa: Vqa, tmp_path: Path, command: str) -> None:
    runs = [make_run(ladder(scale=scale), sha256=str(scale)) for scale in (1.0, 1.5)]
    both = runs[0].model_copy(update={"sources": (*runs[0].sources, *runs[1].sources)})
    (tmp_path / "run.json").write_text(both.model_dump_json())
    done = vqa(command, tmp_path)
    assert (done.returncode, done.stderr.splitlines()[0]) == (3, "error: 2 sources of the run are called clip.mp4")


def test_names_are_as_long_as_they_must_be(tmp_path: Path) -> None:
    given = ["/v/x/a.mp4", "/v/y/a.mp4", "/v/a.mkv", "/v/x/../b.mp4", "/b.mp4"]
    assert source_names([Path(name) for name in given]) == ["x/a.mp4", "y/a.mp4", "a.mkv", "v/b.mp4", "/b.mp4"]
    with pytest.raises(UsageError, match="given twice"):
        source_names([Path("/v/a.mp4"), Path("/v/x/../a.mp4")])
    clip = tmp_path / "clip.mp4"
    clip.touch()
    bring = Bring(tmp_path, None, allowed=False)
    assert expand_inputs((str(clip), str(tmp_path), f"{tmp_path}/../{tmp_path.name}/clip.mp4"), bring) == [clip]


def test_a_policy_finds_a_source_by_its_file_name_too() -> None:
    policy = Policy.model_validate(
        {"metrics": {"vmaf": {}}, "sources": {"grain*.mp4": {"max_overshoot": 6.0}, "x/*": {"max_overshoot": 9.0}}}
    )
    names = ("y/grain1.mp4", "x/grain1.mp4", "y/other.mp4")
    assert [policy.limits_for(name).max_overshoot for name in names] == [6.0, 9.0, None]
    exception = Allowance(reason="r", source="clip.mp4")
    assert exception.covers("x/clip.mp4", "", "") and not exception.covers("x/other.mp4", "", "")


def test_the_folder_of_a_run_fits_into_a_name_whatever_its_source_is_called() -> None:
    assert run_folder(Path("/videos/clip 1.mp4"), "mobile") == "vqa-clip 1-mobile"
    long, other = (run_folder(Path("n" * 249 + f"{end}.mp4"), "mobile") for end in "ab")
    assert long != other and long.startswith("vqa-nnn") and len(long) == 200
    wide = run_folder(Path("ü" * 120 + ".mp4"), "mobile")
    assert len(os.fsencode(wide)) <= 200 and wide.startswith("vqa-üü")


def test_a_presets_name_leads_to_no_other_folder() -> None:
    assert run_folder(Path("clip.mp4"), "../../elsewhere") == "vqa-clip-.._.._elsewhere"
    assert run_folder(Path("clip.mp4"), "a\\b\nc") == "vqa-clip-a_b_c"


@pytest.mark.ffmpeg
def test_a_source_with_as_long_a_name_as_can_be_has_its_ladder(vqa: Vqa, media: Path, tmp_path: Path) -> None:
    path = make_clip(media / ("l" * 251 + ".mp4"), size="128x72", rate="25", seconds=1)
    done = vqa("ladder", path, "--codec", "x264", "--crf", "40", "--height", "72", "--display", "72", "--metric", "psnr",
               "--model", "none", "--keep-encodes", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    assert (folder / "run.json").exists() and list(folder.glob("encodes/*/libx264_72p_crf40.mp4"))
