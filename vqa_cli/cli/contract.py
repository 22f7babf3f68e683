"""What commands print for programs, as types: JSON Schemas in docs/schemas are made from them, and tests hold outputs to them.

``python -m vqa_cli.cli.contract docs/schemas`` writes the schemas. A key that may be absent is ``NotRequired``; what could not
be measured is ``null``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic refuses that of `typing` before Python 3.12

from vqa_cli.analysis.compare import Comparison, Summary
from vqa_cli.analysis.curves import Inversion
from vqa_cli.analysis.gate import Verdict
from vqa_cli.analysis.recommend import Recommendation
from vqa_cli.analysis.shared import SharedLadder
from vqa_cli.catalogue import columns, kind
from vqa_cli.cli.listing import (
    BaselineTold,
    Bisected,
    CacheHeld,
    Diagnosis,
    ModelListed,
    ModelTold,
    PresetListed,
    PresetTold,
    StepsTold,
)
from vqa_cli.document import Run
from vqa_cli.files import write_text
from vqa_cli.identity import WeightsInUse
from vqa_cli.ladder.samples import Sample
from vqa_cli.ladder.search import Found, Trial
from vqa_cli.metrics import METRICS
from vqa_cli.pooled import Pooled
from vqa_cli.values import Size

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Failure(TypedDict):
    """What stands in the place of a result where JSON was asked for and the command failed."""

    error: str
    detail: NotRequired[str]
    hint: NotRequired[str]
    exit_code: int


class ModelFacts(TypedDict):
    """The model that gave a score."""

    name: str
    sha256: str
    files: dict[str, WeightsInUse]
    precision: str
    device: str
    verified: bool
    pooling: str
    preprocessing: str
    training_data: str
    licence: str
    scale: str
    scale_description: str
    minimum: float
    maximum: float
    higher_is_better: bool


class FileScored(TypedDict):
    """A file's score. ``per_frame`` is there with --per-frame, ``others`` where a model knows further scales."""

    file: str
    score: float
    raw: float
    others: NotRequired[dict[str, float]]
    frame_scores: Pooled
    fidelity: dict[str, Pooled]
    not_measured: NotRequired[dict[str, str]]
    notes: list[str]
    frames: int
    width: int
    height: int
    model: ModelFacts
    per_frame: NotRequired[dict[str, list[float]]]


class FileFailed(TypedDict):
    """A file among several that could not be scored."""

    file: str
    error: str
    exit_code: int


class Searched(TypedDict):
    """The answer of ``vqa search``; ``best`` is null where nothing reaches the target."""

    metric: str
    statistic: str
    target: float
    over: Literal["crf", "bitrate"]
    encoder: str
    size: Size
    judged_at: Size
    bounds: tuple[float, float]
    best: Trial | None
    nearest: Trial
    trials: list[Trial]
    inversions: list[tuple[float, float]]
    video_mb: float
    estimated: bool
    samples: list[Sample] | None
    estimate: Found | None
    commands: list[str]


class BdRates(TypedDict):
    """Comparisons of curves, and their means over sources."""

    metric: str
    method: Literal["pchip", "akima", "cubic"]
    comparisons: list[Comparison]
    summary: list[Summary]
    remarks: list[str]


class Figures(TypedDict):
    """Agreement of scores and ratings; what is undefined is null, and ``reasons`` says why."""

    n: int
    srocc: float | None
    srocc_low: float | None
    srocc_high: float | None
    krocc: float | None
    plcc: float | None
    rmse: float | None
    plcc_fit: float | None
    rmse_fit: float | None
    reasons: list[str]
    remarks: list[str]


class TableAgreement(Figures):
    """Two columns of a table."""

    name: str


class ModelAgreement(Figures):
    """A model on a rating database; ``split`` is null where every video was judged."""

    model: str
    dataset: str
    split: int | None
    missing: NotRequired[list[str]]


class Spread(TypedDict):
    """Mean and sample standard deviation of several results."""

    model: str
    dataset: str
    split: str
    missing: NotRequired[list[str]]
    results: int
    srocc_mean: float | None
    srocc_std: float | None
    krocc_mean: float | None
    krocc_std: float | None
    plcc_mean: float | None
    plcc_std: float | None
    plcc_fit_mean: float | None
    plcc_fit_std: float | None
    rmse_mean: float | None
    rmse_std: float | None
    rmse_fit_mean: float | None
    rmse_fit_std: float | None


class Correlated(TypedDict):
    """``summary`` is empty: one table is one result."""

    results: list[TableAgreement]
    summary: list[Spread]


class Evaluated(TypedDict):
    """Results, and means of those that belong together."""

    results: list[ModelAgreement]
    summary: list[Spread]


class Extras(TypedDict):
    """What the JSON of a recommendation has beside it."""

    inversions: list[Inversion]


class SharedExtras(TypedDict):
    """What the JSON of a shared ladder has beside it."""

    mean_loss: float


CATALOGUE = "catalogue"
# Name of the schema: its title and what is printed. A pair of types are the keys of one object.
PRINTED: dict[str, tuple[str, Any]] = {
    "error": ("any command that fails", Failure),
    "run": ("vqa ladder --format json, and run.json", Run),
    CATALOGUE: ("vqa ladder --catalogue --format json", dict[str, Any]),
    "score": ("vqa score --format json", FileScored | list[FileScored | FileFailed]),
    "score-line": ("a line of vqa score --format ndjson", FileScored | FileFailed),
    "search": ("vqa search --format json", Searched),
    "recommend": ("vqa recommend --format json", (Recommendation, Extras)),
    "recommend-shared": ("vqa recommend --shared-ladder --format json", (SharedLadder, SharedExtras)),
    "bdrate": ("vqa bdrate --format json", BdRates),
    "gate": ("vqa gate --format json", Verdict),
    "evaluate": ("vqa evaluate --format json", Evaluated),
    "correlate": ("vqa correlate --format json", Correlated),
    "history-regressions": ("vqa history regressions --format json", StepsTold),
    "bisect": ("vqa bisect --format json", Bisected),
    "baseline-show": ("vqa baseline show --format json", BaselineTold),
    "presets-list": ("vqa presets list --format json", list[PresetListed]),
    "presets-show": ("vqa presets show --format json", PresetTold),
    "models-list": ("vqa models list --format json", list[ModelListed]),
    "models-info": ("vqa models info --format json", ModelTold),
    "cache-info": ("vqa cache info --format json", CacheHeld),
    "doctor": ("vqa doctor --format json", Diagnosis),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of what is printed under that name."""
    title, printed = PRINTED[name]
    if name == CATALOGUE:
        made = {"type": "array", "items": _index_row()}
    else:
        made = _list_of(*printed) if isinstance(printed, tuple) else _schema(printed)
    return {"$schema": DIALECT, **made, "title": title}


def _schema(printed: Any) -> dict[str, Any]:
    return TypeAdapter(printed).json_schema(mode="serialization")


def _list_of(value: Any, extras: Any) -> dict[str, Any]:
    """An array of objects that have the keys of both types."""
    one, more = _schema(value), _schema(extras)
    known = one.pop("$defs", {}) | more.pop("$defs", {})
    for part in ("properties", "required"):
        one[part] = one[part] | more[part] if part == "properties" else [*one[part], *more[part]]
    return {"type": "array", "items": one, "$defs": known}


def _index_row() -> dict[str, Any]:
    """A row of a catalogue's index; those of what failed lack what was not measured."""
    known = {name: {"type": [kind(name), "null"]} for name in columns(METRICS)}
    return {"type": "object", "properties": known, "required": ["title", "source", "title_status"]}


def files() -> Iterator[tuple[str, str]]:
    """Each schema's file name and text."""
    for name in PRINTED:
        yield f"{name}.json", json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, text in files():
        write_text(Path(sys.argv[1]) / name, text)
