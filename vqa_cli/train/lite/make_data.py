"""Degraded takes with VMAF per frame as label, made from openly licensed clips, photographs and drawn pictures.

Each source gives a few takes: windows of 352x192 pixels at their native scale, 12 frames long and lossless. Each recipe
becomes an encode of the take, scaled up again to the window. What is kept is the decoded frames of all versions of a take
in one array, and one line of labels.
"""

from __future__ import annotations

import bisect
import random
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vqa_cli.errors import VqaError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.decode import MeasureOrder, build_frames_argv, build_measure_argv
from vqa_cli.media.fidelity import read_logs
from vqa_cli.media.frames import open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.train.lite.camera import film
from vqa_cli.train.lite.material import Kind, LiteSource, read_sources
from vqa_cli.train.lite.pictures import draw_picture, open_photo
from vqa_cli.train.lite.recipes import CODERS, Recipe, draw
from vqa_cli.train.lite.takes import FRAMES, WINDOW, WINDOW_FORMAT, Take, append_take, frames_path, read_takes
from vqa_cli.types import ColourTags, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "level+error", "-y")
_LOSSLESS = ("-an", "-c:v", "ffv1", "-level", "3", "-g", "1", "-pix_fmt", "yuv420p", "-threads", "1")
# Frames are paired by number: none may be doubled or left out for the sake of timestamps.
_PASS = ("-fps_mode", "passthrough")
_SCALING = "accurate_rnd+full_chroma_int"
# How many takes a source gives, sharp ones and soft ones by turns; each is another window, size and move. Soft ones teach
# that footage may be soft or a little compressed by its camera without a fault of the encode. Held-out sources need fewer.
_TAKES: dict[Kind, dict[str, tuple[int, ...]]] = {
    "clip": {"train": (10, 5, 5, 3), "test": (2, 1)},
    "photo": {"train": (2, 2, 2, 2, 2, 2), "test": (1, 1)},
    "drawn": {"train": (1, 1), "test": (1, 1)},
}
# Size of a soft take of a clip over the size at which the clip is clean.
_ENLARGED = 1.6
# CRF of x264 as a camera would compress: hardly visible.
_CAMERA_CRF = (4, 14)
_SMALLEST = 64
METRICS = ("vmaf", "vmaf_neg", "psnr", "ssim")
_RATE = Fraction(25)


def make_data(media: Path, out: Path, *, seed: int, jobs: int, limit: int | None = None) -> Iterator[str]:
    """Make what is missing under ``out``; yields one line per finished take. Can be stopped and taken up again."""
    out.mkdir(parents=True, exist_ok=True)
    done = {take.key for take in read_takes(out)} if (out / "labels.jsonl").exists() else set()
    sources = read_sources()
    todo = [(source, number) for source in sources for number in range(sum(_TAKES[source.kind][source.split]))]
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
                yield f"{count}/{len(todo)} {key}: {err.message} {err.detail or ''}"
                continue
            append_take(out, take)
            yield f"{count}/{len(todo)} {key}: {len(take.recipes)} versions, VMAF {_span(take)}"


def _key(source: LiteSource, number: int) -> str:
    return f"{source.key}_{number}"


def _is_soft(number: int, turns: tuple[int, ...]) -> bool:
    return bisect.bisect(list(accumulate(turns)), number) % 2 == 1


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
    return ["-i", str(path), "-map", "0:v:0", "-vf", chain, *_PASS, *_LOSSLESS, str(out)]


def _coded_size(recipe: Recipe) -> Size:
    height = max(_SMALLEST, round(WINDOW.height * recipe.scale / 2) * 2)
    return Size(round(WINDOW.width * height / WINDOW.height / 2) * 2, height)


def _view(path: Path, size: Size, bit_depth: int = 8) -> SourceView:
    """All files of a take are numbered at one rate, so that frames are paired by number."""
    return SourceView(path, 0, _RATE, size, ColourTags(), full_range=False, bit_depth=bit_depth)


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
        soft = _is_soft(number, _TAKES[source.kind][source.split])
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            reference = folder / "reference.nut"
            if source.kind == "clip":
                self._cut(source, reference, rng, soft)
            else:
                self._film(source, reference, rng, soft)
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
            path = frames_path(self._out, key)
            path.parent.mkdir(exist_ok=True)
            with path.with_suffix(".tmp").open("wb") as file:
                np.save(file, np.stack(frames))
            path.with_suffix(".tmp").replace(path)
        return Take(key, source.group, source.split, source.kind, source.clean, tuple(recipes), labels)

    def _cut(self, source: LiteSource, out: Path, rng: np.random.Generator, soft: bool) -> None:
        """A window of a real clip, which is reduced until it is clean and by up to a third more, or to more than that size."""
        whole = probe(self._media / source.file).size
        clean = source.short_side
        low, high = (clean, min(_ENLARGED * clean, whole.short_side)) if soft else (0.67 * clean, clean)
        least = max(WINDOW.height, WINDOW.width * whole.short_side / whole.width, low)
        side = round(rng.uniform(least, max(least, high)) / 2 + 0.5) * 2
        size = whole.with_short_side(side)
        first = source.start_frame + int(rng.integers(max(1, source.frames - FRAMES + 1)))
        x, y = (
            2 * int(rng.integers((room // 2) + 1)) for room in (size.width - WINDOW.width, size.height - WINDOW.height)
        )
        window = f",crop={WINDOW.width}:{WINDOW.height}:{x}:{y}"
        self._run(cut_arguments(self._media / source.file, first, FRAMES, size, out, then=window))

    def _film(self, source: LiteSource, out: Path, rng: np.random.Generator, soft: bool) -> None:
        """A camera move over a still picture."""
        stills = self._stills[source.split] or [source]
        other = stills[int(rng.integers(len(stills)))]
        frames = film(self._picture(source), self._picture(other), FRAMES, WINDOW, rng, soft)
        raw = out.with_suffix(".rgb")
        raw.write_bytes(frames.tobytes())
        described = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WINDOW.width}x{WINDOW.height}", "-r", str(_RATE)]
        colour = f"scale=flags=bicubic+{_SCALING}:out_color_matrix=bt709:out_range=tv"
        if not soft or rng.random() < 0.5:
            self._run([*described, "-i", str(raw), "-vf", colour, *_LOSSLESS, str(out)])
            return
        recorded = out.with_name("camera.nut")
        crf = f"{rng.uniform(*_CAMERA_CRF):.1f}"
        camera = ["-c:v", "libx264", "-preset", "fast", "-crf", crf, "-pix_fmt", "yuv420p", "-threads", "1"]
        self._run([*described, "-i", str(raw), "-vf", colour, *camera, str(recorded)])
        self._run(["-i", str(recorded), *_PASS, *_LOSSLESS, str(out)])

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
        return frames, read_logs(folder, METRICS, frames=FRAMES, bit_depth=view.bit_depth)

    def _decode(self, path: Path, folder: Path) -> NDArray[np.uint8]:
        return self._frames(build_frames_argv(self._ffmpeg, _view(path, WINDOW), MeasureOrder(WINDOW)), folder)

    def _frames(self, argv: tuple[str, ...], folder: Path) -> NDArray[np.uint8]:
        with open_frames(self._runner, argv, WINDOW_FORMAT, expected=FRAMES, what=argv[-1], cwd=folder) as frames:
            return np.concatenate(list(frames))

    def _run(self, arguments: Sequence[str]) -> None:
        self._runner.run([str(self._ffmpeg), *_QUIET, *arguments])
