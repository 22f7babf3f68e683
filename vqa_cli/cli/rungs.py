"""A ladder's results in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vqa_cli.cli.console import emit, table, tell, window
from vqa_cli.document import Run, RungResult, SourceResult
from vqa_cli.metrics import METRICS
from vqa_cli.text import visible

# Rungs that a warning names at most.
_NAMED = 4


def print_run(run: Run, output_format: str, folder: str) -> None:
    """A run's rungs and what they come to for people (``table``), or the rungs for programs (``json``, ``csv``)."""
    from vqa_cli.cli.conclusion import conclusion
    from vqa_cli.ladder.output import rungs_csv

    if output_format == "json":
        emit(run.model_dump_json(indent=1))
    elif output_format == "csv":
        emit(rungs_csv(run).rstrip("\n"))
    else:
        tell("\n\n".join(filter(None, (_tables(run), conclusion(run, folder)))))


def _tables(run: Run) -> str:
    parts = []
    for source in run.sources:
        header = visible(source.source.name)
        if source.display_width:  # else it could not even be looked at
            header += f"  judged at {source.display_width}x{source.display_height}"
        if source.score is not None and run.model is not None:
            header += f"  source scores {source.score.score:.2f} ({run.model.name}, {run.model.scale.name})"
        parts.append(header)
        parts.append(_rung_table(run, source) if source.rungs else f"failed: {visible(source.reason or '')}")
        parts += ["\n".join(warned)] if (warned := _warnings(source)) else []
    return "\n\n".join(parts)


def _order(rung: RungResult) -> tuple[str, float]:
    return rung.encoder, rung.encode.bitrate_kbps if rung.encode else 0.0


def _rung_table(run: Run, source: SourceResult) -> str:
    from vqa_cli.analysis.curves import inverted_metrics

    turned = inverted_metrics(run, source)
    by_model = ["score", "Δ source"] if run.model else []
    headers = ["encoder", "size", "rate", "kb/s", "peak", "fps", *by_model, *run.metrics, ""]
    rows = []
    for rung in sorted(source.rungs, key=_order):
        encode = rung.encode
        rows.append(
            [
                rung.encoder,
                f"{rung.width}x{rung.height}",
                rung.rate.label,
                f"{encode.bitrate_kbps:.0f}{_give(rung, 'bitrate_kbps', 0)}" if encode else "",
                f"{encode.peak_kbps:.0f}" if encode else "",
                f"{encode.fps:.0f}" if encode else "",
                *(_model_cells(rung) if run.model else ()),
                *(_metric_cell(rung, name) for name in run.metrics),
                rung.reason or _inversion(turned.get(rung.id, ())),
            ]
        )
    return table(headers, rows, leave=_leave(run), width=window())


def _leave(run: Run) -> tuple[str, ...]:
    """Columns that a narrow window goes without: what the metric that decides does not need."""
    from vqa_cli.analysis.curves import default_metric

    decides = default_metric(run)
    metrics = [name for name in reversed(run.metrics) if name != decides]
    return ("fps", "peak", "Δ source", *metrics, *(("score",) if decides != "model" else ()))


def _warnings(source: SourceResult) -> list[str]:
    """What is to be known of single rungs, each text once with the rungs that it is about."""
    about: dict[str, list[str]] = {}
    for rung in sorted(source.rungs, key=_order):
        for text in rung.warnings:
            about.setdefault(text, []).append(rung.id)
    return [visible(f"warning: {', '.join(_shortened(rungs))}: {text}") for text, rungs in about.items()]


def _shortened(names: list[str]) -> list[str]:
    return names if len(names) <= _NAMED else [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]


def _inversion(metrics: Sequence[str]) -> str:
    """A rung that costs more than the one before it and scores less: the metric's limit, not a gain to be had."""
    return f"inversion: {', '.join(metrics)}" if metrics else ""


def _model_cells(rung: RungResult) -> tuple[str, str]:
    score = rung.score
    if score is None:
        return "", ""
    delta = score.delta_to_source
    return f"{score.score:.2f}{_give(rung, 'score', 2)}", "" if delta is None else f"{delta:+.2f}"


def _metric_cell(rung: RungResult, metric: str) -> str:
    value, digits = rung.quality(metric), max(2, METRICS[metric].decimals)
    return "" if value is None else f"{value:.{digits}f}{_give(rung, f'{metric}_mean', digits)}"


def _give(rung: RungResult, figure: str, digits: int) -> str:
    """``±0.31`` where samples leave that open: half the 95 % interval."""
    interval = rung.intervals.get(figure)
    return f"±{(interval[1] - interval[0]) / 2:.{digits}f}" if interval else ""
