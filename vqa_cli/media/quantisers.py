"""The quantiser of each frame, as far as an encoder tells ffmpeg.

``-vstats_file`` writes a line for each packet that an encoder gives, in the order of decoding. x264, x265, SVT-AV1, VP9 and
MPEG-4 say which quantiser it had, each on its own scale; others say 0 for all. The option changes nothing of what is encoded.

With N threads x264 gives each packet the quantiser of the frame that was begun N - 1 later, and -1 to the last ones, when
none is begun any more. They are put right; of the first N - 1 frames it is not known.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOG = "quantisers.log"
_LINE = re.compile(r" q= *(-?\d+(?:\.\d+)?) f_size= *(\d+) ")
# Containers add or take a few bytes of a packet: start codes, a delimiter, the encoder's name.
_SLACK_BYTES = 16


def logging_quantisers(argv: Sequence[str]) -> tuple[str, ...]:
    """An encode's command line that also writes :data:`LOG` into the folder where it runs."""
    return (argv[0], "-vstats_file", LOG, *argv[1:])


def read_quantisers(log: Path, sizes: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Quantisers of a file's packets.

    Args:
        sizes: bytes of each packet of the file, in the order of decoding.

    Returns:
        One for each packet, NaN where it is not known; ``None`` where there is no log, its lines are not these packets, or it
        tells nothing.
    """
    values, told = array("d"), array("q")
    try:
        with log.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                if found := _LINE.search(line):
                    values.append(float(found[1]))
                    told.append(int(found[2]))
    except OSError:
        return None
    if len(told) != len(sizes) or np.any(np.abs(np.array(told, np.int64) - sizes) > _SLACK_BYTES):
        return None
    return _in_place(np.array(values))


def _in_place(told: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Each frame's own; ``None`` where they are all 0, or negative ones stand elsewhere than at the end."""
    count = int(np.max(np.flatnonzero(told >= 0), initial=-1)) + 1
    known = told[:count]
    if not np.any(known > 0) or known.min() < 0:
        return None
    return np.concatenate([np.full(len(told) - count, np.nan), known])
