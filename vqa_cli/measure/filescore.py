"""The verdict on one file, as values and as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vqa_cli.document import Series
from vqa_cli.series import make_series
from vqa_cli.values import ClipScore, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FileScore:
    """The verdict on one file.

    Attributes:
        values: frame values by metric, ``"model"`` for the model's.
        faults: why metrics that were asked for could not be measured.
        notes: what the user should know of the file.
    """

    score: ClipScore
    fidelity: dict[str, Series]
    values: dict[str, NDArray[np.float64]]
    size: Size
    frames: int
    fps: Fraction
    faults: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def document(self, *, per_frame: bool = False) -> dict[str, Any]:
        """As plain data, for JSON."""
        model = self.score.model
        scale = model.scale
        frames = make_series(self.values["model"], self.fps)
        return {
            "score": self.score.score,
            "raw": self.score.raw,
            **({"others": self.score.others} if self.score.others else {}),
            "frame_scores": frames.pooled.model_dump(),
            "fidelity": {name: series.pooled.model_dump() for name, series in self.fidelity.items()},
            **({"not_measured": self.faults} if self.faults else {}),
            "notes": list(self.notes),
            "frames": self.frames,
            "width": self.size.width,
            "height": self.size.height,
            "model": {
                "name": model.name, "sha256": model.sha256,
                "files": {part: asdict(file) for part, file in model.files.items()},
                "precision": model.precision, "device": model.device, "verified": model.verified, "pooling": model.pooling,
                "preprocessing": model.preprocessing, "training_data": model.training_data, "licence": model.licence,
                "scale": scale.name, "scale_description": scale.description, "minimum": scale.minimum,
                "maximum": scale.maximum, "higher_is_better": scale.higher_is_better,
            },
            **({"per_frame": {k: [round(float(x), 6) for x in v] for k, v in self.values.items()}} if per_frame else {}),
        }  # fmt: skip
