"""Damaged files: which of them decode to other pictures each time, and what a look at them says.

    python benchmarks/damage.py CLIP [--files 30]

Two seconds of the clip, 320x180, by each codec; a few bytes of each file are changed, by a seed. A file is told from itself by nine
decodes with one to eight threads. Prints, of files that lose no frame, how many come out the same and how many do not, and of
each what was said: refused, warned or nothing.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

from vqa_cli.errors import InputError
from vqa_cli.measure.source import Inspector
from vqa_cli.media.binaries import Ffmpeg, find_ffmpeg
from vqa_cli.media.counting import picture_sums
from vqa_cli.media.decode import build_sums_argv
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.store.inspections import Inspections
from vqa_cli.values import Treatment

_THREADS = (1, 1, 2, 2, 3, 3, 4, 4, 8)
_CODECS = {
    "h264": ("mp4", "-c:v libx264 -crf 22 -g 25"),
    "h264, MPEG-TS": ("ts", "-c:v libx264 -crf 22 -g 25"),
    "hevc": ("mp4", "-c:v libx265 -crf 26 -g 25 -x265-params log-level=0"),
    "hevc, MPEG-TS": ("ts", "-c:v libx265 -crf 26 -g 25 -x265-params log-level=0"),
    "vvc": ("mp4", "-c:v libvvenc -qp 30 -preset faster -pix_fmt yuv420p10le"),
    "av1": ("mp4", "-c:v libsvtav1 -crf 35 -preset 12 -g 25"),
    "vp9": ("webm", "-c:v libvpx-vp9 -crf 30 -b:v 0 -g 25 -cpu-used 8 -deadline realtime"),
    "vp8": ("webm", "-c:v libvpx -b:v 800k -g 25 -cpu-used 8 -deadline realtime"),
    "mpeg2video": ("mpg", "-c:v mpeg2video -q:v 4 -g 25"),
    "mpeg4": ("mp4", "-c:v mpeg4 -q:v 4 -g 25"),
    "mjpeg": ("mov", "-c:v mjpeg -q:v 4 -pix_fmt yuvj420p"),
    "prores": ("mov", "-c:v prores_ks -pix_fmt yuv422p10le"),
    "ffv1": ("mkv", "-c:v ffv1 -slices 4 -slicecrc 1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--files", type=int, default=30)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Runner() as runner:
        ffmpeg = find_ffmpeg(runner)
        print(
            "| codec | lost frames | the same each time: refused, warned, nothing | another each time: refused, warned, nothing |"
        )
        print("|---|---|---|---|")
        for codec, (suffix, options) in _CODECS.items():
            whole = Path(name) / f"whole.{suffix}"
            runner.run([str(ffmpeg.path), "-v", "error", "-y", "-i", str(args.clip), "-t", "2", "-an", "-vf", "scale=320:180",
                        "-pix_fmt", "yuv420p", *options.split(), str(whole)])  # fmt: skip
            found = Counter(_found(runner, ffmpeg, whole, codec, seed) for seed in range(args.files))
            same, other = (
                ", ".join(str(found[differs, said]) for said in ("refused", "warned", "nothing"))
                for differs in (False, True)
            )
            print(f"| {codec} | {found[None, 'lost']} | {same} | {other} |", flush=True)


def _found(runner: Runner, ffmpeg: Ffmpeg, whole: Path, codec: str, seed: int) -> tuple[bool | None, str]:
    """Whether a damaged file differs from itself, ``None`` where frames are lost, and what a look at it says."""
    damaged = whole.with_stem("damaged")
    damaged.write_bytes(_damaged(whole.read_bytes(), random.Random(f"{codec} {seed}")))
    try:
        view = SourceView.of(probe(damaged))
        decodes = {tuple(picture_sums(runner, build_sums_argv(ffmpeg.path, view, n))) for n in _THREADS}
    except InputError:
        return None, "lost"
    inspector = Inspector(runner, ffmpeg, damaged.parent, Inspections(None))
    try:
        said = "warned" if inspector.look(damaged, Treatment()).notes else "nothing"
    except InputError as err:
        if "made up" not in err.message and "differently" not in err.message:
            return None, "lost"
        said = "refused"
    return len(decodes) > 1, said


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """The file with up to six places of up to 188 bytes overwritten, headers apart."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 2, 6))):
        at = chance.randrange(len(data) // 8, len(data) * 8 // 10)
        length = chance.choice((1, 3, 40, 188))
        damaged[at : at + length] = chance.randbytes(length)
    return bytes(damaged)


if __name__ == "__main__":
    main()
