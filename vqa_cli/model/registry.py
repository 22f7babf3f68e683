"""Which models there are, and which files the published ones need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from vqa_cli.errors import ModelError
from vqa_cli.identity import ScoreScale, WeightsInUse
from vqa_cli.model.store import WeightFile

LITE = "vsfa-lite"
_RGB = "RGB as ffmpeg's rgb24, ImageNet mean and deviation, whole frame at the scoring size"
_VSFA = "D. Li, T. Jiang, M. Jiang: Quality Assessment of In-the-Wild Videos. ACM MM 2019"
_MDTVSFA = "D. Li, T. Jiang, M. Jiang: Unified Quality Assessment of In-the-Wild Videos with Mixed Datasets Training. IJCV 2021"

RESNET50 = WeightFile(
    name="resnet50-0676ba61.pth",
    url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
    sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    size_bytes=102_530_333,
    licence="BSD-3-Clause (torchvision); trained on ImageNet-1k",
    citation="K. He et al.: Deep Residual Learning for Image Recognition. CVPR 2016",
)


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model whose head is the authors' file and whose backbone is torchvision's."""

    name: str
    head: WeightFile
    scale: ScoreScale
    databases: tuple[str, ...]  # that its training part comes from; which split it was, the authors number "9-th"
    preprocessing: str

    @property
    def training_data(self) -> str:
        return f"training part (the authors' 9th split) of {', '.join(self.databases)}"

    @property
    def files(self) -> tuple[WeightFile, ...]:
        return RESNET50, self.head


PUBLISHED = {
    "vsfa": PublishedModel(
        "vsfa",
        WeightFile(
            "VSFA.pt", "https://github.com/lidq92/VSFA/raw/master/models/VSFA.pt",
            "07ce3eab277f3351b989f8d9b39fd22507262a9daf05a309eee4106ab2a0e57b", 2_227_645, "MIT", _VSFA,
        ),
        ScoreScale("MOS (KoNViD-1k)", 1.0, 5.0, True, "Mean opinion score of KoNViD-1k viewers, 1 bad to 5 excellent."),
        ("KoNViD-1k",), _RGB,
    ),
    "mdtvsfa": PublishedModel(
        "mdtvsfa",
        WeightFile(
            "MDTVSFA.pt", "https://github.com/lidq92/MDTVSFA/raw/master/models/MDTVSFA.pt",
            "d5dd4fdf69ad4ee0e7f15caca1b5346d30e4d24a67fbbfd2e3fe434cbf5458c7", 2_163_133, "MIT", _MDTVSFA,
        ),
        ScoreScale("MOS (KoNViD-1k)", 1.0, 5.0, True, "Mean opinion score of KoNViD-1k viewers, 1 bad to 5 excellent."),
        ("KoNViD-1k", "CVD2014", "LIVE-Qualcomm"), _RGB,
    ),
}  # fmt: skip
MODEL_NAMES = (LITE, *PUBLISHED)


def not_as_published(files: Iterable[WeightsInUse]) -> list[str]:
    """Of files in use, those that bear a published file's name and are another file: name and both hashes of each."""
    published = {file.name: file.sha256 for model in PUBLISHED.values() for file in model.files}
    return [
        f"{file.name} (sha256 {file.sha256[:16]}…, published {published[file.name][:16]}…)"
        for file in files if published.get(file.name, file.sha256) != file.sha256
    ]  # fmt: skip


def is_file_name(model: str) -> bool:
    """Whether a model is named by its file and not by its registered name."""
    return model.endswith(".safetensors") or "/" in model


def unknown_model(model: str) -> ModelError:
    """What to say of a name that is neither."""
    return ModelError(
        f"no such model: {model}", hint=f"one of {', '.join(MODEL_NAMES)}, or the path of a .safetensors file"
    )


def lite_path() -> Path:
    """The bundled model's file."""
    return Path(str(files("vqa_cli.weights") / "vsfa_lite.safetensors"))
