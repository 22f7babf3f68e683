"""What benchmarks of speed are run on where nothing is given: a generated clip, and weights that say nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_clip(path: Path, size: str, frames: int) -> Path:
    """A test picture under noise, in x264 at CRF 23."""
    import imageio_ffmpeg

    picture = f"testsrc2=size={size}:rate=30,noise=alls=8:allf=t:all_seed=1"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", str(frames),
         "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p", str(path)],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return path


def make_weights(folder: Path) -> dict[str, Path]:
    """Seeded noise for ResNet-50 and for VSFA's head, by the names that ``load_scorer`` has for them."""
    import torch
    from torchvision.models import resnet50

    from vqa_cli.model.vsfa import VsfaHead

    torch.manual_seed(0)
    weights = {"backbone_weights": folder / "resnet50.pth", "head_weights": folder / "head.pt"}
    torch.save(resnet50(weights=None).state_dict(), weights["backbone_weights"])
    torch.save(VsfaHead(4096).state_dict(), weights["head_weights"])
    return weights
