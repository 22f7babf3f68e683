"""A rating database from any folder of videos and pictures: real encodes, rated by VMAF.

    python benchmarks/ratings.py MEDIA -o DATABASE [--groups TABLE] [--per-group 2] [--encodes 6] [--jobs 2]

Each video gives a cut of footage, each picture a slow pan over it, as a lossless 384x216 reference of 32 frames. x264 encodes
it six times in groups of pictures of 8 frames, with CRF spread over 20 to 50; in two thirds of the encodes one or two groups of
pictures are coded much worse, as when a player falls to a lower rung and comes back. The rating is pooled from VMAF v0.6.1 of
the frames: the mean of the worst quarter of them, as a viewer who remembers the worst moments would judge (the temporal
collapsing of M. Pinson and S. Wolf, IEEE Trans. Broadcasting 50(3), 2004, takes the worst part of a clip in the same way).

DATABASE gets `videos/`, `ratings.csv` (video, mos, ref_id, and what was done) and, where TABLE has a column `split`,
`held-out.csv`, the same with the test part that TABLE names. TABLE has columns `file` (below MEDIA) and `group`: files of one
group share a reference id, and files that it does not list are left out. Started again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_cli.cli.inputs import VIDEO_SUFFIXES
from vqa_cli.errors import InputError, VqaError
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.colour import HDR_TRANSFERS
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner

PICTURES = frozenset([".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"])
WIDTH, HEIGHT, FRAMES, GOP = 384, 216, 32, 8
BEST, WORST, LARGEST_QP = 20, 50, 51
WORST_SHARE = 0.25  # of the frames, whose mean is the rating
PAN = 2  # pixels a frame to the right, half of it down; whole ones, so that no frame of the reference is blurred
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "level+error", "-y")


@dataclass(frozen=True)
class Source:
    """A file below MEDIA and its group; ``split`` is empty where the table of groups has none."""

    file: str
    group: str
    split: str = ""

    @property
    def key(self) -> str:
        return Path(self.file).stem


@dataclass(frozen=True)
class Rated:
    """One video. The dip begins at ``dip_frame`` (-1: there is none) and is ``dip_frames`` long; ``vmaf`` is that of each frame."""

    video: str
    ref_id: str
    split: str
    crf: int
    dip_frame: int
    dip_frames: int
    dip_qp: int
    vmaf: tuple[float, ...]

    @property
    def mos(self) -> float:
        """Mean of the worst part of the frames."""
        return float(np.sort(self.vmaf)[: round(WORST_SHARE * FRAMES)].mean())


def find_sources(media: Path, groups: Path | None, per_group: int | None) -> list[Source]:
    """Files of the folder, or those that the table lists, the first ``per_group`` of each group."""
    if groups is None:
        files = sorted(p for p in media.rglob("*") if p.suffix.lower() in PICTURES | VIDEO_SUFFIXES)
        found = [Source(str(path.relative_to(media)), path.stem) for path in files]
    else:
        table = pd.read_csv(groups, dtype=str, keep_default_na=False).drop_duplicates("file")
        splits = table["split"] if "split" in table else [""] * len(table)
        listed = [Source(*row) for row in zip(table["file"], table["group"], splits, strict=True)]
        # A manifest may also name pictures that are drawn by a program and lie nowhere.
        found = [source for source in listed if (media / source.file).exists()]
    kept: dict[str, list[Source]] = {}
    for source in found:
        kept.setdefault(source.group, []).append(source)
    return [source for members in kept.values() for source in members[:per_group]]


def make(media: Path, out: Path, source: Source, encodes: int, runner: Runner, ffmpeg: str) -> list[Rated]:
    """All encodes of one source, rated."""
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference.mkv"
        runner.run([ffmpeg, *QUIET, *reference_args(media / source.file), str(reference)])
        shown = probe(reference).frames
        if shown != FRAMES:
            raise InputError(f"{shown} of {FRAMES} frames: {source.file}")
        rng = random.Random(source.key)
        rows = []
        for index in range(encodes):
            drawn = draw(rng, index, encodes)
            video = out / "videos" / f"{source.key}_{index}.mp4"
            runner.run([ffmpeg, *QUIET, "-i", str(reference), *encode_args(*drawn), str(video)])
            vmaf = measure(runner, ffmpeg, video, reference, Path(folder))
            rows.append(Rated(video.name, source.group, source.split, *drawn, vmaf))
    return rows


def draw(rng: random.Random, index: int, encodes: int) -> tuple[int, int, int, int]:
    """CRF within its stratum, and the dip: first frame (-1 for none), frames, quantiser."""
    step = (WORST - BEST) / encodes
    crf = round(BEST + step * (index + rng.random()))
    if rng.random() < 1 / 3:
        return crf, -1, 0, 0
    groups = rng.randint(1, 2)
    first = rng.randint(0, FRAMES // GOP - groups)
    return crf, GOP * first, GOP * groups, min(LARGEST_QP, crf + rng.randint(6, 20))


def reference_args(path: Path) -> list[str]:
    """A picture under a pan, or the middle of a video, cut to fill the frame."""
    fill = "force_original_aspect_ratio=increase:flags=lanczos+accurate_rnd+full_chroma_int:out_range=tv"
    output = ["-an", "-c:v", "ffv1", "-g", "1", "-pix_fmt", "yuv420p", "-threads", "1"]
    if path.suffix.lower() in PICTURES:
        wide, high = WIDTH + PAN * FRAMES, HEIGHT + PAN // 2 * FRAMES
        still = f"scale={wide}:{high}:{fill},loop={FRAMES - 1}:1:0,settb=1/25,setpts=N"
        pan = f"crop={WIDTH}:{HEIGHT}:x={PAN}*n:y={PAN // 2}*n,setsar=1"
        return ["-i", str(path), "-vf", f"{still},{pan}", "-r", "25", *output]
    info = probe(path)
    if info.colour.transfer in HDR_TRANSFERS:
        raise InputError(f"HDR video: {path.name}")
    first = max(0, info.frames // 2 - FRAMES // 2)
    cut = f"trim=start_frame={first}:end_frame={first + FRAMES},settb=1/25,setpts=N"
    chain = f"{cut},scale={WIDTH}:{HEIGHT}:{fill},crop={WIDTH}:{HEIGHT},setsar=1"
    return ["-i", str(path), "-vf", chain, "-r", "25", *output]


def encode_args(crf: int, dip_frame: int, dip_frames: int, dip_qp: int) -> list[str]:
    fixed = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:rc-lookahead=8"
    zone = f":zones={dip_frame},{dip_frame + dip_frames - 1},q={dip_qp}" if dip_frame >= 0 else ""
    return ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-x264-params", fixed + zone, "-threads", "1"]


def measure(runner: Runner, ffmpeg: str, video: Path, reference: Path, folder: Path) -> tuple[float, ...]:
    """VMAF of each frame, paired by number."""
    graph = (
        "[0:v]settb=1/25,setpts=N,setsar=1[a];[1:v]settb=1/25,setpts=N,setsar=1[b];"
        "[a][b]libvmaf=log_fmt=json:log_path=vmaf.json:n_threads=1"
    )
    inputs = ["-i", str(video.absolute()), "-i", str(reference.absolute())]
    runner.run([ffmpeg, *QUIET, *inputs, "-filter_complex", graph, "-f", "null", "-"], cwd=folder)
    log = json.loads((folder / "vmaf.json").read_text(encoding="utf-8"))
    values = tuple(round(frame["metrics"]["vmaf"], 3) for frame in log["frames"])
    if len(values) != FRAMES:
        raise InputError(f"{len(values)} of {FRAMES} frames were rated: {video.name}")
    return values


def write_tables(out: Path, rows: list[Rated]) -> None:
    lines = [{"video": row.video, "mos": row.mos, **asdict(row), "vmaf": float(np.mean(row.vmaf))} for row in rows]
    table = pd.DataFrame(lines).rename(columns={"vmaf": "vmaf_mean"}).round(4).sort_values("video")
    table.drop(columns="split").to_csv(out / "ratings.csv", index=False)
    if not table["split"].all():
        return
    # Every fifth group that may be trained on serves for validation.
    groups = sorted(set(table.loc[table["split"] != "test", "ref_id"]))
    random.Random(0).shuffle(groups)
    val = set(groups[: len(groups) // 5])
    parts = ["test" if s == "test" else "val" if g in val else "train" for s, g in zip(table["split"], table["ref_id"], strict=True)]  # fmt: skip
    table.assign(split=parts).to_csv(out / "held-out.csv", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--per-group", type=int)
    parser.add_argument("--encodes", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    (args.output / "videos").mkdir(parents=True, exist_ok=True)
    log = args.output / "rated.jsonl"
    rows = [Rated(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
    done = {row.video.rpartition("_")[0] for row in rows}
    # In any order but that of the files, so that what is there when it is broken off is a sample of all.
    todo = [s for s in find_sources(args.media, args.groups, args.per_group) if s.key not in done]
    random.Random(0).shuffle(todo)
    with Runner() as runner, ThreadPoolExecutor(args.jobs) as pool:
        ffmpeg = str(find_ffmpeg(runner).path)
        work = {pool.submit(make, args.media, args.output, s, args.encodes, runner, ffmpeg): s for s in todo}
        for count, future in enumerate(as_completed(work), 1):
            try:
                new = future.result()
            except VqaError as err:
                print(
                    f"{count}/{len(todo)} {work[future].file}: left out: {err.message} {err.detail or ''}", flush=True
                )
                continue
            rows += new
            with log.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in new)
            print(f"{count}/{len(todo)} {work[future].file}: {' '.join(f'{r.mos:.0f}' for r in new)}", flush=True)
    write_tables(args.output, rows)
    print(f"{len(rows)} videos of {len({r.ref_id for r in rows})} references in {args.output}")


if __name__ == "__main__":
    main()
