"""Where the time of a ladder goes: encoding, decoding with metrics, and inference, each alone on one thread budget.

    python benchmarks/ladder.py CLIP [--preset mobile]

Runs the rungs of the preset one after the other without a cache and times each stage alone: encode; decode of encode and
reference through the full-reference filters with nobody scoring; inference on frames that are already in memory. Then it
runs the same rungs through `run_ladder`, which overlaps them, and prints the ratio of the sum to that.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from vqa_cli.ladder.job import LadderJob
from vqa_cli.ladder.pipeline import run_ladder
from vqa_cli.ladder.plan import plan_ladder
from vqa_cli.ladder.preset import build_settings, find_preset, read_preset
from vqa_cli.measure.source import Inspector
from vqa_cli.media.binaries import cpu_count, find_ffmpeg
from vqa_cli.media.command import build_encode_argv
from vqa_cli.media.decode import MeasureOrder, build_measure_argv
from vqa_cli.media.encode import EncodeJob, run_encode
from vqa_cli.media.frames import frame_format, open_frames
from vqa_cli.media.graph import SourceView
from vqa_cli.media.probe import probe
from vqa_cli.media.process import Runner
from vqa_cli.model.load import load_scorer
from vqa_cli.store.inspections import Inspections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--preset", default="mobile")
    args = parser.parse_args()
    settings = build_settings(read_preset(find_preset(args.preset)), args.preset)
    torch.set_num_threads(settings.threads)
    scorer = load_scorer()
    encode_s = decode_s = infer_s = 0.0
    with Runner() as runner, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        ffmpeg = find_ffmpeg(runner)
        source = Inspector(runner, ffmpeg, work, Inspections(None)).look(args.clip, settings.treatment)
        plan = plan_ladder(source.info, settings)
        pixels = frame_format(plan.display, source.view.colour, source.info.size)
        order = MeasureOrder(plan.display, settings.metrics, threads=settings.threads)
        for rung in plan.rungs:
            argv = build_encode_argv(ffmpeg.path, source.view, rung.order, f"{rung.id}.mp4")
            output, size = work / f"{rung.id}.mp4", rung.order.size
            done = run_encode(runner, EncodeJob(argv, work, output, size, source.frames, source.view.fps))
            encode_s += done.wall_s
            coded = SourceView.of(probe(output))
            start = time.perf_counter()
            line = build_measure_argv(ffmpeg.path, coded, source.view, order)
            with open_frames(runner, line, pixels, expected=source.frames, what=rung.id, cwd=work) as stream:
                chunks = [np.array(chunk) for chunk in stream]
            decode_s += time.perf_counter() - start
            start = time.perf_counter()
            scorer.score(chunks, pixels)
            infer_s += time.perf_counter() - start
    total = encode_s + decode_s + infer_s
    start = time.perf_counter()
    run_ladder(LadderJob(sources=(args.clip,), settings=settings, scorer=scorer), lambda event: None)
    together = time.perf_counter() - start
    print(
        f"{args.clip.name}: {len(plan.rungs)} rungs, {source.frames} frames, judged at {plan.display}, {cpu_count()} cores"
    )
    for name, seconds in (("encode", encode_s), ("decode and metrics", decode_s), ("inference", infer_s)):
        print(f"  {name:20} {seconds:7.1f} s  {seconds / total:5.0%}")
    print(
        f"  one after the other  {total:7.1f} s; overlapped by run_ladder {together:.1f} s: {total / together:.2f} times as fast"
    )
    print(f"  peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
