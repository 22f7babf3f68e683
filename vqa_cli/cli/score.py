"""``vqa score``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vqa_cli.cli.command import Command
from vqa_cli.cli.console import emit, table, tell, window
from vqa_cli.cli.inputs import Bring, expand_inputs, local_inputs, one_input, refuse_all_missing
from vqa_cli.cli.options import (
    FFMPEG_OPTION,
    PROTOCOLS_OPTION,
    MetricList,
    cache_dir,
    cache_options,
    format_option,
    load_chosen_scorer,
    model_options,
)
from vqa_cli.cli.progress import FileProgress
from vqa_cli.errors import ExitCode, InputError, ModelError, ToolError, UsageError, VqaError
from vqa_cli.text import csv_cell

if TYPE_CHECKING:
    from vqa_cli.measure.score import FileScorer, ScoreRequest
    from vqa_cli.media.binaries import Ffmpeg
    from vqa_cli.media.process import Runner
    from vqa_cli.values import Fetched, Scorer

_AT = re.compile(r"^(?:(\d+)x(\d+)|(\d+)p)$")


@dataclass(frozen=True)
class _Row:
    """One line of the result; either a score or an error."""

    file: str
    result: Any = None
    error: VqaError | None = None

    @property
    def reason(self) -> str:
        """The error in one line that names the file."""
        if self.error is None:
            return ""
        text = f"{self.error.message} ({self.error.detail})" if self.error.detail else self.error.message
        return text if self.file in text else f"{text}: {self.file}"


@click.command(name="score", cls=Command)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@model_options
@click.option("--reference", metavar="FILE", help="Also measure full-reference metrics against this.")
@click.option("--metric", "metrics", type=MetricList(), default="vmaf,psnr,ssim", show_default=True, help="Which ones.")
@click.option(
    "--score-at",
    default="native",
    show_default=True,
    metavar="native|720p|WxH",
    help="Size of the picture that is judged; native is the reference's where there is one.",
)
@click.option(
    "--every", type=click.IntRange(1), help="Score each N-th frame [those that the model was trained on, mostly all]."
)
@click.option("--start", type=click.FloatRange(min=0), metavar="SECONDS", help="Begin here.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Score this much.")
@click.option("--tonemap", is_flag=True, help="Judge HDR video as approximate SDR.")
@click.option("--deinterlace", is_flag=True, help="Deinterlace interlaced video.")
@format_option("text", "json", "ndjson", "csv")
@click.option("--per-frame", is_flag=True, help="Frame scores too.")
@click.option("--min-score", type=float, metavar="X", help="Exit 1 when a score is below X.")
@cache_options
@PROTOCOLS_OPTION
@FFMPEG_OPTION
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    files: tuple[str, ...], output_format: str, per_frame: bool, min_score: float | None, quiet: bool, **options: Any
) -> int:
    """Score FILE (videos, directories, patterns, or - for standard input).

    One file prints its score alone on one line; several print a table. A bad file among several is reported and the others
    go on (exit 8).
    """
    from vqa_cli.measure.program import known_ffmpeg
    from vqa_cli.measure.score import ScoreRequest
    from vqa_cli.media.process import Runner

    model = options["model"] or "vsfa-lite"
    if model == "none":
        raise UsageError("vqa score needs a model", hint="leave --model out")
    if options["reference"] and (options["every"] or 1) > 1:
        raise UsageError("--every skips frames and --reference compares every one: name one of them")
    bring = click.get_current_context().with_resource(local_inputs(options))
    with Runner() as runner:
        cache = cache_dir(options)
        ffmpeg = known_ffmpeg(runner, options["ffmpeg"], cache)
        paths = expand_inputs(files, bring)
        reference = one_input(options["reference"], bring) if options["reference"] else None
        refuse_all_missing(paths)
        scorer = load_chosen_scorer(model, options, every=1 if options["reference"] else options["every"])
        assert scorer is not None  # see above
        request = ScoreRequest(
            every=options["every"], start_s=options["start"], duration_s=options["duration"],
            reference=reference, metrics=tuple(options["metrics"]) if reference else (),
            at=_parse_at(options["score_at"]), tonemap=options["tonemap"], deinterlace=options["deinterlace"],
        )  # fmt: skip
        site = _Site(request, scorer, runner, ffmpeg, cache)
        with closing(FileProgress(len(paths), quiet=quiet)) as progress:
            rows = _score_all(paths, site, bring, progress)
    (tell if output_format == "text" else emit)(_FORMATS[output_format](rows, per_frame))
    return _exit_code(rows, min_score)


class _Site(NamedTuple):
    """What :func:`vqa_cli.measure.score.open_scorer` takes."""

    request: ScoreRequest
    scorer: Scorer
    runner: Runner
    ffmpeg: Ffmpeg
    cache: Path | None


def _score_all(paths: list[Path | Fetched], site: _Site, bring: Bring, progress: FileProgress) -> list[_Row]:
    """One row for each file; where there is only one, its failure ends the command."""
    from vqa_cli.measure.score import open_scorer

    alone, rows = len(paths) == 1, []
    with open_scorer(*site, on_share=progress.share) as scoring:
        if not alone:
            scoring.read_reference()
        for path in paths:
            try:
                rows.append(_scored(scoring, path, progress, alone=alone))
            except (InputError, ToolError, ModelError) as err:
                if alone:
                    raise
                rows.append(_Row(str(path), error=bring.about(err)))
                progress.done(rows[-1].reason, failed=True)
    return rows


def _scored(scoring: FileScorer, path: Path | Fetched, progress: FileProgress, *, alone: bool) -> _Row:
    result = scoring.score(Path(path))
    for text in result.notes:
        progress.say(f"warning: {text}" if alone else f"warning: {path}: {text}")
    progress.done(f"{path}: {result.score.score:.2f}")
    return _Row(str(path), result)


def _parse_at(text: str) -> tuple[int, int] | int | None:
    if text == "native":
        return None
    match = _AT.match(text)
    if not match:
        raise UsageError(f"--score-at {text!r} is neither native nor 720p nor 1280x720")
    sides = tuple(int(g) for g in match.groups() if g)
    if any(side < 64 or side % 2 for side in sides):
        raise UsageError(f"--score-at {text}: sides must be even and at least 64")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _exit_code(rows: list[_Row], min_score: float | None) -> int:
    good = [row.result for row in rows if row.error is None]
    if not good:  # what happened to the first one stands for all
        return next(row.error.exit_code for row in rows if row.error)
    if min_score is not None and any(result.score.score < min_score for result in good):
        return ExitCode.BELOW_BAR
    complete = len(good) == len(rows) and not any(result.faults for result in good)
    return ExitCode.OK if complete else ExitCode.PARTIAL


def _text(rows: list[_Row], per_frame: bool) -> str:
    if len(rows) == 1:
        result = rows[0].result
        lines = [f"{result.score.score:.4f}"]
        lines += [f"{name} {series.pooled.mean:.4f}" for name, series in result.fidelity.items()]
        if per_frame:
            lines += [f"{index} {value:.4f}" for index, value in enumerate(result.values["model"])]
        return "\n".join(lines)
    metrics = list(next((row.result.fidelity for row in rows if row.result), {}))
    cells = []
    for row in rows:
        if row.error:
            cells.append([row.file, "error", row.reason, *[""] * len(metrics)])
            continue
        r = row.result
        extra = [f"{r.fidelity[name].pooled.mean:.4f}" for name in metrics]
        cells.append([row.file, f"{r.score.score:.4f}", f"{r.size} {r.frames} frames", *extra])
    return table(["file", "score", "judged", *metrics], cells, width=window())


def _record(row: _Row, per_frame: bool) -> dict[str, Any]:
    if row.error:
        return {"file": row.file, "error": row.reason, "exit_code": int(row.error.exit_code)}
    return {"file": row.file, **row.result.document(per_frame=per_frame)}


def _json(rows: list[_Row], per_frame: bool) -> str:
    records = [_record(row, per_frame) for row in rows]
    return json.dumps(records[0] if len(records) == 1 else records, indent=1, allow_nan=False)


def _ndjson(rows: list[_Row], per_frame: bool) -> str:
    return "\n".join(json.dumps(_record(row, per_frame), allow_nan=False) for row in rows)


def _csv(rows: list[_Row], per_frame: bool) -> str:
    import csv
    import io

    buffer = io.StringIO()
    out = csv.writer(buffer, lineterminator="\n")
    metrics = list(next((row.result.fidelity for row in rows if row.result), {}))
    if per_frame:
        out.writerow(["file", "frame", "model", *metrics])
        for row in (row for row in rows if row.result):
            columns = [row.result.values[name] for name in ("model", *metrics)]
            out.writerows(
                [csv_cell(row.file), index, *(f"{v:.6g}" for v in values)]
                for index, values in enumerate(zip(*columns, strict=True))
            )
        return buffer.getvalue().rstrip("\n")
    out.writerow(["file", "score", "raw", "frames", "width", "height", *metrics, "error"])
    for row in rows:
        if row.error:
            out.writerow([csv_cell(row.file), *[""] * (5 + len(metrics)), csv_cell(row.reason)])
            continue
        r = row.result
        means = [f"{r.fidelity[name].pooled.mean:.6g}" for name in metrics]
        out.writerow(
            [
                csv_cell(row.file),
                f"{r.score.score:.6g}",
                f"{r.score.raw:.6g}",
                r.frames,
                r.size.width,
                r.size.height,
                *means,
                "",
            ]
        )
    return buffer.getvalue().rstrip("\n")


_FORMATS: dict[str, Callable[[list[_Row], bool], str]] = {"text": _text, "json": _json, "ndjson": _ndjson, "csv": _csv}
