"""The same pixels and scores whatever the CPU can do: one machine made to work as three."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import FFMPEG, Vqa, make_clip

from vqa_cli.identity import Layout
from vqa_cli.machine import simd_level
from vqa_cli.media.decode import MeasureOrder, build_frames_argv
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe

_SSE4 = "mmx+mmxext+sse+sse2+sse3+ssse3+sse4.1+sse4.2"


@dataclass(frozen=True)
class Instructions:
    """A CPU as ffmpeg, oneDNN and ATen are told that it is; left empty, as it is."""

    ffmpeg: str = ""
    onednn: str = ""
    aten: str = ""

    @property
    def environment(self) -> dict[str, str]:
        limits = {"ONEDNN_MAX_CPU_ISA": self.onednn, "ATEN_CPU_CAPABILITY": self.aten}
        return {name: value for name, value in limits.items() if value}

    def argv(self, argv: tuple[str, ...]) -> list[str]:
        return [argv[0], *(("-cpuflags", self.ffmpeg) if self.ffmpeg else ()), *argv[1:]]

    def program(self, folder: Path) -> Path:
        """An ffmpeg that works like this."""
        path = folder / "ffmpeg"
        path.write_text(f'#!/bin/sh\nexec "{FFMPEG}" -cpuflags {self.ffmpeg or "all"} "$@"\n')
        path.chmod(0o755)
        return path


AS_IT_IS = Instructions()
AVX2 = Instructions(f"{_SSE4}+avx+avx2+fma3+bmi1+bmi2", "AVX2", "avx2")
SSE4 = Instructions(_SSE4, "SSE41", "default")
SETS = (AS_IT_IS, AVX2, SSE4)
# No vector instructions at all, in ffmpeg alone: code in plain C is what other kinds of CPU fall back to.
PLAIN = Instructions("0")

pytestmark = [
    pytest.mark.ffmpeg,
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64"), reason="limits are named by x86 instructions"
    ),
]
# Whose decoder may choose its transform; whose chroma must be halved; whose depth must be reduced; and the usual one.
CLIPS = {
    "mpeg4": ("mpeg4.avi", "-c:v", "mpeg4", "-q:v", "5", "-pix_fmt", "yuv420p"),
    "mjpeg": ("mjpeg.avi", "-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj422p"),
    "prores": ("prores.mov", "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "h264": ("h264.mp4", "-c:v", "libx264", "-crf", "28", "-pix_fmt", "yuv420p"),
}


@pytest.fixture(scope="module", params=CLIPS)
def coded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames whose width no vector divides."""
    name, *args = CLIPS[request.param]
    return make_clip(tmp_path_factory.mktemp("coded") / name, size="322x182", rate="25", seconds=0.24, args=tuple(args))


def shown(clip: Path, layout: Layout, short_side: int, instructions: Instructions) -> bytes:
    view = SourceView.of(probe(clip))
    order = MeasureOrder(view.size.with_short_side(short_side), layout=layout)
    argv = instructions.argv(build_frames_argv(Path(FFMPEG), view, order))
    return subprocess.run(argv, check=True, capture_output=True).stdout


@pytest.mark.parametrize("short_side", [90, 182, 270], ids=["smaller", "as coded", "larger"])
@pytest.mark.parametrize("layout", ["yuv420p", "rgb24"])
def test_frames_are_bit_equal(coded: Path, layout: Layout, short_side: int) -> None:
    wanted = shown(coded, layout, short_side, AS_IT_IS)
    # The published models learnt from the RGB of ffmpeg's code for SSSE3, which plain C rounds otherwise: see the README.
    others = (AVX2, SSE4) if layout == "rgb24" else (AVX2, SSE4, PLAIN)
    assert len(wanted) > 1000
    assert [shown(coded, layout, short_side, other) == wanted for other in others] == [True] * len(others)


@pytest.mark.parametrize(("instructions", "taken"), [(AVX2, "AVX2 fp32"), (SSE4, "DEFAULT fp32")], ids=["AVX2", "SSE4"])
def test_a_limit_makes_an_older_cpu(instructions: Instructions, taken: str) -> None:
    """Else the scores below would be equal for no reason. bf16 is not taken unasked where oneDNN may not use it."""
    if simd_level() not in ("avx2", "avx512"):
        pytest.skip("this CPU is the older one")
    code = (
        "import torch; from vqa_cli.model.device import RESNET_CLOSE, pick_precision;"
        "print(torch.backends.cpu.get_cpu_capability(), pick_precision('auto', torch.device('cpu'), RESNET_CLOSE))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | instructions.environment, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.strip() == taken


def test_scores_agree_within_a_hundredth(vqa: Vqa, tmp_path: Path) -> None:
    """From file to score, judged larger and compared with a reference."""
    reference = make_clip(tmp_path / "reference.mkv", size="640x360", seconds=0.4, args=("-c:v", "ffv1"))
    coded = make_clip(tmp_path / "coded.avi", seconds=0.4, args=("-c:v", "mpeg4", "-q:v", "9", "-pix_fmt", "yuv420p"))
    results = []
    for number, instructions in enumerate(SETS):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = vqa("score", coded, "--reference", reference, "--per-frame", "--format", "json", "--no-cache",
                   "--ffmpeg", instructions.program(folder), env=instructions.environment)  # fmt: skip
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    first, *others = results
    for other in others:
        assert other["score"] == pytest.approx(first["score"], abs=0.01)
        assert other["per_frame"]["model"] == pytest.approx(first["per_frame"]["model"], abs=0.01)
        # Logs hold six digits. libvmaf's own code for AVX-512 differs in the third where rows end inside a vector.
        assert other["fidelity"]["psnr"] == first["fidelity"]["psnr"]
        assert other["fidelity"]["ssim"] == first["fidelity"]["ssim"]
        assert other["fidelity"]["vmaf"]["mean"] == pytest.approx(first["fidelity"]["vmaf"]["mean"], abs=0.01)
