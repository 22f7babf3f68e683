"""Pictures of a run's frames: what ``stills.json`` holds, which lies beside them.

Pictures are taken from encodes that are gone afterwards, so they are kept with what shows that they are of this run: the
hashes of the source and of each encode. Readers drop what does not match.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, field_validator

from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.errors import StorageError

STILLS_FOLDER = "stills"
STILLS_FILE = "stills.json"
STILLS_SCHEMA = 1


def _below(name: str) -> str:
    """Files are replaced and shown by these names: they lead nowhere else."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
        raise ValueError(f"no file of this folder: {name}")
    return name


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @field_validator("files", check_fields=False)
    @classmethod
    def _all_below(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_below(name) for name in names)


class Moment(_Document):
    """A frame of which there are pictures; ``worst_of`` are the rungs that are at their worst there, or nearly."""

    frame: int
    worst_of: tuple[str, ...] = ()
    typical: bool = False


class RungStills(_Document):
    """One rung's pictures.

    Attributes:
        sha256: of the encode.
        files: a picture for each moment, relative to the folder of ``stills.json``.
        packets: the table of :mod:`vqa_cli.framepackets`, relative to the same; ``None`` where packets tell no frames.
        reason: why there are no pictures.
    """

    sha256: str
    files: tuple[str, ...] = ()
    packets: Annotated[str, AfterValidator(_below)] | None = None
    reason: str | None = None


class SourceStills(_Document):
    """One source's pictures, all ``width`` x ``height``: ``cuts`` are the frames that begin a scene, ``metric`` is what the
    moments were chosen by, ``part`` what of the source was measured where that is not all."""

    sha256: str
    width: int = 0
    height: int = 0
    part: str = ""
    metric: str = ""
    cuts: tuple[int, ...] = ()
    moments: tuple[Moment, ...] = ()
    files: tuple[str, ...] = ()
    rungs: dict[str, RungStills] = {}
    reason: str | None = None


class Stills(_Document):
    """The whole document; ``sources`` in the order of the run's."""

    schema_version: int = STILLS_SCHEMA
    sources: tuple[SourceStills, ...] = ()

    @property
    def files(self) -> Iterator[str]:
        """Every picture, relative to the document's folder."""
        for source in self.sources:
            yield from source.files
            for rung in source.rungs.values():
                yield from rung.files

    @property
    def written(self) -> Iterator[str]:
        """Everything beside the document, relative to its folder."""
        yield from self.files
        for source in self.sources:
            yield from (rung.packets for rung in source.rungs.values() if rung.packets)


def read_stills(folder: Path, run: Run) -> Stills | None:
    """The pictures in a folder that are of this run; ``None`` where there are none.

    Raises:
        StorageError: there is a document that cannot be understood.
    """
    path = folder / STILLS_FILE
    if not path.exists():
        return None
    try:
        stills = Stills.model_validate(json.loads(path.read_bytes()))
    except OSError as err:
        raise StorageError(f"cannot read pictures: {path}", detail=err.strerror) from err
    except (ValueError, ValidationError, RecursionError) as err:
        raise StorageError(
            f"damaged list of pictures: {path}", hint="remove it; the same `vqa ladder` takes them again"
        ) from err
    kept = tuple(_of_run(stills, run, folder))
    return Stills(sources=kept) if any(source.moments for source in kept) else None


def _of_run(stills: Stills, run: Run, folder: Path) -> Iterator[SourceStills]:
    """What belongs to each source of the run and is there."""
    for number, result in enumerate(run.sources):
        known = stills.sources[number] if number < len(stills.sources) else SourceStills(sha256="")
        identity = (result.source.sha256, result.display_width, result.display_height, part_of(result))
        if (known.sha256, known.width, known.height, known.part) != identity or not _whole(known.files, known, folder):
            yield SourceStills(sha256=result.source.sha256)
            continue
        hashes = {rung.id: encode_sha256(rung) for rung in result.rungs}
        rungs = {
            name: rung for name, rung in known.rungs.items()
            if rung.sha256 == hashes.get(name) and (rung.reason or _complete(rung, known, folder))
        }  # fmt: skip
        yield known.model_copy(update={"rungs": rungs})


def _whole(files: tuple[str, ...], source: SourceStills, folder: Path) -> bool:
    return len(files) == len(source.moments) and all((folder / name).is_file() for name in files)


def _complete(rung: RungStills, source: SourceStills, folder: Path) -> bool:
    return _whole(rung.files, source, folder) and (rung.packets is None or (folder / rung.packets).is_file())


def part_of(result: SourceResult) -> str:
    """Which part of a source was measured, as text; empty for all of it."""
    return " ".join(f"{part.start_s:g}+{part.duration_s:g}" for part in result.source.measured)


def encode_sha256(rung: RungResult) -> str | None:
    """Hash of a rung's encode, if it was measured."""
    return rung.encode.sha256 if rung.encode else None
