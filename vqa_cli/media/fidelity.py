"""Reads what ffmpeg's comparison filters logged: one value per frame and metric.

Units: VMAF and VMAF-NEG 0..100, PSNR and XPSNR dB of the luma plane, SSIM 0..1 of the luma plane. Frames that are equal
have infinite PSNR; they count as the ceiling that libvmaf uses (6 * bits + 12 dB: 60 at 8 bit, 72 at 10), so that a
mean exists. Sources: Z. Li et al., "Toward a practical perceptual video quality metric" (Netflix, 2016); Z. Wang et al.,
"Image quality assessment", IEEE TIP 2004 (SSIM); C. Helmrich et al., "XPSNR", ICASSP 2020.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import ToolError
from vqa_cli.media.decode import LOGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE = {
    "psnr": re.compile(r"psnr_y:(inf|[\d.]+)"),
    "ssim": re.compile(r" Y:(inf|[\d.]+)"),
    "xpsnr": re.compile(r"^n: *\d+ +XPSNR y: *(inf|[\d.]+)", re.MULTILINE),
}


def read_logs(workdir: Path, metrics: Iterable[str], *, frames: int, bit_depth: int) -> dict[str, NDArray[np.float64]]:
    """Per-frame series of each metric, each of shape (frames,).

    Raises:
        ToolError: a log is missing, damaged, or does not hold one finite value per frame.
    """
    ceiling_db = 6.0 * bit_depth + 12.0
    series = {name: _read(workdir, name, ceiling_db) for name in metrics}
    for name, values in series.items():
        if len(values) != frames or not np.isfinite(values).all():
            raise ToolError(f"{name} gave {len(values)} values for {frames} frames")
    return series


def _read(workdir: Path, name: str, ceiling_db: float) -> NDArray[np.float64]:
    log = workdir / LOGS["vmaf" if name.startswith("vmaf") else name]
    try:
        text = log.read_text(encoding="utf-8")
    except OSError as err:
        raise ToolError(f"ffmpeg wrote no log for {name}", detail=err.strerror) from err
    if name.startswith("vmaf"):
        return np.array([frame["metrics"][name] for frame in json.loads(text)["frames"]], dtype=np.float64)
    values = np.array(_LINE[name].findall(text), dtype=np.float64)
    return values if name == "ssim" else np.minimum(values, ceiling_db)
