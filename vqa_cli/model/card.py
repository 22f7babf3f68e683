"""Model files as far as they can be read without their tensors: the card, hashes, and what results record of the model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vqa_cli.errors import ModelError, first_line
from vqa_cli.identity import ModelIdentity, PixelWish, ScoreScale, WeightsInUse
from vqa_cli.model.verdict import Calibration
from vqa_cli.text import as_text

# Backbones that a model file carries: as it learns, and as it ships.
LITE, LITE_INTEGERS = "lite", "lite-int8"
# The arithmetic of the latter.
INT8 = "int8"
UNTAGGED = "video without a colour matrix read as BT.601"
# Names of safetensors and of torch, which backbones were hashed by.
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


class Scale(BaseModel):
    """Raw number to published score, see :class:`~vqa_cli.model.verdict.Calibration`; the rest as in
    :class:`~vqa_cli.identity.ScoreScale`.

    ``others`` are further scales as (name, gain, offset).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    minimum: float
    maximum: float
    higher_is_better: bool = True
    description: str
    gain: float = 1.0
    offset: float = 0.0
    knee: float = 0.0
    bound: tuple[float, float] | None = None
    others: tuple[tuple[str, float, float], ...] = ()


class Interval(BaseModel):
    """How far truth lies from a model's numbers, with the chance ``level``, for footage of a group that it has never seen.

    Attributes:
        score: half-width about the score of an encode of a clean source.
        difference: half-width about the difference of the scores of two encodes of one source.
        score_held, difference_held: share in which each held, every group left out of its making in turn.
        score_groups, difference_groups: groups of footage that each was measured on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    level: float
    score: float
    score_held: float
    score_groups: int
    difference: float
    difference_held: float
    difference_groups: int


class Card(BaseModel):
    """What a model is and how it is rebuilt.

    ``backbone`` is ``"lite"``, ``"lite-int8"``, ``"resnet50"`` or ``"brisque"``; ``backbone_config`` and ``head_config`` are the constructors'
    arguments, ``head`` a name of ``heads.HEADS``. A file of a ResNet-50 model holds the head alone: its backbone is
    torchvision's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    name: str
    backbone: str
    backbone_config: dict[str, Any] = {}
    head: str = "vsfa"
    head_config: dict[str, Any] = {}
    scale: Scale
    tau: int = Field(default=12, ge=1, le=1_000_000_000)
    beta: float = Field(default=0.5, ge=0, le=1)
    preprocessing: str
    training_data: str
    licence: str
    citation: str = ""
    metrics: dict[str, float] = {}
    interval: Interval | None = None
    training: dict[str, Any] = {}

    @property
    def carries_network(self) -> bool:
        """Whether the file holds the backbone too."""
        return self.backbone in (LITE, LITE_INTEGERS)

    @property
    def precision(self) -> str:
        """What ``auto`` is on a CPU for a network that the file carries."""
        return INT8 if self.backbone == LITE_INTEGERS else "fp32"

    @property
    def every(self) -> int:
        """The head learnt from each so many-th frame."""
        every = self.training.get("every", 1)
        return every if isinstance(every, int) and every > 0 else 1


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file in our own format, read but for its tensors.

    Attributes:
        header: of safetensors: dtype, shape and place of each tensor.
        data: the whole file.
    """

    path: Path
    card: Card
    sha256: str
    header: dict[str, Any]
    data: bytes

    @property
    def network(self) -> str | None:
        """What makes the frame features that the head takes, as extraction records it.

        A network that the file carries is known by its kind, sizes and weights, the head left out; else the card names it.
        """
        if not self.card.carries_network:
            outside: str | None = self.card.training.get("extractor_sha256")
            return outside
        card = self.card
        body = memoryview(self.data)[_begin(self.data) :]
        digest = hashlib.sha256(json.dumps([card.backbone, card.backbone_config], sort_keys=True).encode())
        try:
            for name in sorted(name for name in self.header if name.startswith("backbone.")):
                tensor = self.header[name]
                start, end = tensor["data_offsets"]
                dtype, shape = _DTYPES[tensor["dtype"]], tuple(tensor["shape"])
                digest.update(f"{name} torch.{dtype} {shape}".encode())
                digest.update(body[start:end])
        except (KeyError, TypeError, ValueError) as err:
            raise ModelError(f"not a vqa model file: {self.path}", detail=first_line(err)) from err
        return digest.hexdigest()


def read_model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelError: missing, or without a valid card.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise ModelError(f"cannot read model: {path}", detail=err.strerror) from err
    try:
        header = json.loads(data[8 : _begin(data)])
        card = Card.model_validate_json(header.pop("__metadata__")["card"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as err:
        raise ModelError(
            f"not a vqa model file: {path}",
            detail="it has no model card" if isinstance(err, KeyError) else first_line(err),
            hint="give a file that `vqa train` wrote",
        ) from err
    return ModelFile(path, card, hashlib.sha256(data).hexdigest(), header, data)


def _begin(data: bytes) -> int:
    """Where the tensors of a safetensors file begin."""
    return 8 + int.from_bytes(data[:8], "little")


def own_files(file: ModelFile) -> dict[str, WeightsInUse]:
    """The file by the part that it is: all of the model, or the head alone."""
    part = "model" if file.card.carries_network else "head"
    return {part: WeightsInUse(as_text(file.path.name), file.sha256)}


def identity_of(card: Card, files: dict[str, WeightsInUse], extractor: str, *, verified: bool) -> ModelIdentity:
    """What results record of a model in our own format, but for how it runs (see :func:`in_use`)."""
    s = card.scale
    return ModelIdentity(
        name=card.name, sha256="", scale=ScoreScale(s.name, s.minimum, s.maximum, s.higher_is_better, s.description),
        precision="", device="", verified=verified, preprocessing=card.preprocessing, pooling="",
        training_data=card.training_data, licence=card.licence, extractor=extractor,
        pixels=PixelWish("rgb24" if card.backbone == "resnet50" else "yuv420p"), files=files, every=card.every,
    )  # fmt: skip


def in_use(
    identity: ModelIdentity, precision: str, device: str, pooling: str, color: Literal["auto", "reference"]
) -> ModelIdentity:
    """What results record of a model, once it is known how it will run."""
    # A head that learnt from video read as BT.601 is shown that, whatever is asked: its card binds it to these pixels.
    bound = identity.preprocessing.endswith(UNTAGGED)
    layout = identity.pixels.layout
    reference = layout == "rgb24" and (color == "reference" or bound)
    hashes = [file.sha256 for file in identity.files.values()]
    return replace(
        identity,
        name=as_text(identity.name),
        sha256=hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        precision=precision,
        device=device,
        preprocessing=f"{identity.preprocessing}; {UNTAGGED}" if reference and not bound else identity.preprocessing,
        pooling=pooling,
        pixels=PixelWish(layout, "reference" if reference else "auto"),
    )


def calibration_of(scale: Scale) -> Calibration:
    """What a card says about its numbers, ready to be applied."""
    return Calibration(scale.gain, scale.offset, scale.bound, scale.others, scale.knee)
