"""What a pixel format's name says of its samples."""

from __future__ import annotations

from functools import cache

from vqa_cli.errors import UsageError


@cache
def bit_depth(pix_fmt: str) -> int:
    """Bits of the deepest component, by ffmpeg's own table.

    The name alone misleads: ``yuv420p12le`` has 12, ``nv20le`` 10, ``nv24`` and ``yuv410p`` 8.

    Raises:
        UsageError: no such format, or one of frames on a device, whose samples it does not describe.
    """
    import av

    try:
        components = av.VideoFormat(pix_fmt, 16, 16).components
    except ValueError:
        components = ()
    if not components:
        raise UsageError(f"no such pixel format: {pix_fmt}", hint="yuv420p is the usual one, yuv420p10le for 10 bit")
    return max(int(component.bits) for component in components)
