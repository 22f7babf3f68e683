"""From a model's name or file to a scorer: weights are read, checked and put together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vqa_cli.errors import ModelError, UsageError, misfit
from vqa_cli.identity import ModelIdentity, PixelWish, WeightsInUse
from vqa_cli.model.card import (
    INT8,
    LITE_INTEGERS,
    Card,
    calibration_of,
    identity_of,
    in_use,
    own_files,
    read_model_file,
)
from vqa_cli.model.order import ScorerOrder
from vqa_cli.model.registry import (
    LITE,
    PUBLISHED,
    RESNET50,
    PublishedModel,
    is_file_name,
    lite_path,
    unknown_model,
)
from vqa_cli.model.store import default_dir, sha256_of
from vqa_cli.model.temporal import POOLINGS, Pooling, TemporalPooling
from vqa_cli.model.verdict import Calibration, Verdicts
from vqa_cli.text import as_text
from vqa_cli.values import StrPath, optional_path

if TYPE_CHECKING:
    import torch

    from vqa_cli.model.backbone import Backbone
    from vqa_cli.model.device import Close
    from vqa_cli.model.heads import Head
    from vqa_cli.model.resnet import ResNetBackbone
    from vqa_cli.model.scorer import StreamingScorer


def load_scorer(
    model: StrPath = LITE,
    *,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    backbone_weights: StrPath | None = None,
    head_weights: StrPath | None = None,
    tau: int | None = None,
    beta: float | None = None,
    pooling: Pooling = "hysteresis",
    model_dir: StrPath | None = None,
    color: Literal["auto", "reference"] = "auto",
) -> StreamingScorer:
    """Put a model together, ready to score.

    Args:
        model: ``"vsfa-lite"`` (ships with the package), ``"vsfa"``, ``"mdtvsfa"``, or the path of a file that
            ``vqa train`` wrote. A ``Path`` is never taken for a name.
        precision: ``"auto"`` (``"int8"`` for vsfa-lite, whatever the machine; for vsfa and mdtvsfa ``"mixed"`` on a CPU and fp16
            on a GPU that have such arithmetic, else fp32), or, for models that have them, one of
            :data:`vqa_cli.model.device.DTYPES`.
        backbone_weights, head_weights: compatible state dicts in place of the registered files; the result is then
            marked unverified.
        tau, beta: temporal pooling other than the model's own; window in frames, weight 0..1.
        pooling: ``"hysteresis"`` as the authors' code does it, ``"paper"`` as their paper writes it, or ``"mean"``.
        model_dir: where downloaded weights lie, the user's data folder by default.
        color: the matrix of video that names none, for models that see RGB: ``"auto"`` by its size as players do,
            ``"reference"`` BT.601 as the authors' readers do. vsfa-lite sees YUV as it is, and a head that was trained on
            features of ``"reference"`` always sees that.

    Raises:
        ModelError: weights are missing, damaged or do not fit, also into memory, or there is no such model.
        UsageError: device or precision that cannot be had, other weights for a model that takes none, or a value that
            means nothing.
    """
    from vqa_cli.model.device import is_out_of_memory, pick_device, refuse_precision, short_of_memory
    from vqa_cli.model.extractor import FeatureExtractor, prepare_backbone
    from vqa_cli.model.scorer import StreamingScorer

    _refuse_nonsense(batch_size, tau, beta, pooling, color)
    name = model if isinstance(model, str) else str(Path(model).absolute())
    if head_weights is not None and name not in PUBLISHED:
        raise UsageError(
            f"other head weights are for {' and '.join(PUBLISHED)}, not for {name}", hint="name one by --model"
        )
    folder = optional_path(model_dir) or default_dir()
    # What cannot be had is said before anything is read, or found missing and fetched.
    place = pick_device(device)
    if precision != INT8:
        refuse_precision(precision, place)
    parts = _parts(name, optional_path(backbone_weights), optional_path(head_weights), folder)
    if backbone_weights is not None and parts.identity.pixels.layout != "rgb24":
        raise UsageError(f"other backbone weights are for ResNet models, not for {name}", hint="name one by --model")
    arithmetic = _arithmetic(name, parts, precision, place)
    temporal = TemporalPooling(parts.tau if tau is None else tau, parts.beta if beta is None else beta, pooling)
    try:
        backbone = prepare_backbone(parts.backbone, place, arithmetic)
        head = parts.head.to(place).eval().requires_grad_(False)
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
        raise short_of_memory("the model", place) from err
    identity = in_use(parts.identity, arithmetic, str(place), temporal.describe(), color)
    order = ScorerOrder(
        str(Path(name).absolute()) if is_file_name(name) else name, identity.sha256, arithmetic, device, batch_size, _absolute(backbone_weights), _absolute(head_weights),
        tau, beta, pooling, _absolute(model_dir), color,
    )  # fmt: skip
    extractor = FeatureExtractor(backbone, place, batch_size)
    verdicts = Verdicts(identity, parts.calibration, temporal)
    return StreamingScorer(extractor, head, verdicts, device=place, order=order)


def _arithmetic(name: str, parts: _Parts, wanted: str, device: torch.device) -> str:
    from vqa_cli.model.device import pick_precision

    if (own := parts.backbone.arithmetic) is None:
        if wanted == "mixed" and parts.identity.pixels.layout != "rgb24":
            raise UsageError("mixed precision is for ResNet models", hint="use --precision bf16 or fp32")
        return pick_precision(wanted, device, parts.close)
    if wanted not in ("auto", own):
        raise UsageError(f"{name} computes in {own} on every machine, not in {wanted}", hint="leave --precision out")
    return own


def _absolute(path: StrPath | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


def _refuse_nonsense(batch_size: int | str, tau: int | None, beta: float | None, pooling: str, color: str) -> None:
    """What the command line's options refuse by themselves, for callers from Python."""
    if batch_size != "auto" and not (isinstance(batch_size, int) and batch_size >= 1):
        raise UsageError(f"not a number of frames: batch_size={batch_size!r}", hint='1 or more, or "auto"')
    if tau is not None and not 1 <= tau <= 1_000_000_000:
        raise UsageError(f"not a window of frames: tau={tau}", hint="1 or more")
    if beta is not None and not 0 <= beta <= 1:
        raise UsageError(f"not a weight: beta={beta}", hint="0 to 1")
    for what, value, known in (("pooling", pooling, POOLINGS), ("color", color, ("auto", "reference"))):
        if value not in known:
            raise UsageError(f"unknown {what}: {value}", hint=f"one of {', '.join(known)}")


@dataclass(frozen=True)
class _Parts:
    """A model's networks, and what results record of it but for how it will run."""

    backbone: Backbone
    head: Head
    calibration: Calibration
    identity: ModelIdentity
    close: Close
    tau: int = 12
    beta: float = 0.5


def _parts(model: str, backbone: Path | None, head: Path | None, directory: Path) -> _Parts:
    if model in PUBLISHED:
        return _published(PUBLISHED[model], backbone, head, directory)
    if model == LITE:
        return _own(lite_path(), backbone, directory, verified=True)
    if is_file_name(model):
        return _own(Path(model), backbone, directory, verified=False)
    raise unknown_model(model)


def _own(path: Path, backbone_weights: Path | None, directory: Path, *, verified: bool) -> _Parts:
    """A model in our own format: the bundled one, or one that the user trained."""
    from vqa_cli.model.brisque import BRISQUE, BRISQUE_SHA256, BrisqueBackbone
    from vqa_cli.model.checkpoint import below, tensors_of
    from vqa_cli.model.device import Close
    from vqa_cli.model.heads import load_head
    from vqa_cli.model.integer import IntegerBackbone
    from vqa_cli.model.lite import LiteBackbone
    from vqa_cli.model.resnet import ResNetBackbone

    file = read_model_file(path)
    card, tensors = file.card, tensors_of(file)
    head = load_head(card, tensors, path)
    backbone: Backbone
    files = own_files(file)
    try:
        if card.backbone == BRISQUE:
            backbone, extractor = BrisqueBackbone(), BRISQUE_SHA256
        elif card.carries_network:
            backbone = (IntegerBackbone if card.backbone == LITE_INTEGERS else LiteBackbone)(**card.backbone_config)
            backbone.load_state_dict(below(tensors, "backbone."))
            extractor = file.network or ""
        elif card.backbone != "resnet50":
            raise ModelError(f"no such backbone: {card.backbone}: {path}")
        else:
            backbone = ResNetBackbone()
            network = _load_resnet(backbone, backbone_weights, directory)
            _refuse_other_network(card, network.sha256, path, given=backbone_weights is not None)
            files, extractor = {**files, "backbone": network}, network.sha256
    except (RuntimeError, TypeError, ValueError, IndexError) as err:
        raise ModelError(f"weights do not fit their card: {path}", detail=misfit(err)) from err
    if (taken := head.ann["fc0"].in_features) != backbone.dim:
        fault = f"the head takes {taken} features, the network gives {backbone.dim}"
        raise ModelError(f"weights do not fit their card: {path}", detail=fault)
    identity = identity_of(card, files, extractor, verified=verified)
    return _Parts(backbone, head, calibration_of(card.scale), identity, Close(), card.tau, card.beta)


def _refuse_other_network(card: Card, network: str, path: Path, *, given: bool) -> None:
    """A head knows the features of one network; another one is taken only where the user names it."""
    trained_on = card.training.get("extractor_sha256", network)
    if network != trained_on and not given:
        raise ModelError(
            f"{path} was trained on features of other ResNet-50 weights, sha256 {trained_on[:16]}…",
            hint="name them by --backbone-weights",
        )


def _published(model: PublishedModel, backbone: Path | None, head: Path | None, directory: Path) -> _Parts:
    from vqa_cli.model.checkpoint import require
    from vqa_cli.model.device import RESNET_CLOSE
    from vqa_cli.model.published import load_published_head, refuse_missing
    from vqa_cli.model.resnet import ResNetBackbone

    net = ResNetBackbone()  # the first thing that may not work here
    own = (backbone, head)
    for path in own:
        if path is not None:
            require(path)
    refuse_missing(model.name, [file for file, path in zip(model.files, own, strict=True) if path is None], directory)
    network = _load_resnet(net, backbone, directory)
    path = head or directory / model.head.name
    found = load_published_head(model, path)
    files = {"backbone": network, "head": _file(path, found.sha256)}
    verified = [file.sha256 for file in files.values()] == [file.sha256 for file in model.files]
    identity = ModelIdentity(
        name=model.name, sha256="", scale=model.scale, precision="", device="", verified=verified,
        preprocessing=model.preprocessing, pooling="", training_data=model.training_data, licence=model.head.licence,
        extractor=network.sha256, pixels=PixelWish("rgb24"), files=files,
    )  # fmt: skip
    return _Parts(net, found.head, found.calibration, identity, RESNET_CLOSE)


def _file(path: Path, sha256: str) -> WeightsInUse:
    return WeightsInUse(as_text(path.name), sha256)


def _load_resnet(net: ResNetBackbone, weights: Path | None, directory: Path) -> WeightsInUse:
    from vqa_cli.model.checkpoint import load_state
    from vqa_cli.model.published import refuse_missing

    path = weights or directory / RESNET50.name
    if weights is None:
        refuse_missing("resnet50", [RESNET50], directory)
    net.load_torchvision(load_state(path), path)
    return _file(path, sha256_of(path))
