"""What the published backbone sees is what ``ffmpeg -pix_fmt rgb24`` gives; and the scorer under memory pressure."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from conftest import FFMPEG, PATIENCE_S, Vqa, ffmpeg
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import resnet50

from training.lite.weights import FLOATING
from vqa_cli.errors import InputError, ModelError, UsageError
from vqa_cli.identity import PixelWish
from vqa_cli.measure.score import ScoreRequest, score_file
from vqa_cli.model.backbone import Backbone
from vqa_cli.model.device import RESNET_CLOSE, Close, pick_precision
from vqa_cli.model.extractor import FeatureExtractor, rebatch
from vqa_cli.model.fused import cudnn_fuses
from vqa_cli.model.heads import HeadStream
from vqa_cli.model.load import load_scorer
from vqa_cli.model.scorer import StreamingScorer
from vqa_cli.model.temporal import TemporalPooling
from vqa_cli.model.verdict import Calibration, Verdicts
from vqa_cli.model.vsfa import VsfaHead
from vqa_cli.values import ClipScore, FrameFormat, Scorer

pytestmark = pytest.mark.numeric

WIDTH, HEIGHT, FRAMES = 128, 96, 3


def noise(path: Path, pix_fmt: str, *tags: str, size: str = f"{WIDTH}x{HEIGHT}") -> Path:
    """Noise that reaches all colours, coded without loss; half of it coarse, so that chroma has edges."""
    source = f"nullsrc=size={size}:rate=25,geq=lum='random(1)*255':cb='random(2)*255':cr='random(3)*255'"
    coder = ("-c:v", "libx264", "-qp", "0") if "10" not in pix_fmt else ("-c:v", "ffv1")
    filters = f"format={pix_fmt},setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", str(FRAMES), "-vf", filters, *coder, *tags, path)
    return path


def as_ffmpeg(path: Path, matrix: str | None = None) -> np.ndarray:
    tag = ["-vf", f"setparams=colorspace={'smpte170m' if matrix == 'bt601' else matrix}"] if matrix else []
    argv = [FFMPEG, "-v", "error", "-i", str(path), *tag, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(argv, check=True, capture_output=True).stdout
    return np.frombuffer(pixels, np.uint8).reshape(FRAMES, -1, 3)


class Watcher:
    """A scorer that keeps the frames it is shown."""

    def __init__(self, scorer: StreamingScorer, wish: PixelWish) -> None:
        self._scorer, self.identity = scorer, replace(scorer.identity, pixels=wish)
        self.shown: np.ndarray = np.zeros(0, np.uint8)

    @property
    def as_scorer(self) -> Scorer:
        """It is shown frames; what is done with features it need not know."""
        return cast(Scorer, self)

    def expect(self) -> None:
        """It is ready."""

    def score(self, frames: Iterable[np.ndarray], frame_format: FrameFormat, **options: object) -> ClipScore:
        assert frame_format.layout == self.identity.pixels.layout
        self.shown = np.concatenate(list(frames)).reshape(FRAMES, -1, 3)
        return self._scorer.pool(np.zeros(FRAMES))


@pytest.mark.ffmpeg
@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuvj420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("tag", ["bt709", "smpte170m", "bt2020nc", None])
def test_what_is_scored_are_the_pixels_of_rgb24(
    any_model: StreamingScorer, tmp_path: Path, pix_fmt: str, tag: str | None, compared: bool
) -> None:
    """Through all of ``score_file``; the untagged clip is read as BT.601, as the authors' reader does."""
    clip = noise(tmp_path / "clip.mkv", pix_fmt, *(("-colorspace", tag) if tag else ()))
    watcher = Watcher(any_model, PixelWish("rgb24", "reference"))
    request = ScoreRequest(reference=clip, metrics=("psnr",)) if compared else ScoreRequest()
    score_file(clip, request, scorer=watcher.as_scorer)
    want = as_ffmpeg(clip)
    assert np.ptp(want) == 255
    assert np.abs(watcher.shown.astype(int) - want).max() <= 1


@pytest.mark.ffmpeg
@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuv422p"])
def test_a_reference_does_not_change_the_score(vqa: Vqa, tmp_path: Path, pix_fmt: str) -> None:
    clip, weights = noise(tmp_path / "clip.mkv", pix_fmt), random_vsfa(tmp_path)
    options = ("score", clip, "--model", "vsfa", *weights, "--format", "json", "--no-cache")
    alone, compared = vqa(*options), vqa(*options, "--reference", clip, "--metric", "psnr")
    assert alone.returncode == compared.returncode == 0, compared.stderr
    raws = [json.loads(done.stdout)["raw"] for done in (alone, compared)]
    assert raws[0] == raws[1]


@pytest.mark.ffmpeg
@pytest.mark.parametrize(("untagged", "matrix"), [("auto", "bt709"), ("reference", "bt601")])
def test_untagged_hd_is_read_as_asked(any_model: StreamingScorer, tmp_path: Path, untagged: str, matrix: str) -> None:
    clip = noise(tmp_path / "clip.mkv", "yuv420p", size="1280x720")
    watcher = Watcher(any_model, PixelWish("rgb24", untagged))  # type: ignore[arg-type]
    score_file(clip, scorer=watcher.as_scorer)
    shown = {name: np.abs(watcher.shown.astype(int) - as_ffmpeg(clip, name)).max() for name in ("bt601", "bt709")}
    assert shown.pop(matrix) <= 1
    assert min(shown.values()) > 10


def random_vsfa(folder: Path) -> tuple[object, ...]:
    """Options for weights of the right shapes."""
    torch.manual_seed(0)
    torch.save(resnet50(weights=None).state_dict(), folder / "resnet.pth")
    torch.save(VsfaHead(4096).state_dict(), folder / "head.pt")
    return "--backbone-weights", folder / "resnet.pth", "--head-weights", folder / "head.pt"


@pytest.mark.ffmpeg
def test_a_ladder_records_how_untagged_video_was_read(vqa: Vqa, tmp_path: Path) -> None:
    done = vqa("ladder", noise(tmp_path / "clip.mkv", "yuv420p"), "--model", "vsfa", *random_vsfa(tmp_path), "--matrix", "reference",
               "--codec", "x264", "--crf", "30", "--height", "96", "--display", "96", "--metric", "psnr", "-o", tmp_path / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "read as BT.601" in json.loads((tmp_path / "run" / "run.json").read_text())["model"]["preprocessing"]


def test_frames_of_another_layout_are_refused(any_model: StreamingScorer) -> None:
    pixels = FrameFormat(64, 64, full_range=True, layout="rgb24")
    with pytest.raises(InputError, match="to be shown yuv420p frames, not rgb24"):
        any_model.score([np.zeros((3, 64, 64, 3), np.uint8)], pixels)


def room(shape: Sequence[int]) -> torch.Tensor:
    return torch.empty(tuple(shape), dtype=torch.uint8)


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_rebatching_keeps_every_frame_in_order(chunks: list[int], sizes: list[int]) -> None:
    frames = np.arange(sum(chunks), dtype=np.uint8)[:, None, None]
    asked = iter(sizes * 100)
    parts = np.split(frames, np.cumsum(chunks)[:-1]) if chunks else []
    batches = [batch.numpy() for batch in rebatch(parts, lambda: next(asked), 0, room)]
    assert max(map(len, batches), default=0) <= max(sizes)
    assert np.array_equal(np.concatenate([frames[:0], *batches]), frames)


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_each_batch_begins_with_the_frame_before_it(chunks: list[int], sizes: list[int]) -> None:
    frames = np.arange(sum(chunks), dtype=np.uint8)[:, None, None]
    asked = iter(sizes * 100)
    parts = np.split(frames, np.cumsum(chunks)[:-1]) if chunks else []
    batches = [batch.numpy() for batch in rebatch(parts, lambda: next(asked), 1, room)]
    assert np.array_equal(np.concatenate([frames[:0], *(batch[1:] for batch in batches)]), frames)
    before = np.concatenate([frames[:1], *(batch[1:] for batch in batches)])[:-1] if batches else frames[:0]
    assert np.array_equal(np.concatenate([frames[:0], *(batch[:-1] for batch in batches)]), before)


class SmallMemory(Backbone):
    """A backbone whose device holds ``room`` frames; with ``error`` it fails in another way beyond that."""

    def __init__(self, room: int, error: RuntimeError | None = None) -> None:
        super().__init__()
        self.room, self.seen = room, list[int]()
        self.error = error or torch.cuda.OutOfMemoryError()

    def forward(self, frames: torch.Tensor, frame_format: FrameFormat, first: int = 0) -> torch.Tensor:
        self.seen.append(len(frames))
        if len(frames) > self.room:
            raise self.error
        return frames.float().flatten(1)[:, :8] / 255


def scorer(backbone: Backbone, tmp: StreamingScorer) -> StreamingScorer:
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    extractor = FeatureExtractor(backbone, cpu, 16)
    return StreamingScorer(
        extractor, VsfaHead(8).eval(), Verdicts(tmp.identity, Calibration(), TemporalPooling()), device=cpu
    )


@pytest.fixture
def any_model(tmp_path: Path) -> StreamingScorer:
    """Only its identity is used."""
    return load_scorer(device="cpu")


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total capacity)"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:30])
def test_memory_that_runs_out_halves_the_batch_and_changes_nothing(
    any_model: StreamingScorer, error: RuntimeError
) -> None:
    clip = np.random.default_rng(0).integers(0, 255, (50, 96, 64)).astype(np.uint8)
    pixels = FrameFormat(64, 64)
    small = SmallMemory(5, error)
    squeezed = scorer(small, any_model).score([clip], pixels)
    assert squeezed.raw == pytest.approx(scorer(SmallMemory(99), any_model).score([clip], pixels).raw, abs=1e-6)
    assert small.seen[:3] == [16, 8, 4]
    assert set(small.seen[7:]) <= {4, 2}


class LooksBack(SmallMemory):
    """Its features are how each frame differs from the one before."""

    looks_back = 1

    def forward(self, frames: torch.Tensor, frame_format: FrameFormat, first: int = 0) -> torch.Tensor:
        return super().forward(frames, frame_format).diff(dim=0)


def test_halved_batches_still_see_the_frame_before() -> None:
    clip = np.random.default_rng(0).integers(0, 255, (23, 96, 64)).astype(np.uint8)

    def features(room: int) -> torch.Tensor:
        extractor = FeatureExtractor(LooksBack(room), torch.device("cpu"), 16)
        return torch.cat(list(extractor.features([clip[:9], clip[9:]], FrameFormat(64, 64))))

    assert features(99).abs().sum() > 0
    assert torch.equal(features(4), features(99))


def test_fp32_is_not_tf32_on_a_gpu() -> None:
    allowed = []

    class Asks(SmallMemory):
        def forward(self, frames: torch.Tensor, frame_format: FrameFormat, first: int = 0) -> torch.Tensor:
            allowed.append(torch.backends.cudnn.allow_tf32)
            return super().forward(frames, frame_format)

    before = torch.backends.cudnn.allow_tf32
    list(
        FeatureExtractor(Asks(9), torch.device("cpu")).features([np.zeros((2, 96, 64), np.uint8)], FrameFormat(64, 64))
    )
    assert allowed == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_neither_is_the_heads_fp32() -> None:
    allowed = []

    class Asks(VsfaHead):
        def forward(
            self, features: torch.Tensor, state: torch.Tensor | None = None
        ) -> tuple[torch.Tensor, torch.Tensor]:
            allowed.append(torch.backends.cudnn.allow_tf32)
            return super().forward(features, state)

    HeadStream(Asks(8)).push(torch.zeros(3, 8))
    assert allowed == [False]


def test_a_thread_that_ends_leaves_the_others_their_fp32() -> None:
    first_in, second_in = threading.Event(), threading.Event()
    allowed: list[bool] = []

    class First(SmallMemory):
        def forward(self, frames: torch.Tensor, frame_format: FrameFormat, first: int = 0) -> torch.Tensor:
            first_in.set()
            second_in.wait(PATIENCE_S)
            return super().forward(frames, frame_format)

    class Second(SmallMemory):
        def forward(self, frames: torch.Tensor, frame_format: FrameFormat, first: int = 0) -> torch.Tensor:
            second_in.set()
            other.join(PATIENCE_S)
            allowed.append(torch.backends.cudnn.allow_tf32)
            return super().forward(frames, frame_format)

    def extract(backbone: Backbone) -> None:
        extractor = FeatureExtractor(backbone, torch.device("cpu"))
        list(extractor.features([np.zeros((2, 96, 64), np.uint8)], FrameFormat(64, 64)))

    before = torch.backends.cudnn.allow_tf32
    other = threading.Thread(target=extract, args=(First(9),))
    other.start()
    first_in.wait(PATIENCE_S)
    extract(Second(9))
    assert allowed == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_other_faults_of_the_device_are_none_of_memory(any_model: StreamingScorer) -> None:
    broken = SmallMemory(0, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        scorer(broken, any_model).score([np.zeros((3, 96, 64), np.uint8)], FrameFormat(64, 64))
    assert broken.seen == [3]


def test_memory_for_not_even_one_frame_is_an_error(any_model: StreamingScorer) -> None:
    with pytest.raises(ModelError, match="memory does not hold one frame of 64x64"):
        scorer(SmallMemory(0), any_model).score([np.zeros((3, 96, 64), np.uint8)], FrameFormat(64, 64))


def test_memory_for_not_even_the_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Backbone:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr("vqa_cli.model.extractor.prepare_backbone", full)
    with pytest.raises(ModelError, match="memory does not hold the model"):
        load_scorer(device="cpu")


@pytest.mark.parametrize("count", [1, 2, 11, 13])
def test_the_window_in_use_is_recorded(any_model: StreamingScorer, count: int) -> None:
    clip = np.full((count, 96, 64), 100, np.uint8)
    result = scorer(SmallMemory(99), any_model).score([clip], FrameFormat(64, 64), every=3)
    assert "tau 4 frames at 1 in 3" in result.model.pooling
    assert len(result.frame_scores) == count


@pytest.mark.parametrize(("native", "fused"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("close", [RESNET_CLOSE, Close()])
def test_less_than_fp32_is_taken_unasked_only_where_it_is_native_and_fused(
    monkeypatch: pytest.MonkeyPatch, native: bool, fused: bool, close: Close
) -> None:
    monkeypatch.setattr("vqa_cli.model.device.cpu_has_bf16", lambda: native)
    monkeypatch.setattr("vqa_cli.model.device.takes_bf16", lambda: fused)
    cpu = torch.device("cpu")
    assert pick_precision("auto", cpu, close) == (close.cpu if native and fused else "fp32")
    assert pick_precision("bf16", cpu, close) == "bf16"
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        pick_precision("fp16", cpu, close)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_bundled_model_has_one_arithmetic_whatever_the_cpu_offers(
    monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    monkeypatch.setattr("vqa_cli.model.device.cpu_has_bf16", lambda: bf16)
    monkeypatch.setattr("vqa_cli.model.device.takes_bf16", lambda: bf16)
    assert load_scorer(device="cpu").identity.precision == "int8"
    for other in ("fp32", "bf16", "mixed"):
        with pytest.raises(UsageError, match=rf"^vsfa-lite computes in int8 on every machine, not in {other}$"):
            load_scorer(device="cpu", precision=other)


def test_integers_are_no_arithmetic_of_other_models() -> None:
    with pytest.raises(UsageError, match=r"^unknown precision: int8$"):
        load_scorer(FLOATING, device="cpu", precision="int8")
    with pytest.raises(UsageError, match="for ResNet models"):
        load_scorer(FLOATING, device="cpu", precision="mixed")


@pytest.mark.parametrize(
    ("capability", "resnet"),
    [((6, 1), "fp32"), ((7, 5), "fp16"), ((8, 0), "fp16"), ((9, 0), "fp16")],
)
def test_a_gpu_is_not_asked_for_what_it_only_emulates(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], resnet: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    gpu = torch.device("cuda:0")
    assert [pick_precision("auto", gpu, close) for close in (Close(), RESNET_CLOSE)] == ["fp32", resnet]


def test_a_device_without_cudnn_takes_the_way_without() -> None:
    assert not cudnn_fuses(torch.device("cpu"), torch.float32)
