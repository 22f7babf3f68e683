"""``vqa search``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqa_cli.cli.console import note, table
from vqa_cli.cli.options import FFMPEG_OPTION, cache_dir, cache_options, load_chosen_scorer, model_options
from vqa_cli.errors import ExitCode, UsageError
from vqa_cli.metrics import METRICS

if TYPE_CHECKING:
    from vqa_cli.ladder.samples import SampledSource
    from vqa_cli.ladder.search import Found
    from vqa_cli.ladder.source import ReadySource
    from vqa_cli.ladder.trials import Bench
    from vqa_cli.media.encoders import Encoder
    from vqa_cli.settings import LadderSettings
    from vqa_cli.values import MediaInfo, StrPath

_SAMPLED_POOLINGS = ("mean", "harmonic_mean")
# Bitrates that are looked at without --min-kbps and --max-kbps, in bits per pixel.
_LEAST_BPP, _MOST_BPP = 0.01, 0.4


@click.command(name="search")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--target", type=float, required=True, help="Quality to reach.")
@click.option("--metric", default="vmaf", show_default=True, help=f"model, {', '.join(METRICS)}.")
@click.option(
    "--statistic",
    type=click.Choice(["mean", "harmonic_mean", "p1", "p5", "p10", "min"]),
    default="mean",
    show_default=True,
)
@click.option(
    "--over", type=click.Choice(["crf", "bitrate"]), default="crf", show_default=True,
    help="Find the highest CRF, or the lowest bitrate (two-pass VBR).",
)  # fmt: skip
@click.option("--codec", default="libx264", show_default=True, help="Encoder.")
@click.option("--encoder-preset", help="Speed preset.")
@click.option("--pix-fmt", default="yuv420p", show_default=True, help="Pixel format of the encodes.")
@click.option("--height", type=int, help="Coded short side [the source's].")
@click.option("--display", type=int, help="Short side of the picture that is judged [the coded one].")
@click.option("--min-crf", type=float, help="Best CRF allowed.")
@click.option("--max-crf", type=float, help="Worst CRF allowed.")
@click.option("--min-kbps", type=click.FloatRange(min=0, min_open=True), help="Lowest bitrate allowed.")
@click.option("--max-kbps", type=click.FloatRange(min=0, min_open=True), help="Highest bitrate allowed.")
@click.option("--step", type=click.FloatRange(min=0.1, max=50), help="CRF steps [1], or percent of bitrate [3].")
@click.option(
    "--samples", type=click.IntRange(1), help="Measure that many samples of a long source instead of the whole."
)
@click.option(
    "--sample-s", type=click.FloatRange(min=0.5), default=4.0, show_default=True, help="Length of a sample in seconds."
)
@click.option("--confirm", is_flag=True, help="With --samples: measure the answer over the whole source too.")
@click.option("--tonemap", is_flag=True, help="Judge an HDR source as approximate SDR.")
@click.option("--deinterlace", is_flag=True, help="Deinterlace an interlaced source.")
@model_options
@cache_options
@FFMPEG_OPTION
@click.option("--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(source: Path, target: float, output_format: str, **options: Any) -> int:
    """Find the highest CRF or lowest bitrate at which SOURCE still reaches a target; exit 1 when none does."""
    from vqa_cli.cli.ladder import command_lines
    from vqa_cli.ladder.search import search
    from vqa_cli.ladder.source import ReadySource
    from vqa_cli.media.binaries import find_ffmpeg
    from vqa_cli.media.delivery import probe_source
    from vqa_cli.media.process import Runner

    _check(options)
    with Runner() as runner:
        info = probe_source(runner, find_ffmpeg(runner, options["ffmpeg"]), source)
    bench, scale = _bench(info, options)
    with _maybe_sampled(source, bench, options) as sampled:
        used = bench if sampled is None else _on_samples(bench, sampled)
        with used.ready() as ready:
            original = ready.job.sources[0] if sampled is None else sampled.source
            _tell(original, bench.settings_at(scale[0]))
            estimate = _told(search(ready.measure, target, scale), options)
    found, whole = estimate, sampled is None
    if options["confirm"] and sampled is not None and estimate.best is not None:
        note("over the whole source:")
        found, whole = _confirm(bench, target, scale, estimate, options), True
    lines = command_lines([source], bench.settings_at(found.nearest.point), options["ffmpeg"])
    assert isinstance(original, ReadySource)  # else nothing could have been measured
    used_samples = None if whole else sampled
    answer = _Answer(options, target, original, found, used_samples, estimate if whole and sampled else None)
    click.echo(answer.as_json(lines) if output_format == "json" else answer.as_text(lines))
    return ExitCode.OK if found.best else ExitCode.BELOW_BAR


def _check(options: dict[str, Any]) -> None:
    metric, over = options["metric"], options["over"]
    if metric != "model" and metric not in METRICS:
        raise UsageError(f"unknown metric: {metric}", hint=f"model, {', '.join(METRICS)}")
    if options["samples"] and options["statistic"] not in _SAMPLED_POOLINGS:
        raise UsageError(
            f"samples say nothing of the {options['statistic']} of the whole source",
            hint="--statistic mean or harmonic_mean, or leave --samples out",
        )
    if options["confirm"] and not options["samples"]:
        raise UsageError("--confirm is for --samples: without them the whole source is measured anyway")
    other = ("min_kbps", "max_kbps") if over == "crf" else ("min_crf", "max_crf")
    for name in other:
        if options[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} is not for --over {over}")


def _bench(info: MediaInfo, options: dict[str, Any]) -> tuple[Bench, list[float]]:
    """What trials of the whole source have in common, and the points that may be tried, best first."""
    from vqa_cli.ladder.job import LadderJob
    from vqa_cli.ladder.preset import build_settings
    from vqa_cli.ladder.trials import Bench
    from vqa_cli.media.encoders import find_encoder

    encoder = find_encoder(options["codec"])
    most = info.size.short_side // 2 * 2
    height = options["height"] or most
    scale = _crfs(encoder, options) if options["over"] == "crf" else _bitrates(info, height, options)
    codec = {
        "encoder": encoder.name,
        "preset": options["encoder_preset"],
        "pix_fmt": options["pix_fmt"],
        options["over"]: (scale[0],),
    }
    metrics = () if options["metric"] == "model" else (options["metric"],)
    values = {
        "name": "search",
        "display": options["display"] or min(height, most),
        "heights": (height,),
        "codecs": (codec,),
    }
    values |= {"metrics": metrics, "tonemap": options["tonemap"], "deinterlace": options["deinterlace"]}
    scorer = load_chosen_scorer(options["model"] or "vsfa-lite", options, threads=2) if not metrics else None
    job = LadderJob(
        sources=(info.path,), settings=build_settings(values, "search"), scorer=scorer, ffmpeg=options["ffmpeg"],
        cache_dir=cache_dir(options),
        command=("vqa", *sys.argv[1:]),
    )  # fmt: skip
    return Bench(job, options["over"], options["metric"], options["statistic"]), scale


def _crfs(encoder: Encoder, options: dict[str, Any]) -> list[float]:
    """The usual working range unless flags say otherwise: nobody looks for CRF 0."""
    from vqa_cli.ladder.search import crf_scale

    least, most = encoder.quality_range
    low = options["min_crf"] if options["min_crf"] is not None else max(least, round(most * 0.2))
    high = options["max_crf"] if options["max_crf"] is not None else round(most * 0.9)
    if not least <= low < high <= most:
        raise UsageError(f"CRF bounds must lie in {least:g} to {most:g}, the lower one first")
    scale = crf_scale(low, high, options["step"] or 1.0)
    # VideoToolbox counts the other way round.
    return scale[::-1] if encoder.name.endswith("_videotoolbox") else scale


def _bitrates(info: MediaInfo, height: int, options: dict[str, Any]) -> list[float]:
    from vqa_cli.ladder.search import bitrate_scale

    size = info.size.with_short_side(min(height, info.size.short_side // 2 * 2))
    pixels_per_ms = float(size.width * size.height * info.fps) / 1000
    low, high = options["min_kbps"] or _LEAST_BPP * pixels_per_ms, options["max_kbps"] or _MOST_BPP * pixels_per_ms
    if not low < high:
        raise UsageError(f"no bitrate between {low:.0f} and {high:.0f} kb/s", hint="--min-kbps and --max-kbps")
    return bitrate_scale(low, high, options["step"] or 3.0)


@contextmanager
def _maybe_sampled(source: Path, bench: Bench, options: dict[str, Any]) -> Iterator[SampledSource | None]:
    if not options["samples"]:
        yield None
        return
    from vqa_cli.ladder.samples import sampled

    with sampled(source, bench.job.settings, options["samples"], options["sample_s"], options["ffmpeg"]) as found:
        if found is None:
            note("the samples would hold half of the source or more: the whole is measured")
        else:
            note(
                f"{len(found.samples)} samples from {found.scenes} scenes, {found.sampled_s:.0f} of "
                f"{found.duration_s:.0f} s, weighted by the frames that each stands for"
            )
        yield found


def _on_samples(bench: Bench, found: SampledSource) -> Bench:
    # Preparation is in the samples already.
    settings = bench.job.settings.model_copy(update={"tonemap": False, "deinterlace": False})
    return replace(bench, job=replace(bench.job, sources=found.paths, settings=settings), weights=found.weights)


def _tell(source: StrPath | ReadySource, settings: LadderSettings) -> None:
    from vqa_cli.ladder.source import ReadySource
    from vqa_cli.ladder.trials import all_remarks

    if isinstance(source, ReadySource):  # else the first trial says why it could not be made ready
        for text in all_remarks(source, settings):
            note(f"warning: {text}")


def _confirm(bench: Bench, target: float, scale: list[float], estimate: Found, options: dict[str, Any]) -> Found:
    from vqa_cli.ladder.search import confirm

    with bench.ready() as ready:
        return _told(confirm(ready.measure, target, scale, estimate.nearest.point), options)


def _told(states: Iterator[Found], options: dict[str, Any]) -> Found:
    found: Found | None = None
    for found in states:
        last = found.trials[-1]
        note(f"{options['over']} {last.point:g}: {options['metric']} {last.quality:.3f}, {last.kbps:.0f} kb/s")
    assert found is not None
    return found


class _Answer:
    """The result in words and as JSON."""

    def __init__(
        self, options: dict[str, Any], target: float, source: ReadySource, found: Found, sampled: SampledSource | None,
        estimate: Found | None,
    ) -> None:  # fmt: skip
        self._over, self._metric, self._target = options["over"], options["metric"], target
        pooling = "" if options["statistic"] == "mean" else f" {options['statistic']}"
        self._what = f"{self._metric}{pooling}"
        self._options, self._source, self._found = options, source, found
        self._sampled, self._estimate = sampled, estimate

    def as_json(self, lines: list[str]) -> str:
        document = {
            "metric": self._metric, "statistic": self._options["statistic"], "target": self._target, "over": self._over,
            "encoder": self._options["codec"], **asdict(self._found), "video_mb": self._megabytes,
            "estimated": self._sampled is not None, "samples": self._sampled and [asdict(s) for s in self._sampled.samples],
            "estimate": self._estimate and asdict(self._estimate), "commands": lines,
        }  # fmt: skip
        return json.dumps(document, indent=1)

    def as_text(self, lines: list[str]) -> str:
        trials = sorted(self._found.trials, key=lambda trial: trial.point)
        rows = [[f"{t.point:g}", f"{t.quality:.3f}", f"{t.kbps:.0f}"] for t in trials]
        head = [self._over if self._over == "crf" else "target", self._what, "kb/s"]
        return "\n".join([table(head, rows), self._said, *self._caveats(), *lines])

    @property
    def _megabytes(self) -> float:
        return self._found.nearest.kbps * float(self._source.frames / self._source.view.fps) / 8000

    @property
    def _said(self) -> str:
        at = self._found.nearest
        point = f"{self._over} {at.point:g}{'k' if self._over == 'bitrate' else ''}"
        if self._found.best is None:
            return f"nothing reaches {self._what} {self._target:g}; nearest: {point} with {at.quality:.3f} at {at.kbps:.0f} kb/s"
        share = 100 * self._megabytes * 1e6 / self._source.info.video_bytes
        about = "about " if self._sampled else ""
        return (
            f"{point} reaches {self._what} {at.quality:.3f} at {about}{at.kbps:.0f} kb/s: "
            f"{about}{self._megabytes:.3g} MB, {share:.0f}% of the source's video"
        )

    def _caveats(self) -> Iterator[str]:
        if not self._found.settled and self._found.best is not None:
            yield f"stopped after {len(self._found.trials)} encodes: a cheaper point may do"
        if self._sampled is not None:
            yield (
                f"an estimate from {self._sampled.sampled_s:.0f} of {self._sampled.duration_s:.0f} s: each sample starts a "
                "fresh encoder, which knows nothing of what comes before and after; --confirm measures the whole"
            )
        if self._estimate is not None:
            said, true = self._estimate.nearest, self._found.trials[0]
            yield (
                f"the samples' bias at {self._over} {said.point:g}: {self._what} {said.quality - true.quality:+.3f}, "
                f"bitrate {100 * (said.kbps / true.kbps - 1):+.1f}%"
            )
