"""Pictures that change in mid-file: another size, format, shape or colour from some frame on.

Everything here works at one picture size and format. ffmpeg would build its filters anew at such a frame, and number what
follows from 0 again. Two ways find it: parameter sets in key packets, which costs next to nothing, and ffmpeg's log of a
decode, which shows it for every codec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError
from vqa_cli.media.colour import frame_colour
from vqa_cli.media.opening import open_media
from vqa_cli.values import ColourTags, MediaInfo, Size

# Filters that bring a codec's parameter sets out of its packets, however they are framed.
_PARAMETER_SETS = {
    "h264": "h264_mp4toannexb,extract_extradata",
    "hevc": "hevc_mp4toannexb,extract_extradata",
    "vvc": "vvc_mp4toannexb,extract_extradata",
    **dict.fromkeys(("av1", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "cavs"), "extract_extradata"),
}
# Where the headers of VP8's and VP9's key frames hold size and format.
_HEADERS = {"vp8": slice(3, 10), "vp9": slice(0, 10)}
_LOGGED = re.compile(
    r"Reconfiguring filter graph because video parameters changed to (.*)|Changing video frame properties"
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What must stay the same from frame to frame."""

    size: Size
    pix_fmt: str
    sar: Fraction
    colour: ColourTags

    @classmethod
    def of(cls, frame: Any) -> Picture:
        """What the frame says itself."""
        return cls(Size(frame.width, frame.height), frame.format.name, Fraction(1), frame_colour(frame))

    @classmethod
    def last(cls, frame: Any, context: Any) -> Picture:
        """Of the last frame that ``context`` has decoded: it knows more, and a frame's own size is rounded by cropping."""
        sar = Fraction(context.sample_aspect_ratio or 1) or Fraction(1)
        return replace(cls.of(frame), size=Size(context.width, context.height), sar=sar)

    def differences(self, after: Picture) -> str:
        """In words."""
        pairs = {
            "": (self.size, after.size),
            "pixel format ": (self.pix_fmt, after.pix_fmt),
            "pixel aspect ratio ": (self.sar, after.sar),
            **{f"{name} ": (getattr(self.colour, name), getattr(after.colour, name)) for name in ColourTags.__slots__},
        }
        return ", ".join(
            f"{what}{a or 'untagged'} becomes {b or 'untagged'}" for what, (a, b) in pairs.items() if a != b
        )


@dataclass(frozen=True, slots=True)
class Change:
    """The first frame that is of another picture than the first one: its number if that is known, and what is different."""

    number: int | None
    what: str


class ParameterWatch:
    """Sees the packets of a stream as they are read, and decodes a key frame only where its parameter sets are new.

    Attributes:
        change: the first that was seen, if any.
    """

    def __init__(self, stream: Any) -> None:
        self.change: Change | None = None
        self._stream = stream
        self._codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        self._filter = _parameter_filter(stream, self._codec)
        self._first: Any = None
        self._before: Picture | None = None
        self._seen: set[bytes] = set()

    def see(self, packet: Any, number: int) -> None:
        """Take the next packet that is shown. A key frame's number is the same in the file and on the screen."""
        if (
            self.change
            or not packet.is_keyframe
            or (sets := self._parameter_sets(packet)) is None
            or sets in self._seen
        ):
            return
        self._seen.add(sets)
        if self._first is None:
            self._first = packet
            return
        self._before = self._before or self._decoded(self._first)
        after = self._decoded(packet)
        if self._before and after and (what := self._before.differences(after)):
            self.change = Change(number, what)

    def _parameter_sets(self, packet: Any) -> bytes | None:
        if self._codec in _HEADERS:
            return bytes(packet)[_HEADERS[self._codec]]
        if packet.has_sidedata("new_extradata"):
            return bytes(packet.get_sidedata("new_extradata"))
        if self._filter is None:
            return None
        import av

        try:
            filtered = self._filter.filter(av.Packet(bytes(packet)))  # a copy, because the filter consumes it
        except av.FFmpegError:
            return None  # damaged; the decoder will say so
        sets = [bytes(p.get_sidedata("new_extradata")) for p in filtered if p.has_sidedata("new_extradata")]
        return sets[-1] if sets else None

    def _decoded(self, packet: Any) -> Picture | None:
        import av

        context = self._stream.codec_context
        try:
            frames = [*context.decode(packet), *context.decode(None)]
            return Picture.last(frames[0], context) if frames else None
        except av.FFmpegError:
            return None
        finally:
            context.flush_buffers()


def _parameter_filter(stream: Any, codec: str) -> Any:
    if codec not in _PARAMETER_SETS:
        return None
    import av
    from av.bitstream import BitStreamFilterContext

    try:
        return BitStreamFilterContext(_PARAMETER_SETS[codec], stream)
    except (av.FFmpegError, ValueError):
        return None


def refuse_logged_change(info: MediaInfo, log: str) -> None:
    """Look for a change in the log of a whole decode, and find the frame.

    Raises:
        InputError: there is one.
    """
    logged = _LOGGED.search(log)
    if not logged:
        return
    raise changed(info.path, _find_change(info) or Change(None, f"it becomes {logged[1] or 'another picture'}"))


def _find_change(info: MediaInfo) -> Change | None:
    import av

    with open_media(info.path) as container:
        stream = container.streams[info.stream_index]
        first: Picture | None = None
        try:
            for number, frame in enumerate(container.decode(stream)):
                picture = Picture.of(frame)
                first = first or picture
                if what := first.differences(picture):
                    return Change(number, what)
        except av.FFmpegError:
            pass  # damaged as well
    return None


def changed(path: Path, change: Change) -> InputError:
    """What to say of a file whose pictures change."""
    at = "" if change.number is None else f" at frame {change.number}"
    return InputError(
        f"changes in mid-file: {path}: {change.what}{at}",
        hint="everything is judged at one picture size and format; cut the file there",
    )
