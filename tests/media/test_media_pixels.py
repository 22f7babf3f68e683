"""Bit depths of pixel formats: every one that an encoder of the table accepts."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import FFMPEG

from vqa_cli.errors import UsageError
from vqa_cli.measure.treatment import prepared_view
from vqa_cli.media.encoders import ENCODERS
from vqa_cli.media.pixels import bit_depth
from vqa_cli.values import Preparation


def _said_by_ffmpeg() -> dict[str, int]:
    """Name and bit depth as ``ffmpeg -pix_fmts`` lists them: ``IO... yuv420p10le  3  15  10-10-10``."""
    listing = subprocess.run([FFMPEG, "-hide_banner", "-pix_fmts"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\S{5} +(\S+) +\d+ +\d+ +([\d-]+)$", listing, flags=re.MULTILINE)
    return {name: max(map(int, depths.split("-"))) for name, depths in rows}


def _accepted(encoder: str) -> list[str]:
    told = subprocess.run([FFMPEG, "-hide_banner", "-h", f"encoder={encoder}"], capture_output=True, text=True).stdout
    match = re.search(r"Supported pixel formats: (.+)", told)
    return match[1].split() if match else []


@pytest.mark.ffmpeg
def test_every_format_that_an_encoder_accepts_has_the_depth_that_ffmpeg_says() -> None:
    said = _said_by_ffmpeg()
    accepted = {name for encoder in ENCODERS for name in _accepted(encoder)} & said.keys()
    software = {name for name in accepted if said[name] > 0}
    assert {"yuv420p", "yuv420p10le", "yuv420p12le", "nv20le", "gbrp12le", "p010le", "gray12le"} <= software
    assert {name: bit_depth(name) for name in software} == {name: said[name] for name in software}


def test_depth_is_not_read_off_digits_in_the_name() -> None:
    names = ("yuv420p", "yuv410p", "nv24", "yuv420p9le", "yuv420p10le", "yuv420p12le", "yuv444p16le", "x2rgb10le")
    assert [bit_depth(name) for name in names] == [8, 8, 8, 9, 10, 12, 16, 10]


@pytest.mark.parametrize("name", ["yuv420p1", "", "vaapi"])
def test_a_format_without_samples_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        bit_depth(name)
    assert caught.value.message == f"no such pixel format: {name}"


def test_a_source_prepared_in_12_bit_is_12_bit() -> None:
    from test_media_command import source

    assert prepared_view(source(), Preparation(deinterlace=True, pix_fmt="yuv420p12le")).bit_depth == 12
