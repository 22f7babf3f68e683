"""Colours can be told apart by people with any colour vision, and stand out from their ground."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from vqa_cli.report.palette import DARK, DASHES, LIGHT, SHAPES, Palette, colour, dash

Colour = NDArray[np.float64]

# G. Machado, M. Oliveira, L. Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG
# 15 (2009), severity 1.0, on linear RGB.
VISION = {
    "all": np.eye(3),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(text: str) -> Colour:
    values = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    x, y, z = (TO_XYZ @ np.clip(rgb, 0, 1)) / np.array([0.95047, 1.0, 1.08883])
    fx, fy, fz = (np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def ciede2000(one: Colour, two: Colour) -> float:
    """G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 Color-Difference Formula", Color Research and Application 30 (2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, two
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25**7)))
    c1, c2 = np.hypot(a1 * (1 + g), b1), np.hypot(a2 * (1 + g), b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * (1 + g))) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    ml, mc = (l1 + l2) / 2, (c1 + c2) / 2
    apart = abs(h1 - h2) > 180
    mh = h1 + h2 if not c1 * c2 else (h1 + h2 + (360 if h1 + h2 < 360 else -360) * apart) / 2
    t = (1 - 0.17 * np.cos(np.radians(mh - 30)) + 0.24 * np.cos(np.radians(2 * mh))
         + 0.32 * np.cos(np.radians(3 * mh + 6)) - 0.20 * np.cos(np.radians(4 * mh - 63)))  # fmt: skip
    sl, sc, sh = 1 + 0.015 * (ml - 50) ** 2 / np.sqrt(20 + (ml - 50) ** 2), 1 + 0.045 * mc, 1 + 0.015 * mc * t
    rotation = -2 * np.sqrt(mc**7 / (mc**7 + 25**7)) * np.sin(np.radians(60 * np.exp(-(((mh - 275) / 25) ** 2))))
    parts = (dl / sl, dc / sc, dh / sh)
    return float(np.sqrt(sum(part**2 for part in parts) + rotation * parts[1] * parts[2]))


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((50, -1, 2), (50, 0, 0), 2.3669),
    ],
)
def test_the_distance_is_that_of_its_published_pairs(one: Colour, two: Colour, expected: float) -> None:
    assert ciede2000(np.array(one), np.array(two)) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_codecs_are_told_apart(palette: Palette, vision: str) -> None:
    """Of two or three codecs any two differ plainly, of eight any two visibly; a just noticeable difference is about 2."""
    seen = [lab(VISION[vision] @ linear(text)) for text in palette.series]
    for count, least in ((2, 40.0), (3, 18.0), (4, 15.0), (8, 10.0)):
        assert min(ciede2000(a, b) for a, b in itertools.combinations(seen[:count], 2)) >= least, count
    assert ciede2000(*(lab(VISION[vision] @ linear(text)) for text in (palette.ink, palette.rival))) >= 15


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_lines_stand_out_from_their_ground(palette: Palette) -> None:
    ground = TO_XYZ[1] @ linear(palette.ground)
    for text in (*palette.series, palette.rival):
        light, dark = sorted((TO_XYZ[1] @ linear(text), ground), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, text


def test_no_two_codecs_share_colour_and_dash() -> None:
    assert len(set(DASHES)) == len(set(SHAPES)) == len(LIGHT.series) == 8
    assert len({colour(LIGHT, i) for i in range(8)}) == len({dash(i) for i in range(8)}) == 8
    assert len({(colour(LIGHT, i), dash(i)) for i in range(64)}) == 64
