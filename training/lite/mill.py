"""Makes one ladder: a source, its encodes and VMAF of each, in as few runs of ffmpeg as there can be.

`vqa ladder` starts a program for every encode and every measurement; here one makes all encodes and one measures them all,
which takes half the time. A test holds that both say the same.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.lite.camera import film
from training.lite.impair import IMPAIRMENTS, grainy
from training.lite.make_data import LOSSLESS, QUIET, cut_arguments, film_arguments
from training.lite.pictures import draw_picture, open_photo
from training.lite.shots import FRAMES, Coding, Part, Shot
from vqa_cli.errors import InputError
from vqa_cli.values import FrameFormat, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vqa_cli.media.process import Runner

RATE = 25
# A whole ladder is one run of ffmpeg, which says nothing until it is done.
PATIENCE_S = 3600.0
FAULTS: dict[str, Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]] = {**IMPAIRMENTS, "grain": grainy}
_EXACT = "accurate_rnd+full_chroma_int:in_range=tv:out_range=tv,setsar=1,format=yuv420p"
_PASS = ("-fps_mode", "passthrough")
_X265 = f"log-level=error:keyint={RATE}:min-keyint={RATE}:scenecut=0:open-gop=0:pools=1:frame-threads=1"
# One keyframe a second, one thread, as `vqa ladder` asks for.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "libx264": (
        "-flags", "+cgop", "-keyint_min", str(RATE), "-sc_threshold", "0", "-threads", "1",
        "-x264-params", "sync-lookahead=0",
    ),
    "libx265": ("-tag:v", "hvc1", "-x265-params", _X265),
    "libsvtav1": ("-svtav1-params", "scd=0:irefresh-type=2:lp=1"),
    "libvpx-vp9": ("-deadline", "good", "-b:v", "0", "-threads", "1"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Encode:
    """One rung: what it is, what it costs (kb/s), VMAF of its frames (0..100) and its file beside the labels."""

    codec: str
    height: int
    crf: float
    kbps: float
    frames: tuple[float, ...]
    file: str

    @property
    def vmaf(self) -> float:
        """Mean over frames, 0..100."""
        return math.fsum(self.frames) / len(self.frames)


@dataclass(frozen=True, slots=True)
class Ladder:
    """A source with all its rungs; ``clean`` as in :class:`~training.lite.material.LiteSource`.

    Attributes:
        faults: VMAF of the frames of the source with each of :data:`FAULTS`.
    """

    key: str
    group: str
    kind: str
    part: Part
    clean: bool
    width: int
    height: int
    encodes: tuple[Encode, ...]
    faults: dict[str, tuple[float, ...]]


class Mill:
    """Makes ladders on one machine: media from one folder, ladders to another."""

    def __init__(self, runner: Runner, ffmpeg: Path, media: Path, out: Path) -> None:
        self._runner, self._ffmpeg, self._media, self._out = runner, str(ffmpeg), media, out

    def make(self, shot: Shot) -> Ladder:
        """Make a ladder; what it is made of lies under ``out / shot.key``.

        Raises:
            VqaError: the material cannot be read, or a program failed.
        """
        folder = self._out / shot.key
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "reference.mkv").exists():
            self._reference(shot, folder / "staged.mkv")
            (folder / "staged.mkv").replace(folder / "reference.mkv")
        rungs = list(_rungs(shot))
        self._encode(shot, rungs, folder)
        measured = self._measure(shot, [rung.file for rung in rungs], folder)
        encodes = tuple(
            Encode(rung.coding.encoder, rung.size.short_side, rung.crf, _kbps(folder / rung.file), vmaf,
                   f"{shot.key}/{rung.file}")
            for rung, vmaf in zip(rungs, measured, strict=True)
        )  # fmt: skip
        faults = dict(zip(FAULTS, self._faults(shot, folder), strict=True))
        return Ladder(
            shot.key, shot.group, shot.kind, shot.part, shot.clean, shot.size.width, shot.size.height, encodes, faults
        )

    def _reference(self, shot: Shot, out: Path) -> None:
        """Write the lossless clip that encodes are made from and compared with."""
        if shot.kind == "clip":
            window = "" if shot.scaled == shot.size else f",crop={shot.size.width}:{shot.size.height}"
            cut = cut_arguments(self._media / shot.file, shot.first, FRAMES, shot.scaled, out, then=window)
            self._run(*cut)
            return
        drawn = shot.kind == "drawn"
        picture = draw_picture(Path(shot.file).name) if drawn else open_photo(self._media / shot.file)
        rng = np.random.default_rng(zlib.crc32(shot.key.encode()))
        raw, camera = out.with_suffix(".rgb"), out.with_suffix(".nut")
        raw.write_bytes(film(picture, picture, FRAMES, shot.size, rng, shot.style).tobytes())
        if shot.camera_crf is None:
            self._run(*film_arguments(raw, shot.size), *LOSSLESS, str(out))
        else:
            x264 = ("-c:v", "libx264", "-preset", "fast", "-crf", f"{shot.camera_crf:.1f}", "-pix_fmt", "yuv420p")
            self._run(*film_arguments(raw, shot.size), *x264, "-threads", "1", str(camera))
            self._run("-i", str(camera), *_PASS, *LOSSLESS, str(out))
            camera.unlink()
        raw.unlink()

    def _encode(self, shot: Shot, rungs: list[_Rung], folder: Path) -> None:
        sizes = sorted({rung.size for rung in rungs}, key=lambda size: size.height)
        graph = [f"[0:v]settb=1/{RATE},setpts=N,split={len(sizes)}" + "".join(f"[s{i}]" for i in range(len(sizes)))]
        outputs: list[str] = []
        for index, size in enumerate(sizes):
            own = [rung for rung in rungs if rung.size == size]
            ends = "".join(f"[s{index}_{number}]" for number in range(len(own)))
            kernel = "bicubic" if size == shot.size else "lanczos"
            scale = f"scale={size.width}:{size.height}:flags={kernel}+{_EXACT}"
            graph.append(f"[s{index}]{scale},split={len(own)}{ends}")
            for number, rung in enumerate(own):
                outputs += ["-map", f"[s{index}_{number}]", *_coding(rung), rung.file]
        # Read at this rate, or the last frame of a slow clip lasts for two.
        self._run("-r", str(RATE), "-i", "reference.mkv", "-filter_complex", ";".join(graph), *outputs, cwd=folder)

    def _measure(self, shot: Shot, files: list[str], folder: Path, *, raw: bool = False) -> list[tuple[float, ...]]:
        """VMAF of the frames of each file (``raw``: as yuv420p in the size of the source), measured all at once."""
        count = len(files)
        described = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{shot.size.width}x{shot.size.height}")
        inputs = [arg for file in files for arg in (*(described if raw else ()), "-threads", "1", "-i", file)]
        show = f"settb=1/{RATE},setpts=N,scale={shot.size.width}:{shot.size.height}:flags=bicubic+{_EXACT}"
        graph = [f"[{count}:v]{show},split={count}" + "".join(f"[r{index}]" for index in range(count))]
        outputs: list[str] = []
        for index in range(count):
            vmaf = f"libvmaf=log_fmt=json:log_path={index}.json:model=version=vmaf_v0.6.1:n_threads=1"
            graph.append(f"[{index}:v]{show}[d{index}];[d{index}][r{index}]{vmaf}[o{index}]")
            outputs += ["-map", f"[o{index}]", *_PASS, "-f", "null", "-"]
        self._run(
            *inputs, "-threads", "1", "-i", "reference.mkv", "-filter_complex", ";".join(graph), *outputs, cwd=folder
        )
        return [_vmaf(folder / f"{index}.json") for index in range(count)]

    def _faults(self, shot: Shot, folder: Path) -> list[tuple[float, ...]]:
        source = shown(self._runner, self._ffmpeg, folder, ["reference.mkv"], shot.size)[0]
        files = []
        for name, fault in FAULTS.items():
            files.append(f"{name}.yuv")
            (folder / files[-1]).write_bytes(fault(source, shot.size.height).tobytes())
        try:
            return self._measure(shot, files, folder, raw=True)
        finally:
            for file in files:
                (folder / file).unlink()

    def _run(self, *arguments: str, cwd: Path | None = None) -> None:
        self._runner.run([self._ffmpeg, *QUIET, *arguments], cwd=cwd)


@dataclass(frozen=True, slots=True)
class _Rung:
    coding: Coding
    size: Size
    crf: float

    @property
    def file(self) -> str:
        return f"{self.coding.encoder}_{self.size.short_side}p_crf{self.crf:g}.mp4"


def _rungs(shot: Shot) -> Iterator[_Rung]:
    short = shot.size.short_side
    for coding in shot.codings:
        for share in coding.shares:
            size = shot.size.with_short_side(round(short * share / 2) * 2)
            for crf in coding.crf:
                yield _Rung(coding, size, crf)


def _coding(rung: _Rung) -> list[str]:
    encoder = rung.coding.encoder
    speed = "-cpu-used" if encoder == "libvpx-vp9" else "-preset"
    named = ["-c:v", encoder, speed, rung.coding.preset, *_OPTIONS[encoder], "-crf", f"{rung.crf:g}"]
    return [*named, "-g", str(RATE), "-r", str(RATE), "-fps_mode", "cfr", "-map_metadata", "-1"]


def shown(runner: Runner, ffmpeg: str, folder: Path, files: list[str], size: Size) -> NDArray[np.uint8]:
    """Frames of some files at display size: (files, frames, height * 3 // 2, width), planar yuv420p.

    Raises:
        InputError: they are not all of one length.
    """
    inputs = [arg for file in files for arg in ("-threads", "1", "-i", file)]
    scale = f"settb=1/{RATE},setpts=N,scale={size.width}:{size.height}:flags=bicubic+{_EXACT}"
    graph = [f"[{index}:v]{scale}[f{index}]" for index in range(len(files))]
    ends = "".join(f"[f{index}]" for index in range(len(files)))
    graph.append(f"{ends}concat=n={len(files)}[all]")
    raw = folder / "shown.yuv"
    argv = [
        ffmpeg,
        *QUIET,
        *inputs,
        "-filter_complex",
        ";".join(graph),
        "-map",
        "[all]",
        *_PASS,
        "-f",
        "rawvideo",
        raw.name,
    ]
    runner.run(argv, cwd=folder)
    frames = np.fromfile(raw, np.uint8).reshape(-1, *FrameFormat(size.width, size.height).shape)
    raw.unlink()
    if len(frames) % len(files):
        raise InputError(f"encodes of unequal length: {len(frames)} frames in {len(files)} files of {folder}")
    return frames.reshape(len(files), -1, *frames.shape[1:])


def _vmaf(log: Path) -> tuple[float, ...]:
    rows: list[dict[str, Any]] = json.loads(log.read_text(encoding="utf-8"))["frames"]
    log.unlink()
    return tuple(row["metrics"]["vmaf"] for row in rows)


def _kbps(path: Path) -> float:
    """Rate of the packets of an mp4 file, without what the container costs: its table of sample sizes."""
    data = path.read_bytes()
    at = data.rindex(b"stsz") + 8
    each, count = struct.unpack_from(">II", data, at)
    total: int = each * count if each else sum(struct.unpack_from(f">{count}I", data, at + 8))
    return float(8 * total * RATE / count / 1000)
