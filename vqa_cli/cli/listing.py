"""What the commands that list what is here print for programs, as types."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from vqa_cli.model.card import Card
from vqa_cli.settings import LadderSettings

State = Literal["bundled", "installed", "not installed"]


class PresetListed(TypedDict):
    """A preset."""

    name: str
    description: str
    path: str


class PresetTold(TypedDict):
    """A preset with every value that it sets or leaves as it is."""

    path: str
    settings: LadderSettings


class ModelListed(TypedDict):
    """A model, and whether it can be used here."""

    name: str
    state: State
    scale: str
    licence: str


class ScaleTold(TypedDict):
    """What a model's number means."""

    name: str
    minimum: float
    maximum: float
    higher_is_better: bool
    description: str


class WeightsTold(TypedDict):
    """One file of a model; what ships with vqa has no address."""

    name: str
    path: str
    here: bool
    sha256: str
    size_bytes: int
    url: str | None
    licence: str
    citation: str


class ModelTold(TypedDict):
    """All that is known of a model; ``card`` is null for published ones, which have none."""

    name: str
    state: State
    licence: str
    scale: ScaleTold
    preprocessing: str
    training_data: str
    files: list[WeightsTold]
    card: Card | None


class KindHeld(TypedDict):
    """What a cache holds of one kind; ``limit_bytes`` is null where nothing is dropped."""

    kind: str
    saves: str
    entries: int
    bytes: int
    limit_bytes: int | None


class CacheHeld(TypedDict):
    """A cache folder."""

    path: str
    kinds: list[KindHeld]


class SourceKept(TypedDict):
    """A source of a baseline with its range; null where nothing was measured."""

    source: str
    sha256: str
    judged_at: tuple[int, int]
    rungs: int
    kbps: tuple[float, float] | None
    quality: tuple[float, float] | None


class BaselineTold(TypedDict):
    """What a baseline holds; ``quality`` of its sources is in ``metric``."""

    created: str
    vqa: str
    ffmpeg: str
    preset: str
    model: str | None
    model_sha256: str | None
    metrics: list[str]
    metric: str
    sources: list[SourceKept]


class CommitTold(TypedDict):
    """A run of a history."""

    commit: str
    date: str
    label: str


class StepTold(TypedDict):
    """A step of a figure, on one curve; ``worse`` is null where neither direction is."""

    source: str
    encoder: str
    size: str
    figure: str
    change: float
    unit: str
    worse: bool | None
    new: bool
    before: CommitTold
    after: CommitTold


class StepsTold(TypedDict):
    """Steps of a history; ``regressions`` and ``new`` count all of them, shown or not."""

    runs: int
    regressions: int
    new: int
    damaged: dict[str, str]
    steps: list[StepTold]


class RevisionTried(TypedDict):
    """A revision of an encoder; ``values`` are in percent against the good end, one for each repeat.

    ``verdict`` is ``skip`` where it was left out, for that reason, and null where the ends do not differ.
    """

    revision: str
    verdict: Literal["good", "bad", "skip"] | None
    values: list[float]
    reason: str


class Bisected(TypedDict):
    """The answer of ``vqa bisect``; ``first_bad`` is null where several are suspects, or the ends do not differ.

    ``change_percent`` is from the good end to the bad one, ``scatter_percent`` that of one encode.
    """

    by: Literal["bd-rate", "cpu-time"]
    metric: str
    revisions: int
    change_percent: float
    scatter_percent: float
    ends_differ: bool
    first_bad: str | None
    suspects: list[str]
    tried: list[RevisionTried]


class FfmpegFacts(TypedDict):
    """The ffmpeg in use; encoders with the library that names itself, or why they cannot be used."""

    path: str
    origin: str
    version: str
    metrics: list[str]
    encoders: dict[str, str]
    encoders_not_usable: dict[str, str]
    cores: int
    simd: str


class TorchFacts(TypedDict):
    """Where models run, and in which precision each."""

    version: str
    device: str
    name: str
    precision: dict[str, str]


class CacheFacts(TypedDict):
    """What is remembered."""

    path: str
    entries: int
    bytes: int


class Diagnosis(TypedDict):
    """What ``vqa doctor`` found; null is what is not there."""

    vqa: str
    python: str
    platform: str
    ffmpeg: FfmpegFacts | None
    torch: TorchFacts | None
    models: dict[str, Literal["bundled", "installed", "not installed"]]
    cache: CacheFacts
    problems: list[str]
