"""``vqa search``."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.console import note, table
from vqa_cli.cli.options import FFMPEG_OPTION, load_chosen_scorer, model_options
from vqa_cli.errors import ExitCode, ToolError, UsageError
from vqa_cli.settings import METRICS

if TYPE_CHECKING:
    from vqa_cli.ladder.search import Found, Trial


@click.command(name="search")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--target", type=float, required=True, help="Quality to reach.")
@click.option("--metric", default="vmaf", show_default=True, help=f"model, {', '.join(METRICS)}.")
@click.option(
    "--pooling",
    type=click.Choice(["mean", "harmonic_mean", "p1", "p5", "p10", "min"]),
    default="mean",
    show_default=True,
)
@click.option("--codec", default="libx264", show_default=True, help="Encoder.")
@click.option("--encoder-preset", help="Speed preset.")
@click.option("--pix-fmt", default="yuv420p", show_default=True, help="Pixel format of the encodes.")
@click.option("--height", type=int, help="Coded short side [the source's].")
@click.option("--display", type=int, help="Short side of the picture that is judged [the coded one].")
@click.option("--min-crf", type=float, help="Best CRF allowed.")
@click.option("--max-crf", type=float, help="Worst CRF allowed.")
@click.option("--step", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="CRF steps.")
@model_options
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where finished encodes are remembered.")
@click.option("--no-cache", is_flag=True, help="Remember nothing.")
@FFMPEG_OPTION
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(source: Path, target: float, metric: str, output_format: str, **options: Any) -> int:
    """Find the highest CRF at which SOURCE still reaches a target; exit 1 when none does."""
    from vqa_cli.ladder.search import search_crf
    from vqa_cli.media.encoders import find_encoder
    from vqa_cli.media.probe import probe

    if metric != "model" and metric not in METRICS:
        raise UsageError(f"unknown metric: {metric}", hint=f"model, {', '.join(METRICS)}")
    encoder = find_encoder(options["codec"])
    low, high = _bounds(options, *encoder.quality_range)
    height = options["height"] or probe(source).size.short_side // 2 * 2
    runner = _Measure(source, metric, height, options)
    found: Found | None = None
    for found in search_crf(runner, target, low=low, high=high, step=options["step"]):
        last = found.trials[-1]
        note(f"crf {last.crf:g}: {metric} {last.quality:.3f}, {last.kbps:.0f} kb/s")
    assert found is not None
    if output_format == "json":
        click.echo(json.dumps({"metric": metric, "target": target, "encoder": encoder.name, **asdict(found)}, indent=1))
    else:
        click.echo(_text(found, metric, target, runner.command_of(found.nearest)))
    return ExitCode.OK if found.best else ExitCode.BELOW_BAR


def _bounds(options: dict[str, Any], least: float, most: float) -> tuple[float, float]:
    """The usual working range unless flags say otherwise: nobody looks for CRF 0."""
    low = options["min_crf"] if options["min_crf"] is not None else max(least, round(most * 0.2))
    high = options["max_crf"] if options["max_crf"] is not None else round(most * 0.9)
    if not least <= low < high <= most:
        raise UsageError(f"CRF bounds must lie in {least:g} to {most:g}, the lower one first")
    steps = int((high - low) / options["step"] + 1e-9)
    return low, low + steps * options["step"]


class _Measure:
    """Measures one CRF by a ladder of one rung, so that search and ladder share numbers and cache."""

    def __init__(self, source: Path, metric: str, height: int, options: dict[str, Any]) -> None:
        self._source, self._metric, self._height, self._options = source, metric, height, options
        self._lines: dict[float, tuple[tuple[str, ...], ...]] = {}
        self._scorer = (
            load_chosen_scorer(options["model"] or "vsfa-lite", options, threads=2) if metric == "model" else None
        )

    def __call__(self, crf: float) -> Trial:
        from vqa_cli.ladder.cache import default_cache_dir
        from vqa_cli.ladder.pipeline import LadderJob, run_ladder
        from vqa_cli.ladder.search import Trial

        options = self._options
        job = LadderJob(
            sources=(self._source,), settings=self._settings(crf), scorer=self._scorer, ffmpeg=options["ffmpeg"],
            cache_dir=None if options["no_cache"] else options["cache_dir"] or default_cache_dir(),
            command=("vqa", *sys.argv[1:]),
        )  # fmt: skip
        (rung,) = run_ladder(job, lambda event: None).run.sources[0].rungs
        quality = rung.quality(self._metric, options["pooling"])
        if rung.encode is None or quality is None:
            raise ToolError(f"crf {crf:g} could not be measured", detail=rung.reason)
        self._lines[crf] = rung.encode_argv
        return Trial(crf, quality, rung.encode.bitrate_kbps)

    def _settings(self, crf: float) -> Any:
        from vqa_cli.ladder.preset import build_settings

        options = self._options
        codec = {
            "encoder": options["codec"],
            "crf": (crf,),
            "preset": options["encoder_preset"],
            "pix_fmt": options["pix_fmt"],
        }
        metrics = () if self._metric == "model" else (self._metric,)
        display = options["display"] or self._height
        return build_settings(
            {"name": "search", "display": display, "heights": (self._height,), "codecs": (codec,), "metrics": metrics},
            "search",
        )

    def command_of(self, trial: Trial) -> str:
        return "\n".join(shlex.join(line) for line in self._lines[trial.crf])


def _text(found: Found, metric: str, target: float, command_line: str) -> str:
    rows = [[f"{t.crf:g}", f"{t.quality:.3f}", f"{t.kbps:.0f}"] for t in sorted(found.trials, key=lambda t: t.crf)]
    answer = found.best or found.nearest
    said = (
        f"crf {answer.crf:g} reaches {metric} {answer.quality:.3f} at {answer.kbps:.0f} kb/s"
        if found.best
        else f"nothing reaches {metric} {target:g}; nearest: crf {answer.crf:g} with {answer.quality:.3f} at {answer.kbps:.0f} kb/s"
    )
    return f"{table(['crf', metric, 'kb/s'], rows)}\n{said}\n{command_line}"
