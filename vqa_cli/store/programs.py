"""What a program said of itself, by where it lies and when it was last changed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vqa_cli.errors import StorageError
from vqa_cli.store.content import content_key
from vqa_cli.store.kinds import PROGRAMS
from vqa_cli.store.records import Records


class Program(BaseModel):
    """A program's version, the hash of its file, and what it can do."""

    model_config = ConfigDict(frozen=True)

    version: str
    sha256: str
    encoders: tuple[str, ...]
    filters: tuple[str, ...]


class Programs:
    """Programs below a folder; ``None`` as folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._records = Records(PROGRAMS, Program, folder)

    def find(self, path: Path) -> Program | None:
        """What is known of the file as it is now, or ``None``."""
        return self._records.find(_key(path))

    def write(self, path: Path, program: Program) -> None:
        """Remember, where the folder can be written: a program can always be asked again."""
        with suppress(StorageError):
            self._records.write(_key(path), program)


def _key(path: Path) -> str:
    """A change of the file changes the time of its inode, which no program can set."""
    at = path.stat()
    return content_key("program", str(path), at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
