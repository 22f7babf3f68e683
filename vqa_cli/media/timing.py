"""Packets of a video stream: when each is shown, how large it is, and the rate that their times make."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.media.changes import ParameterWatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_USUAL = sorted(
    [Fraction(n) for n in (12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240, 480)]
    + [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120, 240)]
)
_MOST_FPS = Fraction(480)
_LEAST_FPS = Fraction(1, 1001)


def _integers() -> array[int]:
    return array("q")


@dataclass
class Packets:
    """Of one video stream, in the order of the file.

    Attributes:
        pts, sizes: of the packets whose frames are shown. An edit list may need others to be decoded that are not.
        read: all packets, shown or not.
        end_s: where the last packet of any stream ends, by the container's clock.
        end_byte: where the last packet of this one ends in the file, if the container tells.
        torn: the last packet is not whole.
    """

    watch: ParameterWatch
    pts: array[int] = field(default_factory=_integers)  # of a film there are hundreds of thousands
    sizes: array[int] = field(default_factory=_integers)
    read: int = 0
    end_s: float = 0.0
    end_byte: int | None = None
    torn: bool = False

    def add(self, packet: Any) -> None:
        """Take the next packet of the stream."""
        self.read += 1
        self.torn = packet.is_corrupt
        self.end_byte = None if packet.pos is None else packet.pos + packet.size
        if packet.is_discard:
            return
        self.watch.see(packet, len(self.pts))
        stamp = _stamp(packet)
        self.sizes.append(packet.size)
        self.pts.append(len(self.pts) if stamp is None else stamp)


def read_packets(container: Any, streams: Sequence[Any]) -> dict[int, Packets]:
    """The packets of each of ``streams``, by its index; the file is read once."""
    found = {stream.index: Packets(ParameterWatch(stream)) for stream in streams}
    end_s = 0.0
    for packet in container.demux():
        if not packet.size or packet.time_base is None:
            continue
        if (stamp := _stamp(packet)) is not None:
            end_s = max(end_s, float((stamp + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index in found:
            found[packet.stream_index].add(packet)
    for packets in found.values():
        packets.end_s = end_s
    return found


def shown_packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets whose frames are shown, in the order of the file."""
    return (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)


def _stamp(packet: Any) -> int | None:
    stamp: int | None = packet.pts if packet.pts is not None else packet.dts
    return stamp


def nominal_rate(stream: Any) -> Fraction:
    """The rate that the container or the decoder names."""
    return Fraction(stream.guessed_rate or stream.average_rate or stream.base_rate or 25)


def frame_rate(stream: Any, packets: Packets) -> tuple[Fraction, bool]:
    """Nominal rate, and whether the timing really varies.

    Timestamps that a container rounded (Matroska: to milliseconds) are still constant: the rate varies only when some
    frame lies half a frame or more off the ideal grid.
    """
    guess = nominal_rate(stream)
    stamps = sorted(packets.pts)
    if len(stamps) < 3 or stream.time_base is None or len(set(stamps)) < len(stamps):
        return _standard(guess), False
    span = (stamps[-1] - stamps[0]) * stream.time_base
    mean = Fraction(len(stamps) - 1) / span if span > 0 else guess
    fps = _standard(mean, slack=3 * stream.time_base / (2 * span) if span > 0 else Fraction(0))
    step = 1 / (fps * stream.time_base)
    off = max(abs((stamp - stamps[0]) - index * step) for index, stamp in enumerate(stamps))
    return fps, bool(off * 2 >= step)


def steady_rate(times: Sequence[float], mean: Fraction) -> tuple[Fraction, int]:
    """The lowest usual rate at which frames of uneven timing each keep a place of their own, but for one in a hundred; and
    how many do not.

    At the mean rate the denser parts would lose frames. ffmpeg's own guess (``r_frame_rate``) is of no use here: it is as
    often the container's clock as a rate of frames. 480 fps are the most.

    Args:
        times: of the frames, in s and in any order.
    """
    ticks = np.sort(np.array(times)) - min(times)
    usual = [rate for rate in _USUAL if mean <= rate * Fraction(1001, 1000)]
    for rate in usual:
        if _lost(ticks, rate) <= len(times) // 100:
            near = [other for other in usual if abs(other / rate - 1) < Fraction(1, 500)]
            best = min(near, key=lambda other: _off_grid(ticks, other))
            return best, _lost(ticks, best)
    return _MOST_FPS, _lost(ticks, _MOST_FPS)


def _lost(ticks: NDArray[np.float64], rate: Fraction) -> int:
    return len(ticks) - len(np.unique(np.floor(ticks * float(rate) + 0.5)))


def _off_grid(ticks: NDArray[np.float64], rate: Fraction) -> float:
    places = ticks * float(rate)
    return float(np.abs(places - np.round(places)).mean())


def _standard(rate: Fraction, slack: Fraction = Fraction(0)) -> Fraction:
    """Snap a measured rate to the standard one that it rounds; ``slack`` is what coarse timestamps can hide."""
    best = min(_USUAL, key=lambda c: abs(c - rate))
    if abs(best / rate - 1) < max(slack, Fraction(1, 2001)):
        return best
    # Below one frame in 1001 s the nearest such fraction would be none at all.
    return rate.limit_denominator(1001) if rate >= _LEAST_FPS else 1 / (1 / rate).limit_denominator(1001)
