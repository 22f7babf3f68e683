"""What a ladder's results come to: the ladder per codec, the verdict between codecs, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vqa_cli.cli.ladders import ladder_lines
from vqa_cli.text import plural, visible

if TYPE_CHECKING:
    from vqa_cli.analysis.compare import Comparison, Summary
    from vqa_cli.analysis.recommend import Recommendation
    from vqa_cli.document import Run


# Sources whose ladders are printed; a catalogue has them in its documents.
_SHOWN = 5


def conclusion(run: Run, folder: str) -> str:
    """The last words on a run; empty where nothing is to be decided.

    Args:
        folder: where the run was written, as the user knows it.
    """
    from vqa_cli.analysis.recommend import recommend

    if not run.metrics and run.model is None:
        return ""
    found = [r for r in recommend(run, run.settings.recommend) if len(r.hull) + len(r.wasted) > 1]
    if not found:
        return ""
    shown = list(dict.fromkeys(r.source for r in found))[:_SHOWN]
    parts = ["\n".join([*ladder_lines(r), *r.notes]) for r in found if r.source in shown]
    if (more := len(run.sources) - len(shown)) > 0:
        parts.append(f"{more} more sources: vqa recommend {visible(folder)} prints their ladders")
    verdicts = "\n".join(_verdicts(run, found[0].metric))
    return "\n\n".join([*parts, *([verdicts] if verdicts else []), _next(run, found, folder)])


def _verdicts(run: Run, metric: str) -> Iterator[str]:
    """Each codec against the first: over all sizes where there are several, with its price."""
    from vqa_cli.analysis.compare import run_curves, summarise, within
    from vqa_cli.analysis.hull import HULL

    curves = run_curves(run, metric)
    hulls = {(curve.source, curve.encoder) for curve in curves if curve.size == HULL}
    whole = [c for c in curves if c.size == HULL or (c.source, c.encoder) not in hulls]
    pairs = within(whole, metric, "pchip")
    if len(run.sources) == 1:
        yield from (_verdict(pair, metric) for pair in pairs)
    else:
        yield from (_summary(item, metric) for item in summarise(pairs))


def _verdict(pair: Comparison, metric: str) -> str:
    result = pair.result
    anchor, test = (name.removesuffix(" all sizes (hull)") for name in (pair.anchor, pair.test))
    if result.bd_rate is None:
        return f"{test} against {anchor}: no BD-rate by {metric}: {'; '.join(result.notes)}"
    notes = f" ({'; '.join(result.notes)})" if result.notes else ""
    saved = f"{result.bd_rate:+.1f}%{_ends(result.interval)}"
    return f"{test} against {anchor}: {saved} bitrate for the same {metric}{_price(result.cpu_ratio)}{notes}"


def _summary(item: Summary, metric: str) -> str:
    anchor, test = (name.removesuffix(" all sizes (hull)") for name in (item.anchor, item.test))
    if item.bd_rate is None:
        return f"{test} against {anchor}: no BD-rate by {metric} on any of {item.compared} sources"
    number = f"{item.sources} of {item.compared} sources" if item.sources < item.compared else f"{item.sources} sources"
    return (
        f"{test} against {anchor}: {item.bd_rate:+.1f}%{_ends(item.interval)} bitrate for the same {metric}"
        f"{_price(item.cpu_ratio)}, mean of {number}"
    )


def _ends(interval: tuple[float, float] | None) -> str:
    return f" [{interval[0]:+.1f}, {interval[1]:+.1f}]" if interval else ""


def _price(ratio: float | None) -> str:
    return f", for {ratio:.2f} times the CPU time" if ratio else ""


def _next(run: Run, found: list[Recommendation], folder: str) -> str:
    """One line on what to do next."""
    failed = sum(rung.status == "failed" for source in run.sources for rung in source.rungs)
    if failed:
        return (
            f"next: {plural(failed, 'rung')} failed; reasons are above, and the same command tries nothing else again"
        )
    if any(not r.chosen for r in found):
        return "next: loosen the limits that leave no rung"
    if any(not p.measured for r in found for p in r.chosen):
        return "next: the same command with --confirm encodes what is marked ~"
    return f"next: vqa recommend {visible(folder)} --format ffmpeg prints the lines that encode these ladders"
