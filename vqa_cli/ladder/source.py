"""Makes a source ready: probed, decoded once to learn its true frame count, prepared where it must be, hashed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vqa_cli.errors import InputError, StorageError
from vqa_cli.ladder.plan import as_prepared, plan_preparation
from vqa_cli.media.binaries import Ffmpeg, file_sha256
from vqa_cli.media.decode import Preparation, build_count_argv, build_prepare_argv
from vqa_cli.media.encode import count_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.run import SourceInfo
from vqa_cli.settings import LadderSettings
from vqa_cli.types import MediaInfo


@dataclass(frozen=True, slots=True)
class ReadySource:
    """A source as the ladder works with it.

    Attributes:
        info: the original as probed, with its true frame count.
        view: what commands read: the original file, or its prepared copy.
        steps: what was done to it.
    """

    info: MediaInfo
    view: SourceView
    frames: int
    sha256: str
    steps: Preparation
    prepare_argv: tuple[str, ...]
    notes: tuple[str, ...]

    def document(self) -> SourceInfo:
        """For the run document."""
        info = self.info
        return SourceInfo(
            path=str(info.path.absolute()),
            name=info.path.name,
            sha256=self.sha256,
            container=info.container,
            codec=info.codec,
            width=info.size.width,
            height=info.size.height,
            fps=f"{info.fps.numerator}/{info.fps.denominator}",
            frames=self.frames,
            duration_s=float(self.frames / info.fps),
            pix_fmt=info.pix_fmt,
            matrix=info.colour.matrix,
            primaries=info.colour.primaries,
            transfer=info.colour.transfer,
            range=info.colour.range,
            size_bytes=info.size_bytes,
            video_bitrate_kbps=info.video_bytes * 8 / 1000 / info.duration_s,
            preparation=tuple(describe(self.steps)),
            prepare_argv=self.prepare_argv,
            notes=self.notes,
        )


def describe(steps: Preparation) -> list[str]:
    """Preparation steps in words."""
    named = {
        "variable frame rate brought to a constant one by repeating and dropping frames": steps.constant_rate,
        "deinterlaced (bwdif)": steps.deinterlace,
        "HDR tone-mapped to BT.709 SDR (Hable): an approximation": steps.tonemap,
    }
    return [text for text, done in named.items() if done]


def ready_source(runner: Runner, ffmpeg: Ffmpeg, path: Path, settings: LadderSettings, workdir: Path) -> ReadySource:
    """Probe, check by decoding everything once, and prepare ``path``.

    Raises:
        InputError: the file is no usable video, is damaged, or needs a treatment that was not asked for.
        ToolError: ffmpeg failed.
    """
    info = probe(path)
    steps = plan_preparation(info, settings)
    frames, notes = _decoded_frames(runner, ffmpeg, info)
    view = SourceView.of(info)
    argv: tuple[str, ...] = ()
    if steps:
        prepared = workdir / "prepared.mkv"
        argv = build_prepare_argv(ffmpeg.path, view, steps, prepared.name)
        runner.run(argv, cwd=workdir, on_line=lambda line: line.startswith("frame="))
        made = as_prepared(info, probe(prepared), steps)
        view = SourceView.of(made)
        frames = made.frames
    info = replace(info, frames=frames)
    return ReadySource(info, view, frames, file_sha256(path), steps, argv, notes)


def _decoded_frames(runner: Runner, ffmpeg: Ffmpeg, info: MediaInfo) -> tuple[int, tuple[str, ...]]:
    """Frames that a whole decode gives; packets promise, only decoding tells."""
    frames, complaint = count_frames(runner, build_count_argv(ffmpeg.path, SourceView.of(info)))
    if frames < 2:
        raise InputError(f"only {frames} of {info.frames} frames can be decoded: {info.path}", detail=complaint)
    if frames < info.frames and complaint:
        raise InputError(
            f"damaged: {frames} of {info.frames} frames can be decoded: {info.path}",
            detail=complaint,
            hint="cut the damaged part away, or give the original file",
        )
    return frames, (f"the decoder complained: {complaint}",) if complaint else ()


def check_room(path: Path) -> None:
    """Make sure that a folder can be written before hours of work go into it.

    Raises:
        StorageError: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe_file = path / ".vqa-write-test"
        probe_file.write_bytes(b"")
        probe_file.unlink()
    except OSError as err:
        raise StorageError(f"cannot write output directory: {path}", detail=err.strerror, hint="-o DIR") from err
