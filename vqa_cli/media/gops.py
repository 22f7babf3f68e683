"""Takes single frames out of a file by decoding only the groups of pictures that hold them.

A frame's number is its place in the order of presentation, as everything that measures counts them. Its packet is known by
its time, and the frame that is taken is the one that bears this very time: not one that a seek landed near.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqa_cli.media.opening import open_media
from vqa_cli.media.timing import shown_packets

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PacketIndex:
    """The packets of a stream's frames, in order of presentation; each array has the shape (frames,).

    Attributes:
        pts, dts: presentation and decoding time, in ticks.
        sizes: in bytes.
        keys: decoding can begin here.
        late: decoded after a frame that is shown later.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    keys: NDArray[np.bool_]
    late: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def in_decoding_order(self) -> NDArray[np.intp]:
        """Places of the packets, as they lie in the file."""
        return np.argsort(self.dts, kind="stable")

    @property
    def kinds(self) -> str:
        """``K`` for a key frame, ``B`` for one decoded after a later one, else ``P``."""
        letters = np.where(self.keys, ord("K"), np.where(self.late, ord("B"), ord("P")))
        return letters.astype(np.uint8).tobytes().decode("ascii")


def read_index(path: Path, stream_index: int) -> PacketIndex | None:
    """The index of a stream, ``None`` where its packets do not say when they are shown."""
    rows = array("q")  # of a film there are hundreds of thousands
    with open_media(path) as container:
        for packet in shown_packets(container, container.streams[stream_index]):
            if packet.pts is None:
                return None
            dts = packet.pts if packet.dts is None else packet.dts
            rows.extend((packet.pts, dts, packet.size, packet.is_keyframe))
    return _presented(np.array(rows, np.int64).reshape(-1, 4))


def _presented(rows: NDArray[np.int64]) -> PacketIndex | None:
    """Packets in the order of a file as they are presented, ``None`` where two are at one time."""
    late = rows[:, 0] < np.maximum.accumulate(rows[:, 0])
    order = np.argsort(rows[:, 0], kind="stable")
    pts, dts, sizes, keys = rows[order].T
    return None if np.any(np.diff(pts) == 0) else PacketIndex(pts, dts, sizes, keys > 0, late[order])


def pick_frames(
    path: Path, stream_index: int, index: PacketIndex, numbers: Sequence[int], fps: Fraction, output: Path
) -> bool:
    """Write the frames with these numbers, rising, to ``output`` (NUT), as the decoder gives them.

    Returns:
        Whether every one was found; if not, the whole file must be decoded to find them.
    """
    import av

    with open_media(path) as container, av.open(str(output), "w", format="nut") as writer:
        stream = container.streams[stream_index]
        _decode_the_same_everywhere(stream.codec_context)
        copy: Any = None
        for place, number in enumerate(numbers):
            frame = _frame_at(container, stream, index, number)
            if frame is None:
                return False
            copy = copy or _raw_copy(writer, frame, fps)
            frame.pts, frame.time_base = place, 1 / fps
            writer.mux(copy.encode(frame))
        if copy is not None:
            writer.mux(copy.encode())
    return True


def _decode_the_same_everywhere(context: Any) -> None:
    """As :data:`vqa_cli.media.graph.SAME_EVERYWHERE` does for ffmpeg."""
    context.options = {"idct": "simple", "flags": "+bitexact"}


def _raw_copy(writer: Any, frame: Any, fps: Fraction) -> Any:
    copy = writer.add_stream("rawvideo", rate=fps)
    copy.width, copy.height, copy.pix_fmt = frame.width, frame.height, frame.format.name
    return copy


def _frame_at(container: Any, stream: Any, index: PacketIndex, number: int) -> Any:
    """The frame with this number, ``None`` where seeking does not lead to it.

    From the last key frame that is shown no later, and where that lands too late (what is in front of a key frame may need
    the group before), from the one before.
    """
    wanted = int(index.pts[number])
    for start in np.flatnonzero(index.keys[: number + 1])[-1:-3:-1]:
        container.seek(int(index.dts[start]), stream=stream, backward=True)
        found = next(_until(container, stream, wanted), None)
        if found is not None:
            return found
    return None


def _until(container: Any, stream: Any, wanted: int) -> Iterator[Any]:
    """The frame shown at ``wanted``, if decoding from here comes to it without having begun after it."""
    for frame in container.decode(stream):
        if frame.pts == wanted:
            yield frame
        if frame.pts is None or frame.pts >= wanted:
            return
