"""`vqa score` over several files: what is wrong with one is not wrong with the others."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest
import torch
from conftest import Vqa, ffmpeg, make_clip

from vqa_cli.model.card import Card, Scale
from vqa_cli.model.checkpoint import save_model
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
        weight = head.get_parameter("ann.fc0.weight")
        weight.zero_()
        weight[:, 32:64] = 3e38
    card = Card(
        name="overflowing", backbone="lite", backbone_config=backbone.config,
        head_config={"dim": backbone.dim, "reduced": 4, "hidden": 2},
        scale=Scale(name="none", minimum=0, maximum=1, description="none"), preprocessing="as lite", training_data="none",
        licence="MIT",
    )  # fmt: skip
    tensors = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
    save_model(path, card, tensors | {f"head.{k}": v for k, v in head.state_dict().items()})
    return path


def test_a_score_that_is_no_number_ends_no_batch(vqa: Vqa, moving: Path, grey: Path, overflowing: Path) -> None:
    run = ("score", moving, grey, "--model", overflowing, "--precision", "fp32", "--device", "cpu")
    done = vqa(*run, "--format", "json", "-q")
    assert done.returncode == 8, done.stderr
    bad, good = json.loads(done.stdout)
    reason = f"the model gave a score that is no number: frame 0: {moving}"
    assert (bad["error"], bad["exit_code"]) == (reason, 5)
    assert good["file"] == str(grey) and good["frames"] == 5
    assert done.stderr.splitlines() == [f"[1/2] FAILED: {reason}"]  # also to those who want no progress


def test_a_decoder_that_fails_at_one_file_ends_no_batch(
    vqa: Vqa, moving: Path, breaks_on_bad: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(moving.read_bytes())
    done = vqa("score", bad, moving, "--ffmpeg", breaks_on_bad, "--format", "csv", "--device", "cpu", "--no-cache")
    assert done.returncode == 8, done.stderr
    first, second = csv.DictReader(io.StringIO(done.stdout))
    assert first["error"] == f"no frame can be decoded: {bad} (the decoder broke)" and not first["score"]
    assert float(second["score"]) and not second["error"]
    alone = vqa("score", bad, "--ffmpeg", breaks_on_bad, "--device", "cpu", "--no-cache")
    assert alone.returncode == 3 and alone.stdout == ""


def test_where_every_file_fails_the_first_one_says_how(vqa: Vqa, moving: Path, breaks_on_bad: Path) -> None:
    names = []
    for name in ("bad1.mp4", "bad2.mp4"):
        names.append(moving.with_name(name))
        names[-1].write_bytes(moving.read_bytes())
    done = vqa("score", *names, "--ffmpeg", breaks_on_bad, "--device", "cpu", "--no-cache")
    assert done.returncode == 3
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


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights that are published ones by name alone."""
    from torchvision.models import resnet50

    folder = tmp_path_factory.mktemp("strangers")
    torch.manual_seed(5)
    torch.save(resnet50(weights=None).state_dict(), folder / "resnet50-0676ba61.pth")
    torch.save(VsfaHead(dim=4096).state_dict(), folder / "VSFA.pt")
    return folder


def test_installed_weights_that_are_others_are_told_of(vqa: Vqa, moving: Path, strangers: Path) -> None:
    run = ("score", moving, "--model", "vsfa", "--device", "cpu", "--precision", "fp32", "--format", "json")
    done = vqa(*run, "--model-dir", strangers)
    assert done.returncode == 0, done.stderr
    files = {"backbone": strangers / "resnet50-0676ba61.pth", "head": strangers / "VSFA.pt"}
    hashes = {part: hashlib.sha256(path.read_bytes()).hexdigest() for part, path in files.items()}
    (warning,) = done.stderr.splitlines()
    assert warning == (
        f"warning: not the published weights: resnet50-0676ba61.pth (sha256 {hashes['backbone'][:16]}…, published "
        f"0676ba61b6795bbe…) and VSFA.pt (sha256 {hashes['head'][:16]}…, published 07ce3eab277f3351…); see `vqa models verify`"
    )
    model = json.loads(done.stdout)["model"]
    assert model["verified"] is False
    assert model["files"] == {part: {"name": path.name, "sha256": hashes[part]} for part, path in files.items()}
    assert model["sha256"] == hashlib.sha256((hashes["backbone"] + hashes["head"]).encode()).hexdigest()
    assert "KoNViD-1k" in model["training_data"]
    assert (model["minimum"], model["maximum"]) == (1, 5)
    assert "KoNViD-1k viewers" in model["scale_description"] and model["higher_is_better"] is True
    named = vqa(*run, "--backbone-weights", files["backbone"], "--head-weights", files["head"])
    assert named.stderr == "", "who names weights knows that they are others"
    assert json.loads(named.stdout)["model"]["files"] == model["files"]
    verified = vqa("models", "verify", "vsfa", "--model-dir", strangers)
    assert (verified.returncode, verified.stderr.splitlines()[0][:20]) == (5, "error: wrong weights")


def test_the_bundled_model_says_what_it_is(vqa: Vqa, moving: Path) -> None:
    done = vqa("score", moving, "--device", "cpu", "--format", "json")
    model = json.loads(done.stdout)["model"]
    assert model["files"] == {"model": {"name": "vsfa_lite.safetensors", "sha256": model["sha256"]}}
    assert "VMAF" in model["training_data"] and "VMAF" in model["scale_description"]
    assert model["licence"].startswith("MIT") and model["device"] == "cpu"
