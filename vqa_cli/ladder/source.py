"""Makes a source ready: probed, decoded once to learn its true frame count, prepared where it must be, hashed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vqa_cli.document import SourceInfo
from vqa_cli.errors import InputError, StorageError
from vqa_cli.files import file_sha256
from vqa_cli.ladder.plan import LadderPlan, as_prepared, plan_preparation
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.decode import Preparation, build_inspect_argv, build_prepare_argv
from vqa_cli.media.delivery import probe_source
from vqa_cli.media.encode import count_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import check_unchanged, probe
from vqa_cli.media.process import Runner
from vqa_cli.settings import LadderSettings
from vqa_cli.values import MediaInfo

_FIELDS_LOG = "interlaced.txt"
_LOGGED = re.compile(r"\bpts:(\d+)")


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


def remarks(source: ReadySource, plan: LadderPlan) -> tuple[str, ...]:
    """What users are told of a source before its rungs are encoded."""
    return (*source.document().preparation, *plan.warnings, *source.notes)


def describe(steps: Preparation) -> list[str]:
    """Preparation steps in words."""
    named = {
        f"variable frame rate brought to {_shown(steps.constant_rate)} fps by repeating and dropping frames": steps.constant_rate,
        "deinterlaced (bwdif)": steps.deinterlace,
        "HDR tone-mapped to BT.709 SDR (Hable): an approximation": steps.tonemap,
    }
    return [text for text, done in named.items() if done]


def _shown(rate: str | None) -> str:
    return f"{float(Fraction(rate)):.6g}" if rate else ""


def ready_source(runner: Runner, ffmpeg: Ffmpeg, path: Path, settings: LadderSettings, workdir: Path) -> ReadySource:
    """Probe, check by decoding everything once, and prepare ``path``.

    Raises:
        InputError: the file is no usable video, is damaged, or needs a treatment that was not asked for.
        ToolError: ffmpeg failed.
    """
    info = probe_source(runner, ffmpeg, path)
    plan_preparation(info, settings)  # what is refused by its header need not be decoded
    frames, fields, notes = _decoded_frames(runner, ffmpeg, info, workdir)
    info = replace(info, interlaced=info.interlaced or fields)
    steps = plan_preparation(info, settings)
    view = SourceView.of(info)
    argv: tuple[str, ...] = ()
    if steps:
        prepared = workdir / "prepared.mkv"
        argv = build_prepare_argv(ffmpeg.path, view, steps, prepared.name)
        runner.run(argv, cwd=workdir, on_line=lambda line: line.startswith("frame="))
        made = as_prepared(info, probe(prepared), steps)
        view = SourceView.of(made)
        frames = made.frames
    # The rest of the work goes by the rate that is worked at.
    info = replace(info, frames=frames, fps=view.fps)
    sha256 = file_sha256(path)
    check_unchanged(info)
    return ReadySource(info, view, frames, sha256, steps, argv, (*info.remarks, *notes))


def _decoded_frames(
    runner: Runner, ffmpeg: Ffmpeg, info: MediaInfo, workdir: Path
) -> tuple[int, bool, tuple[str, ...]]:
    """What a whole decode gives: the number of frames, whether any is interlaced, and what there is to say of it.

    Packets promise, and the first frame speaks for itself alone; only decoding tells.
    """
    log = workdir / _FIELDS_LOG
    log.unlink(missing_ok=True)
    argv = build_inspect_argv(ffmpeg.path, SourceView.of(info), log.name)
    frames, complaint = count_frames(runner, argv, info, cwd=workdir)
    if frames < 2:
        raise InputError(f"only {frames} of {info.frames} frames can be decoded: {info.path}", detail=complaint)
    if frames < info.frames and complaint:
        raise InputError(
            f"damaged: {frames} of {info.frames} frames can be decoded: {info.path}",
            detail=complaint,
            hint="cut the damaged part away, or give the original file",
        )
    first = _LOGGED.search(log.read_text(encoding="utf-8")) if log.exists() else None
    notes = [f"interlaced from frame {first[1]} on"] if first and not info.interlaced else []
    notes += [f"the decoder complained: {complaint}"] if complaint else []
    return frames, first is not None, tuple(notes)


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
