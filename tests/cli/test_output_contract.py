"""docs/output.md and docs/schemas are what commands print: schemas are current, outputs fit them, columns are as written."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from conftest import ROOT, Vqa
from documents import ladder, make_run

from vqa_cli.catalogue import index_rows
from vqa_cli.cli.agreements import Row, render
from vqa_cli.cli.contract import PRINTED, files, schema
from vqa_cli.history.entries import add_entry
from vqa_cli.store.kinds import KINDS, RUNGS
from vqa_cli.train.correlation import Agreement

SCHEMAS = ROOT / "docs/schemas"
SPEAKING = [
    "ladder", "score", "search", "recommend", "bdrate", "gate", "history regressions", "bisect", "baseline show", "presets list",
    "presets show", "models list", "models info", "cache info", "evaluate", "correlate", "doctor",
]  # fmt: skip


def strict(part: Any) -> Any:
    """The schema, with every key that it does not name refused: readers may meet new keys, but not undocumented ones."""
    if isinstance(part, list):
        return [strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {key: strict(value) for key, value in part.items()}
    return closed | ({"additionalProperties": False} if isinstance(part.get("properties"), dict) else {})


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def fits(name: str, text: str) -> Any:
    """What was printed, which must be what is documented under that name."""
    document = json.loads(text, parse_constant=no_constant)
    jsonschema.validate(document, strict(schema(name)))
    return document


def columns(marker: str) -> list[str]:
    """The header that docs/output.md has after the line with ``marker``."""
    after = (ROOT / "docs/output.md").read_text().split(marker, 1)[1]
    return after.split("```csv\n", 1)[1].splitlines()[0].split(",")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rungs = [*ladder(), *ladder("libx265", scale=0.7)]
    (tmp_path / "a.json").write_text(make_run(rungs).model_dump_json())
    (tmp_path / "b.json").write_text(make_run(ladder(scale=2.0)).model_dump_json())
    return tmp_path


@pytest.mark.parametrize(("name", "text"), list(files()), ids=list(PRINTED))
def test_schemas_are_current_and_valid(name: str, text: str) -> None:
    assert json.loads((SCHEMAS / name).read_text()) == json.loads(text), "make schemas"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_every_schema_is_explained_and_no_file_is_left_over() -> None:
    told = (ROOT / "docs/output.md").read_text()
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(PRINTED)
    assert [name for name in PRINTED if f"(schemas/{name}.json)" not in told] == []


def test_every_command_with_json_has_a_schema() -> None:
    from test_cli_commands import ALL

    speaking = [
        name.removeprefix("vqa ")
        for name, command in ALL.items()
        for param in command.params
        if param.name == "output_format" and isinstance(param.type, click.Choice) and "json" in param.type.choices
    ]
    assert sorted(speaking) == sorted(SPEAKING)
    assert all(any(f"vqa {name}" in title for title, _ in PRINTED.values()) for name in speaking)


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("gate", "gate a.json b.json", 1),
        ("gate", "gate a.json a.json", 0),
        ("bdrate", "bdrate a.json", 0),
        ("bdrate", "bdrate a.json b.json", 0),
        ("recommend", "recommend a.json", 0),
        ("recommend", "recommend a.json --min-kbps 90000", 7),
        ("recommend-shared", "recommend a.json --shared-ladder bitrate", 0),
    ],
)
def test_what_is_computed_from_runs_fits(vqa: Vqa, runs: Path, name: str, args: str, code: int) -> None:
    done = vqa(*args.split(), "--format", "json", cwd=runs)
    assert done.returncode == code, done.stderr
    assert fits(name, done.stdout)


def test_a_run_of_one_curve_has_nothing_to_compare(vqa: Vqa, tmp_path: Path) -> None:
    rungs = [rung for rung in ladder() if rung.height == 360]
    (tmp_path / "run.json").write_text(make_run(rungs).model_dump_json())
    done = vqa("bdrate", ".", "--format", "json", cwd=tmp_path)
    assert done.returncode == 7 and fits("bdrate", done.stdout)["comparisons"] == []
    assert done.stderr == (
        "nothing to compare: there is one curve for each source; a second codec or a second run makes two\n"
    )


def test_runs_and_their_rows_in_a_catalogue_fit(runs: Path) -> None:
    fits("run", (runs / "a.json").read_text())
    (source,) = make_run(ladder()).sources
    failed = source.model_copy(update={"status": "failed", "reason": "no video", "rungs": ()})
    rows = [*index_rows("clip", source, ("vmaf",)), *index_rows("bad", failed, ("vmaf",))]
    assert len(fits("catalogue", json.dumps(rows))) == 13


def test_what_is_here_fits(vqa: Vqa, tmp_path: Path) -> None:
    presets = fits("presets-list", vqa("presets", "list", "--format", "json").stdout)
    mobile = next(preset for preset in presets if preset["name"] == "mobile")
    shown = fits("presets-show", vqa("presets", "show", "mobile", "--format", "json").stdout)
    assert shown["path"] == mobile["path"] and shown["settings"]["description"] == mobile["description"]
    assert shown["settings"]["gop_s"] == 2.0, "a value that the file leaves as it is"
    here = ("--model-dir", tmp_path, "--format", "json")
    models = fits("models-list", vqa("models", "list", *here).stdout)
    assert {model["name"]: model["state"] for model in models} == {
        "vsfa-lite": "bundled", "vsfa": "not installed", "mdtvsfa": "not installed"
    }  # fmt: skip
    for model in models:
        told = fits("models-info", vqa("models", "info", model["name"], *here).stdout)
        assert (told["state"], told["name"]) == (model["state"], model["name"])
        assert all(file["here"] == (model["state"] == "bundled") for file in told["files"])


def test_a_cache_fits(vqa: Vqa, tmp_path: Path) -> None:
    where = ("--cache-dir", tmp_path, "--format", "json")
    empty = fits("cache-info", vqa("cache", "info", *where).stdout)
    assert empty["path"] == str(tmp_path)
    assert [kind["entries"] for kind in empty["kinds"]] == [0] * len(KINDS)
    with RUNGS.entries(tmp_path).write("0" * 64) as folder:
        assert folder is not None
        (folder / "rung.json").write_text("x" * 100)
    held = fits("cache-info", vqa("cache", "info", *where).stdout)
    assert held["kinds"][0]["entries"] == 1 and held["kinds"][0]["bytes"] >= 100


def test_baselines_fit(vqa: Vqa, runs: Path) -> None:
    told = fits("baseline-show", vqa("baseline", "show", "a.json", "--format", "json", cwd=runs).stdout)
    (source,) = told["sources"]
    assert told["metric"] == "vmaf" and source["judged_at"] == [1280, 720]
    low, high = source["kbps"]
    assert 0 < low < high and source["quality"][0] < source["quality"][1] <= 100


def test_the_steps_of_a_history_fit(vqa: Vqa, tmp_path: Path) -> None:
    from test_history import entries

    for entry in entries(12, step=10):
        add_entry(tmp_path / "vqa-history", entry)
    done = vqa("history", "regressions", "--format", "json", cwd=tmp_path)
    told = fits("history-regressions", done.stdout)
    assert done.returncode == 1, done.stderr
    assert told["runs"] == 12 and told["new"] == told["regressions"] == len(told["steps"]) > 0
    assert all(step["after"]["label"] == "change 10" and step["worse"] for step in told["steps"])
    assert {step["figure"] for step in told["steps"]} == {"BD-rate"}


@pytest.mark.ffmpeg
def test_scores_fit(vqa: Vqa, clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    measured = ("--reference", clip, "--metric", "vmaf,psnr", "--per-frame")
    alone = fits("score", vqa("score", clip, "--format", "json", *measured).stdout)
    assert len(alone["per_frame"]["psnr"]) == alone["frames"]
    done = vqa("score", clip, bad, "--format", "ndjson")
    assert done.returncode == 8
    good, failed = (fits("score-line", line) for line in done.stdout.splitlines())
    assert "score" in good and failed["exit_code"] == 3
    fits("score", json.dumps([good, failed]))


@pytest.mark.ffmpeg
def test_searches_fit(vqa: Vqa, clip: Path) -> None:
    fast = ("--metric", "psnr", "--encoder-preset", "ultrafast", "--format", "json", "--height", "90")
    found = fits("search", vqa("search", clip, "--target", "30", "--judged-at", "180", *fast).stdout)
    assert found["best"] is None or found["best"]["quality"] >= 30


@pytest.mark.ffmpeg
def test_the_doctors_word_fits(vqa: Vqa) -> None:
    assert fits("doctor", vqa("doctor", "--format", "json").stdout)["ffmpeg"]["encoders"]
    lost = vqa("doctor", "--ffmpeg", "/no/ffmpeg", "--format", "json")
    assert lost.returncode == 4 and fits("doctor", lost.stdout)["ffmpeg"] is None


def test_agreements_fit() -> None:
    defined = Agreement(20, 0.9, 0.8, 0.95, 0.7, 0.9, 4.0, 0.91, 3.9)
    undefined = Agreement(3, *[math.nan] * 8, reasons=("too few",), remarks=("a tie",))
    labels: list[dict[str, Any]] = [
        {"model": "m", "dataset": "d", "split": 0, "missing": ["a"]},
        {"model": "m", "dataset": "d", "split": None},
    ]
    rows: list[Row] = list(zip(labels, (defined, undefined), strict=True))
    fits("evaluate", render(rows, "json", [({"model": "m", "dataset": "d", "split": "each"}, rows)]))
    fits("correlate", render([({"name": "n"}, undefined)], "json"))
    assert render([({"name": "n"}, defined)], "csv").splitlines()[0].split(",") == columns(
        "`vqa correlate --format csv`"
    )


@pytest.mark.parametrize("name", SPEAKING)
def test_every_command_tells_errors_in_json_where_json_was_asked_for(vqa: Vqa, name: str) -> None:
    done = vqa(*name.split(), "--no-such-option", "--format", "json")
    assert done.returncode == 2
    assert fits("error", done.stdout)["exit_code"] == 2


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ("ladder no.mp4", 3),
        ("ladder no.mp4 --preset no", 2),
        ("score no.mp4 no.avi", 3),
        ("search no.mp4 --target 90", 3),
        ("recommend no.json", 6),
        ("bdrate no.json", 6),
        ("correlate no.csv", 3),
        ("gate no.json no.json", 6),
        ("baseline show no.json", 6),
        ("presets show no", 2),
        ("models info no", 2),
        ("history regressions --metric no", 6),
    ],
)
def test_errors_of_the_work_itself_fit(vqa: Vqa, tmp_path: Path, args: str, code: int) -> None:
    done = vqa(*args.split(), "--format", "json", cwd=tmp_path)
    assert done.returncode == code
    assert fits("error", done.stdout)["exit_code"] == code


@pytest.mark.ffmpeg
def test_columns_are_as_documented(vqa: Vqa, clip: Path, runs: Path) -> None:
    from fractions import Fraction

    from vqa_cli.document import read_run
    from vqa_cli.ladder.output import rungs_csv

    measured = ("score", clip, "--reference", clip, "--metric", "vmaf,psnr", "--format", "csv")
    assert _header(vqa(*measured).stdout) == columns("`vqa score --format csv`")
    assert _header(vqa(*measured, "--per-frame").stdout) == columns("`vqa score --format csv --per-frame`")
    assert _header(rungs_csv(read_run(runs / "a.json"))) == columns("`rungs.csv`")
    assert rungs_csv(make_run([])).split("\n") == [",".join(columns("`rungs.csv`")), ""]
    shipped = vqa("recommend", "a.json", "--format", "csv", cwd=runs).stdout
    assert _header(shipped) == columns("`vqa recommend --format csv`")
    assert Fraction(next(csv.DictReader(shipped.splitlines()))["kbps"]) > 0


def _header(text: str) -> list[str]:
    return next(csv.reader(text.splitlines()))
