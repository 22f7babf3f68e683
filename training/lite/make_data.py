"""Degraded takes with VMAF per frame as label, made from openly licensed clips, photographs and drawn pictures.

Each source gives a few takes: windows of 352x192 pixels at their native scale, 12 frames long and lossless. Each recipe
becomes an encode of the take, scaled up again to the window. What is kept is the decoded frames of all versions of a take
in one array, and one line of labels.
"""

from __future__ import annotations

import math
import random
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.lite.camera import Style, film
from training.lite.material import Kind, LiteSource, read_sources
from training.lite.pictures import draw_picture, open_photo
from training.lite.recipes import CODERS, Recipe, draw
from training.lite.takes import FRAMES, WINDOW, WINDOW_FORMAT, Take, append_take, frames_path, read_takes
from vqa_cli.errors import VqaError
from vqa_cli.files import replacing
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv, build_measure_argv
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.values import ColourTags, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUIET = ("-hide_banner", "-nostdin", "-loglevel", "level+error", "-y")
LOSSLESS = ("-an", "-c:v", "ffv1", "-level", "3", "-g", "1", "-pix_fmt", "yuv420p", "-threads", "1")
# Frames are paired by number: none may be doubled or left out for the sake of timestamps.
_PASS = ("-fps_mode", "passthrough")
_SCALING = "accurate_rnd+full_chroma_int"
# How each take of a source is filmed; each is another window, size and move. Soft and recorded ones teach that footage may be
# soft, dark or compressed by its camera without a fault of the encode. Held-out sources need fewer. New takes go at the end:
# a take is known by its place.
_SHARP: tuple[Style, ...] = ("sharp",)
_SOFT: tuple[Style, ...] = ("soft",)
_RECORDED: tuple[Style, ...] = ("recorded",)
_TAKES: dict[Kind, dict[str, tuple[Style, ...]]] = {
    "clip": {"train": 10 * _SHARP + 5 * _SOFT + 5 * _SHARP + 3 * _SOFT + 4 * _RECORDED, "test": 2 * _SHARP + _SOFT},
    "photo": {"train": 3 * (2 * _SHARP + 2 * _SOFT) + 2 * _RECORDED, "test": _SHARP + _SOFT},
    "drawn": {"train": _SHARP + _SOFT, "test": _SHARP + _SOFT},
}
# Size of a soft take of a clip over the size at which the clip is clean.
_ENLARGED = 1.6
# CRF of x264 as a camera would compress: hardly visible. A recorded take is compressed at up to 1.5 times its size, and the harder
# the larger, since reducing it hides the most.
_CAMERA_CRF = (4, 14)
_RECORDED_CRF = (10, 18)
_CRF_OF_DOUBLE_SIZE = 8.0
_SMALLEST = 64
_FILM_COLOUR = f"scale=flags=bicubic+{_SCALING}:out_color_matrix=bt709:out_range=tv"
METRICS = ("vmaf", "vmaf_neg", "psnr", "ssim")
_RATE = Fraction(25)


@dataclass(frozen=True)
class Made:
    """What became of one take, in a line for people."""

    line: str
    failed: bool = False


def make_data(media: Path, out: Path, *, seed: int, jobs: int, limit: int | None = None) -> Iterator[Made]:
    """Make what is missing under ``out``. Can be stopped and taken up again.

    Raises:
        InputError: the labels that are there are damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {take.key for take in read_takes(out)} if (out / "labels.jsonl").exists() else set()
    sources = read_sources()
    todo = [(source, number) for source in sources for number in range(len(_TAKES[source.kind][source.split]))]
    todo = [(source, number) for source, number in todo if _key(source, number) not in done]
    random.Random(seed).shuffle(todo)  # so that data made so far is always a fair sample
    todo = todo[:limit]
    with Runner() as runner, ThreadPoolExecutor(jobs) as pool:
        studio = Studio(runner, find_ffmpeg(runner).path, media, out, sources, seed)
        futures = {pool.submit(studio.make, source, number): _key(source, number) for source, number in todo}
        for count, future in enumerate(as_completed(futures), 1):
            key = futures[future]
            try:
                take = future.result()
            except VqaError as err:
                yield Made(f"{count}/{len(todo)} {key}: FAILED: {err.message} {err.detail or ''}", failed=True)
                continue
            append_take(out, take)
            yield Made(f"{count}/{len(todo)} {key}: {len(take.recipes)} versions, VMAF {_span(take)}")


def _key(source: LiteSource, number: int) -> str:
    return f"{source.key}_{number}"


def _span(take: Take) -> str:
    means = np.mean(take.labels["vmaf"], axis=1)
    return f"{means.min():.0f} to {means.max():.0f}"


def cut_arguments(path: Path, first: int, count: int, size: Size, out: Path, then: str = "") -> list[str]:
    """What ffmpeg is told to cut ``count`` frames out of a clip, at ``size`` and without loss.

    Args:
        then: a filter that follows the scaling, with a comma before it.
    """
    chain = (
        f"trim=start_frame={first}:end_frame={first + count},settb=1/{_RATE},setpts=N,"
        f"scale={size.width}:{size.height}:flags=lanczos+{_SCALING}:out_range=tv{then},setsar=1"
    )
    return ["-i", str(path), "-map", "0:v:0", "-vf", chain, *_PASS, *LOSSLESS, str(out)]


def film_arguments(raw: Path, size: Size) -> list[str]:
    """What ffmpeg is told to read what :func:`~training.lite.camera.film` gave, stored as it is."""
    return [*_raw(raw, size), "-vf", _FILM_COLOUR]


def _raw(path: Path, size: Size) -> list[str]:
    described = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size.width}x{size.height}", "-r", str(_RATE)]
    return [*described, "-i", str(path)]


def _coded_size(recipe: Recipe) -> Size:
    height = max(_SMALLEST, round(WINDOW.height * recipe.scale / 2) * 2)
    return Size(round(WINDOW.width * height / WINDOW.height / 2) * 2, height)


def _view(path: Path, size: Size, bit_depth: int = 8) -> SourceView:
    """All files of a take are numbered at one rate, so that frames are paired by number."""
    return SourceView(path, 0, _RATE, size, ColourTags(), full_range=False, bit_depth=bit_depth)


def _recorded_scale(style: Style, rng: np.random.Generator) -> float:
    return float(rng.uniform(1.0, 1.5)) if style == "recorded" else 1.0


def _recorded_crf(size: Size, rng: np.random.Generator) -> float:
    return float(rng.uniform(*_RECORDED_CRF)) + _CRF_OF_DOUBLE_SIZE * (size.height / WINDOW.height - 1)


def _denoise(rng: np.random.Generator) -> str:
    """The filter, with a comma before it, by which most cameras take away what little light leaves of noise."""
    return f",hqdn3d={rng.uniform(1, 8):.1f}" if rng.random() < 0.6 else ""


def _scaled(size: Size, factor: float) -> Size:
    return Size(round(size.width * factor / 2) * 2, round(size.height * factor / 2) * 2)


class Studio:
    """Makes takes: one at a time in each thread."""

    def __init__(
        self, runner: Runner, ffmpeg: Path, media: Path, out: Path, sources: list[LiteSource], seed: int
    ) -> None:
        self._runner = runner
        self._ffmpeg = ffmpeg
        self._media = media
        self._out = out
        self._seed = seed
        # A take shows a second picture at times; it must come from the same side of the split.
        self._stills = {
            split: [s for s in sources if s.kind != "clip" and s.split == split] for split in ("train", "test")
        }

    def make(self, source: LiteSource, number: int) -> Take:
        """Film, degrade, label and store one take.

        Raises:
            VqaError: the material cannot be read, or a program failed.
        """
        key = _key(source, number)
        rng = np.random.default_rng([self._seed, zlib.crc32(key.encode())])
        recipes = draw(key, source.kind, self._seed)
        style = _TAKES[source.kind][source.split][number]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            reference = folder / "reference.nut"
            if source.kind == "clip":
                self._cut(source, reference, rng, style)
            else:
                self._film(source, reference, rng, style)
            labels: dict[str, list[tuple[float, ...]]] = {name: [] for name in METRICS}
            frames = []
            for recipe in recipes:
                encode = folder / "encode.mkv"
                self._encode(reference, encode, recipe)
                pictures, measured = self._measure(encode, reference, recipe, folder)
                frames.append(pictures)
                for name, values in measured.items():
                    labels[name].append(tuple(values.tolist()))
            frames.append(self._decode(reference, folder))
            with replacing(frames_path(self._out, key)) as staged:
                np.save(staged, np.stack(frames))
        return Take(key, source.group, source.split, source.kind, source.clean, tuple(recipes), labels)

    def _cut(self, source: LiteSource, out: Path, rng: np.random.Generator, style: Style) -> None:
        """A window of a real clip, which is reduced until it is clean and by up to a third more, or to more than that size."""
        whole = probe(self._media / source.file).size
        clean = source.short_side
        low, high = (clean, min(_ENLARGED * clean, whole.short_side)) if style == "soft" else (0.67 * clean, clean)
        least = max(WINDOW.height, WINDOW.width * whole.short_side / whole.width, low)
        side = round(rng.uniform(least, max(least, high)) / 2 + 0.5) * 2
        factor = max(1.0, min(_recorded_scale(style, rng), whole.short_side / side))
        recorded = _scaled(WINDOW, factor)
        # A pair of lines more than needed, since sides are rounded.
        size = whole.with_short_side(side if factor == 1.0 else 2 * math.ceil(side * factor / 2) + 2)
        first = source.start_frame + int(rng.integers(max(1, source.frames - FRAMES + 1)))
        x, y = (
            2 * int(rng.integers((room // 2) + 1))
            for room in (size.width - recorded.width, size.height - recorded.height)
        )
        window = f",crop={recorded.width}:{recorded.height}:{x}:{y}"
        scene = out if style != "recorded" else out.with_name("scene.nut")
        self._run(cut_arguments(self._media / source.file, first, FRAMES, size, scene, then=window))
        if style == "recorded":
            light = f"lutyuv=y=16+(val-16)*{np.exp(rng.uniform(np.log(0.5), 0.0)):.3f}"
            self._record(["-i", str(scene)], light + _denoise(rng), out, _recorded_crf(recorded, rng))

    def _film(self, source: LiteSource, out: Path, rng: np.random.Generator, style: Style) -> None:
        """A camera move over a still picture."""
        stills = self._stills[source.split] or [source]
        other = stills[int(rng.integers(len(stills)))]
        size = _scaled(WINDOW, _recorded_scale(style, rng))
        frames = film(self._picture(source), self._picture(other), FRAMES, size, rng, style)
        raw = out.with_suffix(".rgb")
        raw.write_bytes(frames.tobytes())
        if style == "recorded":
            self._record(_raw(raw, size), _FILM_COLOUR + _denoise(rng), out, _recorded_crf(size, rng))
        elif style == "soft" and rng.random() < 0.5:
            self._record(_raw(raw, size), _FILM_COLOUR, out, rng.uniform(*_CAMERA_CRF))
        else:
            self._run([*film_arguments(raw, size), *LOSSLESS, str(out)])

    def _record(self, scene: list[str], chain: str, out: Path, crf: float) -> None:
        """What a camera makes of a scene: compressed, and reduced to the window."""
        camera = ["-c:v", "libx264", "-preset", "fast", "-crf", f"{crf:.1f}", "-pix_fmt", "yuv420p", "-threads", "1"]
        recorded = out.with_name("camera.nut")
        self._run([*scene, "-vf", chain, *_PASS, *camera, str(recorded)])
        reduced = f"scale={WINDOW.width}:{WINDOW.height}:flags=lanczos+{_SCALING},setsar=1"
        self._run(["-i", str(recorded), "-vf", reduced, *_PASS, *LOSSLESS, str(out)])

    def _picture(self, source: LiteSource) -> NDArray[np.uint8]:
        return draw_picture(Path(source.file).name) if source.kind == "drawn" else open_photo(self._media / source.file)

    def _encode(self, reference: Path, out: Path, recipe: Recipe) -> None:
        coder = CODERS[recipe.coder]
        size = _coded_size(recipe)
        scale = f"scale={size.width}:{size.height}:flags={recipe.down}+{_SCALING}"
        chain = ",".join(part for part in (recipe.before, scale) if part)
        origin = reference
        if recipe.first is not None:
            origin = out.with_name("first.nut")
            first = ["-c:v", "libx264", "-preset", "fast", "-crf", f"{recipe.first:g}", "-threads", "1"]
            self._run(["-r", str(_RATE), "-i", str(reference), *first, str(origin)])
        if coder.rate:
            rate = f"{recipe.quality:g}k"
            knob = [coder.knob, rate, "-maxrate", rate, "-bufsize", f"{recipe.quality / 2:g}k"]
        else:
            knob = [coder.knob, f"{recipe.quality:g}"]
        pix_fmt = "yuv420p10le" if coder.bit_depth > 8 else "yuv420p"
        coding = [
            "-c:v",
            coder.encoder,
            *recipe.speed,
            *coder.options,
            *knob,
            "-g",
            str(recipe.gop),
            "-pix_fmt",
            pix_fmt,
        ]
        self._run(["-r", str(_RATE), "-i", str(origin), "-vf", chain, *coding, *_PASS, "-threads", "1", str(out)])

    def _measure(
        self, encode: Path, reference: Path, recipe: Recipe, folder: Path
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float64]]]:
        """Frames as shown and what they score beside the reference, by the pipeline that measures rungs."""
        order = MeasureOrder(WINDOW, METRICS, upscale=recipe.up, threads=1)
        view = _view(encode, _coded_size(recipe), CODERS[recipe.coder].bit_depth)
        frames = self._frames(build_measure_argv(self._ffmpeg, view, _view(reference, WINDOW), order), folder)
        return frames, read_logs(folder, METRICS, frames=FRAMES, bit_depth=view.bit_depth).values

    def _decode(self, path: Path, folder: Path) -> NDArray[np.uint8]:
        return self._frames(build_frames_argv(self._ffmpeg, _view(path, WINDOW), MeasureOrder(WINDOW)), folder)

    def _frames(self, argv: tuple[str, ...], folder: Path) -> NDArray[np.uint8]:
        with open_frames(self._runner, argv, WINDOW_FORMAT, expected=FRAMES, what=argv[-1], cwd=folder) as frames:
            return np.concatenate(list(frames))

    def _run(self, arguments: Sequence[str]) -> None:
        self._runner.run([str(self._ffmpeg), *QUIET, *arguments])
