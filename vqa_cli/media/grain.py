"""Film grain that a decoder adds: it is not in the bits, so that no frame of it equals the reference's."""

from __future__ import annotations

from pathlib import Path

from vqa_cli.errors import InputError
from vqa_cli.media.extra import Pairs, nested
from vqa_cli.media.opening import open_media
from vqa_cli.values import MediaInfo

# What is said of a rung, and of a file.
SYNTHESISED = "film grain is synthesised: decoded with grain on, and full-reference metrics fall because no grain equals the source's"
ADDED = "its decoder adds film grain: measured with grain on, and full-reference metrics fall where the other side's differs"

# Options, and keys of the libraries' own, that have the decoder add grain where their value is above zero.
_NAMES = frozenset(("denoise-noise-level",))
_KEYS = frozenset(("film-grain", "film-grain-test", "denoise-noise-level", "noise", "noise-level"))
_DECODERS = ("av1", "libdav1d")
_LOOKED_AT = 8  # frames; the parameters come with the first one


def synthesises_grain(encoder: str, extra: Pairs) -> bool:
    """Whether these options make an encode to which its decoder adds grain: AV1's, which is normative. Pure."""
    for name, value in extra:
        if name in _NAMES and _above_zero(value):
            return True
        if name in ("svtav1-params", "aom-params"):
            told = nested(encoder, name, value)
            if any(key.replace("_", "-") in _KEYS and _above_zero(inner) for key, inner in told):
                return True
    return False


def _above_zero(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return True


def adds_grain(info: MediaInfo) -> bool:
    """Whether a file's decoder adds grain to it; files of other codecs than AV1 are not opened for that."""
    return info.codec in _DECODERS and carries_grain(info.path, info.stream_index)


def carries_grain(path: Path, stream_index: int) -> bool:
    """Whether the decoder of a file adds grain to its first frames; ``False`` for what cannot be decoded."""
    from av.sidedata.sidedata import Type

    try:
        with open_media(path) as container:
            stream = container.streams[stream_index]
            if stream.type != "video" or stream.codec_context.name not in _DECODERS:
                return False
            # Asked to hand the parameters on, the decoder tells of them in place of adding grain.
            stream.codec_context.options = {"export_side_data": "film_grain"}
            frames = zip(range(_LOOKED_AT), container.decode(stream), strict=False)
            return any(Type.FILM_GRAIN_PARAMS in frame.side_data for _, frame in frames)
    except InputError:
        return False
