"""Whole ladders of the manifest's sources: what agreement is measured on and trained for.

Kept are the encodes, the reference and one line a source with rate and VMAF of every rung, so that any model can be judged
later without another encode. What is there is not made twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from training.lite.make_data import Made
from training.lite.mill import PATIENCE_S, Encode, Ladder, Mill
from training.lite.shots import Part, plan
from vqa_cli.errors import InputError, VqaError, first_line
from vqa_cli.media.binaries import find_ffmpeg
from vqa_cli.media.process import Runner


def make_ladders(media: Path, out: Path, part: Part, *, jobs: int = 1, limit: int | None = None) -> Iterator[Made]:
    """Make the ladders of a part that are missing.

    Raises:
        InputError: a clip is missing, or the lines that are there are damaged.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {ladder.key for ladder in read_ladders(out)} if (out / "ladders.jsonl").exists() else set()
    todo = [shot for shot in plan(media, part)[:limit] if shot.key not in done]
    with Runner(silence_s=PATIENCE_S) as runner, ThreadPoolExecutor(jobs) as pool:
        mill = Mill(runner, find_ffmpeg(runner).path, media, out)
        futures = {pool.submit(mill.make, shot): shot.key for shot in todo}
        for future in as_completed(futures):
            try:
                ladder = future.result()
            except VqaError as err:
                yield Made(f"{futures[future]}: FAILED: {err.message} {err.detail or ''}", failed=True)
                continue
            append_ladder(out, ladder)
            yield Made(f"{ladder.key}: {len(ladder.encodes)} rungs, {part}")


def append_ladder(out: Path, ladder: Ladder) -> None:
    """Add a line."""
    with (out / "ladders.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(ladder)) + "\n")


def read_ladders(out: Path, *parts: Part) -> list[Ladder]:
    """Everything made so far, or some parts of it.

    Raises:
        InputError: nothing was made, or a line is damaged.
    """
    path = out / "ladders.jsonl"
    if not path.exists():
        raise InputError(f"no ladders: {path}", hint="make them with `python -m training.lite ladders`")
    ladders = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            encodes = tuple(Encode(**{**each, "frames": tuple(each["frames"])}) for each in row["encodes"])
            faults = {name: tuple(frames) for name, frames in row["faults"].items()}
            ladders.append(Ladder(**{**row, "encodes": encodes, "faults": faults}))
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise InputError(f"damaged ladder: line {number} of {path}", detail=first_line(err)) from err
    return sorted((each for each in ladders if not parts or each.part in parts), key=lambda ladder: ladder.key)
