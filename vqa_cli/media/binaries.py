"""Which ffmpeg is used and what it can do."""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vqa_cli.errors import ToolError
from vqa_cli.files import file_sha256
from vqa_cli.media.process import Runner
from vqa_cli.metrics import METRICS

EMBEDDED = "imageio-ffmpeg"
_LIBRARY = re.compile(
    r"(x264 - core \d+(?: r\d+)?|HEVC encoder version \S+|SVT-AV1 Encoder Lib \S+|"
    r"libvvenc version: \S+|(?<=\[info\] )v\d+\.\d+\.\d+\S*)"
)


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """One ffmpeg program.

    Attributes:
        origin: where it was found, ``"given"``, :data:`EMBEDDED` or ``"environment"``.
        sha256: hash of the program file, since two builds of one version can differ in their encoders.
    """

    path: Path
    origin: str
    version: str
    sha256: str
    encoders: frozenset[str]
    filters: frozenset[str]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Full-reference metrics that this build can measure."""
        return tuple(name for name, metric in METRICS.items() if metric.filter in self.filters)

    def video_encoders(self, known: frozenset[str]) -> tuple[str, ...]:
        """Those of ``known`` that this build contains, sorted."""
        return tuple(sorted(self.encoders & known))


def find_ffmpeg(runner: Runner, explicit: str | None = None) -> Ffmpeg:
    """Find ffmpeg: ``explicit`` if given, else the one of imageio-ffmpeg, else the one on PATH.

    The embedded one comes first because it is the same on every machine and has libvmaf.

    Raises:
        ToolError: none found, or it does not run.
    """
    return ask_ffmpeg(runner, *locate_ffmpeg(explicit))


def ask_ffmpeg(runner: Runner, path: Path, origin: str) -> Ffmpeg:
    """Ask a program what it is and can do.

    Raises:
        ToolError: it does not run, or is no ffmpeg.
    """
    with ThreadPoolExecutor(1) as beside:  # hashing 170 MB takes as long as asking three times
        sha256 = beside.submit(file_sha256, path)
        match = re.match(r"ffmpeg version (\S+)", _told(runner, path, "-version"))
        if not match:
            raise ToolError(f"not an ffmpeg program: {path}")
        encoders = _names(_told(runner, path, "-encoders"), r"^ V\S{5} (\S+)")
        filters = _names(_told(runner, path, "-filters"), r"^ [A-Z.]{2,3} (\S+)")
        return Ffmpeg(path, origin, match[1], sha256.result(), encoders, filters)


def _told(runner: Runner, path: Path, about: str) -> str:
    return runner.run([str(path), "-hide_banner", about]).stdout


def locate_ffmpeg(explicit: str | None) -> tuple[Path, str]:
    """The program and where it was found, as :func:`find_ffmpeg` looks for it.

    Raises:
        ToolError: none found.
    """
    if explicit:
        found = shutil.which(explicit)
        if not found:
            raise ToolError(f"ffmpeg not found: {explicit}", hint="give the program's full path")
        return Path(found).absolute(), "given"  # a bare name would be looked for on PATH
    try:
        import imageio_ffmpeg

        named, package = imageio_ffmpeg.get_ffmpeg_exe(), Path(imageio_ffmpeg.__file__).parent
    except (ImportError, RuntimeError):
        named, package = "ffmpeg", None
    found = shutil.which(named)
    if not found:
        raise ToolError(
            "ffmpeg not found: neither imageio-ffmpeg nor PATH has one",
            hint="pip install imageio-ffmpeg, or point --ffmpeg at one",
        )
    # It names others too: that of IMAGEIO_FFMPEG_EXE, and of PATH where it has none itself.
    path = Path(found).absolute()
    return path, EMBEDDED if package in path.parents else "environment"


def _names(listing: str, pattern: str) -> frozenset[str]:
    return frozenset(re.findall(pattern, listing, flags=re.MULTILINE))


@dataclass(frozen=True, slots=True)
class EncoderCheck:
    """Whether an encoder really runs here: hardware encoders are often compiled in and then find no device.

    Attributes:
        log: what ffmpeg said, where it works.
    """

    encoder: str
    works: bool
    library: str
    reason: str = ""
    log: str = ""


def check_encoder(runner: Runner, ffmpeg: Ffmpeg, encoder: str, argv: list[str]) -> EncoderCheck:
    """Run ``argv``, a tiny encode with ``encoder``, and read the library's version from its log."""
    if encoder not in ffmpeg.encoders:
        return EncoderCheck(encoder, False, "", f"this ffmpeg ({ffmpeg.version}) was built without it")
    try:
        done = runner.run(argv)
    except ToolError as err:
        return EncoderCheck(encoder, False, "", err.detail or err.message)
    # x264 signs the bitstream, the others write to the log.
    match = _LIBRARY.search(done.stderr + done.stdout)
    return EncoderCheck(encoder, True, match[0].strip() if match else f"ffmpeg {ffmpeg.version}", log=done.stderr)


def cpu_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
