"""Takes single frames out of a file by decoding only the groups of pictures that hold them.

A frame's number is its place in the order of presentation, as everything that measures counts them. Its packet is known by
its time, and the frame that is taken is the one that bears this very time: not one that a seek landed near.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.media.opening import open_media
from vqa_cli.media.timing import shown_packets


@dataclass(frozen=True, slots=True)
class FramePacket:
    """A shown frame's packet: presentation time and decoding time in ticks, size in bytes, whether decoding can begin here."""

    pts: int
    dts: int
    size: int
    key: bool


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The packets of a stream's frames in order of presentation; ``late`` are those decoded after a later frame."""

    packets: tuple[FramePacket, ...]
    late: frozenset[int]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(packet.size for packet in self.packets)

    @property
    def in_decoding_order(self) -> list[int]:
        """Places of the packets, as they lie in the file."""
        return sorted(range(len(self.packets)), key=lambda place: self.packets[place].dts)

    @property
    def kinds(self) -> str:
        """``K`` for a key frame, ``B`` for one decoded after a later one, else ``P``."""
        return "".join("K" if p.key else "B" if p.pts in self.late else "P" for p in self.packets)


def read_index(path: Path, stream_index: int) -> FrameIndex | None:
    """The index of a stream, ``None`` where its packets do not say when they are shown."""
    found: list[FramePacket] = []
    late: set[int] = set()
    newest: int | None = None
    with open_media(path) as container:
        for packet in shown_packets(container, container.streams[stream_index]):
            if packet.pts is None:
                return None
            if newest is not None and packet.pts < newest:
                late.add(packet.pts)
            newest = packet.pts if newest is None else max(newest, packet.pts)
            dts = packet.pts if packet.dts is None else packet.dts
            found.append(FramePacket(packet.pts, dts, packet.size, packet.is_keyframe))
    found.sort(key=lambda packet: packet.pts)
    if len({packet.pts for packet in found}) < len(found):
        return None
    return FrameIndex(tuple(found), frozenset(late))


def pick_frames(
    path: Path, stream_index: int, index: FrameIndex, numbers: Sequence[int], fps: Fraction, output: Path
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


def _frame_at(container: Any, stream: Any, index: FrameIndex, number: int) -> Any:
    """The frame with this number, ``None`` where seeking does not lead to it.

    From the last key frame that is shown no later, and where that lands too late (what is in front of a key frame may need
    the group before), from the one before.
    """
    wanted = index.packets[number].pts
    keys = [packet for packet in index.packets[: number + 1] if packet.key]
    for start in keys[-1:-3:-1]:
        container.seek(start.dts, stream=stream, backward=True)
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
