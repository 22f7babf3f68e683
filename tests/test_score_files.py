"""`vqa score` over several files: what is wrong with one is not wrong with the others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from conftest import FFMPEG, Vqa, ffmpeg, make_clip

from vqa_cli.model.checkpoint import Card, Scale, save_model
from vqa_cli.model.lite import LiteBackbone
from vqa_cli.model.vsfa import VsfaHead

pytestmark = pytest.mark.ffmpeg


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("files") / "moving.mp4", size="128x96", seconds=0.2)


@pytest.fixture(scope="module")
def grey(moving: Path) -> Path:
    path = moving.with_name("grey.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=gray:size=128x96:duration=0.2", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture(scope="module")
def overflowing(moving: Path) -> Path:
    """A model whose arithmetic holds grey alone: deviations of its first block, times the largest numbers there are."""
    torch.manual_seed(3)
    backbone, path = LiteBackbone(), moving.with_name("overflowing.safetensors")
    head = VsfaHead(backbone.dim, 4, 2)
    with torch.no_grad():
        head.ann["fc0"].weight.zero_()
        head.ann["fc0"].weight[:, 32:64] = 3e38
    card = Card(
        name="overflowing", backbone="lite", backbone_config=backbone.config,
        head_config={"dim": backbone.dim, "reduced": 4, "hidden": 2},
        scale=Scale(name="none", minimum=0, maximum=1, description="none"), preprocessing="as lite", training_data="none",
        licence="MIT",
    )  # fmt: skip
    tensors = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
    save_model(path, card, tensors | {f"head.{k}": v for k, v in head.state_dict().items()})
    return path


@pytest.fixture(scope="module")
def breaks_on_bad(moving: Path) -> Path:
    """An ffmpeg that fails at files with "bad" in their names."""
    path = moving.with_name("fussy-ffmpeg")
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *bad*) echo "[error] the decoder broke" >&2; exit 7;; esac\nexec "{FFMPEG}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def test_a_score_that_is_no_number_ends_no_batch(vqa: Vqa, moving: Path, grey: Path, overflowing: Path) -> None:
    run = ("score", moving, grey, "--model", overflowing, "--precision", "fp32", "--device", "cpu")
    done = vqa(*run, "--format", "json")
    assert done.returncode == 8, done.stderr
    bad, good = json.loads(done.stdout)
    reason = f"the model gave a score that is no number: frame 0: {moving}"
    assert (bad["error"], bad["exit_code"]) == (reason, 5)
    assert good["file"] == str(grey) and good["frames"] == 5
    assert done.stderr.splitlines() == [f"error: {reason}"]


def test_a_decoder_that_fails_at_one_file_ends_no_batch(
    vqa: Vqa, moving: Path, breaks_on_bad: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(moving.read_bytes())
    done = vqa("score", bad, moving, "--ffmpeg", breaks_on_bad, "--format", "csv", "--device", "cpu")
    assert done.returncode == 8, done.stderr
    first, second = csv.DictReader(io.StringIO(done.stdout))
    assert first["error"] == f"exit code 7: fussy-ffmpeg (the decoder broke): {bad}" and not first["score"]
    assert float(second["score"]) and not second["error"]
    alone = vqa("score", bad, "--ffmpeg", breaks_on_bad, "--device", "cpu")
    assert alone.returncode == 4 and alone.stdout == ""


def test_where_every_file_fails_the_first_one_says_how(vqa: Vqa, moving: Path, breaks_on_bad: Path) -> None:
    names = []
    for name in ("bad1.mp4", "bad2.mp4"):
        names.append(moving.with_name(name))
        names[-1].write_bytes(moving.read_bytes())
    done = vqa("score", *names, "--ffmpeg", breaks_on_bad, "--device", "cpu")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("--reference", "{here}/none.mp4"), 3, "error: no such file: {here}/none.mp4"),
        (("--model", "nonsense"), 5, "error: no such model: nonsense"),
        (("--ffmpeg", "/no/ffmpeg"), 4, "error: ffmpeg not found: /no/ffmpeg"),
    ],
)
def test_what_concerns_every_file_is_said_once(
    vqa: Vqa, moving: Path, grey: Path, args: tuple[str, ...], code: int, message: str
) -> None:
    done = vqa("score", moving, grey, *(arg.format(here=moving.parent) for arg in args))
    assert (done.returncode, done.stdout) == (code, "")
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        message.format(here=moving.parent)
    ]


BROKEN = {
    "another torch's": ('raise RuntimeError("operator torchvision::nms does not exist")', "operator torchvision::nms"),
    "missing": ("raise ModuleNotFoundError(\"No module named 'torchvision'\")", "No module named 'torchvision'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_torchvision_that_cannot_be_imported(vqa: Vqa, moving: Path, tmp_path: Path, kind: str) -> None:
    code, detail = BROKEN[kind]
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(code)
    for name in ("resnet50-0676ba61.pth", "VSFA.pt"):
        (tmp_path / name).write_bytes(b"never read")
    env = {"PYTHONPATH": str(tmp_path)}
    done = vqa("score", moving, "--model", "vsfa", "--model-dir", tmp_path, "--device", "cpu", env=env)
    assert (done.returncode, done.stdout) == (5, "")
    message, reason, hint = done.stderr.splitlines()
    assert message == "error: ResNet-50 needs torchvision, which cannot be imported"
    assert detail in reason and "--model vsfa-lite" in hint
    assert vqa("score", moving, "--device", "cpu", env=env).returncode == 0
    problems = json.loads(vqa("doctor", "--format", "json", env=env).stdout)["problems"]
    assert any(problem.startswith("torchvision, for vsfa and mdtvsfa: ") and detail in problem for problem in problems)
