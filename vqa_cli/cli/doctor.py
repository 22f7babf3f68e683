"""``vqa doctor``."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import click

from vqa_cli._version import __version__
from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, say
from vqa_cli.cli.options import CACHE_DIR_OPTION, FFMPEG_OPTION, MODEL_DIR_OPTION, format_option
from vqa_cli.errors import ExitCode, VqaError, first_line


@click.command(name="doctor", cls=Command)
@FFMPEG_OPTION
@MODEL_DIR_OPTION
@CACHE_DIR_OPTION
@format_option("text", "json")
def command(ffmpeg: str | None, model_dir: Path | None, cache_dir: Path | None, output_format: str) -> int:
    """Print what vqa found on this machine, what is missing, and how to get it."""
    facts, problems = _facts(ffmpeg, model_dir, cache_dir)
    if output_format == "json":
        emit(json.dumps({**facts, "problems": problems}, indent=1))
    else:
        for line in _lines(facts):
            say(line)
        for problem in problems:
            say(f"missing: {problem}")
        say("all that the bundled model needs is here" if facts["ffmpeg"] and not _fatal(facts) else "not ready")
    return ExitCode.TOOL if _fatal(facts) else ExitCode.OK


def _fatal(facts: dict[str, Any]) -> bool:
    return not facts["ffmpeg"] or not facts["torch"]


def _facts(explicit: str | None, model_dir: Path | None, cache_dir: Path | None) -> tuple[dict[str, Any], list[str]]:
    problems: list[str] = []
    facts: dict[str, Any] = {
        "vqa": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    facts["ffmpeg"] = _ffmpeg(explicit, problems)
    facts["torch"] = _torch(problems)
    facts["models"] = _models(problems, model_dir)
    facts["cache"] = _cache(cache_dir)
    return facts, problems


def _ffmpeg(explicit: str | None, problems: list[str]) -> dict[str, Any] | None:
    from vqa_cli.machine import simd_level
    from vqa_cli.media.binaries import check_encoder, cpu_count, find_ffmpeg
    from vqa_cli.media.command import build_check_argv
    from vqa_cli.media.encoders import ENCODERS
    from vqa_cli.media.process import Runner
    from vqa_cli.metrics import METRICS

    with Runner() as runner:
        try:
            ffmpeg = find_ffmpeg(runner, explicit)
        except VqaError as err:
            problems.append(f"{err.message} ({err.hint})")
            return None
        checks = [check_encoder(runner, ffmpeg, name, build_check_argv(ffmpeg.path, e)) for name, e in ENCODERS.items()]
    lost = [name for name in METRICS if name not in ffmpeg.metrics]
    if lost:
        problems.append(
            f"metrics {', '.join(lost)}: this ffmpeg lacks their filters; the embedded one has all (leave --ffmpeg out)"
        )
    return {
        "path": str(ffmpeg.path),
        "origin": ffmpeg.origin,
        "version": ffmpeg.version,
        "metrics": list(ffmpeg.metrics),
        "encoders": {check.encoder: check.library for check in checks if check.works},
        "encoders_not_usable": {check.encoder: check.reason for check in checks if not check.works},
        "cores": cpu_count(),
        "simd": simd_level(),
    }


def _torch(problems: list[str]) -> dict[str, Any] | None:
    try:
        import torch

        from vqa_cli.model.card import INT8
        from vqa_cli.model.device import RESNET_CLOSE, pick_device, pick_precision
        from vqa_cli.model.registry import LITE, PUBLISHED
    except ImportError as err:
        problems.append(f"torch: {err} (pip install torch torchvision)")
        return None
    try:
        import torchvision  # noqa: F401
    except Exception as err:  # whatever it stumbles over, vsfa-lite does without it
        problems.append(f"torchvision, for vsfa and mdtvsfa: {first_line(err)} (install the one that matches torch)")
    device = pick_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "version": str(torch.__version__),
        "device": str(device),
        "name": name,
        "precision": {
            LITE: INT8,
            **dict.fromkeys(PUBLISHED, pick_precision("auto", device, RESNET_CLOSE)),
        },
    }


def _models(problems: list[str], model_dir: Path | None) -> dict[str, Any]:
    from vqa_cli.model.registry import LITE, PUBLISHED
    from vqa_cli.model.store import default_dir, is_there

    found: dict[str, Any] = {LITE: "bundled"}
    folder = model_dir or default_dir()
    for model in PUBLISHED.values():
        missing = [file.name for file in model.files if not is_there(folder / file.name)]
        found[model.name] = "installed" if not missing else "not installed"
        if missing:
            problems.append(f"{model.name}: {' and '.join(missing)} (vqa models pull {model.name})")
    return found


def _cache(cache_dir: Path | None) -> dict[str, Any]:
    from vqa_cli.store.content import default_cache_dir
    from vqa_cli.store.kinds import KINDS

    folder = cache_dir or default_cache_dir()
    usages = [kind.entries(folder).usage() for kind in KINDS]
    return {
        "path": str(folder), "entries": sum(usage.entries for usage in usages), "bytes": sum(usage.size_bytes for usage in usages),
    }  # fmt: skip


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"vqa {facts['vqa']}, Python {facts['python']} ({sys.executable}), {facts['platform']}"]
    if ffmpeg := facts["ffmpeg"]:
        lines += [
            f"ffmpeg {ffmpeg['version']} ({ffmpeg['origin']}): {ffmpeg['path']}",
            f"  metrics: {', '.join(ffmpeg['metrics'])}",
            *(f"  encoder {name}: {library}" for name, library in ffmpeg["encoders"].items()),
            *(f"  encoder {name}: not usable: {why}" for name, why in ffmpeg["encoders_not_usable"].items()),
            f"cores: {ffmpeg['cores']}, vector instructions: {ffmpeg['simd']}",
        ]
    if torch := facts["torch"]:
        chosen = ", ".join(f"{model} in {precision}" for model, precision in torch["precision"].items())
        lines.append(f"torch {torch['version']} on {torch['name']} ({torch['device']}): {chosen}")
    lines += [f"model {name}: {state}" for name, state in facts["models"].items()]
    cache = facts["cache"]
    lines.append(f"cache: {cache['path']} ({cache['entries']} entries, {cache['bytes'] / 1e6:.1f} MB)")
    return lines
