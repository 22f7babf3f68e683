"""Brings what is no local file to disk once, so that everything else reads a file and knows it by its content."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable
from pathlib import Path

from vqa_cli.errors import InputError, StorageError, ToolError, VqaError
from vqa_cli.media.binaries import Ffmpeg
from vqa_cli.media.counting import count_frames
from vqa_cli.media.decode import build_count_argv
from vqa_cli.media.graph import GLOBAL, PROGRESS, SourceView
from vqa_cli.media.objects import copy_object, is_object
from vqa_cli.media.opening import referring_format
from vqa_cli.media.probe import probe
from vqa_cli.media.process import SILENCE_S, Runner, Silent
from vqa_cli.names import without_secrets
from vqa_cli.values import Fetched

# These carry packets, not the bytes of a file.
_LIVE = re.compile(r"(rtsp|rtsps|rtp|sap):", re.IGNORECASE)
_PARTS_FROM = "file,crypto,data,concat,subfile,http,https,httpproxy,tcp,tls,rtp,rtcp,udp"
_BLOCK_BYTES = 1 << 20


def fetch(runner: Runner, ffmpeg: Ffmpeg, address: str, folder: Path) -> Fetched:
    """Copy a file from an address of any protocol that ffmpeg or fsspec knows, byte for byte, so that its content names it.

    What comes from there and only names other files is read as :func:`join` reads it.

    Raises:
        InputError: it cannot be read.
    """
    shown = without_secrets(address)
    target = new_file(folder, shown.split("?")[0])
    if is_object(address):
        copy_object(address, shown, target)
        return Fetched(target, shown)
    if _LIVE.match(address):
        return _joined(runner, ffmpeg, (None, address), target, shown)
    # ffmpeg's own demuxers would leave bytes out, such as the edit list that says which frames are shown. -xerror: a
    # connection that ends too early is an error.
    argv = [str(ffmpeg.path), *GLOBAL, *PROGRESS, "-xerror", "-f", "data", "-i", address]
    _run(
        runner,
        [*argv, "-map", "0", "-c", "copy", "-f", "data", "-y", str(target)],
        _Grows("total_size"),
        shown,
        address,
    )
    if other := referring_format(target):
        return _joined(runner, ffmpeg, (other[0], address), target, shown)
    return Fetched(target, shown)


def join(runner: Runner, ffmpeg: Ffmpeg, path: Path, folder: Path) -> Fetched:
    """Bring what a local playlist or script names into one file: the same parts make the same bytes.

    Raises:
        InputError: it cannot be read, or the parts do not join without other frames being shown.
    """
    other = referring_format(path)
    kind = other[0] if other else None
    return _joined(runner, ffmpeg, (kind, f"file:{path.absolute()}"), new_file(folder, path.name), str(path))


def _joined(runner: Runner, ffmpeg: Ffmpeg, given: tuple[str | None, str], target: Path, shown: str) -> Fetched:
    kind, address = given
    target = target.with_name(f"{target.name}.mkv")
    known = ["-protocol_whitelist", _PARTS_FROM, "-f", kind] if kind else []
    safe = ["-safe", "0"] if kind == "concat" else []
    only_video = ["-an", "-sn", "-dn"]
    # Decoded beside the copy, to see whether that shows the same frames. Bitexact: no time, version or random number.
    argv = [
        str(ffmpeg.path), *GLOBAL, *PROGRESS, *known, *safe, "-i", address,
        *only_video, "-fps_mode", "passthrough", "-f", "null", "-",
        *only_video, "-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-y", str(target),
    ]  # fmt: skip
    frames = _Grows("frame")
    _run(runner, argv, frames, shown, address)
    try:
        info = probe(target)
        copied = count_frames(runner, build_count_argv(ffmpeg.path, SourceView.of(info)), info).frames
    except VqaError as err:
        raise err.about(str(target), shown) from err
    if copied != frames.most:
        raise InputError(
            f"its parts do not join: {shown} shows {frames.most} frames, and {copied} once they are one file",
            hint="make one file of it first, by ffmpeg to FFV1 in Matroska",
        )
    return Fetched(target, shown)


def _run(runner: Runner, argv: list[str], on_line: Callable[[str], bool], shown: str, address: str) -> None:
    try:
        runner.run(argv, on_line=on_line)
    except Silent as err:
        raise InputError(f"cannot fetch: {shown}", detail=err.message) from err
    except ToolError as err:
        raise InputError(f"cannot fetch: {shown}", detail=err.about(address, shown).detail) from err


class _Grows:
    """Says of a line of ffmpeg's progress whether more has come than ever before."""

    def __init__(self, key: str) -> None:
        self.most = 0
        self._key = key

    def __call__(self, line: str) -> bool:
        key, _, value = line.partition("=")
        if key != self._key or not value.isdigit() or int(value) <= self.most:
            return False
        self.most = int(value)
        return True


def spool(descriptor: int, folder: Path, shown: str, *, silence_s: float = SILENCE_S) -> Fetched:
    """Copy what comes through a pipe to its end, since probing and decoding both read it.

    However long that takes: it is given up when nothing comes for ``silence_s``.

    Raises:
        InputError: it fell silent.
        StorageError: no room for it.
    """
    target = new_file(folder, Path(shown).name if shown != "-" else "stdin")
    pipe = select.poll()
    pipe.register(descriptor, select.POLLIN)
    try:
        with target.open("wb") as out:
            while block := _next_block(pipe, descriptor, shown, silence_s):
                out.write(block)
    except OSError as err:
        raise StorageError(f"cannot copy to disk: {shown}", detail=err.strerror, hint="set TMPDIR") from err
    return Fetched(target, shown)


def spool_pipe(path: Path, folder: Path, *, silence_s: float = SILENCE_S) -> Fetched:
    """:func:`spool` a named pipe; nobody need be writing to it yet.

    Raises:
        InputError: it cannot be opened, or fell silent.
    """
    try:
        # Without this flag it would wait here for a writer, for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as err:
        raise InputError(f"cannot read: {path}", detail=err.strerror) from err
    try:
        return spool(descriptor, folder, str(path), silence_s=silence_s)
    finally:
        os.close(descriptor)


def _next_block(pipe: select.poll, descriptor: int, shown: str, silence_s: float) -> bytes:
    while pipe.poll(silence_s * 1000):
        try:
            return os.read(descriptor, _BLOCK_BYTES)
        except BlockingIOError:
            continue  # another reader was faster
    raise InputError(f"nothing came for {silence_s:g} s: {shown}")


def new_file(folder: Path, name: str) -> Path:
    """In a folder of its own, because two addresses may end in one name; numbered, because a source's name may show it."""
    own = folder / str(1 + sum(1 for _ in folder.iterdir()))
    own.mkdir()
    return own / (re.sub(r"[^\w.-]+", "_", name.rstrip("/").rsplit("/", 1)[-1])[-80:] or "stream")
