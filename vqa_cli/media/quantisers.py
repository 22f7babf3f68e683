"""The quantiser of each frame, as far as an encoder tells ffmpeg.

``-vstats_file`` writes a line for each packet that an encoder gives, in the order of decoding. x264, x265, SVT-AV1, VP9 and
MPEG-4 say which quantiser it had, each on its own scale; others say 0 for all. The option changes nothing of what is encoded.

With N threads x264 gives each packet the quantiser of the frame that was begun N - 1 later, and -1 to the last ones, when
none is begun any more. They are put right; of the first N - 1 frames it is not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

LOG = "quantisers.log"
_LINE = re.compile(r" q= *(-?\d+(?:\.\d+)?) f_size= *(\d+) ")
# Containers add or take a few bytes of a packet: start codes, a delimiter, the encoder's name.
_SLACK_BYTES = 16


def logging_quantisers(argv: Sequence[str]) -> tuple[str, ...]:
    """An encode's command line that also writes :data:`LOG` into the folder where it runs."""
    return (argv[0], "-vstats_file", LOG, *argv[1:])


def read_quantisers(log: Path, sizes: Sequence[int]) -> tuple[float | None, ...]:
    """Quantisers of a file's packets.

    Args:
        sizes: bytes of each packet of the file, in the order of decoding.

    Returns:
        One for each packet, ``None`` where it is not known; nothing at all where there is no log, its lines are not these
        packets, or it tells nothing.
    """
    try:
        lines = _LINE.findall(log.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return ()
    if len(lines) != len(sizes):
        return ()
    if any(abs(int(size) - known) > _SLACK_BYTES for (_, size), known in zip(lines, sizes, strict=True)):
        return ()
    return _in_place([float(value) for value, _ in lines])


def _in_place(told: list[float]) -> tuple[float | None, ...]:
    """Each frame's own; nothing where they are all 0, or negative ones stand elsewhere than at the end."""
    late = next((place for place, value in enumerate(reversed(told)) if value >= 0), len(told))
    known = told[: len(told) - late]
    return (*[None] * late, *known) if any(value > 0 for value in known) and min(known) >= 0 else ()
