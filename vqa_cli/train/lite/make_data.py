"""Degraded clips with VMAF per frame as label, made from openly licensed clips and photographs.

Each source becomes a short lossless reference at its display size; each recipe becomes an encode of it. What is kept is
the encode, the reference and one line of labels; frames are decoded again when they are needed.
"""

from __future__ import annotations

import csv
import json
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from vqa_cli.errors import InputError, VqaError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.train.lite.recipes import ENCODERS, Recipe, draw
from vqa_cli.types import Size

_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "level+error", "-y")
_PAN_MARGIN = 1.08


@dataclass(frozen=True, slots=True)
class LiteSource:
    """A line of ``sources.csv``: where the material is, to which group it belongs, and which part is used.

    ``clean`` is false where the material shows compression of its own even at ``short_side``: its rungs can be ordered,
    but VMAF against it says nothing about how good they look.
    """

    file: str
    kind: str
    group: str
    split: str
    short_side: int
    start_frame: int
    frames: int
    clean: bool = True

    @property
    def key(self) -> str:
        return f"{Path(self.file).stem}_{self.start_frame}"


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """One degraded clip: shape of its frames as shown, and VMAF (0..100) of each."""

    file: str
    source: str
    group: str
    split: str
    kind: str
    width: int
    height: int
    recipe: dict[str, Any]
    vmaf: tuple[float, ...]


def read_sources() -> list[LiteSource]:
    """The manifest that ships with the package."""
    text = (files("vqa_cli.train.lite") / "sources.csv").read_text(encoding="utf-8").splitlines()
    return [
        LiteSource(
            row["file"], row["kind"], row["group"], row["split"],
            int(row["short_side"]), int(row["start_frame"]), int(row["frames"]),
            row["clean"] == "yes",
        )
        for row in csv.DictReader(text)
    ]  # fmt: skip


def read_labels(directory: Path) -> list[LabelledClip]:
    """Everything labelled so far.

    Raises:
        InputError: the directory holds no labels.
    """
    path = directory / "labels.jsonl"
    if not path.exists():
        raise InputError(f"no labels: {path}", hint="make them with `vqa train lite make-data`")
    clips = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        clips.append(LabelledClip(**{**row, "vmaf": tuple(row["vmaf"])}))
    return clips


def make_data(media: Path, out: Path, *, seed: int, jobs: int, limit: int | None = None) -> Iterator[str]:
    """Make what is missing under ``out``; yields one line per finished source. Can be stopped and taken up again."""
    out.mkdir(parents=True, exist_ok=True)
    done = {clip.source for clip in read_labels(out)} if (out / "labels.jsonl").exists() else set()
    todo = [source for source in read_sources() if source.key not in done]
    random.Random(seed).shuffle(todo)  # so that data made so far is always a fair sample
    todo = todo[:limit]
    with Runner() as runner, ThreadPoolExecutor(jobs) as pool:
        ffmpeg = str(find_ffmpeg(runner).path)
        futures = {pool.submit(_make_source, runner, ffmpeg, media, out, s, seed): s for s in todo}
        for count, future in enumerate(as_completed(futures), 1):
            source = futures[future]
            try:
                clips = future.result()
            except VqaError as err:
                yield f"{count}/{len(todo)} {source.key}: {err.message} {err.detail or ''}"
                continue
            with (out / "labels.jsonl").open("a", encoding="utf-8") as labels:
                labels.writelines(json.dumps(asdict(clip)) + "\n" for clip in clips)
            yield f"{count}/{len(todo)} {source.key}: {len(clips)} clips"


def _make_source(
    runner: Runner, ffmpeg: str, media: Path, out: Path, source: LiteSource, seed: int
) -> list[LabelledClip]:
    folder = out / source.key
    folder.mkdir(exist_ok=True)
    reference = folder / "reference.mkv"
    make_reference(runner, ffmpeg, media, source, reference)
    size = probe(reference).size
    clips = []
    for index, recipe in enumerate(draw(source.key, "clip" if source.kind == "clip" else "photo", seed)):
        encode = folder / f"{index:02d}.mkv"
        _encode(runner, ffmpeg, reference, encode, recipe, size)
        vmaf = _label(runner, ffmpeg, encode, reference, size)
        name = str(encode.relative_to(out))
        clips.append(
            LabelledClip(
                name, source.key, source.group, source.split, source.kind,
                size.width, size.height, asdict(recipe), vmaf,
            )
        )  # fmt: skip
    return clips


def make_reference(runner: Runner, ffmpeg: str, media: Path, source: LiteSource, out: Path) -> None:
    """Write the lossless clip at display size that encodes of ``source`` are made from and compared with."""
    runner.run([ffmpeg, *_QUIET, *_reference_args(media / source.file, source), str(out)])


def _reference_args(path: Path, source: LiteSource) -> list[str]:
    lossless = ["-an", "-c:v", "ffv1", "-level", "3", "-g", "1", "-pix_fmt", "yuv420p", "-threads", "1"]
    if source.kind == "clip":
        size = probe(path).size.with_short_side(source.short_side)
        last = source.start_frame + source.frames
        cut = f"trim=start_frame={source.start_frame}:end_frame={last},setpts=N/25/TB"
        scale = f"scale={size.width}:{size.height}:flags=lanczos+accurate_rnd+full_chroma_int:out_range=tv,setsar=1"
        return ["-i", str(path), "-vf", f"{cut},{scale}", "-r", "25", *lossless]
    size = _photo_size(path, source.short_side)
    wide = Size(round(size.width * _PAN_MARGIN / 2) * 2, round(size.height * _PAN_MARGIN / 2) * 2)
    # Whole-pixel pan: a sub-pixel one would blur some frames of the reference and not others.
    steps = (
        max(1, (wide.width - size.width) // (2 * source.frames)),
        max(1, (wide.height - size.height) // (3 * source.frames)),
    )
    pan = (
        f"scale={wide.width}:{wide.height}:force_original_aspect_ratio=increase:flags=lanczos+accurate_rnd:out_range=tv,"
        f"crop={size.width}:{size.height}:x=n*{steps[0]}:y=n*{steps[1]},setsar=1"
    )
    return [
        "-loop",
        "1",
        "-framerate",
        "25",
        "-i",
        str(path),
        "-frames:v",
        str(source.frames),
        "-vf",
        pan,
        *lossless,
    ]


def _photo_size(path: Path, short_side: int) -> Size:
    shape = probe_picture(path)
    sides = short_side, round(short_side * 16 / 9 / 2) * 2
    return Size(sides[1], sides[0]) if shape.width >= shape.height else Size(sides[0], sides[1])


def probe_picture(path: Path) -> Size:
    """Size of a photograph."""
    import av

    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return Size(context.width, context.height)


def _encode(runner: Runner, ffmpeg: str, reference: Path, out: Path, recipe: Recipe, size: Size) -> None:
    speed, key, _, _ = ENCODERS[recipe.encoder]
    small = size.with_short_side(max(64, round(size.short_side * recipe.scale / 2) * 2))
    chain = ",".join(part for part in (recipe.before, f"scale={small.width}:{small.height}:flags=lanczos") if part)
    with tempfile.TemporaryDirectory() as temporary:
        origin = reference
        if recipe.first is not None:
            origin = Path(temporary) / "first.mkv"
            first = ["-c:v", "libx264", "-preset", "fast", "-crf", f"{recipe.first:.0f}", "-threads", "1"]
            runner.run([ffmpeg, *_QUIET, "-i", str(reference), *first, str(origin)])
        coding = [
            "-c:v",
            recipe.encoder,
            *speed,
            key,
            f"{recipe.quality:g}",
            "-pix_fmt",
            "yuv420p",
            "-threads",
            "1",
        ]
        if recipe.encoder == "libvvenc":
            coding[-4:] = ["-pix_fmt", "yuv420p10le", "-threads", "1"]
        runner.run([ffmpeg, *_QUIET, "-i", str(origin), "-vf", chain, *coding, str(out)])


def _label(runner: Runner, ffmpeg: str, encode: Path, reference: Path, size: Size) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as temporary:
        index = "settb=1/25,setpts=N"
        graph = (
            f"[0:v]{index},scale={size.width}:{size.height}:flags=bicubic+accurate_rnd+full_chroma_int,setsar=1,"
            f"format=yuv420p[a];[1:v]{index},setsar=1,format=yuv420p[b];"
            "[a][b]libvmaf=log_fmt=json:log_path=vmaf.json:n_threads=1"
        )
        argv = [
            ffmpeg,
            *_QUIET,
            "-i",
            str(encode),
            "-i",
            str(reference),
            "-filter_complex",
            graph,
            "-f",
            "null",
            "-",
        ]
        runner.run(argv, cwd=Path(temporary))
        log = json.loads((Path(temporary) / "vmaf.json").read_text(encoding="utf-8"))
    return tuple(frame["metrics"]["vmaf"] for frame in log["frames"])
