"""What must be done to a file before it can be judged, or why it cannot be: the same for every command. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from vqa_cli.errors import InputError
from vqa_cli.media.colour import HDR_TRANSFERS
from vqa_cli.media.graph import SourceView, rate_text
from vqa_cli.media.pixels import bit_depth
from vqa_cli.values import ColourTags, MediaInfo, Preparation, Treatment


def plan_preparation(info: MediaInfo, treatment: Treatment) -> Preparation:
    """What must be done to the file once.

    Raises:
        InputError: HDR or interlaced material, and nothing says how to treat it.
    """
    hdr = info.colour.transfer in HDR_TRANSFERS
    if hdr and not treatment.tonemap:
        raise InputError(
            f"HDR source ({info.colour.transfer}): {info.path}",
            hint="no model or VMAF here is trained on HDR; --tonemap judges an approximate SDR version",
        )
    if info.interlaced and not treatment.deinterlace:
        raise InputError(f"interlaced source: {info.path}", hint="--deinterlace turns it into frames first")
    view = SourceView.of(info)
    return Preparation(
        constant_rate=rate_text(info.steady_fps or info.fps) if info.vfr and treatment.steady else None,
        deinterlace=info.interlaced,
        tonemap=hdr,
        pix_fmt="yuv420p10le" if info.bit_depth > 8 and not hdr else "yuv420p",
        colour=view.colour,
        full_range=view.full_range,
        rgb=view.rgb,
    )


def prepared_view(info: MediaInfo, steps: Preparation) -> SourceView:
    """How the file is read so that its frames come out prepared."""
    view = SourceView.of(info)
    if not steps:
        return view
    return replace(
        view,
        fps=Fraction(steps.constant_rate) if steps.constant_rate else info.fps,
        colour=_prepared_colour(steps, view.colour),
        full_range=False,
        bit_depth=bit_depth(steps.pix_fmt),
        rgb=False,
        steps=steps,
    )


def _prepared_colour(steps: Preparation, colour: ColourTags) -> ColourTags:
    """Tags of the prepared frames: preparing brings them to limited range."""
    if steps.tonemap:
        return ColourTags("bt709", "bt709", "bt709", "tv")
    return replace(colour, range="tv") if colour.range == "pc" else colour


def describe(steps: Preparation) -> Iterator[str]:
    """Preparation steps in words."""
    if steps.constant_rate:
        rate = f"{float(Fraction(steps.constant_rate)):.6g}"
        yield f"variable frame rate brought to {rate} fps by repeating and dropping frames"
    if steps.deinterlace:
        yield "deinterlaced (bwdif)"
    if steps.tonemap:
        yield "HDR tone-mapped to BT.709 SDR (Hable): an approximation"
