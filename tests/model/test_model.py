"""The scorer against slow, literal formulas; streaming, precision and weight files."""

from __future__ import annotations

import itertools
import math
import os
import pickle
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from conftest import FFMPEG, ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from vqa_cli.errors import ModelError, StorageError, UsageError
from vqa_cli.model.card import Card, Scale
from vqa_cli.model.checkpoint import load_model, save_model
from vqa_cli.model.device import RESNET_CLOSE
from vqa_cli.model.lite import LiteBackbone, to_cells
from vqa_cli.model.load import load_scorer
from vqa_cli.model.pooling import pool_batch
from vqa_cli.model.resnet import ResNetBackbone
from vqa_cli.model.store import sha256_of
from vqa_cli.model.temporal import effective_tau, pool_clip
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.values import FrameFormat

pytestmark = pytest.mark.numeric
SHARED = Path(os.environ.get("VQA_DEV_MEDIA", Path(__file__).parents[3] / "shared"))
scores = st.lists(st.floats(-5, 5, allow_nan=False, width=32), min_size=1, max_size=40)


def slow_pool(q: list[float], tau: int, beta: float) -> float:
    """The authors' pooling, one frame at a time in float64."""
    total = 0.0
    for t in range(len(q)):
        memory = min(q[max(0, t - tau + 1) : t + 1])
        ahead = q[t : t + tau]
        weights = [math.exp(-x) for x in ahead]
        current = sum(w * x for w, x in zip(weights, ahead, strict=True)) / sum(weights)
        total += beta * current + (1 - beta) * memory
    return total / len(q)


@given(scores, st.integers(1, 15), st.floats(0, 1))
def test_pooling_is_the_formula(q: list[float], tau: int, beta: float) -> None:
    fast = float(pool_clip(np.array(q), tau=tau, beta=beta))
    assert fast == pytest.approx(slow_pool(q, tau, beta), abs=1e-9)


@given(st.lists(scores, min_size=1, max_size=4))
def test_a_padded_batch_pools_like_each_clip(clips: list[list[float]]) -> None:
    longest = max(map(len, clips))
    padded = torch.tensor([c + [99.0] * (longest - len(c)) for c in clips], dtype=torch.float64)
    batch = pool_batch(padded, torch.tensor([len(c) for c in clips]))
    assert batch.tolist() == pytest.approx([slow_pool(c, 12, 0.5) for c in clips], abs=1e-9)


def test_pooling_has_gradients_everywhere() -> None:
    q = torch.randn(3, 20, dtype=torch.float64, requires_grad=True)
    pool_batch(q, torch.tensor([20, 7, 1])).sum().backward()
    assert q.grad is not None and torch.isfinite(q.grad).all()
    assert (q.grad[1, 7:] == 0).all()


def test_large_scores_do_not_underflow() -> None:
    assert float(pool_clip(np.full(30, 1000.0))) == pytest.approx(1000.0)


def test_window_keeps_its_seconds_when_frames_are_skipped() -> None:
    assert [effective_tau(12, every) for every in (1, 2, 5, 100)] == [12, 6, 2, 1]


def frames(count: int, width: int = 96, height: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(16, 235, (count, height * 3 // 2, width)).astype(np.uint8)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lite model with random weights: structure without quality."""
    torch.manual_seed(3)
    backbone, path = LiteBackbone(), tmp_path_factory.mktemp("model") / "random.safetensors"
    head = VsfaHead(backbone.dim, 16, 8)
    card = Card(
        name="random", backbone="lite", backbone_config=backbone.config, head_config={"dim": backbone.dim, "reduced": 16, "hidden": 8},
        scale=Scale(name="none", minimum=0, maximum=100, description="random weights", gain=100), preprocessing="as lite",
        training_data="none", licence="MIT",
    )  # fmt: skip
    tensors = {f"backbone.{k}": v for k, v in backbone.state_dict().items()}
    save_model(path, card, tensors | {f"head.{k}": v for k, v in head.state_dict().items()})
    return path


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7))
@settings(max_examples=15)
def test_any_chunking_and_batch_size_gives_the_whole_clip_score(
    model_file: Path, chunks: list[int], batch: int
) -> None:
    clip = frames(sum(chunks))
    whole = load_scorer(str(model_file), precision="fp32", device="cpu").score([clip], FrameFormat(96, 64))
    parts = np.split(clip, np.cumsum(chunks)[:-1])
    scorer = load_scorer(str(model_file), precision="fp32", device="cpu", batch_size=batch)
    streamed = scorer.score(parts, FrameFormat(96, 64))
    assert streamed.raw == pytest.approx(whole.raw, abs=1e-5)
    assert np.allclose(streamed.frame_scores, whole.frame_scores, atol=1e-3)


def test_features_score_again_without_the_video(model_file: Path) -> None:
    class Sink:
        def __init__(self) -> None:
            self.parts: list[np.ndarray] = []

        def append(self, features: np.ndarray) -> None:
            self.parts.append(features)

    sink = Sink()
    scorer = load_scorer(str(model_file), precision="fp32", device="cpu")
    whole = scorer.score([frames(20)], FrameFormat(96, 64), sink=sink)
    again = scorer.score_features(np.concatenate(sink.parts))
    assert again.score == pytest.approx(whole.score, abs=0.1)


def test_numbers_that_are_none_are_an_error(model_file: Path, tmp_path: Path) -> None:
    card, tensors, _ = load_model(model_file)
    broken = tmp_path / "broken.safetensors"
    save_model(broken, card, tensors | {"head.q.bias": torch.tensor([float("nan")])})
    scorer = load_scorer(str(broken), precision="fp32", device="cpu")
    with pytest.raises(ModelError, match="no number: frame 0"):
        scorer.score([frames(3)], FrameFormat(96, 64))


def test_cells_hold_every_pixel_in_one_scale() -> None:
    limited = to_cells(torch.from_numpy(frames(1)), FrameFormat(96, 64))
    assert limited.shape == (1, 16, 24, 24)
    black = torch.full((1, 96, 96), 16, dtype=torch.uint8)
    assert to_cells(black, FrameFormat(96, 64))[..., :16].max() == pytest.approx(-1.0)
    full = to_cells(torch.full((1, 96, 96), 255, dtype=torch.uint8), FrameFormat(96, 64, full_range=True))
    assert full[..., :16].min() == pytest.approx(1.0)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (50, 38), (6, 4)])
def test_a_cell_holds_the_pixels_that_lie_under_it(width: int, height: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (3, height * 3 // 2, width), dtype=np.uint8)
    cells = to_cells(torch.from_numpy(pixels)[1:], FrameFormat(width, height))
    chroma = pixels[:, height:].reshape(3, 2, height // 2, width // 2)
    assert cells.shape == (2, height // 4, width // 4, 24)
    for row, col in ((0, 0), (height // 4 - 1, width // 4 - 1)):
        luma = pixels[2, 4 * row : 4 * row + 4, 4 * col : 4 * col + 4].ravel()
        under = chroma[2, :, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel()
        wanted = np.concatenate(((luma - 125.5) / 109.5, (under - 128.0) / 112.0))
        np.testing.assert_allclose(cells[1, row, col].numpy(), wanted, rtol=1e-6)


def test_features_of_a_frame_depend_on_the_one_before_it_and_on_no_other() -> None:
    torch.manual_seed(0)
    backbone = LiteBackbone().fold()
    clip, size = torch.from_numpy(frames(4)), FrameFormat(96, 64)
    with torch.inference_mode():
        run = backbone(clip, size)
        assert run.shape == (3, backbone.dim)
        torch.testing.assert_close(backbone.judge(clip[1:], clip[:-1], size), run)
        torch.testing.assert_close(backbone(clip[1:3], size)[0], run[1])
        assert not torch.allclose(backbone.judge(clip[2:3], clip[2:3], size), run[1:2])


def test_a_large_frame_is_the_mean_of_its_tiles() -> None:
    torch.manual_seed(0)
    backbone = LiteBackbone(tile=(64, 96)).fold()
    clip = frames(2, 192, 128)
    luma, chroma = clip[:, :128], clip[:, 128:].reshape(2, 2, 64, 96)
    with torch.inference_mode():
        whole = backbone(torch.from_numpy(clip), FrameFormat(192, 128))
        parts = []
        for y in (0, 64):
            for x in (0, 96):
                under = chroma[:, :, y // 2 : y // 2 + 32, x // 2 : x // 2 + 48].reshape(2, 32, 96)
                tile = np.concatenate((luma[:, y : y + 64, x : x + 96], under), axis=1)
                parts.append(backbone(torch.from_numpy(tile), FrameFormat(96, 64)))
    torch.testing.assert_close(whole, torch.stack(parts).mean(0), rtol=1e-4, atol=1e-5)


def test_no_pixel_is_left_out_where_tiles_do_not_fit() -> None:
    torch.manual_seed(0)
    backbone = LiteBackbone(tile=(64, 96)).fold()
    size, clip = FrameFormat(236, 148), frames(2, 236, 148)
    with torch.inference_mode():
        before = backbone(torch.from_numpy(clip), size)
        for y, x in ((0, 0), (147, 235), (74, 118), (0, 235)):
            changed = clip.copy()
            changed[:, y - y % 4 : y - y % 4 + 4, x - x % 4 : x - x % 4 + 4] = 235
            assert not torch.equal(backbone(torch.from_numpy(changed), size), before)


def test_odd_cells_are_left_out_and_nothing_fails() -> None:
    backbone = LiteBackbone().fold()
    with torch.inference_mode():
        assert backbone(torch.from_numpy(frames(2, 70, 66)), FrameFormat(70, 66)).shape == (1, backbone.dim)


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    backbone = LiteBackbone()
    backbone(torch.from_numpy(frames(4)), FrameFormat(96, 64))
    backbone.eval()
    with torch.inference_mode():
        before = backbone(torch.from_numpy(frames(2)), FrameFormat(96, 64))
        after = backbone.fold()(torch.from_numpy(frames(2)), FrameFormat(96, 64))
    assert torch.allclose(before, after, atol=1e-5)


RGB = FrameFormat(96, 64, full_range=True, layout="rgb24")


def rgb_frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *RGB.shape)).astype(np.uint8)


def resnet_weights(path: Path) -> Path:
    from torchvision.models import resnet50

    torch.manual_seed(5)
    torch.save(resnet50(weights=None).state_dict(), path)
    return path


def test_resnet_features_are_the_papers(tmp_path: Path) -> None:
    """Mean and unbiased deviation of the last map, against a plain, unfolded torchvision network."""
    from torchvision.models import resnet50

    path = resnet_weights(tmp_path / "resnet.pth")
    ours = ResNetBackbone()
    ours.load_torchvision(torch.load(path, weights_only=True), path)
    ours.fold()
    plain = resnet50(weights=None).eval()
    plain.load_state_dict(torch.load(path, weights_only=True))
    clip = torch.from_numpy(rgb_frames(2))
    with torch.inference_mode():
        got = ours(clip, RGB)
        x = clip.permute(0, 3, 1, 2) / 255
        x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            x = getattr(plain, name)(x)
        want = torch.cat((x.mean((2, 3)), x.flatten(2).std(2)), dim=1)
    assert torch.allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "mixed", "bf16"])
def test_what_a_network_saw_before_does_not_show(precision: str) -> None:
    """It keeps weights in an order that suits the last frame's size, and is shared by threads with clips of their own."""

    def network() -> ResNetBackbone:
        torch.manual_seed(5)
        backbone = ResNetBackbone().fold().requires_grad_(False)
        backbone.lower(precision)
        return backbone

    used, clips = (
        network(),
        [torch.from_numpy(rgb_frames(2)[:, :height, :width]) for height, width in ((64, 96), (48, 40))],
    )
    with torch.inference_mode():
        for clip in (*clips, *clips, clips[0][:1]):
            assert torch.equal(used(clip, RGB), network()(clip, RGB))


def test_a_network_that_has_scored_can_be_copied() -> None:
    backbone, clip = ResNetBackbone().fold().requires_grad_(False), torch.from_numpy(rgb_frames(1))
    backbone.lower("bf16")
    with torch.inference_mode():
        before = backbone(clip, RGB)
        for copy in (deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
            assert torch.equal(copy(clip, RGB), before)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["vsfa", "mdtvsfa"])
def test_published_heads_score_as_a_literal_transcription(name: str, tmp_path: Path) -> None:
    head_file = SHARED / "weights" / f"{name.upper()}.pt"
    if not head_file.exists():
        pytest.skip("the published heads are not here")
    weights = resnet_weights(tmp_path / "resnet.pth")
    scorer = load_scorer(name, backbone_weights=weights, head_weights=head_file, precision="fp32", device="cpu")

    class Sink(list[np.ndarray]):
        pass

    sink = Sink()
    got = scorer.score([rgb_frames(17)[:5], rgb_frames(17)[5:]], RGB, sink=sink)
    backbone = ResNetBackbone()
    backbone.load_torchvision(torch.load(weights, weights_only=True), weights)
    with torch.inference_mode():
        features = backbone.fold()(torch.from_numpy(rgb_frames(17)), RGB).double().numpy()
    state = {k: v.double().numpy() for k, v in torch.load(head_file, map_location="cpu", weights_only=True).items()}
    assert got.raw == pytest.approx(slow_score(features, state), abs=1e-5)
    assert not got.model.verified


def like_trained(path: Path, clip: np.ndarray, seed: int) -> Path:
    """Seeded weights that carry rounding on as trained ones do (docs/performance.md): with the normalisation statistics of
    real frames, without which every map explodes, and with blocks that add little to what goes past them.
    """
    from torchvision.models import resnet50

    torch.manual_seed(seed)
    net = resnet50(weights=None)
    mean, spread = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            if name.endswith("bn3"):
                torch.nn.init.uniform_(module.weight, 0.1, 0.4)
    with torch.inference_mode():
        net.train()(((torch.from_numpy(clip) - mean) / spread).permute(0, 3, 1, 2))
    torch.save(net.state_dict(), path)
    return path


@pytest.mark.shared
@pytest.mark.ffmpeg
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "seed", "count"), [("mixed", 1, 12), ("mixed", 4, 12), ("fp16", 4, 6)])
@pytest.mark.parametrize("model", ["mdtvsfa", "vsfa"])
def test_the_default_precision_keeps_scores_and_their_order(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, precision: str, seed: int, count: int
) -> None:
    """fp16 is the default of a GPU; the CPU's fp16, which nobody is offered and which is slow, stands in for it."""
    head = SHARED / "weights" / f"{model.upper()}.pt"
    if not head.exists():
        pytest.skip("the published heads are not here")
    assert precision in (RESNET_CLOSE.cpu, RESNET_CLOSE.gpu)
    pixels, rungs = FrameFormat(320, 180, full_range=True, layout="rgb24"), []
    for crf in (10, 28, 40, 51):
        rung = tmp_path / f"{crf}.mp4"
        ffmpeg("-i", clip, "-frames:v", str(count), "-c:v", "libx264", "-crf", str(crf), rung)
        argv = [FFMPEG, "-v", "error", "-i", str(rung), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run(argv, check=True, capture_output=True).stdout
        rungs.append(np.frombuffer(raw, np.uint8).reshape(-1, *pixels.shape).copy())
    weights = like_trained(tmp_path / "resnet.pth", rungs[0][:6], seed)
    raws = {}
    for arithmetic in ("fp32", precision):
        monkeypatch.setattr("vqa_cli.model.device.pick_precision", lambda *_, found=arithmetic: found)
        scorer = load_scorer(model, backbone_weights=weights, head_weights=head, device="cpu")
        assert scorer.identity.precision == arithmetic
        raws[arithmetic] = np.array([scorer.score([rung], pixels).raw for rung in rungs])
    assert 0 < np.abs(raws[precision] - raws["fp32"]).max() <= 0.002
    gaps = {name: np.subtract.outer(values, values) for name, values in raws.items()}
    swapped = np.abs(gaps["fp32"])[gaps["fp32"] * gaps[precision] < 0]
    assert swapped.max(initial=0) < 2e-4, "rungs that no digit we print sets apart may change places, no others"


def slow_score(features: np.ndarray, state: dict[str, np.ndarray]) -> float:
    """Linear, GRU cell and linear in NumPy, frame by frame; then pooling, and MDTVSFA's two sigmoids."""
    mixed = "regression.weight" in state
    fc, rnn, q = ("dimemsion_reduction", "feature_aggregation", "regression") if mixed else ("ann.fc0", "rnn", "q")

    def sigmoid(x: np.ndarray) -> Any:
        return 1 / (1 + np.exp(-x))

    hidden, out = np.zeros(32), []
    for row in features:
        x = state[f"{fc}.weight"] @ row + state[f"{fc}.bias"]
        gates = state[f"{rnn}.weight_ih_l0"] @ x + state[f"{rnn}.bias_ih_l0"]
        back = state[f"{rnn}.weight_hh_l0"] @ hidden + state[f"{rnn}.bias_hh_l0"]
        reset, update = sigmoid(gates[:32] + back[:32]), sigmoid(gates[32:64] + back[32:64])
        new = np.tanh(gates[64:] + reset * back[64:])
        hidden = (1 - update) * new + update * hidden
        out.append(float((state[f"{q}.weight"] @ hidden + state[f"{q}.bias"])[0]))
    pooled = slow_pool(out, 12, 0.5)
    if not mixed:
        return pooled
    relative = 1 / (1 + math.exp(-pooled))
    return 1 / (1 + math.exp(-(float(state["nlm.0.weight"][0, 0]) * relative + float(state["nlm.0.bias"][0]))))


def test_missing_weights_name_the_files_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        load_scorer("vsfa", model_dir=tmp_path)
    assert "resnet50-0676ba61.pth and VSFA.pt" in error.value.message
    assert "vqa models pull vsfa" in str(error.value.hint)


@pytest.mark.parametrize("content", [b"<!doctype html><html>not found</html>", b"", b"PK\x03\x04 truncated"])
def test_weight_files_that_are_none(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_scorer("vsfa", backbone_weights=bad, head_weights=bad)
    model = tmp_path / "bad.safetensors"
    model.write_bytes(content)
    with pytest.raises(ModelError, match="not a vqa model file"):
        load_scorer(str(model))
    assert "weights_only" not in str(caught.value.detail), "torch's advice to load the file unsafely"


@pytest.fixture(scope="module")
def any_resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return resnet_weights(tmp_path_factory.mktemp("resnet") / "resnet.pth")


def mdtvsfa_state() -> dict[str, torch.Tensor]:
    """Random weights by the names and in the shapes of the published file."""
    theirs = {"ann.fc0": "dimemsion_reduction", "rnn": "feature_aggregation", "q": "regression"}
    state = {}
    for key, value in VsfaHead(4096).state_dict().items():
        ours = next(name for name in theirs if key.startswith(f"{name}."))
        state[key.replace(ours, theirs[ours], 1)] = value
    for line in ("nlm.0", "nlm.2", "lm.K", "lm.C", "lm.L", "lm.N"):
        state |= {f"{line}.weight": torch.ones(1, 1), f"{line}.bias": torch.zeros(1)}
    return state


def test_a_head_of_the_other_model_is_refused(any_resnet: Path, tmp_path: Path) -> None:
    states = {"vsfa": VsfaHead(4096).state_dict(), "mdtvsfa": mdtvsfa_state()}
    for name, state in states.items():
        torch.save(state, tmp_path / f"{name}.pt")
    for name in states:
        options: dict[str, Any] = dict(backbone_weights=any_resnet, device="cpu", precision="fp32")
        assert not load_scorer(name, head_weights=tmp_path / f"{name}.pt", **options).identity.verified
        other = tmp_path / f"{'vsfa' if name == 'mdtvsfa' else 'mdtvsfa'}.pt"
        with pytest.raises(ModelError, match=f"not a head of {name}: {other}"):
            load_scorer(name, head_weights=other, **options)


def test_names_that_are_no_text_are_no_state_dict(any_resnet: Path, tmp_path: Path) -> None:
    torch.save({1: torch.zeros(2)}, tmp_path / "numbers.pt")
    with pytest.raises(ModelError, match="not a state dict"):
        load_scorer("vsfa", backbone_weights=any_resnet, head_weights=tmp_path / "numbers.pt")


@pytest.mark.parametrize("option", ["head_weights", "backbone_weights"])
def test_weights_that_a_model_does_not_take_are_refused(model_file: Path, tmp_path: Path, option: str) -> None:
    """They would be left out without a word, e.g. where --model was forgotten."""
    for model in ("vsfa-lite", str(model_file)):
        with pytest.raises(UsageError, match=f"other {option.replace('_', ' ')} are for"):
            load_scorer(model, device="cpu", **{option: tmp_path / "weights.pt"})  # type: ignore[arg-type]


def trained_head(path: Path, **card: object) -> str:
    """A file as training writes it for ResNet-50's features, with random weights."""
    scale = Scale(name="MOS", minimum=1, maximum=5, description="random weights")
    about = dict(
        name="own", backbone="resnet50", head_config={"dim": 4096}, scale=scale, training_data="none", licence="MIT"
    )
    weights = {f"head.{k}": v for k, v in VsfaHead(4096).state_dict().items()}
    save_model(path, Card.model_validate({"preprocessing": "RGB", **about, **card}), weights)
    return str(path)


def test_a_trained_head_gets_the_network_that_it_learnt_on(any_resnet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "resnet50-0676ba61.pth").symlink_to(any_resnet)
    mine = sha256_of(any_resnet)
    same = trained_head(tmp_path / "same.safetensors", training={"extractor_sha256": mine})
    other = trained_head(tmp_path / "other.safetensors", training={"extractor_sha256": "0" * 64})
    assert load_scorer(same, model_dir=folder, device="cpu", precision="fp32").identity.extractor == mine
    with pytest.raises(ModelError, match="trained on features of other ResNet-50 weights") as error:
        load_scorer(other, model_dir=folder, device="cpu", precision="fp32")
    assert "--backbone-weights" in str(error.value.hint)
    named = load_scorer(other, backbone_weights=any_resnet, device="cpu", precision="fp32")
    assert not named.identity.verified


@pytest.mark.parametrize("color", ["auto", "reference"])
def test_a_trained_head_sees_the_colours_that_it_learnt_on(any_resnet: Path, tmp_path: Path, color: Any) -> None:
    weights: dict[str, Any] = dict(backbone_weights=any_resnet, device="cpu", precision="fp32")
    extracted = load_scorer(trained_head(tmp_path / "a.safetensors"), color="reference", **weights).identity
    trained = trained_head(tmp_path / "b.safetensors", preprocessing=extracted.preprocessing)
    identity = load_scorer(trained, color=color, **weights).identity
    assert identity.pixels.untagged == "reference"
    assert identity.preprocessing == extracted.preprocessing


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        ({"backbone": "vgg"}, "no such backbone: vgg"),
        ({"backbone_config": {"depth": 3}}, "weights do not fit their card"),
        ({"backbone_config": {"taps": [99]}}, "weights do not fit their card"),
        ({"head_config": {"dim": 832, "hidden": 0}}, "cannot have these sizes"),
    ],
)
def test_a_card_that_cannot_be_built_is_an_error(
    model_file: Path, tmp_path: Path, card: dict[str, object], fault: str
) -> None:
    right, tensors, _ = load_model(model_file)
    save_model(tmp_path / "wrong.safetensors", right.model_copy(update=card), tensors)
    with pytest.raises(ModelError, match=fault):
        load_scorer(str(tmp_path / "wrong.safetensors"), device="cpu", precision="fp32")


def test_a_head_for_other_features_is_an_error(model_file: Path, tmp_path: Path) -> None:
    card, tensors, _ = load_model(model_file)
    head = {f"head.{k}": v for k, v in VsfaHead(100).state_dict().items()}
    other = card.model_copy(update={"head_config": {"dim": 100}})
    save_model(tmp_path / "wrong.safetensors", other, {k: v for k, v in tensors.items() if k[0] == "b"} | head)
    with pytest.raises(ModelError) as error:
        load_scorer(str(tmp_path / "wrong.safetensors"), device="cpu", precision="fp32")
    assert f"the head takes 100 features, the network gives {LiteBackbone().dim}" == error.value.detail


def test_errors_say_what_does_not_fit(any_resnet: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "bare.safetensors")
    with pytest.raises(ModelError) as error:
        load_scorer(str(tmp_path / "bare.safetensors"))
    assert error.value.detail == "it has no model card"
    torch.save(VsfaHead(4096, 64).state_dict(), tmp_path / "narrow.pt")
    with pytest.raises(ModelError) as error:
        load_scorer("vsfa", backbone_weights=any_resnet, head_weights=tmp_path / "narrow.pt")
    assert str(error.value.detail).startswith("size mismatch for ann.fc0.weight")
    with pytest.raises(ModelError) as error:
        load_scorer("vsfa", backbone_weights=tmp_path / "narrow.pt", head_weights=tmp_path / "narrow.pt")
    assert "Missing key" in str(error.value.detail) and len(str(error.value.detail)) <= 160


def test_a_model_that_cannot_be_written_leaves_nothing_behind(model_file: Path, tmp_path: Path) -> None:
    card, tensors, _ = load_model(model_file)
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(StorageError, match="cannot write model"):
        save_model(tmp_path / "taken.safetensors", card, tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.safetensors"]


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model: vmafx"):
        load_scorer("vmafx")
    with pytest.raises(UsageError, match="no such device"):
        load_scorer(device="cuda:7")


@given(st.lists(st.floats(-3, 4, allow_nan=False), min_size=2, max_size=20, unique=True))
def test_the_knee_keeps_scores_on_the_scale_and_in_order(raws: list[float]) -> None:
    from vqa_cli.model.verdict import Calibration

    calibration = Calibration(gain=100, knee=0.05)
    scores = calibration.score(sorted(raws))
    assert scores.min() >= 0 and scores.max() <= 100
    assert (np.diff(scores) >= 0).all()
    assert float(calibration.score(0.5)) == 50


@pytest.mark.parametrize("hold", [2, 3])
def test_one_frame_of_several_stands_for_all_and_its_place_moves_on(hold: int) -> None:
    torch.manual_seed(0)
    shown = FrameFormat(96, 64)
    one, some = LiteBackbone(widths=(8, 8), halve=(False, True), taps=(0, 1)), None
    some = LiteBackbone(widths=(8, 8), halve=(False, True), taps=(0, 1), hold=hold)
    some.load_state_dict(one.state_dict())
    one, some = one.fold(), some.fold()
    clip = torch.from_numpy(np.concatenate((frames(1), frames(22, seed=1))))
    with torch.inference_mode():
        each, held = one(clip, shown), some(clip, shown)
    count = len(clip) - 1
    seen = [min(first + -(first // hold) % hold, count - 1) for first in range(0, count, hold)]
    assert {at % hold for at in seen} == set(range(hold)), "one place of the group is never seen"
    torch.testing.assert_close(held, each[np.repeat(seen, hold)[:count]])


@pytest.mark.parametrize("count", [1, 3, 4, 10, 24])
def test_tiles_of_a_large_frame_take_turns(count: int) -> None:
    """Half of them are those of one frame that is seen, half those of the next; each meets every place among the three."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"widths": (8, 8), "halve": (False, True), "taps": (0, 1), "tile": (32, 32)}
    net, whole = LiteBackbone(**shape, hold=3, by_turns=6), LiteBackbone(**shape)
    whole.load_state_dict(net.state_dict())
    net, whole, shown, tile = net.fold(), whole.fold(), FrameFormat(96, 64), FrameFormat(32, 32)
    clip = np.concatenate([frames(1), frames(count, seed=1)])
    luma, chroma = clip[:, :64], clip[:, 64:].reshape(len(clip), 2, 32, 48)
    expected = []
    with torch.inference_mode():
        for number in range(count):
            ones = []
            for down, across in itertools.product(range(2), range(3)):
                begun = min(number // 6 * 6 + (down + across) % 2 * 3, count - 1)
                at = min(begun + -(begun // 3) % 3, count - 1)
                cut = np.concatenate([
                    luma[at : at + 2, 32 * down :, 32 * across :][:, :32, :32].reshape(2, -1),
                    chroma[at : at + 2, :, 16 * down :, 16 * across :][:, :, :16, :16].reshape(2, -1),
                ], axis=1).reshape(2, *tile.shape)  # fmt: skip
                ones.append(whole(torch.from_numpy(cut), tile))
            expected.append(torch.cat(ones).mean(dim=0))
        found = net(torch.from_numpy(clip), shown)
    torch.testing.assert_close(found, torch.stack(expected))


def test_frames_of_few_tiles_are_seen_whole() -> None:
    shape: dict[str, Any] = {"widths": (8, 8), "halve": (False, True), "taps": (0, 1), "tile": (32, 32), "hold": 3}
    net, whole = LiteBackbone(**shape, by_turns=7), LiteBackbone(**shape)
    whole.load_state_dict(net.state_dict())
    clip = torch.from_numpy(frames(9))
    with torch.inference_mode():
        found, expected = (each.fold()(clip, FrameFormat(96, 64)) for each in (net, whole))
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("hold", "by_turns"), [(2, 8), (3, -1), (3, 1.5)])
def test_turns_by_which_something_is_never_seen_are_refused(hold: int, by_turns: int) -> None:
    with pytest.raises(ValueError, match=f"by_turns {by_turns} is no number of tiles, or hold {hold} is even"):
        LiteBackbone(hold=hold, by_turns=by_turns)


@pytest.mark.parametrize("shown", [FrameFormat(96, 64), FrameFormat(1408, 384)], ids=["one tile", "eight tiles"])
@pytest.mark.parametrize("size", ["auto", 1, 4, 9, 20])
def test_the_bundled_model_sees_the_same_frames_in_any_batches(size: int | Literal["auto"], shown: FrameFormat) -> None:
    """Which frame of three it sees, and which tiles of it, goes by the frame's place in the clip, not in the batch."""
    clip = np.random.default_rng(0).integers(0, 256, (45, *shown.shape), dtype=np.uint8)
    whole = load_scorer(device="cpu", batch_size=len(clip) + 9).score([clip], shown)
    parts = [clip[at : at + 7] for at in range(0, len(clip), 7)]
    got = load_scorer(device="cpu", batch_size=size).score(parts, shown)
    np.testing.assert_allclose(got.frame_outputs, whole.frame_outputs, atol=1e-5)
