"""Pictures on the page: which there are of each rung, in the page or linked from it, and what a player is told. Reads files."""

from __future__ import annotations

import base64
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from vqa_cli.errors import StorageError
from vqa_cli.framepackets import FramePackets, read_packets
from vqa_cli.frametable import RunFrames
from vqa_cli.report.findings import Entry
from vqa_cli.report.labels import show_argv
from vqa_cli.report.pairs import Opening, open_frames_on
from vqa_cli.report.view import RungView, TitleView
from vqa_cli.stills import RungStills, SourceStills, Stills

BUDGET_BYTES = 6_000_000
_TYPES = {".avif": "image/avif", ".webp": "image/webp"}
_MOST_BARS = 1500


@dataclass(frozen=True, slots=True)
class Pictures:
    """A run's pictures and the folder that they lie in."""

    stills: Stills
    folder: Path

    @property
    def page_bytes(self) -> int:
        """What they take as text in a page."""
        return sum(-(-(self.folder / name).stat().st_size // 3) * 4 for name in self.stills.files)


@dataclass(frozen=True)
class Album:
    """All pictures of a page, by run key.

    Attributes:
        page: folder of the page, from which pictures are linked; ``None`` where the page holds them.
    """

    runs: Mapping[str, Pictures] = field(default_factory=dict)
    page: Path | None = None

    @property
    def linked(self) -> bool:
        return self.page is not None and bool(self.runs)

    def source(self, entry: Entry) -> SourceStills | None:
        """The pictures of an entry's source."""
        known = self.runs.get(entry.run_key)
        number = next(i for i, source in enumerate(entry.run.sources) if source is entry.source)
        return known.stills.sources[number] if known and known.stills.sources[number].moments else None

    def address(self, run_key: str, name: str) -> str:
        """What the page names a picture by.

        Raises:
            StorageError: it cannot be read.
        """
        path = self.runs[run_key].folder / name
        if self.page is not None:
            return quote(Path(os.path.relpath(path, self.page)).as_posix())
        try:
            text = base64.b64encode(path.read_bytes()).decode("ascii")
        except OSError as err:
            raise StorageError(f"cannot read picture: {path}", detail=err.strerror) from err
        return f"data:{_TYPES[path.suffix]};base64,{text}"

    def bits(self, run_key: str, rung: RungStills) -> dict[str, Any] | None:
        """What the page draws of a rung's packets, ``None`` where they are not known.

        Raises:
            StorageError: they cannot be read.
        """
        return _bits(read_packets(self.runs[run_key].folder / rung.packets)) if rung.packets else None


def make_album(pictures: Mapping[str, Pictures | None], page: Path | None, *, link: bool = False) -> Album:
    """The pictures of a page: in it where they fit into :data:`BUDGET_BYTES`, else linked.

    Args:
        page: folder of the page, ``None`` where it is no file.
        link: link them however small they are.
    """
    runs = {key: known for key, known in pictures.items() if known is not None}
    large = sum(known.page_bytes for known in runs.values()) > BUDGET_BYTES
    return Album(runs, page.resolve() if page is not None and (link or large) else None)


def stills_data(title: TitleView, album: Album) -> dict[str, Any] | None:
    """A title's pictures for the page's script, ``None`` where there are none."""
    found = [(entry, known) for entry in title.entries if (known := album.source(entry))]
    if not found:
        return None
    pictures: dict[str, dict[int, str]] = {"source": {}}
    why: dict[int, set[str]] = {}
    bits: dict[str, Any] = {}
    for entry, known in found:
        pictures["source"] |= _addresses(album, entry, known, known.files)
        keys = {view.rung.id: view for view in title.rungs if view.entry is entry}
        for name, rung in known.rungs.items():
            if rung.files and name in keys:
                pictures[keys[name].key] = _addresses(album, entry, known, rung.files)
                bits[keys[name].key] = album.bits(entry.run_key, rung)
        for moment in known.moments:
            names = [keys[name].name for name in moment.worst_of if name in keys]
            why.setdefault(moment.frame, set()).update([*names, *(["typical"] if moment.typical else [])])
    size = title.entries[0].source
    return {
        "width": size.display_width, "height": size.display_height, "cuts": found[0][1].cuts, "pictures": pictures,
        "why": {frame: sorted(names) for frame, names in sorted(why.items())}, "bits": bits,
        "players": {view.key: _player(view) for view in title.rungs if view.key in pictures},
        "file": shlex.quote(title.entries[0].source.source.path),
    }  # fmt: skip


def _addresses(album: Album, entry: Entry, known: SourceStills, files: Sequence[str]) -> dict[int, str]:
    return {moment.frame: album.address(entry.run_key, name) for moment, name in zip(known.moments, files, strict=True)}


def _bits(packets: FramePackets) -> dict[str, Any]:
    """Sizes of a rung's frames; of a long clip the largest of each few, so that no peak is lost."""
    count = len(packets.bytes)
    step = -(-count // _MOST_BARS) or 1
    largest = [start + int(np.argmax(packets.bytes[start : start + step])) for start in range(0, count, step)]
    told = [] if packets.quantisers is None else packets.quantisers[largest].tolist()
    return {
        "step": step,
        "bytes": packets.bytes[largest].tolist(),
        "kinds": "".join(packets.kinds[frame] for frame in largest),
        "quantisers": [None if math.isnan(value) else value for value in told],
    }


def _player(view: RungView) -> dict[str, Any]:
    """What makes a rung's file, and its name, for a line to paste."""
    encode = view.rung.encode
    kept = encode.path if encode else None
    made = [] if kept else [show_argv(argv, view.rung.id) for argv in view.rung.encode_argv]
    return {"file": shlex.quote(kept or f"{view.rung.id}.mp4"), "made": made}


def add_pictures(
    titles: Sequence[TitleView], data: Sequence[dict[str, Any]], album: Album, frames: Mapping[str, RunFrames]
) -> dict[str, Opening]:
    """Put each title's pictures and first frame into its page data; gives what its frame view opens with."""
    found = {}
    for title, content in zip(titles, data, strict=True):
        stills = stills_data(title, album)
        kept = [] if stills is None else [int(frame) for frame in stills["why"]]
        opening = open_frames_on(title, frames, kept, list(stills["pictures"]) if stills else None)
        content |= {"stills": stills, "start": opening.frame}
        found[title.key] = opening
    return found
