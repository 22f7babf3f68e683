"""What a file says of its colours: tags by ffmpeg's names, HDR, and Dolby Vision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError
from vqa_cli.media.graph import RGB
from vqa_cli.values import ColourTags

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})

_MATRIX = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
    10: "bt2020c",
}
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
_TRANSFER = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 11: "iec61966-2-4",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip
# Transfer of the base layer by the compatibility number of a Dolby Vision record; with 0 there is no such layer.
_BASE_LAYER = {1: "smpte2084", 2: "bt709", 4: "arib-std-b67", 6: "smpte2084"}


def frame_colour(frame: Any) -> ColourTags:
    """Tags of a decoded frame."""
    full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
    tags = _tags(frame)
    return replace(
        tags,
        matrix=RGB if frame.format.is_rgb or frame.format.has_palette else tags.matrix,
        range="pc" if full else ("tv" if int(frame.color_range) == 1 else None),
    )


def container_colour(context: Any) -> ColourTags:
    """Tags of a stream that nothing was decoded of yet: what the container says."""
    return _tags(context)


def _tags(source: Any) -> ColourTags:
    return ColourTags(
        matrix=_MATRIX.get(int(source.colorspace)),
        primaries=_PRIMARIES.get(int(source.color_primaries)),
        transfer=_TRANSFER.get(int(source.color_trc)),
    )


def joined(frame: ColourTags, container: ColourTags) -> ColourTags:
    """The decoder's word, unless it knows no transfer and the container says HDR: some files are tagged there alone."""
    if frame.transfer is None and container.transfer in HDR_TRANSFERS:
        return replace(container, range=frame.range)
    return frame


def with_base_layer(path: Path, colour: ColourTags, profile: int, compatibility: int) -> ColourTags:
    """Tags of a Dolby Vision file's base layer, which is what ffmpeg decodes: the record says them where nothing else does.

    Raises:
        InputError: nothing but a Dolby Vision display can show it.
    """
    if compatibility not in _BASE_LAYER:
        raise no_base_layer(path, f"profile {profile}")
    if colour.transfer is None and _BASE_LAYER[compatibility] in HDR_TRANSFERS:
        return replace(colour, matrix="bt2020nc", primaries="bt2020", transfer=_BASE_LAYER[compatibility])
    return colour


def no_base_layer(path: Path, what: str) -> InputError:
    """Dolby Vision in colours of its own (IPTPQc2), which show green and violet where they are taken for YUV."""
    return InputError(
        f"Dolby Vision without a base layer ({what}): {path}",
        hint="no --tonemap can mend that; give an HDR10 or SDR version made by Dolby's own tools",
    )
