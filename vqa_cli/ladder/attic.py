"""Encodes that were measured and may still be wanted for pictures: kept in scratch while there is room.

A run knows which rungs it recommends, and when they are at their worst, only at its end. Encoding these again would cost up
to half of all encoding; keeping every encode of a long film, more disk than there is. So encodes are kept up to a limit, and
whatever is not here (too large, known from the cache, made on another machine) is encoded again and known by its hash.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

_MOST_BYTES = 2_000_000_000
# Of what is free: the rest is for encodes in work and prepared copies.
_SHARE = 0.25


class Attic:
    """Files by their sha256 below a folder. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = min(_MOST_BYTES, int(shutil.disk_usage(folder).free * _SHARE))
        self._files: dict[str, Path] = {}
        self._lock = threading.Lock()

    def keep(self, file: Path, sha256: str) -> None:
        """Take a file that is to be deleted otherwise, if there is room."""
        size = file.stat().st_size
        with self._lock:
            if sha256 in self._files or size > self._left:
                return
            self._left -= size
            self._files[sha256] = self._folder / f"{sha256}{file.suffix}"
        shutil.move(file, self._files[sha256])

    def keep_log(self, log: Path, sha256: str) -> None:
        """Take what was logged beside an encode, wherever the encode itself goes."""
        if log.is_file():
            shutil.move(log, self.log(sha256))

    def log(self, sha256: str) -> Path:
        """Where the log of an encode lies, if there is one."""
        return self._folder / f"{sha256}.log"

    def drop(self, sha256: str) -> None:
        """Make room: nothing more will be asked of this encode."""
        with self._lock:
            file = self._files.pop(sha256, None)
            if file is not None:
                self._left += file.stat().st_size
                file.unlink()
        self.log(sha256).unlink(missing_ok=True)

    def find(self, sha256: str) -> Path | None:
        """The file with this hash, if it was kept."""
        with self._lock:
            return self._files.get(sha256)
