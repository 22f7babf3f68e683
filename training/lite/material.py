"""What vsfa-lite is trained on: the manifest of clips, photographs and drawn pictures."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["clip", "photo", "drawn"]


@dataclass(frozen=True, slots=True)
class LiteSource:
    """A line of ``sources.csv``: where the material is, to which group it belongs, and which part is used.

    Attributes:
        file: path under the folder of media; for ``drawn`` pictures the name of a style and a number.
        group: footage of one origin; never on both sides of the split.
        short_side: largest size, in pixels, at which the material is used.
        start_frame, frames: the part of a clip that is used.
        clean: false where the material shows compression of its own even at ``short_side``: its rungs can be ordered, but
            VMAF against it says nothing about how good they look.
    """

    file: str
    kind: Kind
    group: str
    split: str
    short_side: int
    start_frame: int
    frames: int
    clean: bool = True

    @property
    def key(self) -> str:
        return f"{Path(self.file).stem}_{self.start_frame}"


def read_sources() -> list[LiteSource]:
    """The manifest that lies beside this module."""
    text = Path(__file__).with_name("sources.csv").read_text(encoding="utf-8").splitlines()
    kinds: dict[str, Kind] = {"clip": "clip", "photo": "photo", "drawn": "drawn"}
    return [
        LiteSource(
            row["file"], kinds[row["kind"]], row["group"], row["split"],
            int(row["short_side"]), int(row["start_frame"]), int(row["frames"]),
            row["clean"] == "yes",
        )
        for row in csv.DictReader(text)
    ]  # fmt: skip
