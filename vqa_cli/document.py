"""The run document: everything one ladder measured and everything needed to measure it again.

Tables, reports, recommendations and verdicts are computed from this document alone. ``docs/run-schema.md`` explains
every field; ``json_schema()`` exports the JSON Schema. Readers ignore unknown keys, so that a newer document of the same
``schema_version`` can still be read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from vqa_cli.errors import StorageError
from vqa_cli.frametable import FRAMES_FILE
from vqa_cli.identity import ModelIdentity
from vqa_cli.metrics import lower_is_better
from vqa_cli.notebook import InNotebooks
from vqa_cli.pooled import DocumentPart, MeasuredPart, ModelScore, Pooled, Series
from vqa_cli.provenance import Environment
from vqa_cli.settings import LadderSettings
from vqa_cli.text import plural
from vqa_cli.values import StrPath

__all__ = [
    "RUN_FILE", "SCHEMA_VERSION", "EncodeResult", "Environment", "MeasuredPart", "ModelScore", "Pooled", "RateMode",
    "RatePoint", "Repeat", "Run", "RungResult", "RungStatus", "Series", "SourceInfo", "SourceResult",
    "json_schema", "read_run", "run_file",
]  # fmt: skip

SCHEMA_VERSION = 1

RateMode = Literal["crf", "bitrate", "capped-crf"]
RungStatus = Literal["ok", "failed", "skipped"]


class EncodeResult(DocumentPart):
    """What the encoder gave. Rates in kb/s (1000 bit/s) from the video packets alone, sizes in bytes, times in seconds.

    ``segments_kbps`` are the rates of the windows that :class:`Series` has means of. ``simd`` are the vector instructions that
    the encoder used, by its own log or the CPU's best: x264 gives other bits with others. ``pieces`` are the hashes of the
    encodes of a source that was encoded in pieces, in order; ``sha256`` is of these, or of the one file made of them.
    """

    bitrate_kbps: float
    peak_kbps: float
    video_bytes: int
    file_bytes: int
    frames: int
    duration_s: float
    wall_s: float
    cpu_s: float
    fps: float
    sha256: str
    simd: str
    path: str | None = None
    segments_kbps: tuple[float, ...] = ()
    pieces: tuple[str, ...] = ()


class RatePoint(DocumentPart):
    """What was asked of the encoder. Compare achieved rates, not these."""

    mode: RateMode
    crf: float | None = None
    bitrate_kbps: float | None = None
    maxrate_kbps: float | None = None
    bufsize_kbps: float | None = None

    @property
    def label(self) -> str:
        """``crf 23``, ``800k`` or ``crf 23 ≤2000k``."""
        if self.mode == "bitrate":
            return f"{self.bitrate_kbps:g}k"
        cap = f" ≤{self.maxrate_kbps:g}k" if self.mode == "capped-crf" else ""
        return f"crf {self.crf:g}{cap}"


class Repeat(DocumentPart):
    """Another encode of the same rung, to learn how far results scatter."""

    encode: EncodeResult
    score: ModelScore | None = None
    fidelity: dict[str, Series] = Field(default_factory=dict)


class RungResult(DocumentPart):
    """One encode of one source and what was measured on it; ``repeats`` are further ones by the same command lines.

    ``intervals`` are what samples of a source leave open, 95 %: of ``bitrate_kbps``, ``score``, ``vmaf_mean``, …
    """

    id: str
    encoder: str
    encoder_preset: str | None
    width: int
    height: int
    pix_fmt: str
    rate: RatePoint
    status: RungStatus
    reason: str | None = None
    encode_argv: tuple[tuple[str, ...], ...] = ()
    measure_argv: tuple[str, ...] = ()
    encode: EncodeResult | None = None
    score: ModelScore | None = None
    fidelity: dict[str, Series] = Field(default_factory=dict)
    repeats: tuple[Repeat, ...] = ()
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        scored = {"model": self.score.score} if self.score else {}
        values = scored | {metric: series.pooled.mean for metric, series in self.fidelity.items()}
        rate = [f"{self.encode.bitrate_kbps:.0f} kb/s"] if self.encode else []
        return _repr(self, self.id, self.status, *rate, *(f"{name} {value:.4g}" for name, value in values.items()))

    def quality(self, metric: str, pooling: str = "mean") -> float | None:
        """One number for ``metric`` (``"model"`` is the model's own pooled score), ``None`` where it was not measured.

        Of a metric of which a low value is good there is the mean alone: the low tail of its frames is not the bad one.
        """
        if pooling != "mean" and lower_is_better(metric):
            return None
        if metric == "model":
            if self.score is None:
                return None
            return self.score.score if pooling == "mean" else _pooled(self.score.series, pooling)
        series = self.fidelity.get(metric)
        return None if series is None else _pooled(series, pooling)


def _pooled(series: Series, pooling: str) -> float | None:
    value: float | None = getattr(series.pooled, pooling)
    return value


class SourceInfo(DocumentPart):
    """The source as probed, and what had to be done to it before anything could be compared.

    ``frames`` and ``duration_s`` are what was measured: all of it, or the parts that ``measured`` names of ``whole_s``.
    """

    path: str
    name: str
    sha256: str
    container: str
    codec: str
    width: int
    height: int
    fps: str
    frames: int
    duration_s: float
    pix_fmt: str
    matrix: str | None
    primaries: str | None
    transfer: str | None
    range: str | None
    size_bytes: int
    video_bitrate_kbps: float
    preparation: tuple[str, ...] = ()
    prepare_argv: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    measured: tuple[MeasuredPart, ...] = ()
    whole_s: float = 0.0


class SourceResult(DocumentPart):
    """One source with its rungs; ``score`` is the source judged by the model at the display size, the ceiling.

    ``metric_models`` names libvmaf's model of each metric that has one: display and frame rate choose it.
    """

    source: SourceInfo
    display_width: int
    display_height: int
    metric_models: dict[str, str] = Field(default_factory=dict)
    status: Literal["ok", "partial", "failed"]
    reason: str | None = None
    score: ModelScore | None = None
    rungs: tuple[RungResult, ...] = ()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return _repr(self, self.source.name, self.status, plural(len(self.rungs), "rung"))


class Run(DocumentPart, InNotebooks):
    """The whole document, ``run.json``."""

    schema_version: int = SCHEMA_VERSION
    created: str
    command: tuple[str, ...]
    environment: Environment
    settings: LadderSettings
    model: ModelIdentity | None
    metrics: tuple[str, ...]
    sources: tuple[SourceResult, ...]
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_what_it_measured(self) -> Self:
        """What reads a run goes by its ``model`` and ``metrics``."""
        for rung in (rung for source in self.sources for rung in source.rungs):
            if strange := rung.fidelity.keys() - set(self.metrics):
                raise ValueError(f"{rung.id} was measured by {min(strange)}, which the run does not name")
            if rung.score is not None and self.model is None:
                raise ValueError(f"{rung.id} has a score, and the run names no model")
        return self

    def __repr__(self) -> str:
        measured = [*([self.model.name] if self.model else []), *self.metrics]
        rungs = sum(len(source.rungs) for source in self.sources)
        counts = f"{plural(len(self.sources), 'source')}, {plural(rungs, 'rung')}"
        return _repr(self, self.settings.name, counts, "by " + " ".join(measured), self.created)


def _repr(value: BaseModel, *parts: str) -> str:
    """A line that a notebook or a log can take; ``model_dump`` gives everything."""
    return f"{type(value).__name__}({', '.join(parts)})"


def json_schema() -> dict[str, Any]:
    """JSON Schema of ``run.json`` as it is written."""
    return Run.model_json_schema(mode="serialization")


RUN_FILE = "run.json"


def run_file(path: StrPath) -> Path:
    """The run document that a path means: itself, or the one in that folder."""
    path = Path(path)
    return path / RUN_FILE if path.is_dir() else path


def first_fault(err: ValueError) -> str:
    """What is wrong with data that no model takes: the first fault, and where it is."""
    if not isinstance(err, ValidationError):  # pydantic lets it through
        return "it holds text that is none"
    first = err.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def read_run(path: StrPath) -> Run:
    """Load a run document, or the one in the folder that ``vqa ladder`` wrote.

    Raises:
        StorageError: unreadable, no JSON, not a run document, or of another schema version.
    """
    path = run_file(path)
    try:
        data = json.loads(path.read_bytes())  # in whichever Unicode encoding a shell wrote it
    except OSError as err:
        raise StorageError(f"cannot read run document: {path}", detail=str(err.strerror)) from err
    except (ValueError, RecursionError) as err:
        raise StorageError(f"not a JSON document: {path}", hint="give the run.json that `vqa ladder` wrote") from err
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise StorageError(
            f"not a run document of schema {SCHEMA_VERSION}: {path} (schema_version is {version!r})",
            hint="give the run.json that `vqa ladder` wrote, or write it again with this version",
        )
    try:
        run = Run.model_validate(data)
    except ValueError as err:
        raise StorageError(f"damaged run document: {path}", detail=first_fault(err)) from err
    run.keep_frames(path.with_name(FRAMES_FILE))
    return run
