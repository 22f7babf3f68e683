"""Files that are whole or not there: written under another name in the same folder, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; what is there becomes ``path`` when the block ends well, and is gone when it does not.

    It lies in a folder of its own beside ``path``, so that it has the rights of any new file, and any name fits.

    Raises:
        OSError: as writing does; ``path`` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        staged = Path(folder, path.name)
        yield staged
        os.replace(staged, path)
