"""What is attacked, and what each attack may end in. A target makes its mutants from their numbers alone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutate import mutate, mutate_document, odd_name

# More than any mutant of these small files may take.
MEMORY_BYTES = 6_000_000_000
BUG = 70


@dataclass(frozen=True)
class Ending:
    """How an attack ended.

    Attributes:
        code: the exit code that a user would have seen.
        said: the message.
        fault: why this is no way to end, empty where it is.
    """

    code: int
    said: str
    fault: str = ""


Attack = Callable[[int], Ending]


def seeded(target: str, seed: int, number: int) -> Random:
    """Every mutant's own random numbers."""
    return Random(f"{target} {seed} {number}")


@contextlib.contextmanager
def open_target(name: str, seed: int) -> Iterator[Attack]:
    """Make a target ready in this process."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, TARGETS[name](Path(folder)) as attack:
        yield lambda number: attack(seeded(name, seed, number), Path(folder, "now"))


def limit_memory() -> None:
    """So that a mutant which asks for more ends here and not the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _ended(code: int, said: str, allowed: set[int]) -> Ending:
    if code in allowed:
        return Ending(code, said)
    return Ending(code, said, f"exit {code}, not one of {', '.join(map(str, sorted(allowed)))}")


def _call(*argv: str | Path) -> tuple[int, str, str]:
    """``vqa`` in this process: exit code and both streams."""
    from vqa_cli.cli import cli
    from vqa_cli.cli.boundary import carry_out

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = carry_out(cli, "vqa", [str(part) for part in argv])
    return code, out.getvalue(), err.getvalue()


def _first(text: str) -> str:
    if "Traceback" in text:
        return text[-900:]
    lines = [line for line in text.splitlines() if line.startswith("error:")]
    return (lines or text.splitlines() or [""])[-1][:200]


# --- containers -----------------------------------------------------------------------------------------------------------

_PICTURE = "testsrc2=size=128x96:rate=25:duration=0.48"
_CLIPS: dict[str, tuple[str, ...]] = {
    "h264.mp4": ("-c:v", "libx264", "-bf", "2"),
    "frag.mp4": ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov"),
    "hevc.mov": ("-c:v", "libx265", "-x265-params", "log-level=0", "-tag:v", "hvc1"),
    "h264.mkv": ("-c:v", "libx264", "-metadata", "title=Grüße"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-metadata", "title=x"),
    "mpeg2.ts": ("-c:v", "mpeg2video",),
    "prores.mov": ("-c:v", "prores_ks"),
    "mjpeg.mkv": ("-c:v", "mjpeg"),
    "ffv1.nut": ("-c:v", "ffv1"),
    "raw.y4m": ("-pix_fmt", "yuv420p"),
    "raw.264": ("-c:v", "libx264", "-f", "h264"),
    "raw.obu": ("-c:v", "libsvtav1", "-preset", "12", "-f", "obu"),
    "flv.flv": ("-c:v", "flv"),
    "anim.gif": ("-pix_fmt", "rgb8"),
}  # fmt: skip


@contextlib.contextmanager
def _containers(folder: Path) -> Iterator[Callable[[Random, Path], Ending]]:
    import imageio_ffmpeg

    from vqa_cli.errors import VqaError
    from vqa_cli.measure.score import ScoreRequest, open_scorer
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.process import Runner
    from vqa_cli.model.load import load_scorer

    program = imageio_ffmpeg.get_ffmpeg_exe()
    for name, args in _CLIPS.items():
        argv = [program, "-v", "error", "-f", "lavfi", "-i", _PICTURE, *args, str(folder / name)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # SVT-AV1 cannot be quiet
    seeds = {name: (folder / name).read_bytes() for name in _CLIPS}
    request = ScoreRequest(tonemap=True, deinterlace=True)
    with (
        Runner() as runner,
        open_scorer(request, load_scorer(device="cpu"), runner, find_ffmpeg(runner), None) as scorer,
    ):

        def attack(random: Random, now: Path) -> Ending:
            name = random.choice(list(seeds))
            file = now.with_name(f"now-{random.randrange(10**12)}-{name}")
            file.write_bytes(mutate(seeds[name], random))
            try:
                result = scorer.score(file)
            except VqaError as err:
                return _ended(int(err.exit_code), err.message, {3})
            finally:
                file.unlink()
                scorer.inspector.seen.clear()
            value = result.score.score
            return Ending(0, f"{value:.3f}", "" if value == value and abs(value) < 1e6 else f"a score of {value}")

        yield attack


# --- documents, presets, policies, tables ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _documents(folder: Path) -> Iterator[Callable[[Random, Path], Ending]]:
    from documents import make_run, make_rung, vmaf_like

    rates = (300, 700, 1500, 3000)
    rungs = [
        make_rung(codec, height, rate * share, vmaf_like(rate, height))
        for codec, share in (("libx264", 1.0), ("libx265", 0.7))
        for height in (360, 720)
        for rate in rates
    ]
    base = make_run(rungs).model_dump_json()
    (folder / "base.json").write_text(base, encoding="utf-8")
    table = "source,codec,bitrate,quality\n" + "".join(
        f"c,{codec},{rate},{quality}\n" for codec in "AB" for rate, quality in zip(rates, (30, 34, 38, 41), strict=True)
    )
    preset = (Path(__file__).parents[2] / "presets" / "mobile.toml").read_bytes()
    policy = b'[[rule]]\nmetric = "vmaf"\nmax_bd_rate = 1.0\n'

    def attack(random: Random, now: Path) -> Ending:
        kind = random.choice(("run", "run", "run", "run", "table", "preset", "policy"))
        suffix, data = {
            "run": (".json", mutate_document(base, random)) if kind == "run" else ("", b""),
            "table": (".csv", mutate(table.encode(), random)),
            "preset": (".toml", mutate(preset, random)),
            "policy": (".toml", mutate(policy, random)),
        }[kind]
        file = now.with_name(f"now{suffix}")
        file.write_bytes(data)
        known, page = folder / "base.json", folder / "page.html"
        commands: dict[str, list[list[str | Path]]] = {
            "run": [
                ["report", file, "-o", page],
                ["bdrate", file],
                ["bdrate", known, file, "--format", "json"],
                ["recommend", file, "--format", "json"],
                ["gate", known, file, "--format", random.choice(("text", "markdown", "github", "junit", "json"))],
                ["gate", file, known],
                ["report", known, file, "-o", page],
            ],
            "table": [["bdrate", file], ["correlate", file]],
            "preset": [["presets", "show", file], ["ladder", "nothing.mp4", "--preset", file, "--show-config"]],
            "policy": [["gate", known, known, "--policy", file]],
        }
        code, _, err = _call(*random.choice(commands[kind]))
        return _ended(code, _first(err), {0, 1, 2, 3, 6, 7, 8})

    yield attack


# --- weights --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _weights(folder: Path) -> Iterator[Callable[[Random, Path], Ending]]:

    import numpy as np

    from vqa_cli.errors import VqaError
    from vqa_cli.model.deferred import defer
    from vqa_cli.model.load import load_scorer
    from vqa_cli.model.registry import lite_path
    from vqa_cli.values import FrameFormat

    data = lite_path().read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    card = header["__metadata__"]["card"]
    frames, pixels = np.full((3, 96, 64), 100, np.uint8), FrameFormat(64, 64)
    plain: dict[str, Any] = {
        "device": "cpu", "precision": "auto", "batch_size": "auto", "model_dir": None, "backbone_weights": None,
        "head_weights": None, "tau": None, "beta": None, "pooling": "hysteresis", "color": "auto",
    }  # fmt: skip

    def attack(random: Random, now: Path) -> Ending:
        file = now.with_suffix(".safetensors")
        if random.random() < 0.6:
            text = mutate_document(card, random).decode("utf-8", "replace")
            changed = json.dumps(header | {"__metadata__": {"card": text}}).encode()
            file.write_bytes(len(changed).to_bytes(8, "little") + changed + data[begin:])
        else:
            file.write_bytes(mutate(data[: begin + 4096], random) + data[begin + 4096 :])
        try:
            loaded = load_scorer(str(file), **plain)
            told = defer(str(file), plain, lambda: loaded)
            if told is not None and told.identity != loaded.identity:
                return Ending(0, "", "the deferred model is another one")
            score = loaded.score([frames], pixels).score
        except VqaError as err:
            return _ended(int(err.exit_code), err.message, {5})
        return Ending(0, f"{score:.3f}", "" if np.isfinite(score) else f"a score of {score}")

    yield attack


# --- cache entries --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _cache(folder: Path) -> Iterator[Callable[[Random, Path], Ending]]:
    """One bit of one file: what is remembered is what was written, or nothing."""
    from fractions import Fraction

    import numpy as np

    from vqa_cli.document import EncodeResult
    from vqa_cli.model.load import load_scorer
    from vqa_cli.series import make_series
    from vqa_cli.store.inspections import Inspection, Inspections
    from vqa_cli.store.rungs import Measured, Rungs
    from vqa_cli.store.seen import Seen, Stream
    from vqa_cli.values import FrameFormat

    made, key = folder / "made", "ab" * 32
    values = np.linspace(30, 40, 60)
    encode = EncodeResult(
        bitrate_kbps=800, peak_kbps=900, video_bytes=1, file_bytes=2, frames=60, duration_s=2, wall_s=1, cpu_s=1, fps=60,
        sha256="0" * 64, simd="avx2",
    )  # fmt: skip
    measured = Measured(encode=encode, fidelity={"psnr": make_series(values, Fraction(30))})
    inspection = Inspection(frames=60, prepared=60)
    stream, scorer = Stream("content", ("-i", "FILE"), FrameFormat(64, 64), "ffmpeg"), load_scorer(device="cpu")
    Rungs(made).store(key, measured, {"psnr": values})
    Inspections(made).write(key, inspection)
    clip = Seen(made).score(stream, scorer, [np.random.default_rng(0).integers(16, 235, (9, 96, 64)).astype(np.uint8)])
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file() and path.name != "CACHEDIR.TAG")

    def attack(random: Random, now: Path) -> Ending:
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(made, now)
        file = now / random.choice(files)
        file.write_bytes(mutate(file.read_bytes(), random))
        rung, found, seen = Rungs(now).load(key), Inspections(now).find(key), Seen(now).find(stream, scorer)
        if rung is not None and (rung[0] != measured or not np.array_equal(rung[1]["psnr"], values)):
            return Ending(0, "", "another rung than was written")
        if found is not None and found != inspection:
            return Ending(0, "", "another inspection than was written")
        if seen is not None and abs(seen.score - clip.score) > 0.05:
            return Ending(0, "", f"another score than was written: {seen.score} for {clip.score}")
        return Ending(0, "a miss" if None in (rung, found, seen) else "a hit")

    yield attack


# --- names and environments -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _names(folder: Path) -> Iterator[Callable[[Random, Path], Ending]]:
    import imageio_ffmpeg

    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", _PICTURE, "-c:v", "libx264"]
    subprocess.run([*argv, str(folder / "clip.mp4")], check=True, stdin=subprocess.DEVNULL)

    def attack(random: Random, now: Path) -> Ending:
        shutil.rmtree(now, ignore_errors=True)
        now.mkdir()
        file = now / (odd_name(random)[:60] + ".mp4")
        os.link(folder / "clip.mp4", file)
        style = random.choice(("text", "json", "csv", "ndjson"))
        code, out, err = _call("score", file, file, "--no-cache", "--format", style, "-q")
        ending = _ended(code, _first(err), {0, 3})
        control = next((c for c in out + err if ord(c) < 32 and c not in "\n\t"), None)
        if control or "\n::error" in f"\n{out}{err}" or "‮" in out + err:
            return Ending(code, repr(file.name), f"printed as it is: {file.name!r}")
        return ending

    yield attack


_ODD_VALUES = (
    "",
    "x",
    "/dev/null",
    "/nonexistent",
    "-1",
    "0",
    "nan",
    "1e99",
    "C",
    "POSIX",
    "\x7f",
    "a" * 5000,
    "../..",
)
_VARIABLES = (
    "LC_ALL", "LANG", "PYTHONUTF8", "PYTHONIOENCODING", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "VQA_CACHE_DIR",
    "VQA_MODEL_DIR", "COLUMNS", "LINES", "TERM", "NO_COLOR", "PATH", "VQA_LADDER_CRF", "VQA_LADDER_CODEC", "VQA_LADDER_THREADS",
    "VQA_SCORE_EVERY", "VQA_DEBUG", "OMP_NUM_THREADS", "RAY_ADDRESS", "PYTHONHASHSEED", "SOURCE_DATE_EPOCH",
)  # fmt: skip


@contextlib.contextmanager
def _environments(folder: Path) -> Iterator[Callable[[Random, Path], Ending]]:
    program = str(Path(sys.executable).with_name("vqa"))
    commands = (["doctor"], ["presets", "list"], ["models", "list"], ["cache", "info"], ["score", "missing.mp4"],
                ["ladder", "missing.mp4", "--show-config"], ["--version"])  # fmt: skip

    def attack(random: Random, now: Path) -> Ending:
        chosen = {random.choice(_VARIABLES): random.choice(_ODD_VALUES) for _ in range(random.randint(1, 4))}
        if chosen.get("PYTHONIOENCODING", "utf-8") not in ("", "utf-8") or chosen.get("PYTHONHASHSEED", "0") != "0":
            chosen = {k: v for k, v in chosen.items() if not k.startswith("PYTHON")}  # Python itself refuses these
        if chosen.get("PYTHONUTF8") not in (None, "0", ""):
            del chosen["PYTHONUTF8"]
        argv = [program, *random.choice(commands)]
        done = subprocess.run(
            argv, env=os.environ | chosen, cwd=folder, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        said = f"{argv[1:]} {chosen}: {_first(done.stderr)}"
        return _ended(done.returncode, said[:300], {0, 2, 3, 4, 5, 6})

    yield attack


TARGETS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Callable[[Random, Path], Ending]]]] = {
    "containers": _containers,
    "documents": _documents,
    "weights": _weights,
    "cache": _cache,
    "names": _names,
    "environments": _environments,
}
